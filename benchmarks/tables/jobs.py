"""Cells in processes of one thread each, which are stopped when they take too long."""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

#: Seconds after which a cell is stopped.
LIMIT = 20 * 60
_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

Cell = tuple[Any, ...]


def work(pipe: Connection) -> None:
    """Measure cells as they come, until there is None."""
    import torch

    from benchmarks.tables.measuring import measure

    torch.set_num_threads(1)
    while (cell := pipe.recv()) is not None:
        try:
            pipe.send((measure(*cell), ""))
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            pipe.send(([], f"{type(error).__name__}: {error}"))


@dataclass
class Worker:
    """A process, and the cell that it is at."""

    pipe: Connection = field(init=False)
    cell: Cell | None = None
    since: float = 0.0

    def __post_init__(self) -> None:
        self.pipe, other = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("spawn").Process(
            target=work, args=(other,), daemon=True
        )
        self.process.start()
        other.close()

    def give(self, cell: Cell) -> None:
        self.cell, self.since = cell, time.monotonic()
        self.pipe.send(cell)

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def run(
    cells: list[Cell], n_jobs: int, seconds: float = float("inf"), limit: float = LIMIT
) -> Iterator[tuple[Cell, list[dict[str, Any]], str]]:
    """Measure cells in their order; what is under way after `seconds` is left out.

    Parameters
    ----------
    cells : list of tuple
        Arguments of ``measuring.measure``.
    n_jobs : int
        Processes.
    seconds : float
        For all of them.
    limit : float
        For one of them.

    Yields
    ------
    cell : tuple
    rows : list of dict
        Empty where there is a note.
    note : str
        "stopped", or why it failed.
    """
    for name in _ONE_THREAD:
        os.environ[name] = "1"
    end, waiting = time.monotonic() + seconds, list(reversed(cells))
    workers = [Worker() for _ in range(min(n_jobs, len(cells)))]
    try:
        while time.monotonic() < end:
            for worker in workers:
                if worker.cell is None and waiting:
                    worker.give(waiting.pop())
            busy = {worker.pipe: worker for worker in workers if worker.cell is not None}
            if not busy:
                return
            for pipe in wait(list(busy), timeout=1.0):
                worker = busy[pipe]
                cell, worker.cell = worker.cell, None
                try:
                    rows, note = worker.pipe.recv()
                except EOFError:  # killed, for example where memory is short
                    rows, note = [], "the process ended"
                    workers[workers.index(worker)] = Worker()
                yield cell, rows, note
            for k, worker in enumerate(workers):
                if worker.cell is not None and time.monotonic() - worker.since > limit:
                    worker.stop()
                    workers[k] = Worker()
                    yield worker.cell, [], "stopped"
    finally:
        for worker in workers:
            worker.stop()
