"""Work in parts that fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

#: Largest temporary, in numbers: what fits a processor's cache, and what keeps a GPU busy.
CHUNK = {"cpu": 2**19, "cuda": 2**25}

#: Numbers of the values of samples that run through a network at a time.
AT_ONCE = 2**24


def chunk_for(device: torch.device, sizes: Mapping[str, int] = CHUNK) -> int:
    """Largest temporary on a device, in numbers; what is no CPU counts as a GPU."""
    return sizes.get(device.type, sizes["cuda"])


def parts_of(n_samples: int, numbers: int, most: int | None = None) -> list[slice]:
    """Parts of the samples, for each of which so many numbers are needed.

    Parameters
    ----------
    n_samples, numbers : int
    most : int, optional
        Numbers of a part; a part has at least one sample.
    """
    most = AT_ONCE if most is None else most
    at_once = max(1, min(n_samples, most // max(1, numbers)))
    return [slice(first, min(first + at_once, n_samples)) for first in range(0, n_samples, at_once)]


def in_chunks(run: Callable[[slice], None], total: int, at_once: int) -> None:
    """Call for parts of a range, smaller ones when memory does not suffice.

    Parameters
    ----------
    run : callable
        Told a slice of the range.
    total : int
        Length of the range.
    at_once : int
        Length of a part, at least 1.
    """
    at_once = max(1, min(at_once, total))
    start = 0
    while start < total:
        try:
            run(slice(start, start + at_once))
        except torch.OutOfMemoryError:  # pragma: no cuda cover
            if at_once == 1:
                raise
            at_once = max(1, at_once // 2)
            continue
        start += at_once
