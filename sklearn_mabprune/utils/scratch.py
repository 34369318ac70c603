"""Buffers for temporaries, kept from one call to the next."""

from __future__ import annotations

import threading

import torch
from torch import Tensor

# Largest buffer that is kept, in numbers.
_KEPT = 2**22
_local = threading.local()


def scratch(name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """A buffer of this thread, reused under the same name.

    Fresh pages from the system cost more than the arithmetic.  On a GPU torch keeps freed
    memory itself, and large buffers are not kept.

    Parameters
    ----------
    name : str
        The previous contents under this name are overwritten.
    shape : tuple of int
    like : Tensor
        A tensor of the dtype and on the device that are wanted.

    Returns
    -------
    Tensor of the given shape
        Not initialised.
    """
    n = 1
    for length in shape:
        n *= length
    if like.device.type != "cpu" or n > _KEPT:
        return torch.empty(shape, dtype=like.dtype, device=like.device)
    name = f"{name} {like.dtype}"
    buffer: Tensor | None = getattr(_local, name, None)
    if buffer is None or len(buffer) < n:
        buffer = torch.empty(n, dtype=like.dtype)
        setattr(_local, name, buffer)
    return buffer[:n].view(shape)
