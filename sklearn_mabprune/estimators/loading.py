"""Loading of saved estimators: every value in the file is checked, and no code in it is run."""

from __future__ import annotations

import inspect
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier
from skorch import NeuralNetBinaryClassifier, NeuralNetRegressor
from skorch.history import History
from torch import nn

from ..exceptions import ModelFileError
from ..export.files.container import Tensors, read_file, shown, unreadable
from ..export.files.parameters import (
    from_plain,
    is_user_net,
    labels_from_plain,
    user_net_from_plain,
)
from ..export.files.records import record_from_plain
from ..export.files.saving import (
    LEFT_OUT,
    NO_LAYER,
    SAVED_CLASSES,
    outputs_of,
    versions,
)
from ..graph.compact import narrowed_module
from ..graph.graph import Graph
from ..graph.module import PrunedChain
from ..reports.report import PruningReport
from ..training.auto_size import SelfSizing
from ..training.mlp import MLP
from ..training.nets import MLPNetClassifier, MLPNetRegressor
from ..training.rebuilding import initialised, net_around, net_of
from ..utils.compat import uncompiled
from ..utils.memory import out_of_memory
from ..utils.torch_settings import own_settings
from .classifier import MABPrunedClassifier
from .loaded_criteria import OtherNetError, criterion_arrays, fill_criterion
from .loaded_modules import check_given, class_named, user_module_from_plain
from .loaded_networks import (
    finite_array,
    network_from_plain,
    path_from_plain,
    require,
    values_of,
)
from .parameters import resolve_net, resolve_policy
from .regressor import MABPrunedRegressor

_CLASSES = dict(zip(SAVED_CLASSES, (MABPrunedClassifier, MABPrunedRegressor), strict=True))


def load(path: Any, module: Any = None, **parameters: Any) -> Any:
    """Load a fitted estimator that :meth:`MABPrunedClassifier.save` wrote.

    The file holds data only, and loading runs no code of it: classes are looked up in closed
    lists of classes of this library and torch, and every size, type and number is checked.

    Parameters
    ----------
    path : str or path-like
        Path of the file.
    module : class or function, optional
        What the net's module is made by, if it is yours: files have its arguments and the
        weights, and no class is imported by the name in a file.  Of a chain of layers
        ``estimator=None`` does without it, and the loaded estimator predicts alone.
    **parameters : object
        Parameters of the estimator that the file could not hold; ``save`` warned about them.
        For a net with your own module, ``estimator=None`` is enough: the loaded estimator
        predicts as the saved one did, but ``fit`` would train the default net.  What the
        criterion of the saved net had learned or was given, such as class weights, is in the
        file, and a net that is passed gets it.

    Returns
    -------
    MABPrunedClassifier or MABPrunedRegressor
        Fitted estimator with its network on the CPU.  Its predictions equal those of the saved
        one, to the last bit with the same version of torch on the same machine.

    Raises
    ------
    ModelFileError
        If the file is damaged, truncated, of another version or was not written by ``save``.
    TypeError
        If a parameter that the file could not hold is missing, or one that it holds is given, or
        if `module` is missing or not needed.
    ValueError
        If a net that is passed as `estimator` has another criterion than the saved one.
    OSError
        If the file does not exist or cannot be opened.

    See Also
    --------
    MABPrunedClassifier.save : Writes the file; with an example.

    Examples
    --------
    >>> from sklearn_mabprune import ModelFileError, load
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(b"anything")
    ...     file.flush()
    ...     try:
    ...         load(file.name)
    ...     except ModelFileError as error:
    ...         print("cannot be loaded" in str(error))
    True
    """
    with own_settings():
        return _loaded(path, module, parameters)


def _loaded(path: Any, module: Any, parameters: dict[str, Any]) -> Any:
    """The estimator in a file, built in settings of torch of its own."""
    content, tensors = read_file(path)
    check_given(path, content, module)
    try:
        # All errors from here on are errors of the file.
        estimator, missing = _estimator(content, module)
    except Exception as error:
        if out_of_memory(error):
            raise
        raise _refusal(path, content, error, module) from error
    if set(parameters) != set(missing):
        raise _wrong_parameters(path, missing, parameters, estimator.get_params(deep=False))
    estimator.set_params(**parameters)
    if "estimator" in missing and estimator.estimator is None:
        criterion_arrays(tensors)  # of the net that is left out
    net, _ = resolve_net(estimator.estimator, estimator._default_net, estimator._net_base)
    try:
        own = module if class_named(content) is not None else None
        fitted = _fitted(estimator, net, own, content, tensors)
        require(not tensors, f"it has a tensor too many, {min(tensors, default=None)!r}")
    except OtherNetError as error:
        if "estimator" in parameters:
            raise ValueError(
                f"estimator= does not match: {error}. Pass a net with the saved net's criterion."
            ) from None
        raise _refusal(path, content, error, module) from error
    except Exception as error:
        if out_of_memory(error):
            raise
        raise _refusal(path, content, error, module) from error
    vars(estimator).update(fitted)
    return estimator


def _refusal(path: Any, content: dict[str, Any], error: Exception, module: Any) -> ModelFileError:
    """The error of a file, with the versions that wrote it and its module if they differ."""
    found, here = content.get("versions"), versions()
    what = str(error) or type(error).__name__
    if type(found) is dict and found != here:
        other = [f"{name} {str(found.get(name))[:20]} ({here[name]} here)" for name in here]
        what += f". According to the file it was written with {', '.join(other)}"
    saved, given = class_named(content), getattr(module, "__qualname__", None)
    if given is None or type(saved) is not str or saved == f"{module.__module__}.{given}":
        return unreadable(path, what)
    what += f". It was saved from {saved[:80]}, and {module.__module__}.{given} was given"
    return unreadable(path, what, "Pass the class that was saved, or a function that makes it.")


def _wrong_parameters(
    path: Any, missing: dict[str, str], given: dict[str, Any], known: dict[str, Any]
) -> TypeError:
    if set(given) - set(missing):
        name = min(set(given) - set(missing))
        if name not in known:
            return TypeError(
                f"load() was given {name}, which is not a parameter of the saved estimator. Pass "
                f"only parameters that {path} could not hold: {', '.join(missing) or 'none'}."
            )
        return TypeError(
            f"load() was given {name}, which {path} holds. Load without it, and use set_params "
            "afterwards."
        )
    names = ", ".join(f"{name}=..." for name in missing)
    return TypeError(
        f"{path} was saved without parameters that a file cannot hold: "
        f"{shown('; '.join(missing.values()))}. Pass them: load(path, {names})."
    )


# ---------------------------------------------------------------- the unfitted estimator


def _estimator(content: dict[str, Any], module: Any) -> tuple[Any, dict[str, str]]:
    """The unfitted estimator, and the parameters that the caller must give."""
    kind, parameters, missing, written_by, *_ = values_of(
        content, "the file",
        "class", "parameters", "missing", "versions", "data", "net", "path", "report",
    )  # fmt: skip
    require(type(kind) is str and kind in _CLASSES, f"class {str(kind)[:80]!r} is not supported")
    made = _CLASSES[kind]
    known = set(inspect.signature(made).parameters) - set(LEFT_OUT)
    require(
        type(parameters) is dict
        and type(missing) is dict
        and type(written_by) is dict
        and all(type(text) is str for text in [*missing.values(), *written_by.values()])
        and not set(parameters) & set(missing),
        "its parameters or versions are not records",
    )
    unknown = (set(parameters) | set(missing)) - known
    require(not unknown, f"{kind} has no parameter {str(min(unknown, default=''))[:80]!r}")
    values = {}
    for name, value in parameters.items():
        own = name == "estimator" and value is not None
        if own and module is not None:
            values[name] = user_net_from_plain(value, name, module)
        elif own and is_user_net(value):
            kind_of_net = value["object"]
            missing = missing | {
                name: f"estimator is a {kind_of_net}, of which module=... may give the class"
            }
        else:
            values[name] = from_plain(value, name)
    estimator = made(**values)
    estimator._validate_params()
    resolve_policy(estimator.policy)
    resolve_net(estimator.estimator, made._default_net, made._net_base)
    return estimator, missing


# ---------------------------------------------------------------- the fitted attributes


def _fitted(
    estimator: Any, net: Any, module: Any, content: dict[str, Any], tensors: Tensors
) -> dict[str, Any]:
    """Fitted attributes by name, each checked against the others."""
    known = _data(estimator, content["data"])
    multilabel, classes = known.get("multilabel_", False), known.get("classes_", ())
    two = len(classes) == 2 and not multilabel
    default = estimator.estimator is None
    graph, rebuilt = _net(net, module, default, multilabel, two, content["net"], tensors)
    fill_criterion(uncompiled(rebuilt.criterion_), tensors)
    n_features = known.get("n_features_in_")
    require(n_features == graph.n_inputs, "its network reads another number of features")
    if module is not None or net.module is not MLP:
        known["input_shape_"] = getattr(graph, "input_shape", (n_features,))
    n_outputs = graph.n_outputs + rebuilt.one_output_
    require(
        len(known.get("classes_", range(n_outputs))) == n_outputs
        and (known.get("y_ndim_") != 1 or n_outputs == 1),
        "its network has another number of classes or targets",
    )
    report = record_from_plain(content["report"], PruningReport, "report", tensors)
    if module is not None:
        # What a module's groups are, a file does not say.
        graph = replace(graph, sizes=report.after.hidden_layer_sizes)
        count = sum(parameter.numel() for parameter in rebuilt.module_.parameters())
        require(count == report.after.n_parameters, "its report is about another module")
    path = path_from_plain(content["path"], tensors)
    sizes = path.layer_sizes[0]
    measured = report.before.hidden_layer_sizes, report.after.hidden_layer_sizes
    require(measured == (sizes, graph.sizes), "its report is about other networks")
    # A report that cannot be printed is invalid.
    str(report)
    require(graph.sizes in path.layer_sizes, "its path has no network of these sizes")
    ranking = path.ranking(path.step_of(graph.sizes))
    return {
        **known,
        "estimator_": rebuilt,
        "neuron_ranking_": ranking,
        "neuron_support_": [part == 1 for part in ranking],
        "hidden_layer_sizes_": graph.sizes,
        "pruning_path_": path,
        "pruning_report_": report,
        "n_pulls_": report.n_pulls,
    }


def _data(estimator: Any, data: Any) -> dict[str, Any]:
    """Fitted attributes that describe the data."""
    n_features, features, classes, multilabel, y_ndim, held = values_of(
        data, "data",
        "n_features", "features", "classes", "multilabel", "y_ndim", "validation_fraction",
    )  # fmt: skip
    require(
        n_features is None or type(n_features) is int, "its number of features is not an integer"
    )
    require(type(held) in (int, float) and 0 <= held <= 1, "validation_fraction is not in [0, 1]")
    found: dict[str, Any] = {"validation_fraction_": float(held)}
    if n_features is not None:
        found["n_features_in_"] = n_features
    if features is not None:
        names = labels_from_plain(features, "features")
        require(
            names.dtype == object and names.shape == (n_features,), "its feature names are invalid"
        )
        found["feature_names_in_"] = names
    if is_classifier(estimator):
        labels = labels_from_plain(classes, "classes")
        require(all(a < b for a, b in pairwise(labels.tolist())), "its classes are not sorted")
        require(type(multilabel) is bool, "multilabel is not a boolean")
        return found | {"classes_": labels, "multilabel_": multilabel}
    require(type(y_ndim) is int and y_ndim in (1, 2), "its targets are not 1- or 2-dimensional")
    return found | {"y_ndim_": y_ndim}


def _net(
    net: Any, module: Any, default: bool, multilabel: bool, two: bool, data: Any, tensors: Tensors
) -> tuple[Any, Any]:
    """The network in the file, and a skorch net with its layers and the parameters of `net`."""
    network, is_mlp, outputs, rescaled, labels, history = values_of(
        data, "net", "network", "mlp", "outputs", "rescaled", "labels", "history"
    )
    graph: Any
    if module is None:
        graph = network_from_plain(network, "network", tensors)
    else:
        graph = user_module_from_plain(network, module, tensors)
    one_output = two and graph.n_outputs == 1
    if one_output and default:
        criterion = nn.BCELoss if outputs == NO_LAYER else nn.BCEWithLogitsLoss
        net = NeuralNetBinaryClassifier(PrunedChain, criterion=criterion)
    if default and module is not None and isinstance(net, MLPNetRegressor) and not rescaled:
        # The default net would give the module a scale of the targets.
        net = NeuralNetRegressor(PrunedChain)
    net = clone(net).set_params(device="cpu", compile=False)
    net.one_output_ = one_output
    if net.module is MLP and not is_mlp:
        net.set_params(module=PrunedChain)
        if default and outputs == NO_LAYER and isinstance(net, MLPNetClassifier):
            # The module ends in a Softmax, or a Sigmoid if multilabel, and the default net must
            # not add another one.
            net.set_params(criterion=nn.BCELoss if multilabel else nn.NLLLoss)
    if multilabel and isinstance(net, MLPNetClassifier) and net.criterion is nn.CrossEntropyLoss:
        net.set_params(criterion=nn.BCEWithLogitsLoss)
    if rescaled:
        net.target_mean_, net.target_scale_ = (
            finite_array(tensors.pop(f"target.{part}"), "target", (graph.n_outputs,), np.float64)
            for part in ("mean", "scale")
        )
        require(bool((net.target_scale_ > 0).all()), "the scale of its targets is not positive")
    if labels is not None:
        net.classes_inferred_ = labels_from_plain(labels, "labels")
    if isinstance(net, SelfSizing):
        net.n_features_in_, net.n_outputs_ = graph.n_inputs, graph.n_outputs
        net.auto_dtype_ = str(graph.dtype).removeprefix("torch.")
    if module is not None:
        net.input_form_, net.reads_integers_ = graph.form, graph.reads_integers
    require(type(history) is list, "its history is not a list")
    net.history_ = History({k: from_plain(v, k) for k, v in epoch.items()} for epoch in history)
    if module is None:
        rebuilt = net_around(net, graph)
        again = Graph.of(list(uncompiled(rebuilt.module_).children()))
        require(again.descriptions() == graph.descriptions(), "its layers are not those of its net")
    else:
        rebuilt = net_of(net, narrowed_module, graph.arguments)
        rebuilt = initialised(rebuilt, net, graph.fill)
    if isinstance(net, MLPNetClassifier):
        rebuilt.multilabel_ = multilabel
    require(hasattr(rebuilt, "target_scale_") >= bool(rescaled), "its net has no target scale")
    if outputs_of(rebuilt) != outputs:
        raise OtherNetError(
            f"the {type(net).__name__} computes predictions from its module's outputs by "
            f"{outputs_of(rebuilt)}, the saved one by {str(outputs)[:40]}"
        )
    return graph, rebuilt
