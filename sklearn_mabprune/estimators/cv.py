"""The estimators that choose their budget by cross-validation, with one training a fold."""

from __future__ import annotations

import re
from numbers import Integral
from typing import Any

from ..utils.compat import Interval, StrOptions
from .base_cv import BaseBudgetCV
from .classifier import _CLASS_WEIGHT, _NAMES, MABPrunedClassifier
from .cv_scores import RULES
from .parameters import ATTRIBUTES, PARAMETERS
from .regressor import MABPrunedRegressor

_CONSTRAINTS: dict[str, Any] = {
    "budgets": ["array-like"],
    "cv": ["cv_object"],
    "rule": [StrOptions(set(RULES))],
    "refit": ["boolean"],
    "n_jobs": [Interval(Integral, None, None, closed="neither"), None],
}

# In place of pruning_budget.
_PARAMETERS = """\
    budgets : array-like of float in [0, 1) or int, default=(0, 0.25, 0.5, 0.75, 0.9)
        The grid: shares or counts that go, in `budget_unit`.  0 is the unpruned network.
    cv : int, cross-validation generator or iterable, default=None
        Folds, as everywhere in scikit-learn; None: 5, stratified for classes.
    rule : {{"best", "one_std_error"}}, default="best"
        Which budget is chosen: that of the highest mean score, or that of the smallest
        network whose mean score is at most one standard error of the best one's below it.
        Among equals the smallest network is chosen.
    refit : bool, default=True
        Fit on all rows with the chosen budget; False only fills ``cv_results_``.
    n_jobs : int or None, default=None
        Folds at the same time, as everywhere in scikit-learn.
"""

_ATTRIBUTES = """
    cv_results_ : dict
        In the layout of ``GridSearchCV``, an entry a budget: ``params``,
        ``split0_test_score`` and so on, ``mean_test_score``, ``std_test_score``,
        ``rank_test_score``; and the mean size of the networks over the folds,
        ``mean_n_neurons``, ``mean_n_parameters`` and ``mean_n_macs``.
    best_budget_ : float or int
        The chosen budget.
    best_index_ : int
        Its place in ``cv_results_``.
    best_score_ : float
        Its mean score.
    best_estimator_ : {base}
        Fitted on all rows with the chosen budget, if ``refit``.  What follows is its own,
        too."""


def _parameters(**values: str) -> str:
    """The documented parameters, with those of cross-validation in place of the budget."""
    text = re.sub(
        r"    pruning_budget : .*?(?=    budget_unit : )", _PARAMETERS, PARAMETERS, flags=re.DOTALL
    )
    return text.format(**values, **_NAMES)


def _constraints(sized: Any) -> dict[str, Any]:
    inherited = {k: v for k, v in sized._parameter_constraints.items() if k != "pruning_budget"}
    return {**inherited, **_CONSTRAINTS}


class MABPrunedClassifierCV(BaseBudgetCV, MABPrunedClassifier):
    __doc__ = f"""A pruned classifier whose budget is chosen by cross-validation.

    One training a fold: budgets are points of one path, and each is fine-tuned before it
    is scored.  The estimator is then fitted on all rows with the chosen budget.
    {
        _parameters(
            net="MLPNetClassifier",
            base="NeuralNetClassifier",
            score="accuracy",
            class_weight=_CLASS_WEIGHT,
        )
    }
    Attributes
    ----------{_ATTRIBUTES.format(base="MABPrunedClassifier")}
    classes_ : ndarray of shape (n_classes,)
        Class labels; the numbers of the columns where y was an indicator matrix.
    multilabel_ : bool
        Whether it was.{ATTRIBUTES}
    See Also
    --------
    MABPrunedClassifier : With a budget that is given.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_mabprune import MABPrunedClassifierCV, MLPNetClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> net = MLPNetClassifier(module__hidden_layer_sizes=(16,), max_epochs=40, lr=0.03)
    >>> model = MABPrunedClassifierCV(net, budgets=(0, 0.75), cv=3, random_state=0).fit(X, y)
    >>> model.best_budget_
    0.75
    >>> model.cv_results_["mean_n_neurons"]
    array([16.,  4.])
    """

    _sized = MABPrunedClassifier
    _default_scoring = "accuracy"
    _parameter_constraints = _constraints(MABPrunedClassifier)

    def __init__(
        self,
        estimator: Any = None,
        *,
        policy: Any = "boundary",
        budgets: Any = (0, 0.25, 0.5, 0.75, 0.9),
        cv: Any = None,
        rule: str = "best",
        refit: bool = True,
        n_jobs: Any = None,
        budget_unit: str = "neurons",
        pulls_per_neuron: float = 10,
        pull_batch_size: Any = "auto",
        arms_per_pull: Any = "auto",
        ablation: str = "least_squares",
        ridge: float = 0.001,
        step: Any = "auto",
        discount: float = 0.9,
        rank_by: str = "loss",
        control_variate: Any = "auto",
        scope: str = "global",
        min_neurons: int = 1,
        fine_tune_epochs: Any = "auto",
        fine_tune_lr: Any = "auto",
        distillation: float = 0.7,
        temperature: float = 2.0,
        validation_fraction: float = 0.1,
        scoring: Any = None,
        tolerance: float = 0.02,
        max_pruning_rows: int = 4096,
        class_weight: Any = None,
        keep_path: bool = True,
        memory: Any = None,
        random_state: Any = None,
        verbose: int = 0,
    ):
        self.estimator = estimator
        self.policy = policy
        self.budgets = budgets
        self.cv = cv
        self.rule = rule
        self.refit = refit
        self.n_jobs = n_jobs
        self.budget_unit = budget_unit
        self.pulls_per_neuron = pulls_per_neuron
        self.pull_batch_size = pull_batch_size
        self.arms_per_pull = arms_per_pull
        self.ablation = ablation
        self.ridge = ridge
        self.step = step
        self.discount = discount
        self.rank_by = rank_by
        self.control_variate = control_variate
        self.scope = scope
        self.min_neurons = min_neurons
        self.fine_tune_epochs = fine_tune_epochs
        self.fine_tune_lr = fine_tune_lr
        self.distillation = distillation
        self.temperature = temperature
        self.validation_fraction = validation_fraction
        self.scoring = scoring
        self.tolerance = tolerance
        self.max_pruning_rows = max_pruning_rows
        self.class_weight = class_weight
        self.keep_path = keep_path
        self.memory = memory
        self.random_state = random_state
        self.verbose = verbose


class MABPrunedRegressorCV(BaseBudgetCV, MABPrunedRegressor):
    __doc__ = f"""A pruned regressor whose budget is chosen by cross-validation.

    As :class:`MABPrunedClassifierCV`, for one or more real targets.
    {
        _parameters(
            net="MLPNetRegressor",
            base="NeuralNetRegressor",
            score="R2",
            class_weight="",
        )
    }
    Attributes
    ----------{_ATTRIBUTES.format(base="MABPrunedRegressor")}{ATTRIBUTES}
    See Also
    --------
    MABPrunedRegressor : With a budget that is given.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn_mabprune import MABPrunedRegressorCV, MLPNetRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> net = MLPNetRegressor(module__hidden_layer_sizes=(16,), max_epochs=20, lr=0.01)
    >>> model = MABPrunedRegressorCV(net, budgets=(0.25, 0.5), cv=3, random_state=0).fit(X, y)
    >>> sum(model.hidden_layer_sizes_) == 16 - int(16 * model.best_budget_)
    True
    """

    _sized = MABPrunedRegressor
    _default_scoring = "r2"
    _parameter_constraints = _constraints(MABPrunedRegressor)

    def __init__(
        self,
        estimator: Any = None,
        *,
        policy: Any = "boundary",
        budgets: Any = (0, 0.25, 0.5, 0.75, 0.9),
        cv: Any = None,
        rule: str = "best",
        refit: bool = True,
        n_jobs: Any = None,
        budget_unit: str = "neurons",
        pulls_per_neuron: float = 10,
        pull_batch_size: Any = "auto",
        arms_per_pull: Any = "auto",
        ablation: str = "least_squares",
        ridge: float = 0.001,
        step: Any = "auto",
        discount: float = 0.9,
        rank_by: str = "loss",
        control_variate: Any = "auto",
        scope: str = "global",
        min_neurons: int = 1,
        fine_tune_epochs: Any = "auto",
        fine_tune_lr: Any = "auto",
        distillation: float = 0.7,
        temperature: float = 2.0,
        validation_fraction: float = 0.1,
        scoring: Any = None,
        tolerance: float = 0.02,
        max_pruning_rows: int = 4096,
        keep_path: bool = True,
        memory: Any = None,
        random_state: Any = None,
        verbose: int = 0,
    ):
        self.estimator = estimator
        self.policy = policy
        self.budgets = budgets
        self.cv = cv
        self.rule = rule
        self.refit = refit
        self.n_jobs = n_jobs
        self.budget_unit = budget_unit
        self.pulls_per_neuron = pulls_per_neuron
        self.pull_batch_size = pull_batch_size
        self.arms_per_pull = arms_per_pull
        self.ablation = ablation
        self.ridge = ridge
        self.step = step
        self.discount = discount
        self.rank_by = rank_by
        self.control_variate = control_variate
        self.scope = scope
        self.min_neurons = min_neurons
        self.fine_tune_epochs = fine_tune_epochs
        self.fine_tune_lr = fine_tune_lr
        self.distillation = distillation
        self.temperature = temperature
        self.validation_fraction = validation_fraction
        self.scoring = scoring
        self.tolerance = tolerance
        self.max_pruning_rows = max_pruning_rows
        self.keep_path = keep_path
        self.memory = memory
        self.random_state = random_state
        self.verbose = verbose
