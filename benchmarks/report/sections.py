"""Sections of the report's page: how far the study is, the goals, and the tables."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Any

import pandas as pd

from benchmarks.report.again import again
from benchmarks.report.data import (
    CHOSEN_ON,
    LONGER,
    N_NETWORKS,
    NINE,
    PAPERS_NINE,
    RIVALS,
    SCRATCH_EVERYWHERE,
    TASKS,
    Study,
)
from benchmarks.report.goals import ROPE, Outcome, outcomes
from benchmarks.report.tables import (
    Lines,
    against_default,
    context_table,
    costs,
    losses,
    ranks,
    scratch,
    table,
    worst,
)

NOTHING = "Not measured yet.\n"


def coverage(study: Study, facts: dict[str, Any], sizes: str | None) -> Lines:
    """What was run, how much of it is there, and of what a mean is."""
    if not len(study.rows):
        yield "No results yet.\n"
        return
    if facts:
        versions = [f"{name} {version}" for name, version in facts["libraries"].items()]
        yield (
            f"`{facts['command']}`, at commit {facts['commit']}; Python {facts['python']}, "
            f"{', '.join(versions)}. Training samples: at most {facts['most_rows']}.\n"
        )
    seeds = ", ".join(str(seed) for seed in sorted(study.rows["seed"].unique()))
    used = ", ".join(sorted(set(study.rows["sizes"])))
    yield f"Seeds {seeds}; hidden layers {used}. The value of a data set is the mean over these.\n"
    yield table(
        ("part", "task", "data sets", "networks"),
        [(part, task, f"{n_sets}", f"{n}") for part, task, n_sets, n in study.coverage()],
    )
    missing = incomplete(study, sizes)
    if missing:
        yield (
            f"**Partial**: {' and '.join(missing.values())} so far. Every comparison is over "
            "those networks that all its methods have.\n"
        )
    if study.n_failed:
        yield f"{study.n_failed} results have no finite score and are left out.\n"


def incomplete(study: Study, sizes: str | None) -> dict[str, str]:
    """Tasks of which the main part is not complete, and how far it is."""
    n_networks = N_NETWORKS // (1 if sizes is None else 2)
    done = {task: (n_sets, n) for part, task, n_sets, n in study.coverage() if part == "main"}
    found = {}
    for task, n_sets in TASKS.items():
        some, n = done.get(task, (0, 0))
        if (some, n) != (n_sets, n_sets * n_networks):
            found[task] = (
                f"{n} of {n_sets * n_networks} networks on {some} of {n_sets} {task} data sets"
            )
    return found


def goals(study: Study, context: pd.DataFrame, partial: Container[str]) -> Lines:
    """Every goal with its figure; what is partial, by task, is marked."""
    yield (
        "Table: goals, one per row, with the measured figure for each task. Losses and "
        "differences are in percentage points of accuracy or R2 x 100, intervals are of 95 % over "
        "data sets. Means of R2 are computed with and without a floor at 0, and the worse one "
        "counts. Better: two-sided Wilcoxon test with Holm's correction over the methods, p < .05 "
        "(compared with training from random weights: one-sided, one test). No worse: not "
        "significantly worse by the same test, and equivalent (within "
        f"{ROPE:g} percentage point) or better with a probability over .95.\n"
    )
    yield from _goals(study, context, partial)


def unseen_goals(study: Study, context: pd.DataFrame, partial: Container[str]) -> Lines:
    """The goals on those data sets that were not used for choosing settings."""
    rest = study.without(CHOSEN_ON)
    if not len(rest.rows):
        return
    here = [name for name in CHOSEN_ON if name in set(study.rows["set"])]
    if here:
        yield (
            f"Settings of the library were compared on training samples of {', '.join(here)}. "
            "Without these data sets:\n"
        )
    yield from _goals(rest, context[~context["set"].isin(CHOSEN_ON)], partial)


def _goals(study: Study, context: pd.DataFrame, partial: Container[str]) -> Lines:
    found = outcomes(study, context)
    met = [outcome.met for outcome in found]
    yield (
        f"{met.count(True)} met, {met.count(False)} not met, {met.count(None)} not measured "
        "in full.\n"
    )
    by_task = [
        [(o.goal, _outcome(o, task in partial)) for o in found if o.task == task] for task in TASKS
    ]
    yield table(
        ("goal", *TASKS),
        [(row[0][0], *(text for _, text in row)) for row in zip(*by_task, strict=True)],
    )


def _outcome(outcome: Outcome, partial: bool) -> str:
    if not outcome.figure:
        return "not measured"
    words = {True: "met", False: "**not met**", None: "not all measured"}[outcome.met]
    return f"{outcome.figure}: {words}{' so far' if partial else ''}"


def sections(
    study: Study,
    context: pd.DataFrame,
    facts: dict[str, Any],
    sizes: str | None,
    later: Study,
) -> dict[str, tuple[str, Callable[[], Lines]]]:
    """Every section: its name, heading and text, in the order of the page.

    What was measured again, at a later state, is in a study of its own, ``later``.
    """
    partial = incomplete(study, sizes)
    default = ("default", *RIVALS)
    pruned = (*default, *SCRATCH_EVERYWHERE)
    return {
        "coverage": ("What was measured", lambda: coverage(study, facts, sizes)),
        "goals": ("Goals", lambda: goals(study, context, partial)),
        "unseen": (
            "Goals on data sets that were not used for choosing settings",
            lambda: unseen_goals(study, context, partial),
        ),
        "again": ("Goals on networks that were measured again", lambda: again(study, later)),
        "losses": (
            "Loss against the unpruned network",
            lambda: losses(study, "main", (*pruned, LONGER)),
        ),
        "against": (
            "The default compared with each method",
            lambda: against_default(study, "main", default),
        ),
        "ranks": ("Mean ranks", lambda: ranks(study, NINE)),
        "scratch": ("The same architecture trained from random weights", lambda: scratch(study)),
        "context": ("Comparison with scikit-learn's models", lambda: context_table(context)),
        "rivals": (
            "Published methods with our rounds and compensation",
            lambda: _ablation(study, "rivals"),
        ),
        "ours": ("One part of the default changed", lambda: _ablation(study, "ours")),
        "policies": ("The paper's policies", lambda: _policies(study)),
        "worst": ("Where the default loses most", lambda: worst(study)),
        "parameters": ("Equal parameters removed", lambda: _parameters(study, default, pruned)),
        "costs": ("Cost", lambda: costs(study)),
    }


def _ablation(study: Study, part: str) -> Lines:
    others = [name for name in study.methods(part) if name not in ("default", "unpruned")]
    if others:
        yield from losses(study, part, ("default", *others))
        yield from against_default(study, part, ("default", *others))


def _policies(study: Study) -> Lines:
    methods = study.methods("policies")
    if methods:
        yield from losses(study, "policies", methods)
        yield from ranks(study, PAPERS_NINE, "policies")


def _parameters(study: Study, default: Sequence[str], pruned: Sequence[str]) -> Lines:
    yield from losses(study, "main", pruned, view="parameters")
    yield from against_default(study, "main", default, view="parameters")
    yield from scratch(study, view="parameters")
