"""The goals of the study, each with its figure and whether it is met."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.report.data import (
    BUDGETS,
    NINE,
    RIVALS,
    SCRATCH,
    TASKS,
    Study,
    Where,
    floors,
    label,
)
from benchmarks.report.rank_tests import (
    Floats,
    bayesian_signed_rank,
    mean_ranks,
    wilcoxon,
    wilcoxon_holm,
)
from benchmarks.shared.intervals import mean_and_interval

#: Largest mean loss over data sets, in percentage points or R2 x 100.
MOST_LOST = {0.5: 0.3, 0.75: 0.5, 0.9: 3.0}
#: Difference that is irrelevant in practice, and the probability required for that.
ROPE, SURE = 1.0, 0.95
#: Hidden layers that scikit-learn's networks were given, too.
SMALLER = "128-64"
ALPHA = 0.05


@dataclass(frozen=True)
class Outcome:
    """A goal on the sets of one task; `met` is None where nothing or not all was measured."""

    goal: str
    task: str
    figure: str
    met: bool | None


def outcomes(study: Study, context: pd.DataFrame) -> list[Outcome]:
    """Every goal on both tasks."""
    return [
        outcome
        for task in TASKS
        for part in (_losses, _equivalence, _rivals, _best_rank, _scratch)
        for outcome in part(study, task)
    ] + [outcome for task in TASKS for outcome in _good_network(study, context, task)]


def percent(share: float) -> str:
    return f"{100 * share:g} %"


def p_text(p: float) -> str:
    return "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".", 1)


def _tuning(tuned: bool) -> str:
    return "with fine-tuning" if tuned else "without fine-tuning"


def plus_minus(half: float) -> str:
    """Half an interval as text; of one set there is none."""
    return f" ± {half:.2f}" if np.isfinite(half) else ""


def signed(mean: float, half: float) -> str:
    """A difference with its interval."""
    return f"{mean:+.2f}{plus_minus(half)}"


def _difference(study: Study, ours: str, theirs: str, where: Where) -> Callable[[bool], Floats]:
    """Score of one method minus that of another, a set each, with or without a floor."""

    def difference(floor: bool) -> Floats:
        pair = study.paired((ours, theirs), where, floor=floor)
        return pair[ours] - pair[theirs]

    return difference


def _worse_mean(difference: Callable[[bool], Floats], task: str) -> tuple[float, float]:
    """Mean and half interval, with or without the floor: whichever makes us look worse."""
    return min(mean_and_interval(difference(floor)) for floor in floors(task))


def _losses(study: Study, task: str) -> Iterator[Outcome]:
    for removed, most in MOST_LOST.items():
        goal = f"loss of at most {most:g} at {percent(removed)}, with fine-tuning"
        where = Where(task, removed, tuned=True)
        if not len(study.paired(("default", "unpruned"), where)):
            yield _unmeasured(goal, task)
            continue
        mean, half = _worse_mean(_difference(study, "default", "unpruned", where), task)
        yield Outcome(goal, task, f"{-mean:.2f}{plus_minus(half)}", -mean <= most)


def _equivalence(study: Study, task: str) -> Iterator[Outcome]:
    for removed in (0.5, 0.75):
        goal = f"equivalent or better at {percent(removed)}, probability over {SURE:g}"
        pair = study.paired(("default", "unpruned"), Where(task, removed, tuned=True))
        if len(pair) < 2:
            yield _unmeasured(goal, task)
            continue
        found = bayesian_signed_rank(pair["default"], pair["unpruned"], rope=ROPE)
        yield Outcome(goal, task, f"{1 - found.worse:.3f}", 1 - found.worse > SURE)


def _rivals(study: Study, task: str) -> Iterator[Outcome]:
    for tuned in (False, True):
        for removed in BUDGETS:
            goal = f"better than each published method at {percent(removed)}, {_tuning(tuned)}"
            where = Where(task, removed, tuned)
            names = study.there(("default", *RIVALS), where)
            pair = study.paired(names, where) if "default" in names else None
            if pair is None or len(names) < 2 or len(pair) < 2:
                yield _unmeasured(goal, task)
                continue
            found = wilcoxon_holm(pair.values, names, reference="default")
            beaten = [c for c in found if c.better and c.p_holm < ALPHA]
            figure = f"{len(beaten)} of {len(found)}"
            rest = [c for c in found if c not in beaten]
            if rest:
                figure += ", not " + ", ".join(
                    f"{label(c.second)} ({p_text(c.p_holm)})" for c in rest
                )
            else:
                closest = max(found, key=lambda c: c.p_holm)
                figure += f", largest {p_text(closest.p_holm)} ({label(closest.second)})"
            yield Outcome(goal, task, figure, _all(not rest, len(found) == len(RIVALS)))


def _all(so_far: bool, complete: bool) -> bool | None:
    """One method that is not worse decides the goal; else all must have been measured."""
    return so_far if complete or not so_far else None


def _best_rank(study: Study, task: str) -> Iterator[Outcome]:
    for tuned in (False, True):
        for removed in BUDGETS:
            goal = f"best mean rank after the unpruned's at {percent(removed)}, {_tuning(tuned)}"
            where = Where(task, removed, tuned)
            # Training from scratch takes all epochs: without fine-tuning it has no place.
            asked = [name for name in NINE if tuned or name not in SCRATCH]
            names = study.there(asked, where)
            pair = study.paired(names, where) if {"default", "unpruned"} < set(names) else None
            if pair is None or len(pair) < 2:
                yield _unmeasured(goal, task)
                continue
            ranks = dict(zip(names, mean_ranks(pair.values), strict=True))
            ours = ranks.pop("default")
            del ranks["unpruned"]
            closest = min(ranks, key=ranks.__getitem__)
            figure = f"{ours:.2f}; best of the others {ranks[closest]:.2f} ({label(closest)})"
            met = _all(ours <= ranks[closest], len(names) == len(asked))
            yield Outcome(goal, task, figure, met)


def _scratch(study: Study, task: str) -> Iterator[Outcome]:
    for method in SCRATCH:
        for removed in BUDGETS:
            better = removed > 0.5
            goal = (
                f"{'better' if better else 'no worse'} than {label(method)}, at {percent(removed)}"
            )
            where = Where(task, removed, tuned=True)
            pair = study.paired(("default", method), where)
            if len(pair) < 2:
                yield _unmeasured(goal, task)
                continue
            ours, theirs = pair["default"], pair[method]
            gain = _difference(study, "default", method, where)
            figure = signed(*_worse_mean(gain, task))
            if better:
                p = wilcoxon(ours, theirs, "greater")
                yield Outcome(goal, task, f"{figure}, {p_text(p)}", p < ALPHA)
            else:
                p = wilcoxon(ours, theirs, "less")
                sure = 1 - bayesian_signed_rank(ours, theirs, rope=ROPE).worse
                figure += f", {p_text(p)} of being worse, {sure:.3f} equivalent or better"
                yield Outcome(goal, task, figure, p >= ALPHA and sure > SURE)


def _good_network(study: Study, context: pd.DataFrame, task: str) -> Iterator[Outcome]:
    """The trained networks of the study, those that have the sizes of scikit-learn's."""
    theirs = context[(context["task"] == task) & (context["model"] != "mlp")]
    ours = study.rows[(study.rows["method"] == "unpruned") & (study.rows["view"] == "neurons")]
    ours = ours[(ours["task"] == task) & (ours["sizes"] == SMALLER)].assign(model="mlp")
    columns = ["set", "seed", "model", "score"]
    scores = pd.concat([ours[columns], theirs[columns]])
    for model, text in (("sklearn_mlp", "defaults"), ("sklearn_mlp_same", "same sizes")):
        goal = f"unpruned, no worse on average than scikit-learn's MLP, {text}"
        table = scores.pivot_table(index=["set", "seed"], columns="model", values="score")
        if not {"mlp", model} <= set(table):
            yield _unmeasured(goal, task)
            continue
        table = table[["mlp", model]].dropna()

        def difference(floor: bool, table: pd.DataFrame = table, model: str = model) -> Floats:
            found = (table.clip(lower=0.0) if floor else table).groupby(level="set").mean()
            return np.asarray(found["mlp"] - found[model], dtype=float)

        mean, half = _worse_mean(difference, task)
        yield Outcome(goal, task, signed(mean, half), mean >= 0)


def _unmeasured(goal: str, task: str) -> Outcome:
    return Outcome(goal, task, "", None)
