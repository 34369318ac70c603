"""Progress of a fit: one bar on a terminal, lines in the log, or nothing."""

from __future__ import annotations

import io
import logging
import re
import sys
import threading
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import tqdm.auto
from sklearn.frozen import FrozenEstimator
from user_nets import classes_table, classifier, fitted, small_classifier

from sklearn_mabprune.utils import progress as module
from sklearn_mabprune.utils.progress import Progress, logger


class Terminal(io.StringIO):
    """What takes stderr's place and says that it is one."""

    def isatty(self):
        return True


class EagerBar(tqdm.auto.tqdm):
    """A bar that draws every change, and not ten a second."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs, mininterval=0, miniters=0)

    def update(self, n=1):
        super().update(n)
        self.refresh()


def open_terminal(monkeypatch):
    """No fixture: pytest puts its own stderr back between a test's set-up and the test."""
    found = Terminal()
    monkeypatch.setattr(sys, "stderr", found)
    return found


@pytest.fixture
def clock(monkeypatch):
    """Seconds that tests set themselves."""

    class Clock:
        now = 0.0

        def perf_counter(self):
            return self.now

    found = Clock()
    monkeypatch.setattr(module, "time", found)
    return found


def pictures(terminal):
    """What the bar showed, one after the other, without the empty ones."""
    return [text.strip() for text in re.split(r"[\r\n]", terminal.getvalue()) if text.strip()]


@pytest.mark.parametrize("verbose", [0, False])
def test_silent(verbose, capfd, caplog):
    caplog.set_level(logging.INFO, logger="sklearn_mabprune")
    X, y = classes_table()
    classifier(verbose=verbose).fit(X, y).predict(X)
    written = capfd.readouterr()
    assert (written.out, written.err) == ("", "")
    assert not caplog.records


def test_a_stderr_that_is_no_terminal_gets_no_bar(capfd, caplog):
    fitted("classifier", verbose=1)
    written = capfd.readouterr()
    assert (written.out, written.err) == ("", "")
    assert not caplog.records


def test_one_bar_over_all_stages(capsys, monkeypatch):
    terminal = open_terminal(monkeypatch)
    # Every change is drawn, not ten a second.
    monkeypatch.setattr(tqdm.auto, "tqdm", EagerBar)
    X, y = classes_table()
    model = classifier(small_classifier(max_epochs=6), verbose=1, fine_tune_epochs=3).fit(X, y)
    shown = list(dict.fromkeys(pictures(terminal)))
    percents = [int(re.search(r"(\d+)%", text)[1]) for text in shown]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    stages = [text.split()[0] for text in shown]
    assert list(dict.fromkeys(stages)) == ["0%|", "training", "pruning", "fine-tuning", "done"]
    report, path = model.pruning_report_, model.pruning_path_
    rounds = [text for text in shown if text.startswith("pruning") and "neurons left" in text]
    assert len(rounds) == report.n_rounds
    for text, left, score in zip(rounds, path.n_neurons[1:], path.score[1:], strict=True):
        assert f", {left} neurons left, score {score:.4f}" in text
    assert sum("validation loss" in text for text in shown if text.startswith("training")) == 6
    assert shown[-1].endswith(f", 10 neurons left, score {report.after.score:.4f}")
    assert capsys.readouterr().out == ""


def test_warnings_get_a_line_of_their_own(monkeypatch):
    terminal = open_terminal(monkeypatch)
    monkeypatch.setattr(tqdm.auto, "tqdm", EagerBar)
    X, y = classes_table()

    def note(message, *args, **kwargs):
        terminal.write(f"WARNING {str(message)[:20]}\n")

    monkeypatch.setattr(warnings, "showwarning", note)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = note
        model = classifier(tolerance=0, pruning_budget=0.9, verbose=1, fine_tune_epochs=0)
        model.fit(X, y)
        frozen = FrozenEstimator(small_classifier().fit(X, y))
        classifier(frozen, verbose=1).fit(X, y)
    lines = pictures(terminal)
    told = [line for line in lines if "WARNING" in line]
    assert {line[:18] for line in told} >= {"WARNING pruning_bu", "WARNING estimator "}
    assert all(line.startswith("WARNING") for line in told), "the bar was wiped away first"


class Shell:
    """What `get_ipython` returns in a kernel."""

    kernel = object()


@pytest.mark.parametrize("shell", [Shell(), object(), None])
def test_a_notebook_has_a_bar_without_a_terminal(shell, monkeypatch):
    found = io.StringIO()
    monkeypatch.setattr(sys, "stderr", found)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    with Progress(1) as progress, progress.stage("training", 10, "epochs"):
        progress.advance(5)
    assert ("100%" in found.getvalue()) is isinstance(shell, Shell)


def test_a_line_a_round(monkeypatch, caplog):
    terminal = open_terminal(monkeypatch)
    X, y = classes_table()
    model = classifier(small_classifier(max_epochs=6), verbose=2, fine_tune_epochs=3).fit(X, y)
    assert terminal.getvalue() == ""  # no bar between the lines
    report, path = model.pruning_report_, model.pruning_path_
    lines = [record.getMessage() for record in caplog.records]
    assert {record.levelname for record in caplog.records} == {"INFO"}
    assert {record.name for record in caplog.records} == {"sklearn_mabprune"}
    first, *rounds, pruned, tuned = lines
    assert re.fullmatch(r"training: 6 epochs, \d+\.\d s, validation loss \d\.\d{4}", first)
    assert rounds == [
        f"pruning: round {k}, {path.n_neurons[k]} neurons left, score {path.score[k]:.4f}"
        for k in range(1, report.n_rounds + 1)
    ]
    assert re.fullmatch(r"pruning: 10 neurons, \d+\.\d s, 10 neurons left, score .*", pruned)
    assert re.fullmatch(
        rf"fine-tuning: 3 epochs, .* s, 10 neurons left, score {report.after.score:.4f}", tuned
    )


def test_a_net_that_is_trained_already_starts_with_the_pruning(caplog):
    X, y = classes_table()
    net = small_classifier().fit(X, y)
    model = classifier(FrozenEstimator(net), verbose=2, fine_tune_epochs=0)
    model.fit(X, y, X_val=X, y_val=y)
    assert {record.getMessage().split(":")[0] for record in caplog.records} == {"pruning"}


def test_progress_changes_no_result():
    quiet, X, _ = fitted("classifier")
    loud, _, _ = fitted("classifier", verbose=2)
    np.testing.assert_array_equal(loud.predict_proba(X), quiet.predict_proba(X))


# ------------------------------------------------------------------------ the time that is left


def test_time_left_is_at_the_pace_of_the_stage(clock, monkeypatch):
    terminal = open_terminal(monkeypatch)
    with Progress(1) as progress:
        with progress.stage("training", 10, "epochs"):
            clock.now = 50.0
            progress.advance(1)  # sets things up
            assert progress.seconds_left() == 0.0
            clock.now = 62.0
            progress.advance(2)  # 12 % of all in 12 s
            assert progress.seconds_left() == pytest.approx(100 - 18)
        with progress.stage("pruning", 30, "neurons"):
            assert progress.seconds_left() == 0.0
            clock.now = 64.0
            progress.advance(5)
            clock.now = 66.0
            progress.advance(10)  # 10 % of all in 2 s
            assert progress.seconds_left() == pytest.approx(2 / 10 * 25)
            clock.now = 94.0
            progress.advance(0)  # 10 % in 30 s
            progress._bar.refresh()
    assert "about 01:15 left" in terminal.getvalue()


def test_short_work_needs_no_estimate(caplog, clock):
    with Progress(2) as progress, progress.stage("pruning", 30, "neurons"):
        for second, left in ((0.1, 25), (0.2, 20), (100.0, 15)):
            clock.now = second
            progress.advance(5, f"{left} neurons left")
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "pruning: round 1, 25 neurons left",
        "pruning: round 2, 20 neurons left",
        "pruning: round 3, 15 neurons left, about 04:09 left",
        "pruning: 15 neurons, 100.0 s, 15 neurons left",
    ]


def test_rounds_of_a_slow_fit_say_how_long_is_left(monkeypatch, caplog):
    """At the pace of the rounds so far: of the first one nothing is known."""

    class Slow:
        now = 0.0

        def perf_counter(self):
            Slow.now += 7.0
            return Slow.now

    monkeypatch.setattr(module, "time", Slow())
    fitted("classifier", verbose=2, step=0.1)
    rounds = [r.getMessage() for r in caplog.records if "pruning: round" in r.getMessage()]
    assert len(rounds) > 3
    assert not rounds[0].endswith("left")
    assert all(re.search(r", about \d\d:\d\d left$", text) for text in rounds[1:])


def test_a_long_training_says_so_now_and_then(caplog, clock):
    with Progress(2) as progress, progress.stage("training", 100, "epochs"):
        for second in range(100):
            clock.now = float(second)
            progress.advance(1)
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "training: 7 of 100 epochs, about 02:39 left"
    assert 10 < len(lines) < 20


def test_other_work_has_a_line_a_step(caplog):
    name = "cross-validation"
    with Progress(2, [name]) as progress, progress.stage(name, 2, "folds"):
        progress.advance()
        assert progress.percent == 50.0
        progress.advance()
    lines = [record.getMessage() for record in caplog.records]
    assert lines[:2] == ["cross-validation: 1 of 2 folds", "cross-validation: 2 of 2 folds"]
    assert lines[2].startswith("cross-validation: 2 folds, 0.")


def test_more_work_than_foreseen_stays_within_the_stage():
    with Progress(1) as progress, progress.stage("training", 10, "epochs"):
        progress.advance(25)
        assert progress.percent == 60.0


# -------------------------------------------------------------------------- who hears the lines


@pytest.fixture
def fresh(monkeypatch):
    """A root logger and ours, as they are in a process that has configured nothing."""
    root = logging.RootLogger(logging.WARNING)
    monkeypatch.setattr(module, "logger", logging.Manager(root).getLogger("sklearn_mabprune"))
    return root


def one_round():
    with Progress(2) as progress, progress.stage("pruning", 10, "neurons"):
        progress.advance(5, "5 neurons left")


LINE = "pruning: round 1, 5 neurons left"


def test_lines_are_seen_without_any_configuration(fresh, capsys):
    for _ in range(2):
        one_round()
        assert capsys.readouterr().err.splitlines()[0] == f"sklearn_mabprune: {LINE}"
        assert not module.logger.handlers
        assert module.logger.level == logging.NOTSET


@pytest.mark.parametrize("level", ["WARNING", "INFO"])
def test_handlers_of_the_user_get_each_line_once(level, fresh, capsys):
    mine = io.StringIO()
    fresh.addHandler(logging.StreamHandler(mine))
    fresh.setLevel(level)
    one_round()
    assert mine.getvalue().count(LINE) == 1
    assert capsys.readouterr().err == ""
    assert fresh.level == getattr(logging, level)


def test_a_level_of_the_user_counts(fresh, capsys):
    module.logger.setLevel("WARNING")
    one_round()
    assert capsys.readouterr().err == ""
    assert module.logger.level == logging.WARNING


def test_lines_end_with_the_fit_whatever_ends_it(fresh):
    with pytest.raises(KeyboardInterrupt), Progress(2):
        raise KeyboardInterrupt
    assert not module.logger.handlers
    assert module.logger.level == logging.NOTSET


def test_fits_in_threads_give_back_what_they_borrowed(caplog):
    inside, done = threading.Event(), threading.Event()

    def other():
        with Progress(2):
            inside.set()
            done.wait(10)

    thread = threading.Thread(target=other)
    with Progress(2):
        thread.start()
        assert inside.wait(10)
    assert logger.level == logging.INFO
    done.set()
    thread.join()
    assert logger.level == logging.NOTSET
