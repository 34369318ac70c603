"""Ctrl-C at lines drawn from a whole fit: all or nothing, and nothing left behind.

``python -m benchmarks.interruptions`` strikes every line.
"""

from __future__ import annotations

import logging
import signal
import time
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
from interrupting import ctrl_c
from user_nets import classes_table, classifier, plain_classifier, small_classifier

from benchmarks.interruptions.strikes import Strike, struck
from sklearn_mabprune import PruningWarning
from sklearn_mabprune.utils.interruptions import Interruptions
from sklearn_mabprune.utils.randomness import global_generators

pytestmark = pytest.mark.usefixtures("sigint")

FEW = {"fine_tune_epochs": 2, "step": 0.4}
STRUCK = {
    "ours": lambda: classifier(
        small_classifier(max_epochs=2, module__dropout=0.1), verbose=2, **FEW
    ),
    "plain": lambda: classifier(plain_classifier().set_params(max_epochs=2), **FEW),
}
X, y = classes_table(60)


def fit(model):
    return model.fit(X, y)


@pytest.fixture(scope="module", params=STRUCK)
def whole(request):
    """How an estimator is made, a fitted one, and the number of lines of its fit."""
    make = STRUCK[request.param]
    with warnings.catch_warnings(), Strike() as strike:
        warnings.simplefilter("ignore", PruningWarning)
        fitted = fit(make())
    return make, fitted, strike.n_lines


@pytest.fixture(autouse=True)
def no_handlers_of_pytest(monkeypatch):
    # They would get the lines otherwise, and none would be lent.
    monkeypatch.setattr(logging.getLogger("sklearn_mabprune"), "propagate", False)


@pytest.mark.slow
def test_ctrl_c_at_any_line_keeps_all_or_nothing(whole):
    make, fitted, n_lines = whole
    assert n_lines > 1000
    # A few lines depend on the clock; the last ones, of the finished fit, have tests of their own.
    drawn = np.random.default_rng(0).choice(int(0.98 * n_lines), 20, replace=False)
    kept = []
    for n in sorted(drawn):
        strike = Strike(int(n) + 1)
        fault = struck(make, fit, fitted, X, strike)
        assert strike.where
        assert not fault, (fault, strike.where)
        kept.append(strike.kept)
    assert {True, False} <= set(kept)


@pytest.mark.slow
def test_after_ctrl_c_at_any_line_a_second_one_leaves_nothing(whole):
    make, fitted, n_lines = whole
    for n in np.random.default_rng(1).choice(int(0.9 * n_lines), 6, replace=False):
        strike = Strike(int(n) + 1, twice=True)
        fault = struck(make, fit, fitted, X, strike)
        assert len(strike.where) == 2
        assert not fault, (fault, strike.where)


@contextmanager
def pressing(when):
    """Ctrl-C while a context manager is entered or left."""
    if when == "enter":
        ctrl_c()
    yield
    if when == "exit":
        ctrl_c()


@pytest.mark.parametrize("when", ["enter", "exit"])
def test_no_change_of_a_state_is_broken_off(when):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    done = []

    def work():
        with Interruptions() as interruptions, interruptions.raised():
            with global_generators(0), pressing(when):
                done.append("block")
            for _ in range(5000):
                time.sleep(0.001)
            done.append("end")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["block"]
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_came_at_the_very_end_is_raised_at_the_end():
    def work():
        with Interruptions():
            ctrl_c()
            with pressing("exit"):
                pass
            return "done"

    with pytest.raises(KeyboardInterrupt):
        work()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    time.sleep(0.01)  # it is not pressed once more
