"""Processes that work on the cells of the study, and end with the one that started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

#: Seconds after which a worker notices that it is to end.
_SOON = 0.2


def run_all(work: Callable[..., Any], cells: Sequence[tuple[Any, ...]], jobs: int) -> Iterator[Any]:
    """Do the work for each of the cells, in so many processes.

    However this process ends, killed or by Ctrl-C or SIGTERM, the workers end within a second:
    none goes on alone with cells that the next run works on as well.

    Parameters
    ----------
    work : callable
        A function of a module; called with the entries of a cell.
    cells : sequence of tuple
    jobs : int

    Yields
    ------
    object
        What the work returns, in the order in which it is done.
    """
    ended = multiprocessing.Event()
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        with ProcessPoolExecutor(jobs, initializer=_begin, initargs=(os.getpid(), ended)) as pool:
            try:
                waiting = [pool.submit(work, *cell) for cell in cells]
                for job in as_completed(waiting):
                    yield job.result()
            except BaseException:
                ended.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _begin(parent: int, ended: Any) -> None:
    """Have this worker end with its parent."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_watch, args=(parent, ended), daemon=True).start()


def _watch(parent: int, ended: Any) -> None:
    while os.getppid() == parent and not ended.is_set():
        time.sleep(_SOON)
    # Files are written whole or not at all: a cell may end anywhere.
    os._exit(1)
