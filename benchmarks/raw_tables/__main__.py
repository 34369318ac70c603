"""Tables of data sets, written as CSV files as people have them, and read back.

    python -m benchmarks.raw_tables                   # tables inside scikit-learn, statsmodels
    python -m benchmarks.raw_tables --data FOLDER     # and *.csv, *.csv.gz of a folder

Each table is split in two, altered, written, read by `pandas.read_csv`, and prepared by
`make_tabular_pipeline`.  "same": the second half becomes the numbers that it becomes without the
change, up to the cells that are gone.  "named": a warning or an error names the column.  "silent"
and "raised" are findings.
"""

from __future__ import annotations

import argparse
import io
import pkgutil
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sklearn.datasets
from sklearn.linear_model import LogisticRegression

from benchmarks.shared.results import RESULTS, Results
from sklearn_mabprune import PruningWarning, make_tabular_pipeline

#: Samples of a table that are used.
ROWS = 240

Table = pd.DataFrame


def packaged() -> Iterator[tuple[str, Table]]:
    """Tables that scikit-learn and statsmodels ship."""
    for name in ("iris", "wine", "breast_cancer", "diabetes", "linnerud"):
        yield name, getattr(sklearn.datasets, f"load_{name}")(as_frame=True).data
    try:
        package = import_module("statsmodels.datasets")
    except ImportError:
        return
    for found in pkgutil.iter_modules(package.__path__):
        if found.name not in ("utils", "tests", "template_data"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                data = import_module(f"statsmodels.datasets.{found.name}").load_pandas().data
            yield found.name, pd.DataFrame(data).reset_index(drop=True)


def in_folder(folder: Path) -> Iterator[tuple[str, Table]]:
    """Tables of a folder."""
    for path in sorted([*folder.rglob("*.csv"), *folder.rglob("*.csv.gz")]):
        table = pd.read_csv(path)
        if table.shape[1] > 2:
            yield path.name.split(".")[0], table.iloc[:, :-1]


# ------------------------------------------------------------------------- what people do


def _floats(table: Table) -> list[Any]:
    """Columns with numbers that have fractions, and enough of them to be told from codes."""
    return [c for c in table if table[c].dtype.kind == "f" and (table[c] % 1 != 0).mean() > 0.5]


def marks(table: Table, rng: np.random.Generator) -> Table:
    """Missing numbers as "?"."""
    table = table.copy()
    for name in table.select_dtypes("number").columns:
        gone = rng.random(len(table)) < 0.03
        table[name] = table[name].astype(object).where(~gone, "?")
    return table


def commas(table: Table, rng: np.random.Generator) -> Table:
    """Fractions behind a comma."""
    change = {c: [f"{v!r}".replace(".", ",") for v in table[c].tolist()] for c in _floats(table)}
    return table.assign(**{str(name): cells for name, cells in change.items()})


def thousands(table: Table, rng: np.random.Generator) -> Table:
    """Thousands apart by apostrophes, as in Switzerland."""
    change = {c: [f"{v:,}".replace(",", "'") for v in table[c].tolist()] for c in _floats(table)}
    return table.assign(**{str(name): cells for name, cells in change.items()})


def codes_as_floats(table: Table, rng: np.random.Generator) -> Table:
    """Categories as numbers; the second half has a gap, which makes floats of them."""
    table = table.copy()
    for name in table.columns.difference(table.select_dtypes("number").columns):
        table[name] = pd.factorize(table[name])[0]
    return table


def dates(table: Table, rng: np.random.Generator) -> Table:
    """A column of dates."""
    days = pd.Timestamp("2015-01-01") + pd.to_timedelta(np.arange(len(table)), unit="D")
    return table.assign(when=days.strftime("%d.%m.%Y"))


def notes_among_numbers(table: Table, rng: np.random.Generator) -> Table:
    """A word in one of a hundred cells."""
    table = table.copy()
    for name in _floats(table)[:1]:
        table[name] = table[name].astype(object).where(rng.random(len(table)) > 0.01, "broken")
    return table


CHANGES: dict[str, Callable[[Table, np.random.Generator], Table]] = {
    "as it is": lambda table, rng: table,
    "'?' for missing numbers": marks,
    "decimal commas": commas,
    "thousands separators": thousands,
    "no header": lambda table, rng: table.set_axis(range(table.shape[1]), axis=1),
    "columns in another order": lambda table, rng: table,
    "codes as floats": codes_as_floats,
    "a column of dates": dates,
    "words among numbers": notes_among_numbers,
}

#: Changes after which the numbers are the same as without them.
EXACT = {"as it is", "decimal commas", "thousands separators", "no header"}
EXACT |= {"columns in another order"}


# ---------------------------------------------------------------------------- what comes of it


def written(table: Table) -> Table:
    """A table, written to a CSV file and read again."""
    named = not isinstance(table.columns, pd.RangeIndex)
    text = table.to_csv(index=False, header=named, sep=";")
    return pd.read_csv(io.StringIO(text), sep=";", header=0 if named else None)


def outcome(change: str, table: Table, rng: np.random.Generator) -> tuple[str, str]:
    """Outcome, and for findings what happened."""
    half = len(table) // 2
    changed = written(CHANGES[change](table, rng))
    plain = written(table)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            expected = _prepared(plain[:half], plain[half:])
            second = changed[half:].reset_index(drop=True)
            if change == "columns in another order":
                second = second[list(second.columns)[::-1]]
            if change == "codes as floats":
                first = _numbers(changed[:half], table)
                found, again = (
                    _prepared(first, _numbers(second, table, as_type)) for as_type in (int, float)
                )
                return ("same", "") if np.array_equal(found, again) else ("silent", "other values")
            found = _prepared(changed[:half], second)
        except (ValueError, TypeError) as error:
            text = str(error)
            return ("named", "") if "'" in text and "olumn" in text + "olumn" else ("raised", text)
    said = any(issubclass(w.category, PruningWarning) for w in caught)
    if change in EXACT:
        same = found.shape == expected.shape and np.allclose(found, expected, atol=1e-9)
    else:  # numbers stay numbers: a column becomes at most two
        same = found.shape[1] <= expected.shape[1] + table.shape[1]
    return ("same", "") if same else ("named" if said else "silent", str(found.shape))


def _numbers(table: Table, like: Table, as_type: type = int) -> Table:
    """The columns that were categories in another table as categories of numbers."""
    names = like.columns.difference(like.select_dtypes("number").columns)
    if as_type is int:
        return table.assign(**{name: table[name].astype("category") for name in names})
    return table.astype(dict.fromkeys(names, float))


def _prepared(first: Table, second: Table) -> np.ndarray:
    """What the preprocessing makes of the second half, fitted on the first."""
    steps = make_tabular_pipeline(LogisticRegression())[:-1].fit(first)
    found = steps.transform(second)
    return np.asarray(found.toarray() if hasattr(found, "toarray") else found, dtype=float)


def main() -> None:
    """Walk over the tables; the exit status is 1 if there were findings."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.raw_tables", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--data", type=Path, help="folder with more tables")
    parser.add_argument("--out", type=Path, default=RESULTS / "raw_csv.csv")
    args = parser.parse_args()
    args.out.unlink(missing_ok=True)
    counts: Counter[tuple[str, str]] = Counter()
    n_tables = 0
    for name, table in [*packaged(), *(in_folder(args.data) if args.data else ())]:
        n_tables += 1
        table = table.sample(min(ROWS, len(table)), random_state=0).reset_index(drop=True)
        for change in CHANGES:
            found, words = outcome(change, table, np.random.default_rng(0))
            counts[change, found] += 1
            if found in ("silent", "raised"):
                print(f"{found}: {name}, {change}: {words[:300]}", flush=True)
    rows = [
        {"change": change, "outcome": found, "tables": counts[change, found]}
        for change in CHANGES
        for found in ("same", "named", "silent", "raised")
        if counts[change, found]
    ]
    Results(args.out, ("change", "outcome")).add(rows)
    print(f"{n_tables} tables", *(" ".join(map(str, row.values())) for row in rows), sep="\n")
    sys.exit(any(found in ("silent", "raised") for _, found in counts))


if __name__ == "__main__":
    main()
