"""Progress of a fit: one progress bar for all stages, or log lines."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any

from tqdm import tqdm

from .interruptions import changes_state

logger = logging.getLogger("sklearn_mabprune")

# Typical percentage of the duration of a fit that each stage takes, so that one bar and one
# estimate of the remaining time can cover all stages.
_WEIGHTS = {
    "inputs": 30,
    "teacher": 30,
    "comparison": 30,
    "training": 60,
    "pruning": 30,
    "fine-tuning": 10,
}
_STAGES = ("training", "pruning", "fine-tuning")
_OTHER_WEIGHT = 50

# Minimum remaining time to show, and minimum interval between log lines of epochs, in seconds.
_LONG = 5.0


class Progress:
    """Progress bar (``verbose=1``) or log lines (``verbose=2``) over all stages of a fit.

    The bar is written to stderr, or displayed in the notebook; if stderr is not a terminal,
    closed or None, there is no bar.  Log lines go to the logger ``sklearn_mabprune`` at level
    INFO: one per round, one per finished stage, and one every 5 seconds during training.

    Parameters
    ----------
    verbose : int
        0 for no output, 1 for the bar, 2 or more for log lines.
    stages : sequence of str
        The stages in order: "inputs", "teacher", "comparison", "training", "pruning",
        "fine-tuning", or other names, which count as half of a fit each.

    Attributes
    ----------
    percent : float
        Estimated percentage of the work that is done, from 0 to 100.

    Examples
    --------
    >>> from sklearn_mabprune.utils.progress import Progress
    >>> with Progress(1, ["training", "pruning"]) as progress:
    ...     with progress.stage("training", 10, "epochs"):
    ...         progress.advance(6)
    ...         progress.percent
    40.0
    """

    def __init__(self, verbose: int, stages: Sequence[str] = _STAGES):
        self.verbose = int(verbose)
        weights = {name: _WEIGHTS.get(name, _OTHER_WEIGHT) for name in stages}
        self._percents = {name: 100 * w / sum(weights.values()) for name, w in weights.items()}
        self.percent = self._before = 0.0
        self._open = ExitStack()
        self._bar: Any = None
        self._name, self._total, self._unit = "", 1, ""
        self._done = self._n_calls = 0
        self._started = self._last_line = 0.0
        self._first = (0.0, 100.0)
        self._facts: tuple[str, ...] = ()
        self._remaining = ""

    @changes_state
    def __enter__(self) -> Progress:
        if self.verbose == 1 and (_in_notebook() or is_open(sys.stderr)):
            # Imported only when needed: in a notebook without ipywidgets the import warns.
            from tqdm.auto import tqdm as bar

            self._bar = bar(
                total=100,
                # None disables the bar unless stderr is a terminal.  A notebook always gets one: as
                # text if ipywidgets is missing.
                disable=False if _in_notebook() else None,
                bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}{postfix}",
                dynamic_ncols=True,
            )
            self._open.callback(self._bar.close)
        elif self.verbose >= 2:
            self._open.enter_context(_handler_for_lines())
        return self

    @changes_state
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._name, self.percent = "done", 100.0
            self._show()
        self._open.close()

    @contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Progress]:
        """Context manager of a stage; when it ends, the stage counts as completely done.

        Parameters
        ----------
        name : str
            Name of the stage.
        total : int
            Total number of units that :meth:`advance` counts; an upper bound if unknown.
        unit : str
            Name of the unit, such as "epochs".

        Yields
        ------
        Progress
            The progress itself.
        """
        names = list(self._percents)
        self._before = sum(self._percents[other] for other in names[: names.index(name)])
        self._name, self._total, self._unit = name, max(1, total), unit
        self._done = self._n_calls = 0
        self._started = self._last_line = time.perf_counter()
        self._first = (0.0, 100.0)
        self.percent, self._facts, self._remaining = self._before, (), ""
        self._show()
        yield self
        self._remaining = ""
        if self._done:
            self._log(
                f"{self._done} {unit[:-1] if self._done == 1 else unit}",
                f"{time.perf_counter() - self._started:.1f} s",
            )

    def advance(self, n: int = 1, *facts: str) -> None:
        """Count `n` more units as done, and show facts next to the bar and in log lines."""
        self._done += n
        self._n_calls += 1
        percent = self._percents[self._name]
        self.percent = self._before + percent * min(1.0, self._done / self._total)
        now = time.perf_counter()
        if self._n_calls == 1:
            # The first call includes setup time, so the pace is measured from here on.
            self._first = (now, self.percent)
        left = self.seconds_left()
        self._remaining = "" if left < _LONG else f"about {tqdm.format_interval(left)} left"
        self._facts = facts
        self._show()
        if self._unit == "neurons":
            self._log(f"round {self._n_calls}")
        elif self._unit != "epochs" or now - self._last_line > _LONG:
            self._log(f"{self._done} of {self._total} {self._unit}")
            self._last_line = now

    def tell(self, *facts: str) -> None:
        """Set the facts to show from the next update on."""
        self._facts = facts

    def clear(self) -> None:
        """Erase the bar, so that something else can be written to its line."""
        if self._bar is not None:
            self._bar.clear()

    def seconds_left(self) -> float:
        """Estimated remaining time in seconds, at the pace of the current stage; 0 if unknown.

        Later stages count by their typical percentage of a fit.  During training the estimate
        is usually too high, because training may stop early.
        """
        since, percent = self._first
        if self.percent <= percent:
            return 0.0
        return (time.perf_counter() - since) * (100 - self.percent) / (self.percent - percent)

    def _show(self) -> None:
        """Update the bar."""
        if self._bar is None:
            return
        self._bar.set_description_str(self._name, refresh=False)
        self._bar.set_postfix_str(self._facts_text(), refresh=False)
        self._bar.update(self.percent - self._bar.n)

    def _facts_text(self, *first: str) -> str:
        """Facts and remaining time, separated by commas."""
        return ", ".join(filter(None, [*first, *self._facts, self._remaining]))

    def _log(self, *first: str) -> None:
        """Write a log line."""
        if self.verbose >= 2:
            logger.info("%s: %s", self._name, self._facts_text(*first))


def _in_notebook() -> bool:
    """Whether a Jupyter kernel runs this code; it displays stderr although it is not a terminal."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


def is_open(stream: Any) -> bool:
    """Whether a stream can be written to: a program without a console has None for stdout.

    Examples
    --------
    >>> from sklearn_mabprune.utils.progress import is_open
    >>> is_open(None)
    False
    """
    return stream is not None and not getattr(stream, "closed", False)


_lock = threading.Lock()
_listening: list[int] = []
_own_handler: logging.Handler | None = None
_own_level = False


@contextmanager
def _handler_for_lines() -> Iterator[None]:
    """Context manager that makes log lines visible even if logging is not configured.

    By default Python drops messages at level INFO.  If the logger has no handler, one that
    writes to stderr is added temporarily; if it has no level, it is set to INFO temporarily.
    Fits may run in several threads: the first one adds the handler, the last one removes it.
    """
    global _own_handler, _own_level
    thread = threading.get_ident()
    with _lock:
        _listening.append(thread)
        if len(_listening) == 1:
            if not logger.hasHandlers():
                _own_handler = logging.StreamHandler()
                _own_handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
                logger.addHandler(_own_handler)
            _own_level = logger.level == logging.NOTSET
            if _own_level:
                logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        with _lock:
            _listening.remove(thread)
            if not _listening:
                _restore_logger()


def _restore_logger() -> None:
    """Remove the handler and the level that :func:`_handler_for_lines` has set."""
    global _own_handler, _own_level
    if _own_handler is not None:
        logger.removeHandler(_own_handler)
        _own_handler = None
    if _own_level:
        logger.setLevel(logging.NOTSET)
        _own_level = False


def _forget_threads() -> None:
    """Forget the fits of other threads in a forked process, where these do not exist."""
    global _lock
    _lock = threading.Lock()
    _listening[:] = [thread for thread in _listening if thread == threading.get_ident()]
    if not _listening:
        _restore_logger()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)
