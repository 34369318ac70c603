"""The teacher of a network: any estimator of scikit-learn's kind, checked."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn import config_context
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    StackingClassifier,
)
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from ..data.blocks import ColumnBlocks
from ..data.named import NamedSamples
from ..data.samples import Data
from ..data.table import Table
from ..utils.words import counted
from .teacher_columns import FilledColumns
from .teacher_fits import fitted_on, for_several, weights_name
from .teacher_targets import Floats, Targets

# Codes that a category may have in HistGradientBoosting.
_MOST_CODES = 255

_AUTO = {
    "classifier": HistGradientBoostingClassifier,
    "regressor": HistGradientBoostingRegressor,
}


@dataclass(frozen=True)
class Teacher:
    """A teacher that passed the checks.

    Parameters
    ----------
    model : estimator
        To be cloned and fitted; a frozen one is used as it is.
    targets : Targets
        What it is asked for.
    frozen : bool
        Whether it was fitted before.
    sees_table : bool
        Whether it sees the columns of a table, not the features that they became.
    reads_both : bool
        Whether it may be fitted on the features, if the columns turn out to be too much for it.
    categories : tuple of str
        Columns of categories, where it sees a table and ``fit`` asks for their names.
    as_given : bool
        Whether it sees the values and dtypes of the user's table, not categories: it was fitted on
        them, or it selects columns by their dtype.

    Attributes
    ----------
    weights_name : str or None
        The argument of ``fit`` that takes sample weights; None if it takes none.  A field, since it
        depends on whether metadata routing is enabled, and `memory` tells teachers apart by their
        fields.
    """

    model: Any
    targets: Targets
    frozen: bool
    sees_table: bool = False
    reads_both: bool = False
    categories: tuple[str, ...] = ()
    as_given: bool = False
    weights_name: str | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights_name", weights_name(self.model))

    @property
    def takes_weights(self) -> bool:
        """Whether ``fit`` of the teacher takes sample weights."""
        return self.weights_name is not None

    @property
    def of_features(self) -> Teacher:
        """The same teacher for encoded features."""
        return replace(self, sees_table=False, reads_both=False, categories=())

    def samples(self, data: Data) -> Any:
        """Samples as it sees them."""
        if self.sees_table and data.table is not None:
            return data.table.seen(self.as_given)
        return data.x

    @property
    def name(self) -> str:
        """Class of the estimator that learns, for reports."""
        inner = self.model
        while hasattr(inner, "get_params"):
            found = inner.get_params(deep=False)
            outer, inner = inner, found.get("estimator")
            if hasattr(outer, "steps"):
                inner = outer.steps[-1][1]
            if not hasattr(inner, "fit") or isinstance(inner, type):
                return type(outer).__name__
        return type(inner).__name__

    def fit(self, x: Any, y: NDArray[Any], weights: Floats | None, seed: int) -> Any:
        """A fitted copy; what has no `random_state` of its own gets one from `seed`."""
        model = clone(self.model)
        seeds = {
            name: seed
            for name, value in model.get_params().items()
            if value is None and name.split("__")[-1] == "random_state"
        }
        model.set_params(**seeds)
        given: dict[str, Any] = {}
        if self.categories:
            given["cat_features"] = list(self.categories)
        if weights is not None and self.weights_name is not None:
            given[self.weights_name] = weights
        return fitted_on(model, x, self.targets.for_teacher(y), given)

    def labels(self, fitted: Any, x: Any) -> Floats:
        """Soft labels of samples, (n_samples, n_outputs).

        Raises
        ------
        ValueError
            If the prediction is of another shape, or not finite.
        """
        found = self.targets.read(getattr(fitted, self.targets.method)(x), fitted)
        if not np.isfinite(found).all():
            raise ValueError(f"{self.targets.method} returned infinity or NaN")
        return found


def resolve_teacher(teacher: Any, x: Any, targets: Targets, table: Table | None = None) -> Teacher:
    """The teacher that a parameter names, checked against the data.

    Parameters
    ----------
    teacher : "auto", estimator or FrozenEstimator
        "auto" is HistGradientBoosting, which is told which columns are categories.
    x : ndarray or CSR matrix of shape (n_samples, n_features)
        Training samples.
    targets : Targets
    table : Table, optional
        The columns that the features were encoded from: the teacher sees them.

    Returns
    -------
    Teacher

    Raises
    ------
    TypeError
        If it is not an estimator of the right kind.
    ValueError
        If it cannot predict probabilities where they are needed, if a frozen one is not fitted or
        was fitted on other classes or features, if "auto" cannot read the features, or if there
        are several inputs.
    """
    if isinstance(x, NamedSamples):
        raise ValueError(
            "A teacher reads one array, and X is a dictionary of inputs. Pass teacher=None, or one "
            "array that the module's forward takes apart."
        )
    if isinstance(teacher, str):
        trees = _trees(x, targets) if table is None else _trees_of_table(table, targets)
        model = for_several(trees, targets)
        return Teacher(model, targets, frozen=False, sees_table=table is not None)
    _check_kind(teacher, targets)
    if isinstance(teacher, FrozenEstimator):
        sees_table = _check_frozen(teacher, x, targets, table)
        return Teacher(teacher, targets, frozen=True, sees_table=sees_table, as_given=True)
    # A clone: a fit of the user's own must not change what `memory` finds.
    found = Teacher(for_several(_copy(teacher), targets), targets, frozen=False)
    if table is None:
        return found
    names = table.names_of_categories if _asks_for_categories(teacher) else []
    return replace(
        found,
        sees_table=True,
        reads_both=True,
        categories=tuple(names),
        as_given=_selects_by_dtype(teacher),
    )


def _selects_by_dtype(teacher: Any) -> bool:
    """Whether a ColumnTransformer in a teacher selects columns by a function, as of their dtype."""
    parts = [teacher, *teacher.get_params().values()]
    return any(
        callable(columns)
        for part in parts
        if type(part) is ColumnTransformer  # that of a tabular pipeline reads all kinds
        for _, _, columns in part.transformers
    )


def _copy(teacher: Any) -> Any:
    """A clone; refuses what scikit-learn cannot clone."""
    try:
        return clone(teacher)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"teacher={repr(teacher)[:80]} cannot be cloned: {error} Leave out the parameter; in "
            "make_tabular_pipeline a teacher is told by itself which columns are categories."
        ) from error


def _asks_for_categories(teacher: Any) -> bool:
    """Whether ``fit`` takes the names of columns of categories, which were not given before."""
    asks = has_fit_parameter(teacher, "cat_features")
    return asks and teacher.get_params().get("cat_features") is None


def _boosted(targets: Targets, **params: Any) -> Any:
    """HistGradientBoosting that is given weights, also inside of other estimators."""
    # Requests can be set only while routing is enabled.
    with config_context(enable_metadata_routing=True):
        return _AUTO[targets.kind](**params).set_fit_request(sample_weight=True)


def _trees_of_table(table: Table, targets: Targets) -> Any:
    """HistGradientBoosting of the columns of a table; rare categories beyond 254 share a code."""
    names = table.names_of_categories
    filled = [FilledColumns()] if np.isnan(table.values).any() else []
    if not names:
        trees = _boosted(targets)
        return make_pipeline(*filled, trees) if filled else trees
    coder = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan, max_categories=_MOST_CODES - 1
    )
    coded = make_column_transformer((coder, names), remainder="passthrough")
    trees = _boosted(targets, categorical_features=list(range(len(names))))
    return make_pipeline(coded, *filled, trees)


def _trees(x: Any, targets: Targets) -> Any:
    """HistGradientBoosting, which sees the category of a one-hot block as one column."""
    name = _AUTO[targets.kind].__name__
    if x.ndim != 2:
        raise ValueError(
            f"teacher='auto' is {name}, which reads two-dimensional X, and its samples "
            f"have shape {x.shape[1:]}. Pass teacher=None, or a teacher that reads samples of this "
            "shape, such as a pipeline that reshapes them."
        )
    if issparse(x):
        raise ValueError(
            f"teacher='auto' is {name}, which reads no sparse matrices. Pass a teacher "
            "that does, such as RandomForestClassifier() or LogisticRegression(), or dense X."
        )
    blocks = ColumnBlocks.of(x)
    coded = blocks.are_categories
    if not coded.any():
        return _boosted(targets)
    model = _boosted(targets, categorical_features=coded & (blocks.widths <= _MOST_CODES))
    return make_pipeline(FunctionTransformer(blocks.codes), model)


def _check_kind(teacher: Any, targets: Targets) -> None:
    """Refuse what is no estimator, is of the other kind, or lacks the method that is needed."""
    given = f"teacher={repr(teacher)[:80]}"
    if isinstance(teacher, type):
        raise TypeError(
            f"teacher={teacher.__name__} is a class. Pass an object: {teacher.__name__}()."
        )
    if not (hasattr(teacher, "fit") and hasattr(teacher, "get_params")):
        raise TypeError(
            f"{given} is not an estimator. Pass 'auto', a {targets.kind} of scikit-learn's kind, "
            "FrozenEstimator of a fitted one, or None."
        )
    wrong = is_regressor if targets.kind == "classifier" else is_classifier
    if wrong(teacher):
        raise TypeError(f"{given} is not a {targets.kind}. Pass a {targets.kind}, or 'auto'.")
    if not (hasattr(teacher, targets.method) or _stacks_by_default(teacher)):
        hint = "Pass one that is fitted with a regressor."
        if targets.kind == "classifier":
            hint = (
                "The network learns class probabilities. Set what it needs for them, such as "
                "voting='soft', or pass CalibratedClassifierCV(teacher)."
            )
        raise ValueError(f"{given} has no {targets.method}. {hint}")


def _stacks_by_default(teacher: Any) -> bool:
    """Whether it is a StackingClassifier of the default final estimator, which ``fit`` makes.

    It has no ``predict_proba`` before, nor has what is around it.
    """
    inner = teacher
    while not isinstance(inner, StackingClassifier):
        inner = inner.steps[-1][1] if hasattr(inner, "steps") else getattr(inner, "estimator", None)
        if inner is None:
            return False
    return inner.final_estimator is None


def _check_frozen(teacher: Any, x: Any, targets: Targets, table: Table | None) -> bool:
    """Refuse a frozen teacher that is not fitted, or was fitted on other data.

    Returns
    -------
    bool
        Whether it was fitted on the columns of the table.
    """
    name = type(teacher.estimator).__name__
    try:
        check_is_fitted(teacher.estimator)
    except NotFittedError as error:
        raise ValueError(
            f"teacher=FrozenEstimator({name}) is not fitted. Fit it first, or pass it without "
            "FrozenEstimator to have it fitted."
        ) from error
    targets.check_known(teacher)
    n_columns = x.shape[1] if table is None else len(table.columns)
    known = getattr(teacher, "n_features_in_", n_columns)
    if table is not None and known == n_columns:
        names = list(map(str, getattr(teacher, "feature_names_in_", table.names)))
        if names == table.names:
            return True
        raise ValueError(
            f"teacher=FrozenEstimator({name}) was fitted on the columns {names[:10]}, X has "
            f"{table.names[:10]}. Fit it on the columns of X, in their order."
        )
    if known != x.shape[1]:
        columns = "" if table is None else f" in {counted(n_columns, 'column')}"
        hint = (
            "In a Pipeline the teacher sees what the network sees: fit it on the output of the "
            "steps before."
        )
        if table is not None:
            hint = "Fit it on the frame, or on the output of the steps before."
        raise ValueError(
            f"teacher=FrozenEstimator({name}) was fitted on {counted(known, 'feature')}, X has "
            f"{x.shape[1]}{columns}. {hint}"
        )
    return False
