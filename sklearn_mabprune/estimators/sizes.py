"""Bytes that a fitted estimator takes elsewhere: as a pickle, and in C."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

from ..export.c.network import network_size
from ..reports.report import PruningReport
from ..utils.memory import out_of_memory

# No microcontroller takes more, and copies of weights and values would take memory here.
_MOST_PARAMETERS, _MOST_MACS = 2**20, 2**26


def with_sizes(report: PruningReport, estimator: Any) -> PruningReport:
    """The report on a fitted estimator, with the bytes of its other forms; None where it has none.

    Parameters
    ----------
    report : PruningReport
    estimator : estimator
        With this report, and all other fitted attributes.
    """
    flash, ram = _of_c(estimator)
    pickled = _of_pickle(estimator)
    return replace(report, n_bytes_pickle=pickled, n_bytes_flash=flash, n_bytes_ram=ram)


class _Counter:
    """A file that only counts bytes: a pickle of large weights is no copy of them then."""

    def __init__(self) -> None:
        self.n_bytes = 0

    def write(self, data: Any) -> int:
        """Count the bytes."""
        n_bytes = memoryview(data).nbytes
        self.n_bytes += n_bytes
        return n_bytes


def _of_pickle(estimator: Any) -> int | None:
    counter = _Counter()
    try:
        pickle.dump(estimator, counter)
    except Exception as error:
        # Parameters may be objects of any kind, and those of some cannot be pickled.
        if out_of_memory(error):
            raise
        return None
    return counter.n_bytes


def _of_c(estimator: Any) -> tuple[int | None, int | None]:
    after = estimator.pruning_report_.after
    if after.n_parameters > _MOST_PARAMETERS or after.n_macs > _MOST_MACS:
        return None, None
    try:
        size = network_size(estimator)
    except Exception as error:
        # A layer or operator without a form in C. Whatever else: a fit is not lost for a size.
        if out_of_memory(error):
            raise
        return None, None
    return size.flash, size.ram
