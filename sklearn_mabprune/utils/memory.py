"""Errors that say that there is no memory left, which no other message may hide."""

from __future__ import annotations

import torch

# What errors say that have no class of their own; the last two are those of onnxruntime.
_TEXTS = (
    *("can't allocate memory", "not enough memory", "out of memory"),
    *("failed to allocate memory", "bad_alloc"),
)
_REMEDY = "Free some, or do it where there is more of it."


def out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one that caused it, says that memory could not be allocated.

    torch raises a plain RuntimeError where the CPU's memory is exhausted, onnxruntime an error of
    its own, and torch's exporters one of theirs that was caused by it.

    Examples
    --------
    >>> from sklearn_mabprune.utils.memory import out_of_memory
    >>> out_of_memory(MemoryError()), out_of_memory(ValueError("can't allocate memory"))
    (True, False)
    """
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    if isinstance(error, RuntimeError) or type(error).__module__.startswith("onnxruntime"):
        said = str(error).lower()
        if any(text in said for text in _TEXTS):
            return True
    return error.__cause__ is not None and out_of_memory(error.__cause__)


def no_memory(error: BaseException, doing: str, remedy: str = _REMEDY) -> Exception:
    """An error of exhausted memory that says what was being done, in place of another one.

    Parameters
    ----------
    error : Exception
        One that `out_of_memory` recognises.
    doing : str
        As "memory ran out while ..." continues.
    remedy : str, optional
        What to change, as a sentence.

    Returns
    -------
    MemoryError or torch.OutOfMemoryError
        The latter where the memory of a GPU ran out.

    Examples
    --------
    >>> from sklearn_mabprune.utils.memory import no_memory
    >>> no_memory(MemoryError(), "the tree was fitted", "Pass a smaller one.")
    MemoryError('Memory ran out while the tree was fitted. Pass a smaller one.')
    """
    kind = torch.OutOfMemoryError if isinstance(error, torch.OutOfMemoryError) else MemoryError
    said = str(error).strip().partition("\n")[0].rstrip(".")
    return kind(f"Memory ran out while {doing}{f' ({said})' if said else ''}. {remedy}")
