"""Suggestions for misspelt parameters of the nets."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from difflib import get_close_matches
from itertools import chain
from typing import Any

# Names in scikit-learn's MLP, in Keras and in other nets, and what they are called here.
_ELSEWHERE = {
    "activation": "module__activation",
    "alpha": "optimizer__weight_decay",
    "batch_norm": "module__batch_norm",
    "batchnorm": "module__batch_norm",
    "dropout": "module__dropout",
    "epochs": "max_epochs",
    "hidden_layer_size": "module__hidden_layer_sizes",
    "hidden_layers": "module__hidden_layer_sizes",
    "hidden_sizes": "module__hidden_layer_sizes",
    "learning_rate": "lr",
    "learning_rate_init": "lr",
    "loss": "criterion",
    "max_iter": "max_epochs",
    "momentum": "optimizer__momentum",
    "n_epochs": "max_epochs",
    "n_iter_no_change": "patience",
    "seed": "random_state",
    "shuffle": "iterator_train__shuffle",
    "solver": "optimizer",
    "validation_fraction": "train_split",
    "weight_decay": "optimizer__weight_decay",
}
# Parts of a net whose parameters are written with a prefix.
_PARTS = ("module", "criterion", "optimizer", "iterator_train", "iterator_valid")


def suggestions(net: Any, error: BaseException, names: Iterable[str] = ()) -> str:
    """Names that were meant by the unknown parameters of which an error speaks.

    Parameters
    ----------
    net : skorch net
        Its attributes, which skorch sets from whatever its constructor is given, are compared
        with the parameters that it and its parts have.
    error : BaseException
        Only parameters that its message names are considered.
    names : iterable of str
        Further parameters that may be unknown.

    Returns
    -------
    str
        A sentence for each parameter; empty if nothing is similar.

    Examples
    --------
    >>> from sklearn_mabprune import MLPNetClassifier
    >>> from sklearn_mabprune.training.parameter_names import suggestions
    >>> suggestions(MLPNetClassifier(), TypeError("unknown: max_iter"), ["max_iter"])
    'Instead of max_iter, did you mean max_epochs?'
    """
    own, parts = _own_parameters(net), _part_parameters(net)
    pairs = []
    for name in dict.fromkeys([*vars(net), *names]):
        shown = name.rpartition("__")[2]
        if name.startswith("_") or name.endswith("_") or name in own or shown not in str(error):
            continue
        prefix = name.rpartition("__")[0]
        known = parts.get(prefix, []) if prefix else [*own, *chain.from_iterable(parts.values())]
        meant = None if name in known else _nearest(name, known)
        if meant is not None:
            pairs.append(f"Instead of {name}, did you mean {meant}?")
    return " ".join(pairs)


def _nearest(name: str, known: list[str]) -> str | None:
    """The parameter that a name stands for elsewhere, or the most similar one."""
    meant = f"module__{name}" if f"module__{name}" in known else _ELSEWHERE.get(name)
    if meant is not None:
        return meant
    near = get_close_matches(name, known, 1)
    by_end = {each.rpartition("__")[2]: each for each in known}
    near = near or [by_end[end] for end in get_close_matches(name, by_end, 1)]
    return near[0] if near else None


def _own_parameters(net: Any) -> list[str]:
    """Parameters of the constructors of a net's classes."""
    found = [name for cls in type(net).__mro__ for name in inspect.signature(cls).parameters]
    return [name for name in dict.fromkeys(found) if name not in ("args", "kwargs")]


def _part_parameters(net: Any) -> dict[str, list[str]]:
    """Parameters of each part of a net, with their prefix."""
    found = {}
    for part in _PARTS:
        made = getattr(net, part, None)
        names = inspect.signature(made).parameters if inspect.isclass(made) else ()
        found[part] = [f"{part}__{name}" for name in names if name not in ("args", "kwargs")]
    return found
