"""Pages of the benchmarks of networks hold what their scripts write from the committed rows."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from benchmarks.networks import catalogue, images, random_graphs
from benchmarks.shared.pages import DOCS, with_part
from benchmarks.shared.results import RESULTS, Results


def rows_of(name):
    with (RESULTS / name).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def test_the_catalogue_is_as_large_as_it_says():
    assert len({entry.name for entry in catalogue.ENTRIES}) == len(catalogue.ENTRIES) == 80
    assert sum(entry.source == "by hand" for entry in catalogue.ENTRIES) <= 15


def test_pages_hold_the_committed_rows():
    page = (DOCS / "catalogue.md").read_text(encoding="utf-8")
    for mark, lines in catalogue.parts(rows_of("catalogue.csv")).items():
        assert with_part(page, mark, lines) == page
    drawn = random_graphs.summary(rows_of("random_graphs.csv"))
    assert with_part(page, "random graphs", [drawn]) == page
    page = (DOCS / "images.md").read_text(encoding="utf-8")
    results = Results(RESULTS / "images.csv", images.KEYS)
    for mark, lines in images.parts(results).items():
        assert with_part(page, mark, lines) == page


def test_rows_say_that_no_network_is_wrong_and_nothing_is_measured_twice():
    assert not [row for row in rows_of("catalogue.csv") if row["result"] == "wrong"]
    assert not [row for row in rows_of("random_graphs.csv") if row["result"] in random_graphs.BAD]
    keys = [tuple(row[name] for name in images.KEYS) for row in rows_of("images.csv")]
    assert len(keys) == len(set(keys))


def test_images_split_anew_are_the_same_images():
    given = np.arange(12)[:, None], np.arange(12, 16)[:, None], np.arange(12), np.arange(12, 16)
    given = *given[:2], given[2] % 2, given[3] % 2
    tested = set()
    for seed in range(3):
        X, X_test, y, y_test = images.split_anew(given, seed)
        assert (len(X), len(X_test)) == (12, 4)
        assert sorted([*X[:, 0], *X_test[:, 0]]) == list(range(16))
        np.testing.assert_array_equal([*X[:, 0] % 2, *X_test[:, 0] % 2], [*y, *y_test])
        tested.add(tuple(sorted(X_test[:, 0])))
    assert len(tested) == 3


def test_a_page_without_the_marks_is_refused():
    with pytest.raises(ValueError, match="no comments <!-- rows -->"):
        with_part("text", "rows", [])


def test_a_row_of_whole_numbers_is_known_again(tmp_path):
    """A budget of 0.0 stands as 0 in a file."""
    results = Results(tmp_path / "rows.csv", ("name", "share"))
    results.add([{"name": "a", "share": 0.0, "score": 1.5}])
    assert ("a", 0.0) in results
    assert ("a", 0.0) in Results(results.file, results.keys)
    assert ("a", 0.5) not in results
