"""Errors that say that there is no memory left, which no other message may hide."""

from __future__ import annotations

import torch


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory could not be allocated.

    torch raises a plain RuntimeError where the CPU's memory is exhausted.

    Examples
    --------
    >>> from sklearn_mabprune.utils.memory import out_of_memory
    >>> out_of_memory(MemoryError()), out_of_memory(ValueError("can't allocate memory"))
    (True, False)
    """
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    texts = ("can't allocate memory", "not enough memory", "out of memory")
    return isinstance(error, RuntimeError) and any(text in str(error).lower() for text in texts)
