"""Private names of scikit-learn, skorch and torch: no other file of the package uses any.

Each has a line that says why nothing public does.  Policies and criteria import this file, so
it imports neither torch nor skorch: what belongs to those is reached through the objects given.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from sklearn import get_config

# Validates parameters and sets the configuration around `fit`, as scikit-learn's own estimators.
from sklearn.base import _fit_context as fit_context

# Rows of arrays, data frames, sparse matrices and lists alike.
from sklearn.utils import _safe_indexing as safe_indexing

# Declared constraints of hyper-parameters, the error where one is not satisfied (a ValueError and
# a TypeError at once), and the function that compares: scikit-learn has them in a private module.
from sklearn.utils._param_validation import (
    HasMethods,
    InvalidParameterError,
    Options,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils._param_validation import Interval as _Interval

# Sets the container of a transformer's output alone: compositions set that of their steps too.
from sklearn.utils._set_output import _SetOutputMixin

# Routing of `fit` in meta-estimators: refused metadata, and whether routing is enabled.
from sklearn.utils.metadata_routing import _raise_for_params as raise_for_params
from sklearn.utils.metadata_routing import _routing_enabled as routing_enabled

# Names of the columns against those seen in fit, without reading the data a second time.
from sklearn.utils.validation import _check_feature_names as check_feature_names

# Parameters of a scorer for the samples of one fold: those with a value a sample are indexed.
from sklearn.utils.validation import _check_method_params as check_method_params

# Number of features against that seen in fit, without reading the data a second time.
from sklearn.utils.validation import _check_n_features as check_n_features

# Sample weights as an array, with scikit-learn's messages; None becomes ones.
from sklearn.utils.validation import _check_sample_weight

# Number of samples of arrays, data frames and lists alike.
from sklearn.utils.validation import _num_samples as num_samples

__all__ = [
    "HasMethods",
    "Interval",
    "InvalidParameterError",
    "Options",
    "StrOptions",
    "check_feature_names",
    "check_method_params",
    "check_n_features",
    "check_sample_weight",
    "dispatch_mode",
    "drop_parameter",
    "fit_context",
    "global_hook_tables",
    "hook_tables",
    "hooks_of",
    "is_identity",
    "num_samples",
    "output_container",
    "parse_column_transformer",
    "predict_nonlinearity",
    "raise_for_params",
    "register_onnx_parser",
    "routing_enabled",
    "safe_indexing",
    "set_output_container",
    "set_training",
    "tensor_tables",
    "uncompiled",
    "uncompiled_name",
    "validate_parameter_constraints",
    "without_compiled",
]


class Interval(_Interval):
    """scikit-learn's interval of numbers, in which booleans do not lie.

    Python counts True and False as the integers 1 and 0, and so does scikit-learn.

    Examples
    --------
    >>> from numbers import Integral
    >>> from sklearn_mabprune.utils.compat import Interval
    >>> at_least_one = Interval(Integral, 1, None, closed="left")
    >>> at_least_one.is_satisfied_by(1), at_least_one.is_satisfied_by(True)
    (True, False)
    """

    def is_satisfied_by(self, val: Any) -> bool:
        """Whether the value is a number of the interval."""
        return not isinstance(val, bool) and super().is_satisfied_by(val)


# -------------------------------------------------------------------------- scikit-learn


def check_sample_weight(sample_weight: Any, X: Any, **options: Any) -> Any:
    """Sample weights as an array, of which some are positive; as scikit-learn 1.9 checks them."""
    if isinstance(sample_weight, tuple) and any(hasattr(each, "__len__") for each in sample_weight):
        # Keras takes (X_val, y_val), which would be here by position.
        raise TypeError(
            "sample_weight is a tuple of arrays, and must have a number for each sample. Pass "
            "validation samples by name: fit(X, y, X_val=X_val, y_val=y_val)."
        )
    weights = _check_sample_weight(sample_weight, X, **options)
    if not weights.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return weights


def output_container(transformer: Any) -> str:
    """Container of a transformer's output: "default", "pandas" or "polars"."""
    own = getattr(transformer, "_sklearn_output_config", {})
    return str(own.get("transform", get_config()["transform_output"]))


def set_output_container(transformer: Any, transform: str | None) -> None:
    """Set the container of a composition's own output, and not that of its steps."""
    _SetOutputMixin.set_output(transformer, transform=transform)


def register_onnx_parser(model: type, parser: Callable[..., Any]) -> None:
    """Register a parser with skl2onnx for a class that needs no nodes of its own."""
    import_module("skl2onnx._parse").update_registered_parser(model, parser)


def parse_column_transformer(scope: Any, model: Any, inputs: Any, custom_parsers: Any) -> Any:
    """Declare the steps of a ColumnTransformer, or of a class derived from it, to skl2onnx.

    skl2onnx finds parsers by class, without the classes that it derives from.
    """
    parsers = import_module("skl2onnx._parse")
    return parsers._parse_sklearn_column_transformer(scope, model, inputs, custom_parsers)


# -------------------------------------------------------------------------------- skorch


def predict_nonlinearity(net: Any) -> Any:
    """Function that a skorch net applies to its module's outputs in ``predict_proba``.

    ``net.predict_nonlinearity`` may be "auto", which only this method resolves.
    """
    return net._get_predict_nonlinearity()


def is_identity(function: Any) -> bool:
    """Whether a function is skorch's identity, the prediction nonlinearity of most losses."""
    found = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    return found == ("skorch.utils", "_identity")


def set_training(net: Any, training: bool) -> None:
    """Put a skorch net's modules and criteria into training or evaluation mode."""
    net._set_training(training)


def drop_parameter(net: Any, name: str) -> None:
    """Remove a parameter such as ``module__width`` from a skorch net.

    skorch can set such parameters, and not remove them: ``initialize`` would refuse a name that
    it remembers and does not find.
    """
    delattr(net, name)
    net._params_to_validate.discard(name)


# --------------------------------------------------------------------------------- torch

#: What torch imports, for a second or more, when the first optimizer of a process is made: a fork
#: meanwhile leaves the lock of that import to the child.
COMPILER = "torch._dynamo"


def uncompiled(module: Any) -> Any:
    """The module inside one that ``torch.compile`` returned; any other module itself."""
    return getattr(module, "_orig_mod", module)


def without_compiled(module: Any) -> Any:
    """A module without what ``torch.compile`` put around it or its parts; changed in place."""
    module = uncompiled(module)
    for part in list(module.modules()):
        for name, child in list(part.named_children()):
            if uncompiled(child) is not child:
                setattr(part, name, uncompiled(child))
    return module


def uncompiled_name(name: str) -> str:
    """The name of a parameter without what ``torch.compile`` puts into it."""
    return name.replace("_orig_mod.", "")


def dispatch_mode(torch: Any) -> Any:
    """Class of contexts that see every operator, from the given torch.

    Nothing public shows the operators of a module's ``forward`` while it runs on real samples;
    ``torch.export`` refuses modules that a run does not.
    """
    return torch.utils._python_dispatch.TorchDispatchMode


def hooks_of(module: Any) -> tuple[bool, bool]:
    """Whether a module has hooks of its forward pass, and of its backward pass.

    torch has functions that add hooks, and none that lists them.
    """
    forward = module._forward_hooks or module._forward_pre_hooks
    return bool(forward), bool(module._backward_hooks or module._backward_pre_hooks)


def tensor_tables(layer: Any) -> list[dict[str, Any]]:
    """The tables in which a layer looks up its own parameters and buffers, by name.

    torch's ``parameters`` and ``buffers`` walk through all modules inside, which takes longer
    than the arithmetic of a small layer.
    """
    return [layer._parameters, layer._buffers]


def hook_tables(module: Any) -> list[dict[int, Any]]:
    """The tables with a module's hooks of the forward pass."""
    return [module._forward_hooks, module._forward_pre_hooks]


def global_hook_tables(torch: Any) -> list[dict[int, Any]]:
    """The tables with the hooks of the forward passes of all modules, from the given torch."""
    module = torch.nn.modules.module
    return [module._global_forward_hooks, module._global_forward_pre_hooks]
