"""Conversion of a fitted estimator to data and tensors, written to a safetensors file."""

from __future__ import annotations

import copy
import platform
import warnings
from typing import Any

import numpy as np
import sklearn
import skorch
import torch
from sklearn.utils.validation import check_is_fitted

from ...exceptions import UnsupportedModuleError
from ...graph.analysis import is_plain
from ...graph.graph import Graph
from ...reports.path_outline import outline_of
from ...reports.path_record import PruningPath
from ...reports.report import PruningReport
from ...training.mlp import MLP
from ...utils.compat import uncompiled
from ...version import __version__
from ..torch_layers import nonlinearity
from .container import Tensors, write_file
from .parameters import (
    DescriptionError,
    has_user_class,
    labels_to_plain,
    to_plain,
    user_net_to_plain,
)
from .records import record_to_plain
from .user_modules import state_to_arrays, user_module_to_plain

#: Names of the classes that :func:`load` can read.
SAVED_CLASSES = ("MABPrunedClassifier", "MABPrunedRegressor")

#: Description of the output layer of a net whose module returns the predictions.
NO_LAYER = "no layer"

#: Parameters that are not saved: `memory` is a folder of this machine, and joblib would read
#: pickles from it on another one.
LEFT_OUT = ("memory",)

#: Fields of a path that are not saved as arrays: networks are saved layer by layer, and the state
#: from which `at_budget` continues is not saved.
NOT_IN_ARRAYS = ("networks", "resume")


def save(estimator: Any, path: Any) -> None:
    """Save a fitted estimator to a file; see :meth:`Exports.save`."""
    check_is_fitted(estimator)
    kind = type(estimator)
    if kind.__name__ not in SAVED_CLASSES or not kind.__module__.startswith("sklearn_mabprune."):
        raise TypeError(
            f"save() supports only {' and '.join(SAVED_CLASSES)}, got {kind.__qualname__}: a file "
            "without code cannot describe other classes. Save the best_estimator_ of a search; "
            "otherwise use pickle, to_torch() or to_onnx()."
        )
    own = not is_plain(uncompiled(estimator.estimator_.module_))
    whole = estimator.keep_path == "always"
    if own and whole:
        raise UnsupportedModuleError(
            "save() cannot write the networks on the path of a module that is no chain of layers, "
            "as keep_path='always' asks for. Call set_params(keep_path='memory') before, or use "
            "pickle."
        )
    parameters: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for name, value in estimator.get_params(deep=False).items():
        if name in LEFT_OUT:
            continue
        try:
            given = name == "estimator" and (value is not None if own else has_user_class(value))
            described = user_net_to_plain if given else to_plain
            parameters[name] = described(value, name)
        except DescriptionError as error:
            missing[name] = str(error)
    tensors: Tensors = {}
    content = {
        "class": kind.__name__,
        "versions": versions(),
        "parameters": parameters,
        "missing": missing,
        "data": _data(estimator),
        "net": _net(estimator.estimator_, tensors, whole),
        "path": _path(estimator.pruning_path_, tensors, whole),
        "report": record_to_plain(estimator.pruning_report_, PruningReport, "report", tensors),
    }
    write_file(path, content, tensors)
    if missing:
        arguments = ", ".join(f"{name}=..." for name in missing)
        warnings.warn(
            "The file was saved without parameters that cannot be represented as data: "
            f"{'; '.join(missing.values())}. Pass them to load: load(path, {arguments}).",
            UserWarning,
            stacklevel=3,
        )


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a file is written with."""
    return {
        "sklearn_mabprune": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
        "skorch": skorch.__version__,
        "torch": str(torch.__version__),
    }


def outputs_of(net: Any) -> str:
    """Description of the layers that compute a net's predictions from its module's outputs."""
    try:
        return "-".join(type(layer).__name__ for layer in nonlinearity(net)) or NO_LAYER
    except UnsupportedModuleError:
        return "a custom function"


def _data(estimator: Any) -> dict[str, Any]:
    """Fitted attributes that describe X and y: features, classes, shape of y, validation."""

    def labels(name: str) -> Any:
        values = getattr(estimator, name, None)
        return None if values is None else labels_to_plain(values, name)

    n_features = getattr(estimator, "n_features_in_", None)
    return {
        "n_features": None if n_features is None else int(n_features),
        "features": labels("feature_names_in_"),
        "classes": labels("classes_"),
        "multilabel": getattr(estimator, "multilabel_", None),
        "y_ndim": getattr(estimator, "y_ndim_", None),
        "validation_fraction": float(estimator.validation_fraction_),
    }


def _net(net: Any, tensors: Tensors, with_history: bool) -> dict[str, Any]:
    """Layers, weights, output layers and, if asked for, training history of the pruned net."""
    # A copy, because Graph puts its layers into evaluation mode.
    module = copy.deepcopy(uncompiled(net.module_))
    if is_plain(module):
        arrays = Graph.of(list(module.children())).to_arrays()
        network = network_to_plain(arrays, "network", tensors)
    else:
        network = user_module_to_plain(net, tensors)
    tensors.update(state_to_arrays(uncompiled(net.criterion_), "criterion"))
    if hasattr(net, "target_scale_"):
        tensors["target.mean"] = np.array(net.target_mean_, dtype=np.float64)
        tensors["target.scale"] = np.array(net.target_scale_, dtype=np.float64)
    known = getattr(net, "classes_inferred_", None)
    return {
        "network": network,
        "mlp": net.module is MLP,
        "outputs": outputs_of(net),
        "rescaled": hasattr(net, "target_scale_"),
        "labels": None if known is None else labels_to_plain(np.asarray(known), "classes"),
        "history": [
            {key: to_plain(value, key) for key, value in epoch.items() if _is_scalar(value)}
            for epoch in (with_history and net.history) or []
        ],
    }


def _is_scalar(value: Any) -> bool:
    """Whether a value of the history is a number, boolean or string."""
    return isinstance(value, (bool, int, float, str, np.generic))


def _path(path: PruningPath, tensors: Tensors, whole: bool) -> dict[str, Any]:
    """The outline of the pruning path, or its arrays and networks if asked for."""
    if not (whole and hasattr(path, "networks")):
        outline = outline_of(path)
        sizes = list(outline.pop("sizes"))
        tensors.update({f"path.{name}": array for name, array in outline.items()})
        return {"sizes": sizes}
    return {
        "arrays": record_to_plain(path, PruningPath, "path", tensors, NOT_IN_ARRAYS),
        "networks": {
            str(step): network_to_plain(arrays, f"path.network.{step}", tensors)
            for step, arrays in path.networks.items()
        },
    }


def network_to_plain(arrays: dict[str, Any], name: str, tensors: Tensors) -> dict[str, Any]:
    """Convert the arrays of a network to data (layers, dtype, frozen) and tensors (weights).

    Raises
    ------
    ValueError
        If a weight is not finite.
    """
    for k, state in enumerate(arrays["state"]):
        for key, value in state.items():
            if not np.isfinite(value).all():
                raise ValueError(
                    f"{name}.{k}.{key} contains infinity or NaN, so the network cannot predict and "
                    "is not saved. Scale the features or lower the net's lr, and fit again."
                )
            tensors[f"{name}.{k}.{key}"] = np.array(value, order="C")
    return {
        "layers": [list(layer) for layer in arrays["layers"]],
        "dtype": arrays["dtype"],
        "frozen": [f"{k}.{key}" for k, keys in enumerate(arrays["frozen"]) for key in keys],
    }
