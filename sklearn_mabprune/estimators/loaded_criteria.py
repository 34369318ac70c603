"""What the criterion of a saved estimator had learned or was given, filled into that of its net."""

from __future__ import annotations

import torch
from torch import nn

from ..export.files.container import Tensors

_PREFIX = "criterion."


class OtherNetError(ValueError):
    """A net that was passed, or that a file describes, and is not like the saved one."""


def criterion_arrays(tensors: Tensors) -> Tensors:
    """The arrays of a criterion in a file, by their names in it; removed from `tensors`."""
    names = [name for name in tensors if name.startswith(_PREFIX)]
    return {name.removeprefix(_PREFIX): tensors.pop(name) for name in names}


def fill_criterion(criterion: nn.Module, tensors: Tensors) -> None:
    """Give a criterion the class weights of the saved one, or what it learned or counted.

    Parameters
    ----------
    criterion : nn.Module
        Changed in place.
    tensors : dict of str to ndarray
        Of a file; those of the criterion are removed.

    Raises
    ------
    OtherNetError
        If the criterion has other tensors than the saved one.
    """
    saved = {key: torch.as_tensor(array) for key, array in criterion_arrays(tensors).items()}
    own = criterion.state_dict()
    name = type(criterion).__name__
    for key in sorted(saved.keys() | own.keys()):
        if key not in own:
            raise OtherNetError(f"the criterion {name} has no {key[:80]!r}, which was saved")
        if key not in saved:
            raise OtherNetError(f"the criterion {name} has {key!r}, and the saved one had none")
        here, there = ((tuple(each[key].shape), each[key].dtype) for each in (own, saved))
        if here != there:
            raise OtherNetError(
                f"the criterion {name} has {key!r} of shape {here[0]} and dtype {here[1]}, the "
                f"saved one of shape {there[0]} and dtype {there[1]}"
            )
    criterion.load_state_dict(saved)
