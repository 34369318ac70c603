"""Several trainings of a net at the same time, where they may be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ..data.samples import Data
from ..utils.interruptions import Interruptions
from ..utils.side_by_side import Turn, side_by_side
from .own_draws import draws_apart, on_cpu

Found = TypeVar("Found")


def trained_beside(
    net: Any,
    calls: Sequence[Callable[[Turn], Found]],
    data: Data,
    interruptions: Interruptions,
    memory: Any,
) -> list[Found]:
    """The results of several trainings of a net, in threads if they may run at the same time.

    They may not where they draw from the global generators, nor on a GPU, which is busy with one,
    nor where the net prints lines, nor with a cache: joblib's checks of its files are not made
    for threads.

    Parameters
    ----------
    net : skorch net
        Not initialised.
    calls : sequence of callable
        See :func:`~sklearn_mabprune.utils.side_by_side.side_by_side`.
    data : Data
        Of which each training has a copy at most.
    interruptions : Interruptions
        Of the fit.
    memory : object
        The cache of the fit; None if there is none.
    """
    threads = memory is None and draws_apart(net) and on_cpu(net) and not net.verbose
    # As arrays and as tensors.
    n_bytes = 2 * data.n_bytes if threads else 0
    return side_by_side(calls, interruptions, n_bytes, threads)
