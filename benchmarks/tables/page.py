"""The part of the documentation that is filled from the rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.report.rank_tests import wilcoxon_holm
from benchmarks.shared.pages import write_part
from benchmarks.tables.goals import (
    ALONE,
    BUDGET,
    LARGE,
    OURS,
    TASKS,
    TREES,
    Goal,
    Row,
    Rows,
    mean_figure,
    means_of,
)

PAGE = Path(__file__).parents[2] / "docs" / "boosted_trees.md"
#: Differences of so many points are ties.
TIE = 0.5
_MARKS = {True: "yes", False: "**no**", None: "not measured"}


def write(rows: Iterable[Row], goals: list[Goal], page: Path = PAGE) -> None:
    """Put the tables between the two marks of the page."""
    write_part(page, "tables", list(lines_of(list(rows), goals)))


def write_other(rows: Iterable[Row], page: Path = PAGE) -> None:
    """Put the tables of other data sets into the page, between marks of their own."""
    measured = [row for row in rows if not row["note"]]
    table, models = Rows(measured), sorted({row["model"] for row in measured})
    n_sets = len({row["set"] for row in measured})
    lines = [f"{n_sets} data sets. Models: {', '.join(models)}.", ""]
    lines += ["| 75 % removed, beside HistGradientBoosting | difference |", "|---|---|"]
    for name, task in product((OURS, ALONE), TASKS):
        pairs = table.pairs((name, BUDGET), (TREES, 0.0))
        lines.append(f"| {name}, {task} | {mean_figure(means_of(pairs, task))} |")
    lines.append(
        "\nTable: mean differences ± standard error over data sets, one model and task per row.\n"
    )
    for task in TASKS:
        lines += _models(table, task)
    lines += _other_sets(table)
    write_part(page, "other tables", lines)


def _other_sets(table: Rows) -> Iterator[str]:
    """Every other set: our score and the difference to trees, with and without teacher."""
    yield "| set | samples | ours | trees | difference | without teacher | teacher's weight |"
    yield "|---|---|---|---|---|---|---|"
    ours = table.of.get((OURS, BUDGET), {})
    alone = {p.name: p.mean for p in table.pairs((ALONE, BUDGET), (TREES, 0.0))}
    for pair in sorted(table.pairs((OURS, BUDGET), (TREES, 0.0)), key=lambda p: -p.mean):
        [row] = [row for (name, _), row in ours.items() if name == pair.name]
        score, n_samples = 100 * float(row["score"]), int(row["n_train"]) + pair.n_test
        without = f"{alone[pair.name]:+.2f}" if pair.name in alone else ""
        yield (
            f"| {pair.name} | {n_samples:,} | {score:.1f} | {score - pair.mean:.1f} "
            f"| {pair.mean:+.2f} | {without} | {float(row['weight']):.2f} |"
        )
    yield (
        "\nTable: data sets, one per row; training and test samples, accuracy or R2 x 100 of ours "
        "(75 % removed, teacher) and of HistGradientBoosting, the difference of ours to it with "
        "and without teacher, and the teacher's weight."
    )


def lines_of(rows: list[Row], goals: list[Goal]) -> Iterator[str]:
    """All tables, as lines of Markdown."""
    measured = [row for row in rows if not row["note"]]
    n_sets, n_fits = len({row["set"] for row in measured}), len(
        {(row["set"], row["seed"], row["model"]) for row in measured}
    )  # fmt: skip
    yield (
        f"{n_sets} data sets, {n_fits} fits. Fits that were stopped or failed: "
        + (
            ", ".join(
                sorted({f"{r['model']} on {r['set']} ({r['note']})" for r in rows if r["note"]})
            )
            or "none"
        )
        + ".\n"
    )
    yield "| goal | figure | met |\n|---|---|---|"
    yield from (f"| {goal.text} | {goal.figure} | {_MARKS[goal.met]} |" for goal in goals)
    yield "\nTable: goals, one per row, with the figure that decides each.\n"
    table = Rows(measured)
    for task in TASKS:
        yield from _models(table, task)
    yield from _teacher(table)
    yield from _sets(table)


def _models(table: Rows, task: str) -> Iterator[str]:
    """Ours beside each other model, over the sets that both were run on."""
    yield f"| {task}: beside | sets | mean difference | wins / ties / losses | p (Holm) |"
    yield "|---|---|---|---|---|"
    found = []
    for key in sorted(table.of):
        pairs = [p for p in table.pairs((OURS, BUDGET), key) if p.task == task]
        if key != (OURS, BUDGET) and len(pairs) > 1:
            values = np.array([pair.mean for pair in pairs])
            found.append((key, values, _p_value(values)))
    order = np.argsort([p for *_, p in found])
    adjusted, floor = {}, 0.0
    for rank, k in enumerate(order):
        floor = max(floor, min(1.0, (len(found) - rank) * found[k][2]))
        adjusted[k] = floor
    for k, ((name, removed), values, _) in enumerate(found):
        model = f"{name}, {removed:.0%} removed" if name in table_of_ours(table) else name
        ties = int((np.abs(values) <= TIE).sum())
        wins, losses = int((values > TIE).sum()), int((values < -TIE).sum())
        yield (
            f"| {model} | {len(values)} | {values.mean():+.2f} | {wins} / {ties} / {losses} "
            f"| {adjusted[k]:.3f} |"
        )
    score = "accuracy" if task == "classification" else "R2"
    yield (
        "\nTable: other models, one per row; differences of ours (75 % removed, teacher) to them "
        f"in points ({score} x 100), ties within half a point, p of Wilcoxon's signed ranks.\n"
    )


def _teacher(table: Rows) -> Iterator[str]:
    """What the teacher gains, and what it costs."""
    with_it, alone = (OURS, BUDGET), (ALONE, BUDGET)
    yield "| teacher | sets | gain | log-loss | better / worse | seconds of a fit | ratio |"
    yield "|---|---|---|---|---|---|---|"
    for task in TASKS:
        pairs = [p for p in table.pairs(with_it, alone) if p.task == task]
        if not pairs:
            continue
        losses = [p.mean for p in table.pairs(with_it, alone, "log_loss", 1.0) if p.task == task]
        names = {pair.name for pair in pairs}
        better, worse = (
            sum(sign * pair.mean > max(pair.error, 1e-9) for pair in pairs) for sign in (1, -1)
        )
        seconds = [
            np.nanmedian([float(r["seconds"]) for (n, _), r in table.of[key].items() if n in names])
            for key in (alone, with_it)
        ]
        ratio = np.median(table.ratios(with_it, "seconds", alone, "seconds"))
        loss = f"{np.mean(losses):+.3f}" if losses else ""
        yield (
            f"| {task} | {len(pairs)} | {np.mean([pair.mean for pair in pairs]):+.2f} | {loss} "
            f"| {better} / {worse} | {seconds[0]:.1f}, {seconds[1]:.1f} | {ratio:.1f} |"
        )
    yield (
        "\nTable: ours with HistGradientBoosting as teacher beside ours without, 75 % removed, one "
        "task per row; mean difference in points (score x 100) and of the log-loss (lower is "
        "better), sets that differ by more than the standard error, median seconds of a whole fit "
        "without and with the teacher, and the median ratio of the two over all sets.\n"
    )


def table_of_ours(table: Rows) -> set[str]:
    """Models of which there are several budgets."""
    names = [name for name, _ in table.of]
    return {name for name in names if names.count(name) > 1}


def _p_value(values: np.ndarray) -> float:
    scores = np.column_stack([values, np.zeros(len(values))])
    return wilcoxon_holm(scores, ["ours", "other"])[0].p


def _sets(table: Rows) -> Iterator[str]:
    """Every set: our score and the differences to trees and to the former default."""
    yield "| set | test samples | ours | trees | difference | former default | teacher's weight |"
    yield "|---|---|---|---|---|---|---|"
    ours = table.of.get((OURS, BUDGET), {})
    before = {p.name: p for p in table.pairs((OURS, BUDGET), ("before", BUDGET))}
    for pair in sorted(table.pairs((OURS, BUDGET), (TREES, 0.0)), key=lambda p: -p.mean):
        own = [row for (name, _), row in ours.items() if name == pair.name]
        score = 100 * np.mean([float(row["score"]) for row in own])
        weight = np.mean([float(row["weight"]) for row in own])
        old = f"{before[pair.name].mean:+.2f}" if pair.name in before else ""
        large = "" if pair.n_test >= LARGE else " (few)"
        yield (
            f"| {pair.name} | {pair.n_test:,}{large} | {score:.1f} | {score - pair.mean:.1f} "
            f"| {pair.mean:+.2f} ± {pair.error:.2f} | {old} | {weight:.2f} |"
        )
    yield (
        "\nTable: data sets, one per row; accuracy or R2 x 100 of ours (75 % removed, teacher) and "
        "of HistGradientBoosting, their paired difference with its standard error, the difference "
        "to the former default, and the mean weight of the teacher.\n"
    )
