"""Figures of the report: curves of the loss, and critical-difference diagrams."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from benchmarks.report.data import (
    BUDGETS,
    NINE,
    TASKS,
    VIEWS,
    Study,
    Where,
    label,
    together,
)
from benchmarks.report.rank_tests import draw_critical_differences, nemenyi
from benchmarks.shared.intervals import mean_and_interval

#: Colours of Okabe and Ito, which colour-blind readers tell apart; markers for grey prints.
STYLES: dict[str, tuple[str, str, str]] = {
    "default": ("#000000", "o", "-"),
    "paper": ("#D55E00", "s", "-"),
    "magnitude": ("#0072B2", "^", "-"),
    "activation_variation": ("#009E73", "v", "-"),
    "taylor": ("#CC79A7", "D", "-"),
    "torch_pruning": ("#56B4E9", "P", "-"),
    "random": ("#777777", "X", "-"),
    "scratch": ("#E69F00", "*", "--"),
    "scratch_short": ("#E69F00", "h", ":"),
}
SETTINGS = {
    "font.size": 10,
    "axes.titlesize": 11,
    # Equal results give an equal file.
    "svg.hashsalt": "evidence",
}
#: Below this loss the axis is linear, above it logarithmic.
LINEAR = 1.0


def curves(study: Study, task: str, view: str = "neurons") -> Figure | None:
    """Mean loss against the fraction removed; without and with fine-tuning."""
    drawn: dict[str, Any] = {}
    lowest = -0.3
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for ax, tuned in zip(axes, (False, True), strict=True):
        columns = {
            removed: together(
                study, STYLES, Where(task, removed, tuned, view=view), floor=task == "regression"
            )
            for removed in BUDGETS
        }
        for k, (method, (colour, marker, line)) in enumerate(STYLES.items()):
            points = [
                (100 * removed, *mean_and_interval(pair["unpruned"] - pair[method]))
                for removed, pair in columns.items()
                if pair is not None and method in pair.names
            ]
            if not points:
                continue
            x, mean, half = np.nan_to_num(np.transpose(points))
            lowest = min(lowest, (mean - half).min())
            ours = method == "default"
            drawn[method] = ax.errorbar(
                # Side by side, so that intervals do not hide each other.
                x + 0.4 * (k - (len(STYLES) - 1) / 2),
                mean,
                half,
                color=colour,
                marker=marker,
                linestyle=line,
                label=label(method),
                markersize=8 if marker == "*" else 5.5,
                linewidth=2 if ours else 1.2,
                elinewidth=0.8,
                zorder=4 if ours else 3,
            )
        ax.set_title("with fine-tuning" if tuned else "without fine-tuning")
        ax.set_xticks([100 * removed for removed in BUDGETS])
        ax.set_xlabel(f"{VIEWS[view]} removed, %")
        ax.set_yscale("symlog", linthresh=LINEAR, linscale=0.6)
        ax.set_yticks([-3, -1, -0.5, 0, 0.5, 1, 3, 10, 30, 100])
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.axhline(0, color="#777777", linewidth=0.8)
        ax.grid(True, color="#dddddd", linewidth=0.6)
        ax.set_axisbelow(True)
    if not drawn:
        return None
    axes[0].set_ylim(1.1 * lowest, None)
    loss = "accuracy loss (percentage points)"
    if task == "regression":
        loss = "R2 loss x 100 (R2 floored at 0)"
    axes[0].set_ylabel(f"{loss}\nagainst the unpruned network")
    figure.suptitle(f"{task.capitalize()}: mean over data sets, 95 % intervals")
    order = [drawn[method] for method in STYLES if method in drawn]
    figure.legend(handles=order, loc="outside right center", frameon=False)
    return figure


def diagrams(study: Study, task: str, tuned: bool) -> Figure | None:
    """Critical-difference diagrams of at most nine methods, a budget each."""
    found = {}
    for removed in BUDGETS:
        where = Where(task, removed, tuned)
        names = study.there(NINE, where)
        pair = study.paired(names, where) if len(names) >= 3 else None
        if pair is not None and len(pair) >= 2:
            found[removed] = (len(pair), nemenyi(pair.values, [label(name) for name in names]))
    if not found:
        return None
    figure = Figure(figsize=(8.5, 2.9 * len(found)), layout="constrained")
    axes = np.atleast_1d(figure.subplots(len(found), 1))
    for ax, (removed, (n_sets, result)) in zip(axes, found.items(), strict=True):
        draw_critical_differences(
            result,
            ax,
            label_fmt_left="{label}  {rank:.2f} ",
            label_fmt_right=" {rank:.2f}  {label}",
            text_h_margin=0.06,
            marker_props={"color": "black", "s": 12},
            elbow_props={"color": "#333333", "linewidth": 0.8},
            crossbar_props={"color": "#0072B2", "linewidth": 3},
        )
        ax.set_title(
            f"{100 * removed:g} % removed, {n_sets} data sets; "
            f"critical difference {result.critical_difference:.2f}",
            loc="left",
        )
    how = "with" if tuned else "without"
    figure.suptitle(f"{task.capitalize()}, {how} fine-tuning: mean ranks, 1 is best")
    return figure


def save_all(study: Study, folder: Path) -> Iterator[tuple[str, str, Path]]:
    """Write every figure that has something to show.

    Yields
    ------
    section, description, file : str, str, Path
        Where in the page it belongs, and what it shows.
    """
    with rc_context(SETTINGS):
        for task in TASKS:
            for section, view in (("losses", "neurons"), ("parameters", "parameters")):
                figure = curves(study, task, view)
                if figure is not None:
                    text = f"Loss against {VIEWS[view]} removed, {task}"
                    yield section, text, _save(figure, folder, f"{view}_{task}")
            for tuned, name in ((False, "plain"), (True, "tuned")):
                figure = diagrams(study, task, tuned)
                if figure is not None:
                    text = f"Mean ranks, {task}, {'with' if tuned else 'without'} fine-tuning"
                    yield "ranks", text, _save(figure, folder, f"ranks_{task}_{name}")


def _save(figure: Figure, folder: Path, name: str) -> Path:
    file = folder / f"evidence_{name}.svg"
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None}, facecolor="white")
    return file
