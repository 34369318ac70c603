"""Progress while a fit is at work: one bar over all of it, or log lines."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any

from tqdm import tqdm

logger = logging.getLogger("sklearn_mabprune")

# What part of a fit each stage takes, roughly: only then can one bar, and one estimate of
# what is left, span them all.
_SHARES = {"training": 60, "pruning": 30, "fine-tuning": 10}
_OTHER_SHARE = 50

# Work that ends within so many seconds needs no estimate, and no line while it lasts.
_LONG = 5.0


class Progress:
    """One bar over all stages (``verbose=1``), log lines (``verbose=2``), or nothing.

    The bar goes to stderr, or into the notebook; where stderr is no terminal there is
    none.  Lines go to the logger ``sklearn_mabprune`` at level INFO: one for each round,
    one for each finished stage, and one every few seconds of a long training.

    Parameters
    ----------
    verbose : int
        0, 1, or 2 and more.
    stages : sequence of str
        Those that this work has, in order: "training", "pruning", "fine-tuning", or others,
        which count as half of a fit.

    Attributes
    ----------
    percent : float
        How much of the whole is done.

    Examples
    --------
    >>> from sklearn_mabprune.utils.progress import Progress
    >>> with Progress(1, ["training", "pruning"]) as progress:
    ...     with progress.stage("training", 10, "epochs"):
    ...         progress.advance(6)
    ...         progress.percent
    40.0
    """

    def __init__(self, verbose: int, stages: Sequence[str] = tuple(_SHARES)):
        self.verbose = int(verbose)
        shares = {name: _SHARES.get(name, _OTHER_SHARE) for name in stages}
        self._shares = {name: 100 * share / sum(shares.values()) for name, share in shares.items()}
        self.percent = self._before = 0.0
        self._open = ExitStack()
        self._bar: Any = None
        self._name, self._total, self._unit = "", 1, ""
        self._done = self._n_calls = 0
        self._started = self._told = 0.0
        self._first = (0.0, 100.0)
        self._facts: tuple[str, ...] = ()
        self._about = ""

    def __enter__(self) -> Progress:
        if self.verbose == 1:
            # Imported where it is wanted: in a notebook without ipywidgets it warns.
            from tqdm.auto import tqdm as bar

            self._bar = bar(
                total=100,
                # Only a terminal gets a bar, and a notebook: without ipywidgets it is text there.
                disable=False if _in_notebook() else None,
                bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}{postfix}",
                dynamic_ncols=True,
            )
            self._open.callback(self._bar.close)
        elif self.verbose >= 2:
            self._open.enter_context(_heard())
        return self

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
        """What follows belongs to this stage; at its end all of it counts as done.

        Parameters
        ----------
        name : str
            One of the stages.
        total : int
            Of what :meth:`advance` counts; at most, where nobody knows.
        unit : str
            What it counts.
        """
        names = list(self._shares)
        self._before = sum(self._shares[other] for other in names[: names.index(name)])
        self._name, self._total, self._unit = name, max(1, total), unit
        self._done = self._n_calls = 0
        self._started = self._told = time.perf_counter()
        self._first = (0.0, 100.0)
        self.percent, self._facts, self._about = self._before, (), ""
        self._show()
        yield self
        self._about = ""
        if self._done:
            self._log(f"{self._done} {unit}", f"{time.perf_counter() - self._started:.1f} s")

    def expect(self, duration: str) -> None:
        """Say at the start of a stage how long it will take, about."""
        self._facts = (f"about {duration} expected",)
        self._show()
        self._log()

    def advance(self, n: int = 1, *facts: str) -> None:
        """`n` more are done; facts are shown beside the bar and in the lines."""
        self._done += n
        self._n_calls += 1
        share = self._shares[self._name]
        self.percent = self._before + share * min(1.0, self._done / self._total)
        now = time.perf_counter()
        if self._n_calls == 1:
            # The first one sets things up, and is no measure of the others.
            self._first = (now, self.percent)
        left = self.seconds_left()
        self._about = "" if left < _LONG else f"about {tqdm.format_interval(left)} left"
        self._facts = facts
        self._show()
        if self._unit == "neurons":
            self._log(f"round {self._n_calls}")
        elif self._unit != "epochs" or now - self._told > _LONG:
            self._log(f"{self._done} of {self._total} {self._unit}")
            self._told = now

    def tell(self, *facts: str) -> None:
        """Facts to show from now on."""
        self._facts = facts

    def clear(self) -> None:
        """Wipe the bar off its line, where something else is about to be written."""
        if self._bar is not None:
            self._bar.clear()

    def seconds_left(self) -> float:
        """What is still to come, at the pace of the present stage; 0 while nobody knows.

        Later stages count by their usual share.  As a rule too much while training, which
        may stop early.
        """
        since, percent = self._first
        if self.percent <= percent:
            return 0.0
        return (time.perf_counter() - since) * (100 - self.percent) / (self.percent - percent)

    def _show(self) -> None:
        if self._bar is None:
            return
        self._bar.set_description_str(self._name, refresh=False)
        self._bar.set_postfix_str(self._said(), refresh=False)
        self._bar.update(self.percent - self._bar.n)

    def _said(self, *first: str) -> str:
        return ", ".join(filter(None, [*first, *self._facts, self._about]))

    def _log(self, *first: str) -> None:
        if self.verbose >= 2:
            logger.info("%s: %s", self._name, self._said(*first))


def _in_notebook() -> bool:
    """Whether a kernel of Jupyter's runs this: what is no terminal there is seen all the same."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


_lock = threading.Lock()
_listening = 0
_own_handler: logging.Handler | None = None
_own_level = False


@contextmanager
def _heard() -> Iterator[None]:
    """See to it that lines reach the user who asked for them, whatever logging is set to.

    Without configuration, Python drops lines at level INFO.  Where no handler would get
    them, one that writes to stderr is lent for the time being, and so is the level, unless
    the user has given this logger one.  Fits may run in several threads: the first one in
    lends, the last one out takes back.
    """
    global _listening, _own_handler, _own_level
    with _lock:
        _listening += 1
        if _listening == 1:
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
            _listening -= 1
            if _listening == 0:
                if _own_handler is not None:
                    logger.removeHandler(_own_handler)
                    _own_handler = None
                if _own_level:
                    logger.setLevel(logging.NOTSET)
