"""What a skorch net does outside its module, which pruning would drop: refused by name.

Pulls, fine-tuning and predictions run the module on validated samples, without the net's own
methods, data set and batches.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection
from difflib import get_close_matches
from typing import Any

from skorch.dataset import Dataset
from torch import nn
from torch.utils.data import DataLoader

from ..data.batches import TensorBatches
from ..graph.kinds.registry import layers_of

_FEATURES = (
    "Put what it does to X into the module's forward as a layer, or into a step of a Pipeline "
    "before the estimator."
)
_TRAINING = (
    "Put what it does to X or y into a step of a Pipeline before the estimator or a "
    "TransformedTargetRegressor around it, and what it does in training into a callback."
)
_LOSS = "Put it into the criterion: a loss module of your own with a `reduction` parameter."
_PREDICTIONS = "Pass predict_nonlinearity=..., or transform the estimator's predictions."

#: Methods of nets that are not called everywhere, and the way out where one is of the user's own.
_METHODS = {
    **dict.fromkeys(
        ("infer", "get_dataset", "get_iterator", "forward", "forward_iter", "evaluation_step"),
        _FEATURES,
    ),
    **dict.fromkeys(
        ("fit", "partial_fit", "fit_loop", "run_single_epoch", "get_split_datasets",
         "train_step", "train_step_single", "validation_step"),
        _TRAINING,
    ),
    "get_loss": _LOSS,
    **dict.fromkeys(("predict", "predict_proba", "_get_predict_nonlinearity"), _PREDICTIONS),
}  # fmt: skip

#: Packages whose methods do what pruning expects.
_KNOWN = ("skorch", "sklearn", __name__.split(".")[0])
#: Parameters of a DataLoader that choose or change samples.
_CHANGES_SAMPLES = ("collate_fn", "sampler", "batch_sampler")


def check_outside_module(net: Any) -> None:
    """Refuse a net that does something of its own outside its module.

    Raises
    ------
    ValueError
        It names the method or the parameter, and where to put what it does.
    """
    for name, way_out in _METHODS.items():
        owner = _owner(net, name)
        if owner is not None:
            raise ValueError(
                f"{owner}.{name} is a method of your own, and pruning would drop what it does: "
                f"pulls, fine-tuning and predictions run the module alone. {way_out}"
            )
    own = [name for name in vars(net) if name.startswith("dataset__") and name != "dataset__length"]
    if net.dataset is not Dataset or own:
        what = own[0] if own else "dataset"
        raise ValueError(
            f"{what}={getattr(net, what)!r} of {type(net).__name__} would be dropped: pulls, "
            f"fine-tuning and predictions read X as it is. {_FEATURES}"
        )
    if net.warm_start:
        raise ValueError(
            f"warm_start=True of {type(net).__name__} would be dropped: each fit trains a copy of "
            "the net from new weights. To prune a trained net pass FrozenEstimator(net); for other "
            "sizes of a fitted network use at_budget."
        )
    threshold = getattr(net, "threshold", 0.5)
    if threshold != 0.5:
        raise ValueError(
            f"threshold={threshold!r} of {type(net).__name__} would be dropped. Leave it out, and "
            "put the estimator into sklearn.model_selection.FixedThresholdClassifier(estimator, "
            f"threshold={threshold!r})."
        )
    _check_units(net)
    for side in ("iterator_train", "iterator_valid"):
        iterator = getattr(net, side)
        if iterator not in (DataLoader, TensorBatches):
            raise ValueError(
                f"{side}={iterator!r} of {type(net).__name__} would be dropped: pulls, fine-tuning "
                f"and predictions make batches of X as it is. Leave {side} out. {_FEATURES}"
            )
        check_batches(net, side)


def _check_units(net: Any) -> None:
    """Refuse predictions that would be logarithms of what y is; the built-in nets say more."""
    given = net.criterion
    if isinstance(given, nn.PoissonNLLLoss):
        logarithms = given.log_input
    else:
        poisson = isinstance(given, type) and issubclass(given, nn.PoissonNLLLoss)
        logarithms = poisson and net.get_params_for("criterion").get("log_input", True)
    plain = net.predict_nonlinearity is None or isinstance(net.predict_nonlinearity, str)
    if logarithms and plain and not hasattr(net, "standardise"):
        raise ValueError(
            f"criterion=PoissonNLLLoss of {type(net).__name__} reads logarithms of rates, and "
            "predictions would be these. Pass predict_nonlinearity=torch.exp to the net, or "
            "criterion__log_input=False."
        )


def _owner(net: Any, name: str) -> str | None:
    """The class of the user's that overrides a method, or the net itself; None: no one does."""
    if name in vars(net):
        return type(net).__name__
    for own in type(net).__mro__:
        if name in vars(own) and own.__module__.split(".")[0] not in (*_KNOWN, "builtins"):
            return own.__name__
    return None


def check_batches(net: Any, side: str) -> None:
    """Refuse parameters of a net's iterator that it does not know or that change the samples.

    Parameters
    ----------
    net : skorch net
    side : {"iterator_train", "iterator_valid"}

    Raises
    ------
    ValueError
        It names the parameter.
    """
    iterator = getattr(net, side)
    # What else our own batches take is set by the net.
    ours = iterator is TensorBatches
    known: Collection[str] = (
        ("batch_size", "shuffle") if ours else inspect.signature(iterator).parameters
    )
    for name, value in net.get_params_for(side).items():
        given = f"{side}__{name}={value!r} of {type(net).__name__}"
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f" Did you mean {side}__{near[0]}?" if near else ""
            raise ValueError(f"{given} is not a parameter of {iterator.__name__}.{hint}")
        if name in _CHANGES_SAMPLES and value is not None:
            raise ValueError(
                f"{given} would be dropped: pulls, fine-tuning and predictions make batches of X "
                f"as it is. {_FEATURES}"
            )
        if side == "iterator_valid" and name == "shuffle" and value:
            raise ValueError(f"{given} would shuffle predictions. Leave it out.")


def batches_of_training(net: Any, n_samples: int) -> tuple[int, bool]:
    """Batch size of a net's training, and whether it may be shuffled."""
    size = getattr(net, "iterator_train__batch_size", net.batch_size)
    shuffle = getattr(net, "iterator_train__shuffle", True)
    return n_samples if size == -1 else size, bool(shuffle)


def check_batch_statistics(net: Any, n_samples: int) -> None:
    """Refuse batches of one sample for a module that computes statistics of a batch.

    Parameters
    ----------
    net : skorch net
        Initialised.
    n_samples : int
        Of the training.

    Raises
    ------
    ValueError
        It names the layer and the batch size.
    """
    norms = layers_of(net.module_, "batch_statistics")
    size, _ = batches_of_training(net, n_samples)
    if norms and min(size, n_samples) == 1:
        found = "batch_size=1" if size == 1 else "A single training sample"
        raise ValueError(
            f"{found} cannot train {type(norms[0]).__name__}, which computes the mean and variance "
            f"of a batch. Pass a larger batch_size to {type(net).__name__} and at least two "
            "training samples, or leave out batch normalisation."
        )
