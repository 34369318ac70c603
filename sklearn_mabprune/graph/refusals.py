"""Why a module cannot be read, in a sentence: the module, the operator and the line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ..exceptions import UnsupportedModuleError
from ..utils.words import counted
from .source_lines import where, where_defined, where_raised

_BRANCHES = re.compile(
    r"data.dependent|Could not guard|unbacked|_local_scalar|\.item\(\)|is_nonzero", re.IGNORECASE
)

#: Of functions that look up rows of a table, which layers call as well.
_LOOKUPS = {function.__code__ for function in (F.embedding, F.embedding_bag)}


#: What to do about samples that are masked as a whole.
PADDING_ALONE = (
    "Where all positions of a sample are masked, as in one that is nothing but padding, softmax is "
    "NaN: leave such samples out, or leave one of their positions unmasked."
)


def not_readable(module: nn.Module, error: BaseException) -> UnsupportedModuleError:
    """The error for a module that ``torch.export`` does not read."""
    text, own = str(error), type(module).__name__
    line = where_raised(error) or where(text) or f"({where_defined(module)})"
    if _BRANCHES.search(f"{type(error).__name__} {text}"):
        return UnsupportedModuleError(
            f"{own}.forward branches on values {line}: other samples may take another way "
            "through it. Compute both branches and choose with torch.where, or move the branch out "
            "of forward."
        )
    first = next((part.strip() for part in text.splitlines() if part.strip()), "")
    return UnsupportedModuleError(
        f"The operators of {own}.forward cannot be read {line}: {type(error).__name__}: {first}"
    )


def refuse_compiled_code(module: nn.Module) -> None:
    """Refuse a module with TorchScript, which is no Python that ``torch.export`` could read.

    Raises
    ------
    UnsupportedModuleError
    """
    for name, part in module.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            layer = f"Layer {name!r} of {type(module).__name__}" if name else "The module"
            raise UnsupportedModuleError(
                f"{layer} was compiled by torch.jit, and only layers in Python are cut. Pass the "
                "module that torch.jit.script or torch.jit.trace was given, and compile "
                "to_torch() afterwards."
            )


def depends_on_number(module: nn.Module) -> UnsupportedModuleError:
    """The error for a module whose operators depend on the number of samples or their values."""
    return UnsupportedModuleError(
        f"The operators of {where_defined(module)}, run on other samples, return other "
        "outputs than it does: it depends on the number of samples or on their values. Take sizes "
        "from the input: x.size(0)."
    )


def weights_as_numbers(module: nn.Module) -> UnsupportedModuleError:
    """The error for a module whose outputs do not follow its weights as its operators do."""
    return UnsupportedModuleError(
        f"The operators of {where_defined(module)}, run with other weights, return other outputs "
        "than it does: it reads a weight as a number, by float(), .item() or .tolist(), and that "
        "number stays when the weight is trained. Compute with the weight itself."
    )


def failing(module: nn.Module, error: BaseException, x: Any = None) -> UnsupportedModuleError:
    """The error for a module that fails on samples of X: its layer and the line.

    Parameters
    ----------
    module : nn.Module
    error : Exception
    x : samples, optional
        That it failed on.
    """
    layer, hint, frame = "", "", error.__traceback__
    what = _of_indices(error) or f"{type(error).__name__}: {error}"
    names = {id(part): name for name, part in module.named_modules()}
    while frame is not None:
        owner: Any = frame.tb_frame.f_locals.get("self")
        if isinstance(owner, nn.Module) and names.get(id(owner)):
            layer = f", in layer {names[id(owner)]!r} ({type(owner).__name__})"
            hint = _channels_last(owner, x)
        frame = frame.tb_next
    line = where_raised(error)
    return UnsupportedModuleError(
        f"{type(module).__name__}.forward fails on samples of X{layer} {line}: ".replace("  ", " ")
        + f"{what}{hint}"
    )


@contextmanager
def indices_named(module: nn.Module) -> Iterator[None]:
    """Tell an index outside the range of a table with the layer, the line, values and range.

    Raises
    ------
    ValueError
        In place of the IndexError of torch.
    """
    try:
        yield
    except IndexError as error:
        if _of_indices(error) is None and "out of bounds" not in str(error):
            raise
        raise ValueError(str(failing(module, error))) from error


def _of_indices(error: BaseException) -> str | None:
    """What is wrong with the indices that an embedding was given; None: it was something else."""
    frame, found = error.__traceback__, None
    while frame is not None:
        known = frame.tb_frame.f_locals
        if frame.tb_frame.f_code in _LOOKUPS:
            found = known["weight"], known["input"]
        frame = frame.tb_next
    if found is None or not all(isinstance(part, torch.Tensor) for part in found):
        return None
    n, indices = len(found[0]), found[1]
    if indices.is_floating_point():
        return "its indices are floats. Pass integers, such as X.astype(numpy.int64)."
    outside = indices[(indices < 0) | (indices >= n)]
    if not len(outside):
        return None
    low, high = int(outside.min()), int(outside.max())
    values = str(low) if low == high else f"values from {low} to {high}"
    return f"its indices are 0 to {n - 1}, and it was given {values}."


def _channels_last(layer: nn.Module, x: Any) -> str:
    """What to do where a convolution finds its channels in the last axis of X; empty: not so."""
    channels = getattr(layer, "in_channels", None)
    if not (isinstance(x, torch.Tensor) and x.dim() > 2 and channels):
        return ""
    if x.shape[1] == channels or x.shape[-1] != channels:
        return ""
    return f". The channels come last in X: pass numpy.moveaxis(X, {x.dim() - 1}, 1)."


def not_finite(module: nn.Module, what: str) -> UnsupportedModuleError:
    """The error for outputs that are infinite or NaN."""
    todo = "Scale the features (StandardScaler), and look at that line."
    if "softmax" in what or "attention" in what.split(" ")[0]:
        todo = PADDING_ALONE
    return UnsupportedModuleError(
        f"{type(module).__name__} returns infinity or NaN for samples of X in evaluation mode, "
        f"first from {what}. {todo}"
    )


def outputs_of_other_form(module: nn.Module, outputs: Any, n_samples: int) -> str | None:
    """What is wrong with the form of a module's outputs; None: nothing."""
    if isinstance(outputs, torch.Tensor) and outputs.shape[:1] == (n_samples,):
        return None
    return (
        f"{where_defined(module)} must return one tensor with an entry for each sample of "
        f"X, got {form_of(outputs, n_samples)}. Put the parts together in forward (torch.cat), or "
        "return the one that is predicted."
    )


def other_form_in_training(module: nn.Module, outputs: torch.Tensor, trained: Any) -> str | None:
    """What is wrong with the form of what a module returns in training mode; None: nothing."""
    if isinstance(trained, torch.Tensor) and trained.shape == outputs.shape:
        return None
    n_samples = len(outputs)
    return (
        f"{where_defined(module)} returns {form_of(trained, n_samples)} in training mode, and "
        f"{form_of(outputs, n_samples)} in evaluation mode. Fine-tuning trains what is predicted: "
        "return that in both modes, and leave heads that only the training needs out of forward."
    )


def form_of(outputs: Any, n_samples: int) -> str:
    """The form of a module's outputs in words."""
    if isinstance(outputs, torch.Tensor):
        return f"a tensor of shape {tuple(outputs.shape)} for {counted(n_samples, 'sample')}"
    got = type(outputs).__name__
    return f"a {got} of {len(outputs)}" if isinstance(outputs, tuple | list) else got
