"""The study: what it measures, that it goes on where it was stopped, what it gathers."""

from __future__ import annotations

import gzip
from functools import partial

import numpy as np
import pandas as pd
import pytest
from builders import linears
from sklearn.datasets import make_classification

from benchmarks.shared import prepared
from benchmarks.shared.data_sets import load
from benchmarks.shared.prepared import Prepared
from benchmarks.study import __main__ as study
from benchmarks.study import cells, context
from benchmarks.study.cells import run
from benchmarks.study.files import COLUMNS, Place, collect
from benchmarks.study.methods import MAIN, ONE_SHOT, SHARES, Cell, Pruning, unpaired
from benchmarks.study.torch_pruner import torch_pruning
from sklearn_mabprune import MLPNetClassifier

SETS = {"two classes": 2, "three classes": 3}


@pytest.fixture(scope="module", autouse=True)
def few_epochs():
    """Networks of the study are trained for a tenth of their epochs: every way is still taken."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (context, prepared):
            patch.setattr(module, "MLPNetClassifier", partial(MLPNetClassifier, max_epochs=20))
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with data sets, one of them with a column of strings."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "classification").mkdir()
    for name, n_classes in SETS.items():
        X, y = make_classification(
            160, 6, n_informative=4, n_classes=n_classes, random_state=n_classes
        )
        frame = pd.DataFrame(X.round(3)).assign(kind=np.where(X[:, 0] > 0, "a", "b"), target=y)
        frame.to_csv(folder / "classification" / f"{name}.csv.gz", index=False)
    return folder


@pytest.fixture(scope="module")
def cell(data):
    ready = Prepared.of(load("three classes", data), 0, (16, 8), test=True, most=100)
    return Cell(ready, 0)


@pytest.mark.parametrize("name", MAIN)
@pytest.mark.parametrize("unit", ["neurons", "parameters"])
def test_every_method_removes_what_was_asked_for(cell, name, unit):
    for share in SHARES:
        budget = cell.budget(share, unit)
        gone = budget.gone(MAIN[name](cell, share, unit).sizes)
        if name == "torch_pruning":
            # Whole layers' shares, never more than the others.
            assert 0.6 * budget.target <= gone <= budget.target
        else:
            a_neuron = 1 if unit == "neurons" else cell.graph.cost()[0] // 10
            assert budget.target <= gone < budget.target + a_neuron


def test_published_methods_are_one_shot_and_change_no_weight(cell):
    """What is left of a layer are rows and columns of the trained weights, as they were."""
    for method in (MAIN["magnitude"], Pruning("taylor", ONE_SHOT), torch_pruning_of, unpaired):
        small = method(cell, 0.5, "neurons")
        first, whole = (linears(g)[0].weight.detach().numpy() for g in (small, cell.graph))
        at = [int(np.flatnonzero((whole == row).all(axis=1))[0]) for row in first]
        second, whole = (linears(g)[1].weight.detach().numpy() for g in (small, cell.graph))
        assert all((whole[:, at] == row).all(axis=1).any() for row in second)


def torch_pruning_of(cell, share, unit):
    return torch_pruning(cell.ready, cell.budget(share, unit), 100, 0)


def test_scored_rows_are_in_no_other_part(cell):
    parts = [cell.ready.fitted.x, cell.ready.validation.x, cell.ready.scored.x]
    rows = np.unique(np.concatenate(parts), axis=0)
    assert len(rows) == sum(map(len, parts)) == 100 + 40


def place(data, folder, name="three classes"):
    return Place(name, 0, (12, 6), data, folder)


@pytest.mark.slow
def test_it_goes_on_where_it_was_stopped(data, tmp_path, monkeypatch):
    monkeypatch.setattr(cells, "SIZES", ((12, 6),))
    here = place(data, tmp_path)
    run(here, [])
    files = {f: f.read_bytes() for f in tmp_path.glob("*.csv")}
    times = {f: f.stat().st_mtime_ns for f in files}
    names = {f.name.split("main_neurons_")[1].removesuffix(".csv") for f in files}
    assert names == {"unpruned", *MAIN}

    # Stopped before two methods were done, and in the middle of a third.
    lost = [f for f in files if "taylor" in f.name or "default" in f.name]
    for file in lost:
        file.unlink()
    next(tmp_path.glob("*.done")).unlink()
    (tmp_path / f"{lost[0].name}.123.part").write_text("main,half a li")
    run(here, [])
    for file, content in files.items():
        if file not in lost:
            assert file.stat().st_mtime_ns == times[file]
        # Seconds differ, nothing else.
        again, before = (
            pd.read_csv(f, names=COLUMNS).drop(columns="seconds")
            for f in (file, _as_file(tmp_path / "before", content))
        )
        pd.testing.assert_frame_equal(again, before)
    # A cell that is done is not even trained again.
    assert not list(tmp_path.glob("*.network"))
    times = {f: f.stat().st_mtime_ns for f in tmp_path.iterdir()}
    run(here, [])
    assert times == {f: f.stat().st_mtime_ns for f in tmp_path.iterdir()}


def _as_file(file, content):
    file.write_bytes(content)
    return file


@pytest.mark.slow
def test_what_is_gathered(data, tmp_path, monkeypatch):
    monkeypatch.setattr(cells, "SIZES", ((12, 6),))
    for name in SETS:
        run(place(data, tmp_path / "parts", name), ["parameters", "context"])
    results = tmp_path / "results"
    collect(tmp_path / "parts", results, "study", {"seeds": [0]})
    rows = pd.read_csv(results / "study.csv.gz")
    assert tuple(rows.columns) == COLUMNS
    assert set(rows["set"]) == set(SETS)
    keys = ["part", "set", "seed", "sizes", "view", "method", "removed", "tuned"]
    assert not rows.duplicated(keys).any()
    main = rows[rows["view"] == "neurons"]
    for method, part in main.groupby("method"):
        tuned = {1} if method.startswith("scratch") else {0, 1}
        assert set(part["removed"]) == ({0.0} if method == "unpruned" else set(SHARES))
        assert set(part["tuned"]) == tuned
    # As many epochs as training and fine-tuning took together, on the sizes that were found.
    per = ["set", "removed"]
    found = main.set_index([*per, "method", "tuned"]).sort_index()
    for name in SETS:
        trained = found.loc[(name, 0.0, "unpruned", 0), "epochs"]
        for share in SHARES:
            took = found.loc[(name, share), "epochs"].xs(1, level="tuned")
            assert took[[*MAIN, "scratch_short"]].nunique() == 1
            ours, scratch, short = (
                found.loc[(name, share, method, 1)]
                for method in ("default", "scratch", "scratch_short")
            )
            assert scratch["epochs"] == trained + ours["epochs"]
            assert short["epochs"] == ours["epochs"]
            assert scratch["parameters"] == ours["parameters"]
    others = pd.read_csv(results / "study_context.csv")
    assert set(others["model"]) == {
        "sklearn_mlp", "sklearn_mlp_same", "hgb", "mlp", "default 50", "default 75", "default 90",
    }  # fmt: skip
    assert (others[["n_bytes", "ms_row", "ms_single"]] > 0).all(axis=None)

    # The same rows are the same bytes.
    packed = (results / "study.csv.gz").read_bytes()
    collect(tmp_path / "parts", results, "study", {"seeds": [0]})
    assert (results / "study.csv.gz").read_bytes() == packed
    assert gzip.decompress(packed).decode().startswith(",".join(COLUMNS))


def test_small_networks_come_first_once_every_kind_was_seen():
    found = [(seed, hidden) for seed in range(3) for hidden in ((2, 1), (3, 2, 1))]
    order = sorted(found, key=study._order)
    assert [(seed, len(hidden)) for seed, hidden in order] == [
        (0, 2), (0, 3), (1, 2), (2, 2), (1, 3), (2, 3),
    ]  # fmt: skip
