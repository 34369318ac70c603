"""Parameters of the estimators: what is allowed, what it means, what to say otherwise."""

from __future__ import annotations

import math
from difflib import get_close_matches
from numbers import Integral, Real
from os import PathLike
from typing import Any

from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNetClassifier
from torch import nn

from ..ablation.compensation import ABLATIONS
from ..ablation.estimates import CONTROL_VARIATES
from ..criteria import CRITERIA, Criterion
from ..policies import POLICIES, Policy
from ..pruning.schedules import UNITS
from ..utils.compat import HasMethods, Interval, InvalidParameterError, StrOptions
from ..utils.validation import check_parameters

CONSTRAINTS: dict[str, Any] = {
    # resolve_net says more.
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
    "min_neurons": [Interval(Integral, 1, None, closed="left")],
    "fine_tune_epochs": [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
    "fine_tune_lr": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
    "distillation": [Interval(Real, 0, 1, closed="both")],
    "temperature": [Interval(Real, 0, None, closed="neither")],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "scoring": [str, callable, None],
    "tolerance": [Interval(Real, 0, None, closed="left")],
    "max_pruning_rows": [Interval(Integral, 2, None, closed="left")],
    "keep_path": ["boolean"],
    "memory": [str, PathLike, HasMethods(["cache"]), None],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}

PARAMETERS = """
    Parameters
    ----------
    estimator : skorch net, FrozenEstimator or None, default=None
        The network to train and prune; None is ``{net}()``.  Any
        skorch ``{base}`` whose module is a chain of Linear, element-wise
        activations, Dropout and BatchNorm1d.  ``FrozenEstimator(net)`` takes a net that
        is trained already; it is copied, never changed.  Pass a net to tune it:
        ``estimator__lr`` needs one.
    policy : str, Policy or Criterion, default="boundary"
        Who is measured next and who looks safe to remove.  Policies pull: {policies}.
        Criteria score weights and pull nothing: {criteria}.  Pass an object
        to tune its parameters as ``policy__...``.
    pruning_budget : float in [0, 1), int or "auto", default=0.5
        How much goes: a share (floored), or a count.  0 removes nothing.  "auto" walks the
        whole path and keeps the smallest network whose fine-tuned validation score is
        within `tolerance` of the unpruned one's.
    budget_unit : {{"neurons", "parameters", "macs"}}, default="neurons"
        What the budget counts: hidden neurons, trainable numbers, or multiply-adds a row.
        For the last two, neurons go until at least so much is gone.
    pulls_per_neuron : float, default=10
        Pulls that pruning *all* neurons would spend, for each of them; a round gets the
        share of the neurons that it removes.  More helps where classes are many or labels
        noisy, and costs time in proportion.
    pull_batch_size : int or "auto", default="auto"
        Rows a pull.  "auto" is 512, or all pruning rows if there are fewer: then every
        pull is exact.
    arms_per_pull : int or "auto", default="auto"
        Neurons that the policy names before it sees their rewards.  "auto" is a quarter of
        a round's pulls, and of the live neurons at most.  1 is the textbook bandit: slower,
        rarely better.
    ablation : {{"least_squares", "mean", "zero"}}, default="least_squares"
        What replaces a removed neuron: what the rest of its layer predicts, its mean, or
        nothing.  Pulls measure exactly the removal that surgery will make.
    ridge : float, default=0.001
        Regularises least squares, as a share of the layer's mean activation variance.
        Raise it when pruning rows are few for the width of a layer.
    step : int, float in (0, 1] or "auto", default="auto"
        Neurons a round: as in RFE a count, or a share of all, at least 1; "auto" is 14 %
        in the first round, falling towards 6 % of those that are left.  Smaller steps
        measure more often; 1.0 removes everything after one ranking.
    discount : float in [0, 1], default=0.9
        How much of what is known of a neuron survives a removal: removals change what the
        others are worth.  0 starts every round afresh, 1 never forgets.
    rank_by : {{"loss", "loss_per_mac"}}, default="loss"
        Rank neurons by their loss increase, or by it for each multiply-add that their
        removal saves.  The second makes networks faster at the same number of neurons.
    control_variate : {{"auto", "linear", "fisher"}} or None, default="auto"
        Estimate every neuron from backward passes before each round's pulls.  Estimates
        replace what earlier rounds saw and cut the noise of pulls, whatever the policy.
        "linear" takes a pass an output, three at most for classes, and is nearly exact;
        "fisher" takes two.  None is the plain pull.  "auto" is "linear" for the policy
        "boundary", which builds on estimates, and None for all others.  Criteria take no
        notice.
    scope : {{"global", "layer"}}, default="global"
        Compare all hidden neurons, or take the same share from every hidden layer.
    min_neurons : int, default=1
        Neurons that every hidden layer keeps.
    fine_tune_epochs : int or "auto", default="auto"
        Epochs of training after pruning.  "auto" is a quarter of those that the initial
        training took; if the loss on the validation rows is then above the unpruned
        network's by more than a standard error, half as many follow, and then as many.
    fine_tune_lr : float or "auto", default="auto"
        Learning rate at the start of fine-tuning and of each of its cycles; it falls to 0
        along a cosine.  "auto" is
        ten times the net's ``lr`` for Adam and its kin, since small networks bear larger
        steps and need them to get far in few epochs, and ``lr`` itself for other optimizers.
    distillation : float in [0, 1], default=0.7
        Share of the fine-tuning loss on the unpruned network's outputs; 0 learns from the
        labels alone.
    temperature : float, default=2.0
        Softens class probabilities in distillation.
    validation_fraction : float in (0, 1), default=0.1
        Share of the rows kept for early stopping, scores and tolerance, chosen by their
        content, so that copies of a row stand on one side.  Not used with `X_val`.
    scoring : str, callable or None, default=None
        Validation score, as everywhere in scikit-learn; None: {score}.
    tolerance : float, default=0.02
        Loss of validation score that is acceptable, in units of `scoring`: what "auto"
        keeps to, and beyond what a fixed budget warns.
    max_pruning_rows : int, default=4096
        Training rows that pulls and least squares draw on, at most.{class_weight}
    keep_path : bool, default=True
        Keep up to a dozen networks of the path in ``pruning_path_``, where ``at_budget``
        starts; False makes the fitted estimator smaller.
    memory : str, path-like, joblib.Memory or None, default=None
        Caches the initial training, as in Pipeline: a grid over policies and budgets then
        trains once a fold.  Needs an integer `random_state`.
    random_state : int, RandomState or None, default=None
        All randomness comes from here; global states are left alone.  The same seed gives
        the same neurons for a given number of torch threads.
    verbose : int, default=0
        1 shows a progress bar, on terminals and in notebooks; 2 writes a line a round, through
        the logger ``sklearn_mabprune`` at level INFO, and to stderr if nobody listens there.
"""

ATTRIBUTES = """
    estimator_ : skorch net
        The pruned, fine-tuned network; ``partial_fit`` trains it on.  A classifier's knows
        classes by their places in ``classes_``: pass it ``np.searchsorted(classes_, y)``.
    policy_ : Policy or Criterion
        What chose, as it was after the last round.
    neuron_support_ : list of ndarray of bool
        For each hidden layer, which of its original neurons were kept.
    neuron_ranking_ : list of ndarray of int
        For each hidden layer 1 for kept neurons, 2 for those removed last, and so on.
    hidden_layer_sizes_ : tuple of int
        Neurons that each hidden layer kept.
    pruning_path_ : PruningPath
        Arrays over all rounds, and networks kept on the way.
    pruning_report_ : PruningReport
        What went, what it cost, what it gained; prints as a table.
    n_pulls_ : int
        Pulls of the whole path.
    validation_share_ : float
        Realised share of validation rows; 1 when all rows had to serve, 0 with `X_val`.
    n_features_in_ : int
        Features seen in fit.
    feature_names_in_ : ndarray of str
        Their names, if X had any.
"""


def resolve_policy(policy: str | Policy | Criterion) -> Policy | Criterion:
    """A policy or criterion of one's own, by name or cloned from an object.

    Raises
    ------
    ValueError
        If there is none of that name, or a parameter does not satisfy its constraints.
    """
    if not isinstance(policy, str):
        chooser = clone(policy)
        check_parameters(chooser)
        return chooser
    known: dict[str, Any] = {**POLICIES, **CRITERIA}
    if policy not in known:
        near = "".join(f" Did you mean {name!r}?" for name in get_close_matches(policy, known, 1))
        raise ValueError(
            f"policy={policy!r} is unknown.{near} Policies: {', '.join(POLICIES)}; criteria: "
            f"{', '.join(CRITERIA)}; or pass an object of sklearn_mabprune.policies."
        )
    return known[policy]()


def check_no_class(policy: Any) -> None:
    """Refuse a class where its object is meant.

    Raises
    ------
    InvalidParameterError
        A ValueError that names the parameter.
    """
    if isinstance(policy, type) and issubclass(policy, (Policy, Criterion)):
        name = policy.__name__
        raise InvalidParameterError(f"policy={name} is a class. Pass an object: {name}().")


def check_class_weights(weights: dict[Any, Any]) -> None:
    """Refuse class weights that are not finite numbers, or less than 0.

    Raises
    ------
    ValueError
        It names the class and its weight.
    """
    for label, weight in weights.items():
        number = isinstance(weight, Real) and not isinstance(weight, bool)
        if not (number and math.isfinite(weight) and weight >= 0):
            raise ValueError(
                f"class_weight has {weight!r} for the class {label!r}: pass a finite number, at "
                "least 0."
            )


def resolve_net(estimator: Any, default: type, base: type) -> tuple[Any, bool]:
    """The net to train, and whether it is frozen: trained already.

    Raises
    ------
    TypeError
        If it is not a skorch net of the right kind.
    """
    frozen = isinstance(estimator, FrozenEstimator)
    net = default() if estimator is None else estimator.estimator if frozen else estimator
    if not isinstance(net, base):
        kind = "NeuralNetClassifier" if base is NeuralNetClassifier else "NeuralNetRegressor"
        got = net.__name__ if isinstance(net, type) else type(net).__name__
        hint = f"Pass a {default.__name__}, or your module in a skorch {kind}."
        if isinstance(net, type) and issubclass(net, base):
            hint = f"Pass an object: {got}(...)."
        elif isinstance(net, nn.Module) or (isinstance(net, type) and issubclass(net, nn.Module)):
            hint = f"Wrap the module: {kind}({got}, ...)."
        elif got == "NeuralNetBinaryClassifier":
            hint = "For two classes use two outputs and CrossEntropyLoss."
        raise TypeError(
            f"estimator must be a skorch {kind}, FrozenEstimator of one, or None, got "
            f"{'the class ' if isinstance(net, type) else ''}{got}. {hint}"
        )
    if frozen and not getattr(net, "initialized_", False):
        raise ValueError(
            "FrozenEstimator was given a net that is not fitted. Fit it first, or pass the net "
            "itself to have it trained."
        )
    return net, frozen


def check_nested(owner: BaseEstimator, default_net: type, params: dict[str, Any]) -> None:
    """Say what to do when a parameter of a part is set that is not an object."""
    estimator = params.get("estimator", getattr(owner, "estimator", None))
    policy = params.get("policy", getattr(owner, "policy", None))
    for name in params:
        if name.startswith("estimator__") and estimator is None:
            raise ValueError(
                f"{name} cannot be set while estimator=None. Pass a net: "
                f"{type(owner).__name__}({default_net.__name__}())."
            )
        if name.startswith("policy__") and isinstance(policy, str):
            made = {**POLICIES, **CRITERIA}.get(policy)
            example = f"policy={made.__name__}()" if made else "policy=UCB1()"
            raise ValueError(
                f"{name} cannot be set while policy={policy!r} is a name. Pass an object: "
                f"{example}."
            )
