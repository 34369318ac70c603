"""The comparison on tables: what is run, in which order, and what is concluded from rows."""

from __future__ import annotations

import argparse
import csv

import numpy as np
import pytest

from benchmarks.shared.results import RESULTS
from benchmarks.tables import other_sets, page
from benchmarks.tables.__main__ import cells_of
from benchmarks.tables.goals import BUDGET, OURS, TREES, Rows, goals_of
from benchmarks.tables.jobs import run
from benchmarks.tables.measuring import COLUMNS, calibration_error, measure, row_of
from benchmarks.tables.models import MODELS
from benchmarks.tables.samples import split


def rows(ours, trees, *, task="classification", n_test=2000, **columns):
    """Rows of ours and the trees: scores by set, one for each seed."""
    found = []
    for model, removed, scores in ((OURS, BUDGET, ours), (TREES, 0.0, trees)):
        for name, some in scores.items():
            for seed, score in enumerate(some):
                row = row_of(name, seed, model, task=task, removed=removed, n_test=n_test)
                found.append({k: str(v) for k, v in (row | {"score": score} | columns).items()})
    return found


def goal(text, given):
    (found,) = [each for each in goals_of(given) if each.text.startswith(text)]
    return found


def test_differences_are_paired_by_set_and_seed():
    given = rows({"a": [0.9, 0.8], "b": [0.5]}, {"a": [0.8, 0.7], "c": [0.1]})
    (pair,) = Rows(given).pairs((OURS, BUDGET), (TREES, 0.0))
    np.testing.assert_allclose(pair.values, [10, 10])
    assert (pair.name, pair.n_test, pair.error) == ("a", 2000, pytest.approx(0))


def test_rows_with_a_note_have_no_figures():
    given = rows({"a": [0.9]}, {"a": [0.8]})
    given[1]["note"] = "stopped"
    assert Rows(given).pairs((OURS, BUDGET), (TREES, 0.0)) == []


@pytest.mark.parametrize(("lead", "met"), [(0.006, True), (0.004, False)])
def test_means_against_trees(lead, met):
    trees = {"a": [0.8, 0.7], "b": [0.9, 0.9]}
    ours = {name: [score + lead for score in some] for name, some in trees.items()}
    assert goal("classification: mean at least 0.5", rows(ours, trees)).met is met
    assert goal("regression: median", rows(ours, trees)).met is None


@pytest.mark.parametrize(
    ("scores", "n_test", "met"),
    [
        ([0.78, 0.78, 0.78], 2000, False),
        # The same mean, but the difference may be chance.
        ([0.74, 0.78, 0.82], 2000, True),
        ([0.78, 0.78, 0.78], 500, None),
    ],
)
def test_a_large_set_that_is_lost_counts(scores, n_test, met):
    given = rows({"a": scores}, {"a": [0.8, 0.8, 0.8]}, n_test=n_test)
    found = goal("classification: large sets on which more than 1", given)
    assert found.met is met
    assert ("a -2.0" in found.figure) is (met is False)


def test_kin8nm_is_left_out_where_it_is_said():
    given = rows(
        {"kin8nm": [0.95], "other": [0.80]}, {"kin8nm": [0.75], "other": [0.80]}, task="regression"
    )
    goals = {each.text: each.met for each in goals_of(given)}
    mean = "regression: mean at least 1.5 points above HistGradientBoosting"
    assert (goals[mean], goals[f"{mean}, without kin8nm"]) == (True, False)


def test_sizes_and_speeds_are_ratios():
    given = rows({"a": [0.9]}, {"a": [0.9]}, bytes=1000, bytes_weights=10, us_batch=4, us_ready=1)
    assert goal("weights at most a twentieth", given).met
    assert not goal("the network on ready features", given).met


def test_calibration():
    sure = np.full(100, 0.95)
    assert calibration_error(sure, np.arange(100) < 95) == pytest.approx(0)
    assert calibration_error(sure, np.arange(100) < 50) == pytest.approx(0.45)


def test_cells_start_with_what_the_goals_are_about():
    args = argparse.Namespace(data=None, sets=None, models=list(MODELS), seeds=10, most=10**6)
    cells = cells_of(args)
    assert {model for *_, model, _, _ in cells[:9]} == {OURS, "ours alone", TREES}
    assert {seed for _, seed, *_ in cells[:9]} == {0}
    assert [name for name, *_ in cells[:3]] == ["diabetes"] * 3
    assert sum(cell[2] == "tabm" for cell in cells) == 3
    assert sum(cell[:3:2] == ("diabetes", OURS) for cell in cells) == 10
    args.sets = ["iris"]
    with pytest.raises(SystemExit, match="no data set 'iris'"):
        cells_of(args)


def test_samples_are_split_once_for_each_seed():
    one, same, other = split("digits", None, 0, 500), split("digits", None, 0, 500), split(
        "digits", None, 1, 500
    )  # fmt: skip
    assert (len(one.train[1]), len(one.test[1])) == (350, 150)
    np.testing.assert_array_equal(one.test[0], same.test[0])
    assert not np.array_equal(one.test[0], other.test[0])


def test_a_model_is_measured():
    (row,) = measure("diabetes", 0, "linear", None)
    assert tuple(row) == COLUMNS
    assert 0.3 < row["score"] < 0.6
    assert min(row["us_batch"], row["us_alone"], row["bytes"], row["rmse"]) > 0


@pytest.mark.slow
def test_what_fails_is_told_and_does_not_stop_the_others():
    cells = [("no such set", 0, "linear", None), ("diabetes", 0, "linear", None)]
    (_, nothing, note), (cell, found, fine) = run(cells, n_jobs=1)
    assert nothing == []
    assert "'no such set' is not inside scikit-learn" in note
    assert (cell, fine, len(found)) == (cells[1], "", 1)


def test_the_page_is_filled_between_its_marks(tmp_path):
    given = rows({"a": [0.9, 0.8], "b": [0.5]}, {"a": [0.8, 0.7], "b": [0.4]}, weight=0.5)
    file = tmp_path / "page.md"
    file.write_text("# Title\n<!-- tables -->\nold\n<!-- end of tables -->\nEnd\n")
    for _ in range(2):
        page.write(given, list(goals_of(given)), file)
    text = file.read_text()
    assert text.startswith("# Title\n")
    assert text.endswith("-->\nEnd\n")
    assert "old" not in text
    assert text.count("| a | 2,000 | 85.0 | 75.0 | +10.00 ± 0.00 |") == 1
    assert "| hist gradient boosting | 2 | +10.00 | 2 / 0 / 0 |" in text


def test_other_sets_have_a_part_of_their_own(tmp_path):
    given = rows({"a": [0.9], "b": [0.5]}, {"a": [0.8], "b": [0.6]}, weight=0.5, n_train=4000)
    file = tmp_path / "page.md"
    file.write_text("# Title\n<!-- other tables -->\nold\n<!-- end of other tables -->\nEnd\n")
    page.write_other(given, file)
    text = file.read_text()
    assert "old" not in text
    assert "2 data sets. Models: hist gradient boosting, ours." in text
    assert "| hist gradient boosting | 2 | +0.00 | 1 / 0 / 1 |" in text
    assert "| a | 6,000 | 90.0 | 80.0 | +10.00 |  | 0.50 |" in text


def test_other_sets_are_none_of_the_comparison():
    names = [*other_sets.KEEL, *(f"{each[1]}_{each[2]}" for each in other_sets.R_TABLES)]
    assert len(set(names)) == len(names) == 70
    with (RESULTS / "tables.csv").open(newline="") as file:
        assert not {row["set"] for row in csv.DictReader(file)} & set(names)
