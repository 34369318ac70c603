"""Numbers that ``forward`` makes of tensors, as for a branch: known if samples cannot change them.

``torch.export`` refuses them all.  Two kinds are the same for all samples: those of tensors that
do not come from the samples, such as a flag in a buffer, and checks, where the other answer raises
an error.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..data.named import NamedSamples, mapped
from ..utils.memory import out_of_memory
from .program import Samples, called, leaves

#: What makes a number of a tensor.
_ASKS = (
    Tensor.__bool__, Tensor.__int__, Tensor.__float__, Tensor.__index__, Tensor.item,
    torch.is_nonzero,
)  # fmt: skip
#: Functions whose results are no tensors that remember where they come from.
_UNMARKED = ("__iter__", "__array__", "numpy", "tolist", "unbind")
#: Samples of the two runs that must give the same answers.
_N_SAMPLES = 5


class _OfSamples(Tensor):
    """A tensor that comes from the samples, as everything computed from it."""


class _Asked(TorchFunctionMode):
    """Sees every number that is made of a tensor, and may answer in its place.

    Parameters
    ----------
    known : list of bool, int or float, optional
        The answers, in order; else the tensors' own.
    flipped : int, optional
        Place of an answer that is turned around.
    """

    def __init__(self, known: list[Any] | None = None, flipped: int | None = None):
        super().__init__()
        self.known, self.flipped = known, flipped
        self.answers: list[Any] = []
        self.of_samples: list[bool] = []
        self.lost = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """The function's result, or the answer that is known."""
        if func not in _ASKS:
            kwargs = kwargs or {}
            self.lost = self.lost or _loses(func, args, kwargs)
            return func(*args, **kwargs)
        place = len(self.answers)
        answer = func(*args) if self.known is None else self.known[place]
        answer = not answer if place == self.flipped else answer
        self.answers.append(answer)
        self.of_samples.append(isinstance(args[0], _OfSamples))
        return answer


def _loses(func: Any, args: Any, kwargs: Any) -> bool:
    """Whether what comes from the samples is afterwards not known to."""
    name = getattr(func, "__name__", "")
    if name in _UNMARKED:
        return isinstance(args[0], _OfSamples)
    writes = name == "__setitem__" or (name.endswith("_") and not name.endswith("__"))
    target = kwargs.get("out", args[0] if writes and args else None)
    given = any(isinstance(part, _OfSamples) for part in leaves((args, kwargs)))
    return target is not None and given and not isinstance(target, _OfSamples)


def answers_of(module: nn.Module, x: Samples) -> list[Any] | None:
    """The numbers that ``forward`` makes of tensors, if they are the same for all samples.

    Parameters
    ----------
    module : nn.Module
        In evaluation mode.
    x : samples
        Real ones.

    Returns
    -------
    list of bool, int or float, or None
        None where they may depend on the samples.
    """
    if not isinstance(x, Tensor | NamedSamples):
        return None
    one = _run(module, x[:_N_SAMPLES])
    # Others, as far as there are, and another number of them.
    other = _run(module, x[torch.arange(len(x) - 1, 0, -1, device=x.device)][: _N_SAMPLES + 1])
    if one is None or other is None or one.lost or one.answers != other.answers:
        return None
    for place, answer in enumerate(one.answers):
        if not one.of_samples[place]:
            continue
        checked = isinstance(answer, bool) and _run(module, x[:_N_SAMPLES], place) is None
        if not checked:
            return None
    return one.answers


def _run(module: nn.Module, x: Samples, flipped: int | None = None) -> _Asked | None:
    """What is asked in a run; None: it fails."""
    marked = mapped(x, lambda part: part.as_subclass(_OfSamples))
    asked = _Asked(flipped=flipped)
    try:
        with torch.no_grad(), asked:
            called(module, marked)
    except Exception as error:
        if out_of_memory(error):
            raise
        return None
    return asked


@contextmanager
def answered(module: nn.Module, answers: list[Any] | None) -> Iterator[None]:
    """Have a module's ``forward`` get these answers for the length of a block."""
    if answers is None:
        yield
        return
    forward = module.forward

    @functools.wraps(forward)
    def replaying(*args: Any, **kwargs: Any) -> Any:
        with _Asked(answers):
            return forward(*args, **kwargs)

    module.forward = replaying
    try:
        yield
    finally:
        del module.forward
