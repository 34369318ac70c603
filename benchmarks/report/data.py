"""Results of the study, paired: every method of a comparison on the same networks.

The unit of every comparison is the data set: a score is the mean over seeds and layer sizes,
over those networks that all methods of the comparison have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.report.rank_tests import DECIMALS, Floats

TASKS = {"classification": 24, "regression": 12}  # sets in the full study
N_NETWORKS = 3 * 2  # seeds and layer sizes of a set
BUDGETS = (0.5, 0.75, 0.9)
#: At most nine in one test. Every other method is compared with `default`.
RIVALS = ("paper", "magnitude", "activation_variation", "taylor", "random", "torch_pruning")
NINE = ("unpruned", "default", *RIVALS, "scratch")
SCRATCH = ("scratch", "scratch_cosine", "scratch_short", "scratch_cosine_short")
#: Those that were trained for every network; tables of all methods hold no others, since
#: they compare on networks that all have.
SCRATCH_EVERYWHERE = ("scratch", "scratch_short")
#: The unpruned network, trained further for as long as pruned ones are fine-tuned.
LONGER = "unpruned_longer"
POLICIES = ("ucb1", "thompson", "epsilon_greedy", "softmax", "hedge", "exp3")
#: What the paper compares: the policies, and these.
PAPERS_NINE = ("unpruned", *POLICIES, "magnitude", "activation_variation")

#: Settings of the library were compared on training samples of these (docs/defaults.md,
#: docs/identification.md).
CHOSEN_ON = (
    "vehicle", "segment", "phoneme", "vowel", "spambase", "splice", "electricity",
    "kin8nm", "concrete", "cpu_act", "digits", "diabetes", "credit_g", "pima_diabetes", "letter",
)  # fmt: skip

LABELS = {
    "paper": "paper's method",
    "activation_variation": "activation variation",
    "taylor": "Taylor",
    "torch_pruning": "Torch-Pruning",
    "random": "random removal",
    "nothing takes over": "without compensation",
    "means take over": "mean ablation",
    "scratch": "random weights, equal total epochs",
    "scratch_cosine": "random weights (cosine), equal total epochs",
    "scratch_short": "random weights, epochs of fine-tuning",
    "scratch_cosine_short": "random weights (cosine), epochs of fine-tuning",
    LONGER: "unpruned, trained further",
    "epsilon_greedy": "epsilon-greedy",
    "ucb1": "UCB1",
    "thompson": "Thompson",
    "exp3": "EXP3",
}

CELL = ["set", "seed", "sizes"]
PLACE = ["task", "part", "view", "method", "removed", "tuned"]
KEY = [*PLACE, *CELL]
COLUMNS = [*KEY, "score", "neurons", "parameters", "macs", "epochs", "seconds"]


#: What the views are called in tables and figures.
VIEWS = {"neurons": "units", "parameters": "parameters"}


def label(method: str) -> str:
    """The method's name in tables and figures."""
    name, comma, rest = method.partition(",")
    return LABELS.get(name, name.replace("_", " ")) + comma + rest


@dataclass(frozen=True)
class Where:
    """Which rows a comparison is of.

    Parameters
    ----------
    task : {"classification", "regression"}
    removed : float
        Fraction of the units, or of the parameters.
    tuned : bool
        Whether with fine-tuning.
    part : str, default="main"
        Methods that this part lacks are those of "main".
    view : {"neurons", "parameters"}, default="neurons"
        What was removed in equal amounts.
    """

    task: str
    removed: float
    tuned: bool
    part: str = "main"
    view: str = "neurons"


@dataclass(frozen=True)
class Paired:
    """One value for each set and method."""

    names: tuple[str, ...]
    sets: tuple[str, ...]
    values: Floats  # (n_sets, n_methods)
    n_networks: int

    def __getitem__(self, method: str) -> Floats:
        return self.values[:, self.names.index(method)]

    def __len__(self) -> int:
        return len(self.sets)


class Study:
    """Rows of the study.

    Parameters
    ----------
    rows : pandas.DataFrame
        With the columns `COLUMNS`; scores in points. Rows without a score are left out.
    sizes : str, default=None
        Only networks with these hidden layers, such as "128-64"; None: all.

    Raises
    ------
    ValueError
        If columns are missing, a measurement is there twice, or no row has these sizes.
    """

    def __init__(self, rows: pd.DataFrame, sizes: str | None = None):
        missing = [name for name in COLUMNS if name not in rows]
        if missing:
            raise ValueError(f"rows lack the columns {missing}; they come from benchmarks.study.")
        rows = rows.assign(removed=rows["removed"].round(4), tuned=rows["tuned"].astype(bool))
        longer = (rows["method"] == "unpruned") & rows["tuned"]
        rows = rows.assign(method=rows["method"].mask(longer, LONGER))
        twice = rows[rows.duplicated(KEY)]
        if len(twice):
            raise ValueError(
                f"{len(twice)} measurements are there twice, the first is "
                f"{twice.iloc[0][KEY].to_dict()}; delete one of each."
            )
        if sizes is not None:
            if len(rows) and sizes not in set(rows["sizes"]):
                raise ValueError(f"sizes={sizes!r} has no rows; there are {set(rows['sizes'])}.")
            rows = rows[rows["sizes"] == sizes]
        self.n_failed = int((~np.isfinite(rows["score"])).sum())
        self.rows = rows[np.isfinite(rows["score"])]
        # A group for each place in a table, so that filling one is a look-up.
        self._groups = {key: group.set_index(CELL) for key, group in self.rows.groupby(PLACE)}
        self._methods = {
            part: tuple(dict.fromkeys(group["method"]))
            for part, group in self.rows.groupby("part", sort=False)
        }
        self._none = self.rows.iloc[:0].set_index(CELL)

    @classmethod
    def read(cls, file: Path, sizes: str | None = None) -> Study:
        """From a CSV file; without one, a study without rows."""
        if not file.exists():
            return cls(pd.DataFrame({name: pd.Series(dtype=float) for name in COLUMNS}))
        return cls(pd.read_csv(file, dtype={"sizes": str, "set": str}), sizes)

    def without(self, sets: Sequence[str]) -> Study:
        """The study of the other data sets."""
        return Study(self.rows[~self.rows["set"].isin(sets)])

    def methods(self, part: str) -> tuple[str, ...]:
        """Methods of a part, in the order of their first rows."""
        return self._methods.get(part, ())

    def measured(self, method: str, where: Where) -> pd.DataFrame:
        """Rows of a method, a network each, indexed by set, seed and layer sizes."""
        # Whatever is removed from the others, these are the same networks.
        if method == "unpruned":
            where = Where(where.task, 0.0, tuned=False)
        elif method == LONGER and where.tuned:
            where = Where(where.task, 0.0, tuned=True)
        part = where.part if method in self.methods(where.part) else "main"
        key = (where.task, part, where.view, method, round(where.removed, 4), where.tuned)
        return self._groups.get(key, self._none)

    def there(self, methods: Iterable[str], where: Where) -> tuple[str, ...]:
        """Those of the methods that have rows."""
        return tuple(name for name in methods if len(self.measured(name, where)))

    def paired(
        self, methods: Sequence[str], where: Where, column: str = "score", floor: bool = False
    ) -> Paired:
        """A value for each set and method: the mean over the networks that all of them have.

        Parameters
        ----------
        methods : sequence of str
        where : Where
        column : str, default="score"
        floor : bool, default=False
            Whether values below 0 count as 0, before the mean: the R2 of one collapsed
            network can be far below.
        """
        columns = [self.measured(name, where)[column].astype(float) for name in methods]
        table = pd.concat(columns, axis=1, join="inner", keys=methods)
        if floor:
            table = table.clip(lower=0.0)
        means = table.groupby(level="set").mean().round(DECIMALS)
        return Paired(
            tuple(methods), tuple(map(str, means.index)), means.to_numpy(float), len(table)
        )

    def coverage(self) -> Iterator[tuple[str, str, int, int]]:
        """Part, task, sets and networks of each that are there."""
        for (part, task), rows in self.rows.groupby(["part", "task"], sort=False):
            yield part, task, rows["set"].nunique(), len(rows[CELL].drop_duplicates())


def floors(task: str) -> tuple[bool, ...]:
    """With which floors a mean is taken: of accuracies, which are never negative, with none."""
    return (False,) if task == "classification" else (False, True)


def together(
    study: Study, methods: Iterable[str], where: Where, column: str = "score", floor: bool = False
) -> Paired | None:
    """Those of the methods that have rows, beside the unpruned network; None without any."""
    names = study.there(("unpruned", *methods), where)
    if len(names) < 2 or names[0] != "unpruned":
        return None
    pair = study.paired(names, where, column, floor)
    return pair if len(pair) else None
