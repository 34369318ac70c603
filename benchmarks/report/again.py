"""Goals on fewer networks that were measured again, at a later state of the library."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from benchmarks.report.data import Study
from benchmarks.report.goals import Outcome, outcomes
from benchmarks.report.tables import table

_KEYS = ["set", "seed", "sizes"]


def again(study: Study, later: Study) -> Iterator[str]:
    """Goals that either missed: figures of all networks, of those measured again, then and now."""
    if not len(later.rows):
        return
    cells = later.rows[_KEYS].drop_duplicates()
    same = Study(study.rows.merge(cells, on=_KEYS))
    nothing = pd.DataFrame(columns=[*_KEYS, "task", "model", "score"])  # no other models
    columns = [outcomes(each, nothing) for each in (study, same, later)]
    rows = [
        (found[0].goal, found[0].task, *map(_text, found))
        for found in zip(*columns, strict=True)
        if False in (found[0].met, found[2].met)
    ]
    yield (
        f"{len(cells)} networks, of {cells['set'].nunique()} data sets, were measured again with "
        f"the same splits. Of the goals for which they suffice, {_count(columns[1])} were met by "
        f"the first study on these networks, and {_count(columns[2])} are met now.\n"
    )
    yield (
        "Table: goals that the first study or the later one missed, one per row; figures of all "
        "networks of the first study, of those that were measured again, and of the later one.\n"
    )
    yield table(("goal", "task", "first study", "the same networks", "again"), rows)


def _text(outcome: Outcome) -> str:
    if outcome.met is None:
        return "not measured"
    return f"{outcome.figure}: {'met' if outcome.met else '**not met**'}"


def _count(found: list[Outcome]) -> str:
    measured = [outcome.met for outcome in found if outcome.met is not None]
    return f"{sum(measured)} of {len(measured)}"
