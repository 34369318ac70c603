"""Published tables of scores, and what the statistical tests must say of them.

They are not part of this repository: author2017_cls.csv, author2017_reg.csv and
author2017_dl.csv, a data set a row and a method a column, higher is better.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.report.rank_tests import Floats, friedman, nemenyi, wilcoxon

#: Values known of the published tables, in the digits in which they are known. Ranks: high is
#: good. The unpruned network is called NN in two of the tables, and Model in the third.
KNOWN = {
    "author2017_cls.csv": {
        "sets x methods": "16 x 25",
        "Friedman chi2": "121.874",
        "Friedman p": "4.49e-15",
        "Nemenyi CD": "9.518",
        "mean rank UCB1": "19.06",
        "mean rank unpruned": "18.53",
        "Wilcoxon p": "0.27",
    },
    "author2017_reg.csv": {
        "sets x methods": "6 x 19",
        "Friedman chi2": "62.697",
        "Friedman p": "7.45e-07",
        "Nemenyi CD": "11.427",
        "mean rank UCB1": "15.5",
        "mean rank unpruned": "12.17",
        "Wilcoxon p": "0.156",
    },
    "author2017_dl.csv": {
        "sets x methods": "14 x 11",
        "Friedman chi2": "99.942",
        "Friedman p": "5.60e-17",
        "Nemenyi CD": "4.035",
        "mean rank UCB1": "8.68",
        "mean rank unpruned": "3.32",
        "Wilcoxon p": "0.001",
    },
}


def read_scores(file: Path) -> tuple[Floats, tuple[str, ...]]:
    """Scores and method names of a CSV file: a set a row, its name in the first column."""
    with file.open(newline="") as lines:
        header, *rows = csv.reader(lines)
    return np.array([row[1:] for row in rows], dtype=float), tuple(header[1:])


def compute_known(file: Path) -> Iterator[tuple[str, str, str]]:
    """Each known value of one published table: its name, what is known, what is computed."""
    scores, names = read_scores(file)
    unpruned = "NN" if "NN" in names else "Model"
    test = friedman(scores, names)
    high = dict(zip(names, len(names) + 1 - test.mean_ranks, strict=True))
    ucb1, plain = (scores[:, names.index(name)] for name in ("UCB1", unpruned))
    values: dict[str, float | str] = {
        "sets x methods": "{} x {}".format(*scores.shape),
        "Friedman chi2": test.chi2,
        "Friedman p": test.p,
        "Nemenyi CD": nemenyi(scores, names).critical_difference,
        "mean rank UCB1": high["UCB1"],
        "mean rank unpruned": high[unpruned],
        "Wilcoxon p": wilcoxon(ucb1, plain),
    }
    for name, known in KNOWN[file.name].items():
        value = values[name]
        yield name, known, value if isinstance(value, str) else in_digits_of(known, value)


def in_digits_of(known: str, value: float) -> str:
    """The value, with as many decimals as another one that is given as text."""
    mantissa, _, exponent = known.partition("e")
    decimals = len(mantissa.partition(".")[2])
    return f"{value:.{decimals}{'e' if exponent else 'f'}}"


def show(folder: Path) -> int:
    """Print every known value beside the computed one.

    Returns
    -------
    int
        How many differ.
    """
    differ = 0
    for name in KNOWN:
        if not (folder / name).exists():
            sys.exit(f"folder={str(folder)!r} has no {name}; give the folder of these tables.")
        print(f"\n{name}\n{'':20}{'known':>12}{'computed':>12}")
        for quantity, known, computed in compute_known(folder / name):
            differ += known != computed
            mark = "" if known == computed else "  differs"
            print(f"{quantity:20}{known:>12}{computed:>12}{mark}")
    return differ
