"""Global settings of torch and NumPy that a caller may have changed, kept out of a fit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch

from .forking import note_threads


def no_autocast() -> AbstractContextManager[Any]:
    """Compute in the precision of the network inside a block, also in the caller's autocast."""
    kinds = [kind for kind in ("cpu", "cuda") if torch.is_autocast_enabled(kind)]
    return _autocast_off(kinds) if kinds else nullcontext()


@contextmanager
def _autocast_off(kinds: list[str]) -> Iterator[None]:
    with ExitStack() as stack:
        for kind in kinds:
            stack.enter_context(torch.autocast(kind, enabled=False))
        yield


@contextmanager
def own_settings() -> Iterator[None]:
    """Have gradients, the CPU as default device, no autocast, and NumPy's own handling of errors.

    The caller may be inside ``no_grad``, ``inference_mode``, autocast or ``numpy.errstate``, or
    may have set a default device; networks are trained, and arrays computed, as if not.  The
    default dtype stays, because it is that of the user's modules.

    Examples
    --------
    >>> import torch
    >>> from sklearn_mabprune.utils.torch_settings import own_settings
    >>> with torch.inference_mode(), own_settings():
    ...     torch.is_grad_enabled()
    True
    """
    note_threads()
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        stack.enter_context(no_autocast())
        # NumPy's defaults: probabilities that underflow to 0 are no error.
        stack.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        yield
