"""Write a fitted estimator down as data: the half of saving that knows what there is."""

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
from ...graph.graph import Graph
from ...reports.path_record import PruningPath
from ...reports.report import PruningReport
from ...training.mlp import MLP
from ...utils.compat import uncompiled
from ...version import __version__
from ..torch_layers import nonlinearity
from .container import Tensors, write_file
from .parameters import DescriptionError, labels_to_plain, to_plain
from .records import record_to_plain

#: Estimators that :func:`~.loading.load` builds again.
SAVED_CLASSES = ("MABPrunedClassifier", "MABPrunedRegressor")

#: How a net predicts whose module's outputs are the predictions.
NO_LAYER = "no layer"

#: Belongs to the machine: a path of another one, from which joblib would read pickles.
LEFT_OUT = ("memory",)

#: Of a path: networks are written layer by layer; what a later walk would start from is left out.
NOT_IN_ARRAYS = ("networks", "resume")


def save(estimator: Any, path: Any, networks: bool = True) -> None:
    """Write a fitted estimator into a file; see :meth:`Exports.save`."""
    check_is_fitted(estimator)
    kind = type(estimator)
    if kind.__name__ not in SAVED_CLASSES or not kind.__module__.startswith("sklearn_mabprune."):
        raise TypeError(
            f"save() writes {' and '.join(SAVED_CLASSES)}, this is a {kind.__qualname__}: a file "
            "without code cannot say what that is. Of a search save best_estimator_; else use "
            "pickle, or to_torch() and to_onnx()."
        )
    parameters: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for name, value in estimator.get_params(deep=False).items():
        if name in LEFT_OUT:
            continue
        try:
            parameters[name] = to_plain(value, name)
        except DescriptionError as error:
            missing[name] = str(error)
    tensors: Tensors = {}
    content = {
        "class": kind.__name__,
        "versions": versions(),
        "parameters": parameters,
        "missing": missing,
        "data": _data(estimator),
        "net": _net(estimator.estimator_, tensors),
        "path": _path(estimator.pruning_path_, tensors, networks),
        "report": record_to_plain(estimator.pruning_report_, PruningReport, "report", tensors),
        "n_ranking": len(estimator.neuron_ranking_),
    }
    for k, ranking in enumerate(estimator.neuron_ranking_):
        tensors[f"ranking.{k}"] = ranking.astype(np.int64)
    write_file(path, content, tensors)
    if missing:
        given = ", ".join(f"{name}=..." for name in missing)
        warnings.warn(
            f"Saved, but data alone cannot describe this: {'; '.join(missing.values())}. Loading "
            f"will ask for it: load(path, {given}).",
            UserWarning,
            stacklevel=3,
        )


def versions() -> dict[str, str]:
    """What wrote a file."""
    return {
        "sklearn_mabprune": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
        "skorch": skorch.__version__,
        "torch": str(torch.__version__),
    }


def outputs_of(net: Any) -> str:
    """How a net makes predictions of its module's outputs."""
    try:
        return "-".join(type(layer).__name__ for layer in nonlinearity(net)) or NO_LAYER
    except UnsupportedModuleError:
        return "a function of the user's"


def _data(estimator: Any) -> dict[str, Any]:
    """What the estimator knows of the data that it was fitted on."""

    def labels(name: str) -> Any:
        found = getattr(estimator, name, None)
        return None if found is None else labels_to_plain(found, name)

    return {
        "n_features": int(estimator.n_features_in_),
        "features": labels("feature_names_in_"),
        "classes": labels("classes_"),
        "multilabel": getattr(estimator, "multilabel_", None),
        "y_ndim": getattr(estimator, "y_ndim_", None),
        "validation_share": float(estimator.validation_share_),
    }


def _net(net: Any, tensors: Tensors) -> dict[str, Any]:
    """The pruned net: its layers, its weights, how it predicts, how its training went."""
    # A graph puts its layers into evaluation mode: those of the net stay as they are.
    graph = Graph.of(list(copy.deepcopy(uncompiled(net.module_)).children()))
    if hasattr(net, "target_scale_"):
        tensors["target.mean"] = np.array(net.target_mean_, dtype=np.float64)
        tensors["target.scale"] = np.array(net.target_scale_, dtype=np.float64)
    known = getattr(net, "classes_inferred_", None)
    return {
        "network": network_to_plain(graph.to_arrays(), "network", tensors),
        "mlp": net.module is MLP,
        "outputs": outputs_of(net),
        "rescaled": hasattr(net, "target_scale_"),
        "labels": None if known is None else labels_to_plain(np.asarray(known), "classes"),
        "history": [
            {key: to_plain(value, key) for key, value in epoch.items() if _is_scalar(value)}
            for epoch in net.history or []
        ],
    }


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (bool, int, float, str, np.generic))


def _path(path: PruningPath, tensors: Tensors, networks: bool) -> dict[str, Any]:
    kept = path.networks if networks else {}
    return {
        "arrays": record_to_plain(path, PruningPath, "path", tensors, NOT_IN_ARRAYS),
        "networks": {
            str(step): network_to_plain(arrays, f"path.network.{step}", tensors)
            for step, arrays in kept.items()
        },
    }


def network_to_plain(arrays: dict[str, Any], name: str, tensors: Tensors) -> dict[str, Any]:
    """Layers and precision of a network that is written down as arrays; these go to tensors."""
    for k, state in enumerate(arrays["state"]):
        for key, value in state.items():
            if not np.isfinite(value).all():
                raise ValueError(
                    f"{name}.{k}.{key} holds infinity or NaN: this network predicts nothing. Scale "
                    "the features, lower the net's lr, and fit again."
                )
            tensors[f"{name}.{k}.{key}"] = np.array(value, order="C")
    return {"layers": [list(layer) for layer in arrays["layers"]], "dtype": arrays["dtype"]}
