"""Copies of users' modules: the modules themselves are left alone."""

from __future__ import annotations

import copy
from pickle import PicklingError

from torch import nn

from ..exceptions import UnsupportedModuleError
from ..utils.compat import uncompiled, without_compiled
from ..utils.memory import out_of_memory

#: What copying raises for a lock, an open file or a generator inside, and other objects.
UNCOPYABLE = (TypeError, ValueError, AttributeError, RuntimeError, PicklingError)


def copy_of(module: nn.Module) -> nn.Module:
    """A copy of a module, without what ``torch.compile`` puts around it.

    Raises
    ------
    UnsupportedModuleError
        If a part of it cannot be copied.
    """
    try:
        copied: nn.Module = copy.deepcopy(uncompiled(module))
    except UNCOPYABLE as error:
        if out_of_memory(error):
            raise
        raise UnsupportedModuleError(
            f"{type(module).__name__} cannot be copied ({error}), and only copies are cut. Keep "
            "what cannot be copied, such as a lock, an open file or a generator, out of it."
        ) from error
    return copied


def uncompiled_copy(module: nn.Module) -> nn.Module:
    """A copy of a module, without what ``torch.compile`` puts around it or its parts."""
    copied = copy_of(module)
    without_compiled(copied)
    return copied
