"""A fit that Ctrl-C strikes before a given line: all or nothing, and nothing left behind."""

from __future__ import annotations

import _thread
import contextlib
import logging
import pickle
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch

import sklearn_mabprune.estimators.fitting
from sklearn_mabprune import PruningWarning
from sklearn_mabprune.utils.interruptions import Interruptions

#: Source whose lines are struck: the package, and what restores the state around its blocks.
SOURCES = (
    str(Path(sklearn_mabprune.__file__).parent),
    str(contextlib.__file__),
    str(torch.random.__file__),
    str(Path(torch.autograd.__file__).with_name("grad_mode.py")),
)


class _Signal(int):
    """A signal that is pending from the moment at which `sent` is read.

    An attribute, since Python looks for signals after every call: in the function that
    traces, this one would be delivered there, and not where the traced code stands.
    """

    sent = property(_thread.interrupt_main)


_SIGINT = _Signal(signal.SIGINT)


class Strike:
    """Ctrl-C before the n-th line that is run; None: lines are counted only.

    Parameters
    ----------
    n : int, optional
        Number of the line, from 1.
    twice : bool, default=False
        Whether it is pressed once more before the next line that is run, after the handler's.

    Attributes
    ----------
    n_lines : int
        Lines that were run, until the first signal.
    where : list of str
        File and line before which each signal came.
    kept : bool
        Whether the network was trained at the first signal, and the fit not over: it must not be
        lost.
    over : bool
        Whether Python's own handler was back at the last signal: it may raise when fit is done.
    first, last : dict of str to int
        Number of the first, and of the last run of every line, by file and line.
    """

    def __init__(self, n: int | None = None, *, twice: bool = False):
        self.n, self.n_left = n, 1 + twice
        self.n_lines, self.where = 0, list[str]()
        self.kept = self.over = self._trained = False
        self.first: dict[str, int] = {}
        self.last: dict[str, int] = {}
        self._handle = Interruptions._handle

    def __enter__(self) -> Strike:
        if self.n_left > 1:
            # A traced handler would not be interrupted as others are: lines are traced again
            # when it is done.
            strike, handle = self, self._handle

            def handled(owner: Interruptions, signum: int, frame: FrameType | None) -> None:
                try:
                    handle(owner, signum, frame)
                finally:
                    strike._trace_again(frame)

            Interruptions._handle = handled  # type: ignore[method-assign]
        sys.settrace(self._call)
        return self

    def __exit__(self, *error: object) -> None:
        sys.settrace(None)
        Interruptions._handle = self._handle  # type: ignore[method-assign]

    def _trace_again(self, frame: FrameType | None) -> None:
        if not self.n_left:
            return
        sys.settrace(self._call)
        while frame is not None:
            if frame.f_code.co_filename.startswith(SOURCES):
                frame.f_trace = self._line
            frame = frame.f_back

    def _call(self, frame: FrameType, event: str, arg: Any) -> Any:
        if not frame.f_code.co_filename.startswith(SOURCES):
            return None
        self._trained |= frame.f_code is sklearn_mabprune.estimators.fitting.prune.__code__
        return self._line

    def _line(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event != "line":
            return self._line
        place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        if not self.where:
            self.n_lines += 1
            self.first.setdefault(place, self.n_lines)
            self.last[place] = self.n_lines
        if self.where or self.n_lines == self.n:
            own = signal.getsignal(signal.SIGINT) is not signal.default_int_handler
            self.kept |= not self.where and self._trained and own
            self.over = self._trained and not own
            self.where.append(place)
            self.n_left -= 1
            # Not to be delivered in this function when it is called for the next line.
            sys.settrace(None)
            _SIGINT.sent  # noqa: B018
            return None
        return self._line


def surroundings() -> tuple[Any, ...]:
    """What a fit must leave as it was."""
    logger = logging.getLogger("sklearn_mabprune")
    return (
        signal.getsignal(signal.SIGINT),
        list(logger.handlers),
        logger.level,
        pickle.dumps(np.random.get_state()),  # noqa: NPY002
        torch.get_rng_state().tolist(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
    )


def fitted_of(model: Any) -> set[str]:
    """Names of a model's fitted attributes."""
    return {name for name in vars(model) if name.endswith("_")}


def struck(
    make: Callable[[], Any], fit: Callable[[Any], Any], whole: Any, X: Any, strike: Strike
) -> str:
    """A fit with Ctrl-C before a line.

    Parameters
    ----------
    make : callable
        Returns an unfitted estimator.
    fit : callable
        Fits it, and returns the fitted one.
    whole : object
        An estimator that was fitted without Ctrl-C.
    X : array-like
        Samples to predict.
    strike : Strike

    Returns
    -------
    str
        What was wrong; empty if nothing was.
    """
    model, before, raised = make(), surroundings(), False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PruningWarning)
            with strike:
                model = fit(model)
    except KeyboardInterrupt:
        raised = True
    if strike.n_left:
        return ""
    fault = _fault_of_raised(strike, model) if raised else _fault_of_kept(strike, model)
    if fitted_of(model):
        if fitted_of(model) != fitted_of(whole):
            fault = "half fitted"
        elif model.predict(X).shape != whole.predict(X).shape:
            fault = "does not predict"
    return "something is left behind" if surroundings() != before else fault


def _fault_of_raised(strike: Strike, model: Any) -> str:
    """What is wrong with a fit that Ctrl-C has ended."""
    lost = strike.kept and len(strike.where) == 1 and not fitted_of(model)
    return "a trained network is lost" if lost else ""


def _fault_of_kept(strike: Strike, model: Any) -> str:
    """What is wrong with a fit that has returned."""
    if len(strike.where) > 1 and not strike.over:
        return "the second Ctrl-C did not end the fit"
    report = model.pruning_report_
    if not report.interrupted:
        return "not reported"
    if "interrupted" not in str(report) and "Ctrl-C" not in str(report):
        return "not told"
    if model.hidden_layer_sizes_ != report.after.hidden_layer_sizes:
        return "reported of another network"
    return ""
