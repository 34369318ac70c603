"""Ctrl-C at lines drawn from a whole fit: all or nothing, and nothing left behind."""

from __future__ import annotations

import _thread
import logging
import pickle
import signal
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from interrupting import press_ctrl_c
from user_nets import classes_table, classifier, plain_classifier, small_classifier

import sklearn_mabprune.estimators.fitting
from sklearn_mabprune import PruningWarning

pytestmark = pytest.mark.usefixtures("sigint")

PACKAGE = str(Path(sklearn_mabprune.__file__).parent)


class Signal(int):
    """A signal that is pending from the moment at which `sent` is read.

    An attribute, since Python looks for signals after every call: in the function that
    traces, this one would be delivered there, and not where the traced code stands.
    """

    sent = property(_thread.interrupt_main)


SIGINT = Signal(signal.SIGINT)


class Strike:
    """Ctrl-C before the n-th line of the package that is run; None: lines are counted only.

    Attributes
    ----------
    n_lines : int
        Lines that were run, until the signal.
    where : str
        File and line before which it came.
    kept : bool
        Whether the network was trained by then, and the fit not over: it must not be lost.
    over : bool
        Whether Python's own handler was back by then: it may raise when fit has returned.
    """

    def __init__(self, n=None):
        self.n, self.n_lines, self.where, self.kept = n, 0, "", False
        self._trained = self.over = False

    def __enter__(self):
        sys.settrace(self._call)
        return self

    def __exit__(self, *error):
        sys.settrace(None)

    def _call(self, frame, event, arg):
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        self._trained |= frame.f_code is sklearn_mabprune.estimators.fitting.prune.__code__
        return self._line

    def _line(self, frame, event, arg):
        if event == "line":
            self.n_lines += 1
            if self.n_lines == self.n:
                self.where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                own = signal.getsignal(signal.SIGINT) is not signal.default_int_handler
                self.kept, self.over = self._trained and own, self._trained and not own
                # Not to be delivered in this function when it is called for the next line.
                sys.settrace(None)
                SIGINT.sent  # noqa: B018
                return None
        return self._line


def surroundings():
    """What a fit must leave as it was."""
    logger = logging.getLogger("sklearn_mabprune")
    return (
        signal.getsignal(signal.SIGINT),
        list(logger.handlers),
        logger.level,
        pickle.dumps(np.random.get_state()),  # noqa: NPY002
        torch.get_rng_state().tolist(),
        torch.is_grad_enabled(),
    )


def fit_struck(make, X, y, n):
    """A fit with Ctrl-C at the n-th line: all or nothing, and nothing left behind."""
    model, before, strike = make(), surroundings(), Strike(n)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PruningWarning)
            with strike:
                model.fit(X, y)
    except KeyboardInterrupt:
        fitted = [name for name in vars(model) if name.endswith("_")]
        assert strike.over or not fitted, strike.where
        assert not fitted or model.predict(X).shape == (len(X),), strike.where
        assert not strike.kept, strike.where
    else:
        assert model.pruning_report_.interrupted, strike.where
        assert "interrupted" in str(model.pruning_report_) or "Ctrl-C" in str(model.pruning_report_)
        assert model.predict(X).shape == (len(X),), strike.where
        assert model.hidden_layer_sizes_ == model.pruning_report_.after.hidden_layer_sizes
    assert strike.where
    assert surroundings() == before, strike.where
    return strike


STRUCK = {
    "ours": lambda: classifier(
        small_classifier(max_epochs=2, module__dropout=0.1), fine_tune_epochs=2, verbose=2
    ),
    "plain": lambda: classifier(
        plain_classifier().set_params(max_epochs=2), fine_tune_epochs=2, step=0.3
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", STRUCK)
def test_ctrl_c_at_any_line_keeps_all_or_nothing(name, monkeypatch):
    # Handlers of pytest would get the lines otherwise, and none would be lent.
    monkeypatch.setattr(logging.getLogger("sklearn_mabprune"), "propagate", False)
    X, y = classes_table(60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PruningWarning)
        # A first fit fills caches, which later ones do without.
        model = STRUCK[name]().fit(X, y)
        with Strike() as whole:
            model.fit(X, y)
    assert whole.n_lines > 1000
    # A few lines depend on the clock; the last ones, of the finished fit, have tests of their own.
    drawn = np.random.default_rng(0).choice(int(0.98 * whole.n_lines), 20, replace=False)
    strikes = [fit_struck(STRUCK[name], X, y, int(n) + 1) for n in sorted(drawn)]
    assert {True, False} <= {strike.kept for strike in strikes}


def test_after_ctrl_c_at_any_line_a_second_one_leaves_nothing(monkeypatch):
    X, y = classes_table(60)
    model = STRUCK["plain"]()
    with warnings.catch_warnings(), Strike() as whole:
        warnings.simplefilter("ignore", PruningWarning)
        model.fit(X, y)
    kept = []
    for n in np.random.default_rng(1).choice(whole.n_lines // 2, 6, replace=False):
        # The first one does not end the fit here: the second one has to.
        with monkeypatch.context() as patch:
            press_ctrl_c(patch, sklearn_mabprune.estimators.fitting, "_measured", call=1)
            model, before = STRUCK["plain"](), surroundings()
            with pytest.raises(KeyboardInterrupt), Strike(int(n) + 1) as strike:
                model.fit(X, y)
        assert not [name for name in vars(model) if name.endswith("_")]
        assert surroundings() == before
        kept.append(strike.kept)
    assert any(kept)
