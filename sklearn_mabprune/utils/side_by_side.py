"""Calls that run side by side, each in a thread of its own with a part of torch's threads."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import torch
from threadpoolctl import ThreadpoolController

from .interruptions import Interruptions, UserInterrupt
from .progress import is_open
from .torch_settings import own_settings

Found = TypeVar("Found")

# Bytes that all calls that run at the same time may take.
_MEMORY = 2**30
# Seconds after which the main thread looks whether Ctrl-C was pressed.
_WAKE = 0.1


@dataclass(frozen=True)
class Turn:
    """What a call is given that may run beside others.

    Parameters
    ----------
    interruptions : Interruptions
        Those of the fit, or of a thread in which Ctrl-C does not arrive.
    stop : threading.Event
        Set when the other calls need no result of this one any more.
    lock : threading.Lock
    """

    interruptions: Interruptions
    stop: threading.Event = field(default_factory=threading.Event)
    lock: Any = field(default_factory=threading.Lock)

    def step(self, tell: Callable[[], Any] = lambda: None) -> None:
        """End the call if it is to stop; otherwise tell something, one call at a time.

        Raises
        ------
        UserInterrupt
            If the call is to stop.
        """
        if self.stop.is_set():
            raise UserInterrupt
        with self.lock:
            tell()


def side_by_side(
    calls: Sequence[Callable[[Turn], Found]],
    interruptions: Interruptions,
    n_bytes: int = 0,
    threads: bool = True,
) -> list[Found]:
    """The results of calls that do not depend on each other.

    Small networks gain little by torch's threads: several are trained at the same time in less
    time than one after the other.

    Parameters
    ----------
    calls : sequence of callable
        From a :class:`Turn`, whose ``step`` they call now and then, to a result.
    interruptions : Interruptions
        Of the fit around them.
    n_bytes : int
        What one call takes; together they take at most 1 GiB, or run one after the other.
    threads : bool
        Whether the calls may run at the same time at all.

    Returns
    -------
    list
        In the order of the calls.  What a call raises is raised; of several, the first one's.

    Examples
    --------
    >>> from sklearn_mabprune.utils.interruptions import Interruptions
    >>> from sklearn_mabprune.utils.side_by_side import side_by_side
    >>> side_by_side([lambda turn: 1, lambda turn: 2], Interruptions())
    [1, 2]
    """
    n_threads = torch.get_num_threads()
    n = min(len(calls), n_threads, max(1, _MEMORY // max(1, n_bytes)))
    if n < 2 or not threads or not is_open(sys.stdout):
        return [call(Turn(interruptions)) for call in calls]
    stop, lock = threading.Event(), threading.Lock()
    # Of a thread alone: `torch.set_num_threads` would set the number of other fits as well.
    limit = partial(ThreadpoolController().limit, limits=n_threads // n, user_api="openmp")
    pool = ThreadPoolExecutor(n, "training")
    try:
        with interruptions.raised():
            found = [pool.submit(_run, call, stop, lock, limit) for call in calls]
            return [_result(each) for each in found]
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _result(future: Future[Found]) -> Found:
    """What a call returned, once it has; Python handles Ctrl-C in between, on every system."""
    while not future.done():
        wait([future], _WAKE)
    return future.result()


def _run(
    call: Callable[[Turn], Found], stop: threading.Event, lock: Any, limit: Callable[[], Any]
) -> Found:
    # At its first use torch sets the number of a new thread.
    torch.get_num_threads()
    with limit(), own_settings():
        return call(Turn(Interruptions(), stop, lock))
