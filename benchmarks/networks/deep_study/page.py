"""The page of the study: tables between its marks, and a diagram of mean ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from ...report.rank_tests import (
    bayesian_signed_rank,
    draw_critical_differences,
    friedman,
    nemenyi,
)
from ...shared.intervals import interval
from ...shared.pages import DOCS, write_part
from .comparisons import Study, against, claims, epochs_of_a_prune, goals, p_text, wins
from .methods import DEFAULT, METHODS, PEER, TUNED, UNPRUNED

#: The methods of the tests: at most nine in one test.
TESTED = (
    DEFAULT, "paper, UCB1", "paper, Thompson", "magnitude", "activation variation", "Taylor",
    "random",
)  # fmt: skip
#: Differences of so many points are none in practice.
ROPE = 1.0
_MARKS = {True: "yes", False: "**no**", None: "not measured"}
DIAGRAM = DOCS / "_static" / "deep_study_ranks.svg"


def write(study: Study) -> None:
    """Put everything into the page."""
    for mark, lines in PARTS.items():
        write_part(DOCS / "deep_study.md", mark, list(lines(study)))
    draw(study, DIAGRAM)


def _extent(study: Study) -> Iterator[str]:
    seeds = {
        name: len({row["seed"] for row in study.rows if row["net"] == name})
        for name in study.settings.networks
    }
    measured = {name: n for name, n in seeds.items() if n}
    few = min(measured.values(), default=0), max(measured.values(), default=0)
    extent = f"{few[0]}" if few[0] == few[1] else f"{few[0]} to {few[1]}"
    tuned = len({row["net"] for row in study.rows if int(row["epochs"]) > 0})
    yield (
        f"Measured: {len(study.rows)} rows of {len(measured)} of {len(seeds)} networks, "
        f"{extent} seeds each (asked for: {study.settings.seeds}); "
        f"with fine-tuning {tuned} networks."
    )


def _goals(study: Study) -> Iterator[str]:
    yield "| goal | figure | met |"
    yield "|---|---|---|"
    for goal in goals(study):
        yield f"| {goal.text} | {goal.figure} | {_MARKS[goal.met]} |"


def _claims(study: Study) -> Iterator[str]:
    yield "| the paper claims | found here | holds |"
    yield "|---|---|---|"
    for row in claims(study):
        yield f"| {' | '.join(row)} |"


def _losses(study: Study) -> Iterator[str]:
    yield "| method | fine-tuning | networks | 25 % | 50 % | 75 % |"
    yield "|---|---|---|---|---|---|"
    for tuned in (False, True):
        for method in TUNED if tuned else METHODS:
            found = [study.scores([method], b, tuned) for b in study.settings.budgets]
            if all(len(scores.networks) for scores in found):
                cells = [interval(scores.lost(method), 1) for scores in found]
                n = len(found[0].networks)
                yield f"| {method} | {'yes' if tuned else 'no'} | {n} | {' | '.join(cells)} |"


def _tests(study: Study) -> Iterator[str]:
    yield "| removed | networks | Friedman | Iman-Davenport | critical difference | mean ranks |"
    yield "|---|---|---|---|---|---|"
    tested = _tested(study)
    for budget in study.settings.budgets:
        scores = study.scores(tested, budget)
        if len(scores.networks) < 2 or len(tested) < 2:
            continue
        test, post = (each(scores.values, scores.methods) for each in (friedman, nemenyi))
        order = np.argsort(test.mean_ranks)
        ranks = ", ".join(f"{scores.methods[k]} {test.mean_ranks[k]:.2f}" for k in order)
        yield (
            f"| {budget:.0%} | {test.n_sets} | {test.chi2:.1f}, {p_text(test.p)} "
            f"| {test.f:.1f}, {p_text(test.f_p)} | {post.critical_difference:.2f} | {ranks} |"
        )
    yield ""
    yield (
        "| removed | default beside | mean difference | wins / ties / losses | Wilcoxon-Holm "
        "| better | equivalent | worse |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for budget in study.settings.budgets:
        scores = study.scores(tested, budget)
        others = (UNPRUNED, *(name for name in tested if name != DEFAULT))
        for found in against(scores, DEFAULT, others):
            posterior = bayesian_signed_rank(scores.of(DEFAULT), scores.of(found.second), ROPE)
            yield (
                f"| {budget:.0%} | {found.second} | {found.mean_difference:+.1f} | {wins(found)} "
                f"| {p_text(found.p_holm)} | {posterior.better:.2f} | {posterior.equivalent:.2f} "
                f"| {posterior.worse:.2f} |"
            )


def _tested(study: Study) -> tuple[str, ...]:
    """The methods of the tests that were measured on as many networks as the default."""
    counts = {name: len(study.scores([name]).networks) for name in TESTED}
    return tuple(name for name in TESTED if counts[name] == counts[DEFAULT])


def _networks(study: Study) -> Iterator[str]:
    shown = (DEFAULT, "paper, UCB1", "magnitude", "Taylor", "random")
    yield f"| network | the paper's | seeds | unpruned | {' | '.join(shown)} | epochs of a prune |"
    yield "|" + "---|" * (5 + len(shown))
    epochs = epochs_of_a_prune(study)
    for name, network in study.settings.networks.items():
        n_seeds = len(study.row(name, DEFAULT, 0.5, False))
        if not n_seeds:
            continue
        each = [study.scores([method], networks=[name]) for method in shown]
        cells = [f"{s.values[0, 1]:.1f}" if s.networks else "" for s in each]
        cells.insert(0, f"{each[0].of(UNPRUNED)[0]:.1f}")
        yield (
            f"| {name} | {network.paper} | {n_seeds} | {' | '.join(cells)} | {epochs[name]:.1f} |"
        )


def _peer(study: Study) -> Iterator[str]:
    yield "| network | removed | units left out as it counts | default |"
    yield "|---|---|---|---|"
    failed: dict[str, str] = {}
    for name in study.settings.networks:
        for row in study.rows:
            if row["net"] == name and row["method"] == PEER and row["failed"]:
                failed[name] = row["failed"]
        for budget in study.settings.budgets:
            scores = study.scores([DEFAULT, PEER], budget, networks=[name])
            if scores.networks:
                peer, own = scores.lost(PEER)[0], scores.lost(DEFAULT)[0]
                yield f"| {name} | {budget:.0%} | {peer:.1f} | {own:.1f} |"
    for name, why in failed.items():
        yield f"| {name} | | fails: {why.replace('|', '/')} | |"


def draw(study: Study, file: Path, budgets: Sequence[float] | None = None) -> None:
    """Critical-difference diagrams, a budget each."""
    found = [
        (budget, scores)
        for budget in budgets or study.settings.budgets
        if len((scores := study.scores(_tested(study), budget)).networks) > 1
    ]
    if not found:
        return
    with rc_context({"font.size": 10, "axes.titlesize": 11, "svg.hashsalt": "deep study"}):
        figure = Figure(figsize=(8.5, 2.8 * len(found)), layout="constrained")
        axes = np.atleast_1d(figure.subplots(len(found), 1))
        for ax, (budget, scores) in zip(axes, found, strict=True):
            result = nemenyi(scores.values, scores.methods)
            draw_critical_differences(
                result, ax, label_fmt_left="{label}  {rank:.2f} ",
                label_fmt_right=" {rank:.2f}  {label}", text_h_margin=0.06,
                marker_props={"color": "black", "s": 12},
                elbow_props={"color": "#333333", "linewidth": 0.8},
                crossbar_props={"color": "#0072B2", "linewidth": 3},
            )  # fmt: skip
            ax.set_title(
                f"{budget:.0%} of the units removed, {len(scores.networks)} networks; "
                f"critical difference {result.critical_difference:.2f}",
                loc="left",
            )
        figure.savefig(file, metadata={"Date": None}, facecolor="white")


#: Lines of the page by the mark that they stand at.
PARTS: dict[str, Callable[[Study], Iterator[str]]] = {
    "extent": _extent,
    "goals": _goals,
    "claims": _claims,
    "losses": _losses,
    "tests": _tests,
    "networks": _networks,
    "peer": _peer,
}
