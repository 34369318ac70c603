"""Validation of the estimators' parameters."""

from __future__ import annotations

import math
from difflib import get_close_matches
from numbers import Integral, Real
from os import PathLike
from typing import Any

from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier
from torch import nn

from ..ablation.compensation import ABLATIONS
from ..ablation.estimates import CONTROL_VARIATES
from ..criteria import CRITERIA, Criterion
from ..policies import POLICIES, Policy
from ..pruning.budget import UNITS
from ..training.lessons import UNSEEN
from ..training.outside_module import check_outside_module
from ..utils.compat import HasMethods, Interval, InvalidParameterError, StrOptions
from ..utils.validation import check_parameters

CONSTRAINTS: dict[str, Any] = {
    # resolve_net checks it, with messages that say what to pass instead.
    "estimator": "no_validation",
    "policy": [str, Policy, Criterion],
    "pruning_budget": [
        Interval(Integral, 0, None, closed="left"),
        Interval(Real, 0, 1, closed="left"),
        StrOptions({"auto"}),
    ],
    "budget_unit": [StrOptions(set(UNITS))],
    "pulls_per_neuron": [Interval(Real, 1, None, closed="left")],
    "pull_batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    "arms_per_pull": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    "ablation": [StrOptions(set(ABLATIONS))],
    "ridge": [Interval(Real, 0, None, closed="left")],
    "step": [
        Interval(Integral, 1, None, closed="left"),
        Interval(Real, 0, 1, closed="right"),
        StrOptions({"auto"}),
    ],
    "discount": [Interval(Real, 0, 1, closed="both")],
    "rank_by": [StrOptions({"loss", "loss_per_mac"})],
    "control_variate": [StrOptions({"auto", *CONTROL_VARIATES}), None],
    "scope": [StrOptions({"global", "layer"})],
    "layers": [str, list, tuple, None],
    "min_neurons": [Interval(Integral, 1, None, closed="left"), dict],
    "fine_tune_epochs": [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
    "fine_tune_lr": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
    "distillation": [Interval(Real, 0, 1, closed="both")],
    "temperature": [Interval(Real, 0, None, closed="neither")],
    # resolve_teacher checks it against the data, check_teacher_name before.
    "teacher": "no_validation",
    "teacher_cv": [
        Interval(Integral, 2, None, closed="left"),
        HasMethods(["split", "get_n_splits"]),
        StrOptions({UNSEEN}),
    ],
    "teacher_weight": [Interval(Real, 0, 1, closed="both"), StrOptions({"auto"})],
    "n_synthetic": [
        Interval(Integral, 0, None, closed="left"),
        Interval(Real, 0, None, closed="left"),
        StrOptions({"auto"}),
    ],
    "keep_teacher": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "scoring": [str, callable, None],
    "tolerance": [Interval(Real, 0, None, closed="left")],
    "max_pruning_samples": [Interval(Integral, 2, None, closed="left")],
    "keep_path": [StrOptions({"memory", "always", "never"})],
    "memory": [str, PathLike, HasMethods(["cache"]), None],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}


def resolve_policy(policy: str | Policy | Criterion) -> Policy | Criterion:
    """A new policy or criterion, by name or cloned from an object.

    Raises
    ------
    ValueError
        If the name is unknown, or a hyper-parameter does not satisfy its constraints.
    """
    if not isinstance(policy, str):
        chooser = clone(policy)
        check_parameters(chooser)
        return chooser
    known: dict[str, Any] = {**POLICIES, **CRITERIA}
    if policy not in known:
        close = get_close_matches(policy.lower(), known, 1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            f"policy={policy!r} is unknown.{hint} Policies: {', '.join(POLICIES)}; criteria: "
            f"{', '.join(CRITERIA)}; or pass an object of sklearn_mabprune.policies."
        )
    return known[policy]()


def check_layers(layers: Any, min_neurons: Any) -> None:
    """Refuse what is no name among `layers`, and what is no name or number in `min_neurons`.

    Raises
    ------
    InvalidParameterError
        It is a ValueError.
    """
    if isinstance(layers, list | tuple) and (
        not layers or not all(isinstance(name, str) for name in layers)
    ):
        raise InvalidParameterError(
            f"layers={layers!r} must have names of layers, patterns or kinds of units, at least "
            "one. Pass None for all layers."
        )
    for name, least in min_neurons.items() if isinstance(min_neurons, dict) else ():
        if not isinstance(name, str) or not _is_count(least):
            raise InvalidParameterError(
                f"min_neurons={min_neurons!r} must have a name, pattern or kind for each number, "
                f"and integers of at least 1, got {name!r}: {least!r}."
            )


def _is_count(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1


def check_no_class(policy: Any) -> None:
    """Refuse a policy or criterion class that is passed in place of an object.

    Raises
    ------
    InvalidParameterError
        If `policy` is a class.  It is a ValueError.
    """
    if isinstance(policy, type) and issubclass(policy, (Policy, Criterion)):
        name = policy.__name__
        raise InvalidParameterError(f"policy={name} is a class. Pass an object: {name}().")


def check_teacher_name(teacher: Any) -> None:
    """Refuse a teacher that is a string other than "auto".

    Raises
    ------
    InvalidParameterError
        It is a ValueError.
    """
    if isinstance(teacher, str) and teacher != "auto":
        raise InvalidParameterError(
            f"teacher={teacher!r} is unknown. Pass 'auto' for HistGradientBoosting, an estimator, "
            "or None."
        )


def check_class_weights(weights: dict[Any, Any]) -> None:
    """Refuse class weights that are not finite, non-negative numbers.

    Raises
    ------
    ValueError
        If a weight is not a number, not finite, or negative; the message names its class.
    """
    for label, weight in weights.items():
        number = isinstance(weight, Real) and not isinstance(weight, bool)
        if not (number and math.isfinite(weight) and weight >= 0):
            raise ValueError(
                f"class_weight has {weight!r} for the class {label!r}: pass a finite number of at "
                "least 0."
            )


def resolve_net(estimator: Any, default: type, base: type) -> tuple[Any, bool]:
    """The net of `estimator`, and whether it is a FrozenEstimator, that is, already trained.

    Raises
    ------
    TypeError
        If it is not a skorch net of the class `base`, nor one for two classes where classes
        are predicted.
    ValueError
        If a FrozenEstimator has a net that is not fitted, or if the net does something of its
        own outside its module.
    """
    frozen = isinstance(estimator, FrozenEstimator)
    net = default() if estimator is None else estimator.estimator if frozen else estimator
    kinds = (base, NeuralNetBinaryClassifier) if base is NeuralNetClassifier else (base,)
    if not isinstance(net, kinds):
        kind = "NeuralNetClassifier" if base is NeuralNetClassifier else "NeuralNetRegressor"
        got = net.__name__ if isinstance(net, type) else type(net).__name__
        hint = f"Pass a {default.__name__}, or your module in a skorch {kind}."
        if isinstance(net, type) and issubclass(net, kinds):
            hint = f"Pass an object: {got}(...)."
        elif isinstance(net, nn.Module) or (isinstance(net, type) and issubclass(net, nn.Module)):
            hint = f"Wrap the module: {kind}({got}, ...)."
            if isinstance(net, nn.Module):
                hint += f" If it is trained already: FrozenEstimator({kind}(module).initialize())."
        elif isinstance(net, Pipeline):
            hint = "Pass the net alone; the steps before it belong in a pipeline around this one."
        raise TypeError(
            f"estimator must be a skorch {kind}, FrozenEstimator of one, or None, got "
            f"{'the class ' if isinstance(net, type) else ''}{got}. {hint}"
        )
    if frozen and not getattr(net, "initialized_", False):
        raise ValueError(
            f"estimator=FrozenEstimator({type(net).__name__}) has a net that is not fitted. Fit it "
            "first, or pass the net without FrozenEstimator to have it trained. (A pickle of a "
            "fitted estimator has the net without its training, unless keep_path='always'.)"
        )
    check_outside_module(net)
    return net, frozen


def check_nested(owner: BaseEstimator, default_net: type, params: dict[str, Any]) -> None:
    """Refuse nested parameters, as in ``policy__c``, of a parameter that has no object.

    Raises
    ------
    ValueError
        If `estimator` or `teacher` is None, or `policy` or `teacher` a name.
    """
    estimator = params.get("estimator", getattr(owner, "estimator", None))
    policy = params.get("policy", getattr(owner, "policy", None))
    teacher = params.get("teacher", getattr(owner, "teacher", None))
    for name in params:
        if name.startswith("estimator__") and estimator is None:
            raise ValueError(
                f"{name} cannot be set while estimator=None. Pass a net: "
                f"{type(owner).__name__}({default_net.__name__}())."
            )
        if name.startswith("teacher__") and (teacher is None or isinstance(teacher, str)):
            kind = type(owner).__name__.removeprefix("MABPruned").removesuffix("CV")
            raise ValueError(
                f"{name} cannot be set while teacher={teacher!r}. Pass an object: "
                f"teacher=HistGradientBoosting{kind}()."
            )
        if name.startswith("policy__") and isinstance(policy, str):
            made = {**POLICIES, **CRITERIA}.get(policy)
            example = f"policy={made.__name__}()" if made else "policy=UCB1()"
            raise ValueError(
                f"{name} cannot be set while policy={policy!r} is a name. Pass an object: "
                f"{example}."
            )
