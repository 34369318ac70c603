"""The report, its table, progress on the screen and in the log."""

from __future__ import annotations

import logging
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from user_nets import classes_table, classifier, fitted, small_classifier

from sklearn_mabprune import PruningReport
from sklearn_mabprune.progress import Progress
from sklearn_mabprune.report import Measured


def some_report(**changes):
    before = Measured((128, 64), 10_000, 9_000, 40_000, 0.05, 1.0, 0.97, 0.1)
    after = Measured((30, 18), 2_500, 1_800, 10_000, 0.04, 0.25, 0.96, 0.125)
    values = {
        "before": before, "after": after, "score_name": "accuracy", "loss_name": "log-loss",
        "n_validation": 150, "batch_rows": 1000, "n_pulls": 1234, "n_evaluations": 567_890,
        "n_backward": 0,
        "n_rounds": 48, "n_fine_tune_epochs": 10, "seconds_training": 1.5,
        "seconds_pruning": 0.75, "seconds_fine_tuning": 0.25,
    }  # fmt: skip
    return PruningReport(**{**values, **changes})


def test_prints_as_a_table():
    expected = """\
144 of 192 hidden neurons removed (75.0%)

                       before   after
hidden layers          128-64   30-18       -75.0%
parameters             10,000   2,500       -75.0%
multiply-adds a row     9,000   1,800       -80.0%
bytes                  40,000  10,000       -75.0%
ms a row                0.050   0.040  1.2x faster
ms for 1,000 rows       1.000   0.250  4.0x faster
accuracy (validation)  0.9700  0.9600      -0.0100
log-loss (validation)  0.1000  0.1250      +0.0250

48 rounds, 1,234 pulls (567,890 rows evaluated), 10 epochs of fine-tuning, 150 validation rows
seconds: training 1.50, pruning 0.75, fine-tuning 0.25"""
    report = some_report()
    assert str(report) == repr(report) == expected
    more = some_report(unused_features=("age", 7), warnings=("first", "second"))
    assert str(more) == (
        expected + "\nfeatures that nothing uses: age, 7\nWarning: first\nWarning: second"
    )


def test_as_nested_dicts():
    report = some_report(unused_features=("age",))
    found = report.to_dict()
    assert found["before"]["hidden_layer_sizes"] == (128, 64)
    assert found["after"]["ms_batch"] == 0.25
    assert found["unused_features"] == ("age",)
    assert set(found) == set(PruningReport.__dataclass_fields__)
    assert (
        PruningReport(
            **{**found, "before": Measured(**found["before"]), "after": Measured(**found["after"])}
        )
        == report
    )


def test_numbers_of_a_fit():
    model, X, _ = fitted("classifier", pruning_budget=0.6, fine_tune_epochs=2)
    report, path = model.pruning_report_, model.pruning_path_
    module = model.estimator_.module_
    assert report.after.n_parameters == sum(p.numel() for p in module.parameters())
    assert report.after.n_bytes == sum(v.nbytes for v in module.state_dict().values())
    assert report.before.n_macs == 6 * 12 + 12 * 8 + 8 * 3 == path.n_macs[0]
    assert report.n_rounds == len(path) - 1 == 6
    assert report.n_evaluations == path.n_evaluations.sum()
    # Few rows: every pull is on all of them.
    n_train = len(X) - report.n_validation
    assert report.n_evaluations == report.n_pulls * n_train
    assert report.batch_rows == n_train
    assert report.n_fine_tune_epochs == 2
    times = [report.seconds_training, report.seconds_pruning, report.seconds_fine_tuning]
    assert all(0 < t < 60 for t in times)
    assert path.seconds.sum() <= report.seconds_pruning
    for network in (report.before, report.after):
        assert network.ms_row > 0
        assert network.ms_batch > 0


def test_budget_of_nothing_is_not_called_slow():
    report = fitted("classifier", pruning_budget=0)[0].pruning_report_
    assert not any("not faster" in text for text in report.warnings)


def test_a_training_cut_short_is_said():
    for max_epochs, said in ((3, True), (300, False)):
        X, y = classes_table()
        model = classifier(small_classifier(max_epochs=max_epochs, lr=0.02)).fit(X, y)
        warnings = model.pruning_report_.warnings
        assert any(f"max_epochs={max_epochs}" in text for text in warnings) is said


def test_numbers_keep_their_digits():
    tiny = replace(some_report().before, loss=5.02e-13)
    text = str(some_report(before=tiny, after=replace(tiny, loss=4.0e13)))
    assert "5.02e-13" in text
    assert "4e+13" in text


def test_equal_times_are_not_called_faster():
    network = some_report().before
    slow = replace(network, ms_row=2 * network.ms_row)
    text = str(some_report(before=network, after=slow))
    assert "2.0x slower" in text
    assert "the same" in text


def test_the_timing_decides_about_the_warning(monkeypatch):
    for after, said in ((2.0, True), (0.5, False)):
        monkeypatch.setattr(
            "sklearn_mabprune.fitting.milliseconds", lambda networks, x, after=after: [1.0, after]
        )
        report = fitted("classifier")[0].pruning_report_
        assert (report.before.ms_batch, report.after.ms_batch) == (1.0, after)
        assert any("not faster" in text for text in report.warnings) is said


def test_features_that_nothing_uses():
    X, y = classes_table()
    X = np.insert(X, 2, 5.0, axis=1)
    frame = pd.DataFrame(X, columns=["a", "b", "constant", "c", "d", "e", "f"])
    assert classifier().fit(frame, y).pruning_report_.unused_features == ("constant",)
    assert classifier().fit(X, y).pruning_report_.unused_features == (2,)
    assert classifier().fit(np.delete(X, 2, axis=1), y).pruning_report_.unused_features == ()


# -------------------------------------------------------------------------------- progress


@pytest.mark.parametrize("verbose", [0, False])
def test_silent(verbose, capfd, caplog):
    caplog.set_level(logging.INFO, logger="sklearn_mabprune")
    X, y = classes_table()
    classifier(verbose=verbose).fit(X, y).predict(X)
    written = capfd.readouterr()
    assert (written.out, written.err) == ("", "")
    assert not caplog.records


@pytest.mark.parametrize("verbose", [1, 2])
def test_bars_go_to_stderr(verbose, capsys, caplog):
    caplog.set_level(logging.INFO, logger="sklearn_mabprune")
    X, y = classes_table()
    model = classifier(small_classifier(max_epochs=6), verbose=verbose, fine_tune_epochs=3)
    model.fit(X, y)
    written = capsys.readouterr()
    assert written.out == ""
    for beginning in (r"training: .* 0/6 ", r"pruning: .* 0/10 ", r"fine-tuning: .* 0/3 "):
        assert re.search(beginning, written.err)
    assert "expected=about a second" in written.err
    lines = [record.getMessage() for record in caplog.records]
    if verbose == 1:
        assert not lines
        return
    assert sum(line.startswith("training: ") for line in lines) == 6
    assert "training: 6 of 6 epochs, loss " in "\n".join(lines)
    first, *rounds = [line for line in lines if line.startswith("pruning: ")]
    assert first == "pruning: about a second"
    assert len(rounds) == model.pruning_report_.n_rounds
    assert rounds[0].startswith("pruning: 2 of 10 neurons, left 18, score ")
    assert lines[-1] == "fine-tuning: 3 of 3 epochs"


def test_a_bar_counts_what_is_done():
    with Progress("pruning", 10, "neurons", verbose=1) as progress:
        progress.advance(3, left=7)
        progress.advance(2, left=5)
        assert (progress.done, progress.bar.n, progress.bar.total) == (5, 5, 10)
        assert "left=5" in str(progress.bar)
        assert "5/10" in str(progress.bar)


def test_progress_changes_no_result():
    quiet, X, _ = fitted("classifier")
    loud, _, _ = fitted("classifier", verbose=2)
    np.testing.assert_array_equal(loud.predict_proba(X), quiet.predict_proba(X))
