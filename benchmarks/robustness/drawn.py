"""Settings and tables that Hypothesis draws, and what is wrong with a fit of them.

Right is a fit whose predictions are finite, or an error of this package, scikit-learn or torch
that names what was wrong: a ValueError or a TypeError whose message is a sentence with a way out.
"""

from __future__ import annotations

import re
import time
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from sklearn_mabprune import (
    MABPrunedClassifier,
    MABPrunedRegressor,
    MLPNetClassifier,
    MLPNetRegressor,
    UnsupportedModuleError,
)
from sklearn_mabprune.criteria import CRITERIA
from sklearn_mabprune.policies import POLICIES
from sklearn_mabprune.utils.compat import InvalidParameterError

#: Seconds after which a fit of a drawn table counts as one that hangs.
PATIENCE = 60
#: Warnings of one fit above which they count as a flood.
MOST_WARNINGS = 6
#: What an error has to say besides what was wrong; or it is one of scikit-learn's checks of data.
_WAY_OUT = re.compile(
    r"\b(pass|scale|use|lower|raise|encode|replace|multiply|set|fit|remove|take|leave|choose)\b",
    re.IGNORECASE,
)
_OF_SCIKIT_LEARN = re.compile(
    r"contains NaN|infinity or a value too large|minimum of \d+ is required|must be (a|an) |"
    r"Unknown label type|inconsistent numbers of samples|could not convert|"
    r"The number of classes has to be greater than one|Got \d+ class"
)


@dataclass
class Drawn:
    """A table and an estimator for it; how the two were drawn, in words."""

    model: Any
    X: Any
    y: NDArray[Any]
    weights: NDArray[np.float64] | None
    words: str = field(default="")


_MAGNITUDES = st.sampled_from(
    [0.0, 1e-320, 1e-30, 1e-8, 1.0, 1.0, 1.0, 1e3, 1e8, 1e30, 1e38, 1e200]
)
_DTYPES = ("float64", "float32", "float16", "int64", "int8", "uint64", "bool", "object", ">f8")
_Y_DTYPES = ("int64", "uint8", "float64", "bool", "str", "object")


@st.composite
def tables(draw: st.DrawFn) -> tuple[NDArray[Any], NDArray[np.float64], str]:
    """Features of odd magnitudes, types and copies, and a number that depends on them."""
    n_rows = draw(st.sampled_from([2, 3, 4, 5, 7, 10, 20, 40, 60]))
    n_columns = draw(st.sampled_from([1, 2, 3, 6]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["normal", "integers", "heavy", "constant"]))
    X = {
        "normal": lambda: rng.normal(size=(n_rows, n_columns)),
        "integers": lambda: rng.integers(-3, 4, (n_rows, n_columns)).astype(float),
        "heavy": lambda: rng.standard_cauchy((n_rows, n_columns)),
        "constant": lambda: np.full((n_rows, n_columns), 2.5),
    }[kind]()
    wanted = X.sum(axis=1) + 0.3 * rng.normal(size=n_rows)
    scales = np.array([draw(_MAGNITUDES) for _ in range(n_columns)])
    with np.errstate(over="ignore", under="ignore"):
        X = X * scales + draw(_MAGNITUDES) * draw(st.sampled_from([0, 0, 1, -1]))
    if draw(st.booleans()):
        copies = rng.integers(0, max(1, n_rows // 4), n_rows)
        X, wanted = X[copies], wanted[copies]
    dtype = draw(st.sampled_from(_DTYPES))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        X = X.astype(dtype)
    layout = draw(st.sampled_from(["as it is", "reversed", "Fortran", "read-only", "list"]))
    X = {
        "as it is": lambda: X,
        "reversed": lambda: X[::-1][::-1],
        "Fortran": lambda: np.asfortranarray(X),
        "read-only": lambda: _read_only(X),
        "list": lambda: X.tolist(),
    }[layout]()
    return X, wanted, f"{n_rows} x {n_columns} {kind} {dtype} {layout} scales {scales.tolist()}"


def _read_only(X: NDArray[Any]) -> NDArray[Any]:
    X = X.copy()
    X.flags.writeable = False
    return X


@st.composite
def fits(draw: st.DrawFn) -> Drawn:
    """An estimator with drawn parameters, and a table."""
    X, wanted, words = draw(tables())
    n_rows = len(wanted)
    params = {
        "policy": draw(st.sampled_from([*POLICIES, *CRITERIA])),
        "pruning_budget": draw(st.sampled_from([0, 0.3, 0.5, 0.9, 2, "auto"])),
        "budget_unit": draw(st.sampled_from(["neurons", "parameters", "macs"])),
        "ablation": draw(st.sampled_from(["least_squares", "mean", "zero"])),
        "ridge": draw(st.sampled_from([0.0, 1e-12, 1e-3, 10.0])),
        "step": draw(st.sampled_from(["auto", 1, 0.3, 1.0])),
        "scope": draw(st.sampled_from(["global", "layer"])),
        "rank_by": draw(st.sampled_from(["loss", "loss_per_mac"])),
        "pull_batch_size": draw(st.sampled_from(["auto", 1, 7])),
        "arms_per_pull": draw(st.sampled_from(["auto", 1, 5])),
        "control_variate": draw(st.sampled_from(["auto", "auto", "linear", None])),
        "fine_tune_epochs": draw(st.sampled_from([0, 1, "auto"])),
        "temperature": draw(st.sampled_from([2.0, 1e-3, 100.0])),
        "validation_fraction": draw(st.sampled_from([0.1, 0.5, 0.01])),
        "tolerance": draw(st.sampled_from([0.02, 10.0])),
        "max_pruning_samples": draw(st.sampled_from([4096, 5])),
        "random_state": draw(st.integers(0, 9)),
    }
    net_params = {
        "module__hidden_layer_sizes": draw(st.sampled_from([(4,), (6, 4), (16,), (3, 3, 3)])),
        "module__activation": draw(st.sampled_from(["relu", "tanh", "gelu"])),
        "module__dropout": draw(st.sampled_from([0.0, 0.0, 0.4])),
        "module__batch_norm": draw(st.sampled_from([False, False, True])),
        "max_epochs": draw(st.sampled_from([0, 1, 4])),
        "batch_size": draw(st.sampled_from([200, 3, -1])),
        "lr": draw(st.sampled_from([0.001, 0.01, 0.0, 100.0])),
        "dtype": draw(st.sampled_from(["auto", "float32", "float64"])),
    }
    exponents = draw(st.sampled_from([None, None, (0, 0), (-12, 12), (-300, -276), (280, 304)]))
    weights = None
    if exponents is not None:
        weights = 10.0 ** np.linspace(*exponents, n_rows)
        weights[:: draw(st.sampled_from([100, 3]))] *= draw(st.sampled_from([1.0, 0.0]))
    make, y = _target(draw, wanted)
    words = f"{words}; y {y.dtype}; weights {exponents}; {net_params}; {params}"
    regression = make is MABPrunedRegressor
    if not regression and draw(st.booleans()):
        params["class_weight"] = "balanced"
    net = (MLPNetRegressor if regression else MLPNetClassifier)(**net_params)
    return Drawn(make(net, **params), X, y, weights, words)


def _target(draw: st.DrawFn, wanted: NDArray[np.float64]) -> tuple[type, NDArray[Any]]:
    """The kind of estimator, and targets for it."""
    kind = draw(st.sampled_from(["classes", "classes", "labels", "values", "values", "two values"]))
    if kind == "classes":
        edges = np.quantile(wanted, np.linspace(0, 1, draw(st.sampled_from([2, 3, 5])) + 1)[1:-1])
        return MABPrunedClassifier, np.searchsorted(edges, wanted).astype(
            draw(st.sampled_from(_Y_DTYPES))
        )
    if kind == "labels":
        several = np.column_stack([wanted > 0, wanted > 1, wanted < 9])
        return MABPrunedClassifier, several.astype(int)
    with np.errstate(over="ignore", under="ignore"):
        y = wanted * draw(_MAGNITUDES) + draw(st.sampled_from([0.0, 1e3, 1.7e9, -1e12]))
        y = y if kind == "values" else np.column_stack([y, wanted])
        return MABPrunedRegressor, y.astype(draw(st.sampled_from(["float64", "float32"])))


def outcome(drawn: Drawn) -> tuple[str, str]:
    """What a fit of it comes to, and the message of an error.

    Returns
    -------
    outcome : {"fitted", "refused by name", "unnamed error", "flood of warnings", "hung",
               "not finite"}
    message : str
    """
    started = time.monotonic()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model = drawn.model.fit(drawn.X, drawn.y, sample_weight=drawn.weights)
            outputs = model.predict_proba if hasattr(model, "predict_proba") else model.predict
            found = np.asarray(outputs(drawn.X))
        except (ValueError, TypeError, UnsupportedModuleError) as error:
            return _named(error), f"{type(error).__name__}: {error}"
        except Exception as error:
            return "unnamed error", f"{type(error).__name__}: {error}"
    if not np.isfinite(found).all():
        return "not finite", str(found[~np.isfinite(found)][:3])
    if time.monotonic() - started > PATIENCE:
        return "hung", ""
    unnamed = [each for each in caught if issubclass(each.category, RuntimeWarning)]
    if len(caught) > MOST_WARNINGS or unnamed:
        first = (unnamed or caught)[0]
        place = f"{first.filename}:{first.lineno}"
        kinds = "; ".join(sorted({str(each.message)[:80] for each in caught}))
        return "flood of warnings", f"{len(caught)}: {first.message} ({place}): {kinds}"
    return "fitted", ""


def _named(error: Exception) -> str:
    if isinstance(error, InvalidParameterError):
        return "unnamed error"  # all parameters are drawn from their valid values
    named = _WAY_OUT.search(str(error)) or _OF_SCIKIT_LEARN.search(str(error))
    return "refused by name" if named else "unnamed error"
