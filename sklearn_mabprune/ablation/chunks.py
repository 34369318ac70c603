"""Work in parts that fit into memory."""

from __future__ import annotations

from collections.abc import Callable

import torch

#: Largest temporary, in numbers: what fits a processor's cache, and what keeps a GPU busy.
CHUNK = {"cpu": 2**19, "cuda": 2**25}


def chunk_for(device: torch.device) -> int:
    """Largest temporary on a device, in numbers."""
    return CHUNK.get(device.type, CHUNK["cuda"])


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
