"""Parameters of a skorch net that it could not train with: refused by name, before the training."""

from __future__ import annotations

import inspect
from numbers import Integral, Real
from typing import Any

import torch
from skorch import NeuralNetRegressor
from torch import Tensor

from ..utils.compat import Interval
from ..utils.validation import check_parameters, check_values

#: Names of losses elsewhere, and what they are called in torch.
_OF_CLASSES = {"nll": "NLLLoss", "bce": "BCEWithLogitsLoss", "bcewithlogits": "BCEWithLogitsLoss"}
_OF_VALUES = {
    "mae": "L1Loss",
    "l1": "L1Loss",
    "absolute_error": "L1Loss",
    "huber": "HuberLoss",
    "smoothl1": "SmoothL1Loss",
}
# Of nets that declare no constraints. skorch and torch name other parameters by themselves.
_PLAIN = {
    "max_epochs": [Interval(Integral, 0, None, closed="left")],
    "lr": [Interval(Real, 0, None, closed="left"), Tensor],
}


def check_net(net: Any) -> None:
    """Refuse parameters of a net that is to be trained which skorch or torch could not use.

    Parameters
    ----------
    net : skorch net

    Raises
    ------
    TypeError
        If its module, criterion or optimizer is not a class (or for the first two an object), or
        its callbacks are not a list.
    ValueError
        If a number is of another type or outside its range, or if torch has no such device.

    Examples
    --------
    >>> from sklearn_mabprune import MLPNetClassifier
    >>> from sklearn_mabprune.training.net_parameters import check_net
    >>> check_net(MLPNetClassifier(max_epochs=5))
    >>> check_net(MLPNetClassifier(optimizer="sgd"))
    Traceback (most recent call last):
        ...
    TypeError: optimizer='sgd' of MLPNetClassifier is not a class. Pass torch.optim.SGD.
    """
    _check_parts(net)
    if hasattr(net, "_parameter_constraints"):
        check_parameters(net)
    else:
        values = {name: getattr(net, name) for name in _PLAIN}
        check_values(type(net).__name__, _PLAIN, values)
    _check_device(net)


def _check_parts(net: Any) -> None:
    """Refuse parts of a net that are strings, None, or an optimizer that is made already."""
    for part, example in _examples(net).items():
        value = getattr(net, part)
        if callable(value):
            continue
        made = isinstance(value, torch.optim.Optimizer)
        way_out = f"{example}."
        if made:
            way_out = (
                f"the class, torch.optim.{type(value).__name__}: the net gives it its parameters. "
                "Others are passed as optimizer__weight_decay=..."
            )
        raise TypeError(
            f"{part}={type(value).__name__ if made else repr(value)} of {type(net).__name__} is "
            f"not a class. Pass {way_out}"
        )
    callbacks = net.callbacks
    if not (callbacks is None or callbacks == "disable" or isinstance(callbacks, list)):
        shown = repr(callbacks) if isinstance(callbacks, str) else type(callbacks).__name__
        raise TypeError(
            f"callbacks={shown} of {type(net).__name__} is not a list. Pass a list of callbacks of "
            "skorch, such as [EarlyStopping()]."
        )


def _examples(net: Any) -> dict[str, str]:
    """What to pass as each part of a net, by what was probably meant."""
    of_values = isinstance(net, NeuralNetRegressor)
    default, known = ("MSELoss", _OF_VALUES) if of_values else ("CrossEntropyLoss", _OF_CLASSES)
    loss = known.get(str(net.criterion).lower().removesuffix("loss").strip("_ "), default)
    return {
        "module": "the class of your module, a subclass of torch.nn.Module",
        "criterion": f"torch.nn.{loss}",
        "optimizer": f"torch.optim.{_optimizer(net.optimizer)}",
    }


def _optimizer(name: Any) -> str:
    """An optimizer of torch by its name in any case; Adam for other names."""
    known = {key.lower(): key for key, value in vars(torch.optim).items() if inspect.isclass(value)}
    return known.get(str(name).lower(), "Adam")


def _check_device(net: Any) -> None:
    """Refuse a device that torch does not know or cannot use here."""
    given = f"device={net.device!r} of {type(net).__name__}"
    try:
        device = torch.device(net.device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"{given} is not a device of torch. Pass 'cpu', or 'cuda' for a GPU."
        ) from error
    try:
        torch.empty(0, device=device)
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        raise ValueError(
            f"{given} cannot be used here: {error}. Pass 'cpu', or see what "
            "torch.cuda.is_available() says."
        ) from error
