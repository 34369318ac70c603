"""Neural network regressor that is trained, pruned by a bandit and fine-tuned in one fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_array
from skorch import NeuralNetRegressor

from ..data.features import read_table
from ..data.samples import Data
from ..data.targets import check_squares, complete, without_dates
from ..training.nets import MLPNetRegressor
from ..training.scoring import regression_scores
from ..training.teacher_targets import Targets, ValueTargets
from .base import BaseMABPruned
from .docstrings import documented
from .plan import Task


@documented
class MABPrunedRegressor(RegressorMixin, BaseMABPruned):
    """Neural network regressor, pruned by multi-armed bandits.

    The steps of ``fit`` are those of :class:`MABPrunedClassifier`, for one or more real targets.
    The default network standardises the targets inside and predicts in original units.

    Parameters
    ----------
    estimator : skorch net, FrozenEstimator or None, default=None
        The network to train and prune; None is ``MLPNetRegressor()``.  Or any skorch
        ``NeuralNetRegressor``: modules of your own may have convolutions, skip
        connections, embeddings, recurrent layers or attention; what cannot be removed from
        them is kept, and named in the report.  ``FrozenEstimator(net)`` takes a net that is
        trained already; it is copied, never changed.  Pass a net to tune its parameters:
        ``estimator__lr`` needs one.
    {policy}
    {pruning_budget}
    {budget_unit}
    {pulls_per_neuron}
    {pull_batch_size}
    {arms_per_pull}
    {ablation}
    {ridge}
    {step}
    {discount}
    {rank_by}
    {control_variate}
    {scope}
    {layers}
    {min_neurons}
    {fine_tune_epochs}
    {fine_tune_lr}
    {distillation}
    {temperature}
    {teacher}
    {teacher_cv}
    {teacher_weight}
    {n_synthetic}
    {keep_teacher}
    {validation_fraction}
    scoring : str, callable or None, default=None
        Validation score, as everywhere in scikit-learn; None: R2.
    {tolerance}
    {max_pruning_samples}
    {keep_path}
    {memory}
    {random_state}
    {verbose}

    Attributes
    ----------
    {estimator_}
    {policy_}
    {neuron_support_}
    {neuron_ranking_}
    {hidden_layer_sizes_}
    {pruning_path_}
    {pruning_report_}
    {n_pulls_}
    {validation_fraction_}
    {teacher_}
    {n_iter_}
    {loss_curve_}
    {validation_scores_}
    {n_features_in_}
    {feature_names_in_}

    See Also
    --------
    MABPrunedRegressorCV : The same with a budget chosen by cross-validation.

    References
    ----------
    S. A. Ameen, S. Vadera, "Structured Neuron Pruning in Deep Neural Networks Using
    Multi-Armed Bandits", arXiv 2606.07615, 2026.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_mabprune import MABPrunedRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = make_pipeline(
    ...     StandardScaler(), MABPrunedRegressor(pruning_budget=0.5, random_state=0)
    ... ).fit(X, y)
    >>> sum(model[-1].hidden_layer_sizes_)
    96
    """

    _default_net = MLPNetRegressor
    _net_base = NeuralNetRegressor

    def __init__(
        self,
        estimator: Any = None,
        *,
        policy: Any = "boundary",
        pruning_budget: Any = 0.5,
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
        layers: Any = None,
        min_neurons: Any = 1,
        fine_tune_epochs: Any = "auto",
        fine_tune_lr: Any = "auto",
        distillation: float = 0.7,
        temperature: float = 2.0,
        teacher: Any = None,
        teacher_cv: Any = 5,
        teacher_weight: Any = "auto",
        n_synthetic: Any = "auto",
        keep_teacher: bool = False,
        validation_fraction: float = 0.1,
        scoring: Any = None,
        tolerance: float = 0.02,
        max_pruning_samples: int = 4096,
        keep_path: str = "memory",
        memory: Any = None,
        random_state: Any = None,
        verbose: int = 0,
    ):
        self.estimator = estimator
        self.policy = policy
        self.pruning_budget = pruning_budget
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
        self.layers = layers
        self.min_neurons = min_neurons
        self.fine_tune_epochs = fine_tune_epochs
        self.fine_tune_lr = fine_tune_lr
        self.distillation = distillation
        self.temperature = temperature
        self.teacher = teacher
        self.teacher_cv = teacher_cv
        self.teacher_weight = teacher_weight
        self.n_synthetic = n_synthetic
        self.keep_teacher = keep_teacher
        self.validation_fraction = validation_fraction
        self.scoring = scoring
        self.tolerance = tolerance
        self.max_pruning_samples = max_pruning_samples
        self.keep_path = keep_path
        self.memory = memory
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def predict(self, X: Any) -> NDArray[Any]:
        """Predicted values in original units.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predictions, in the shape of the y of fit.

        Raises
        ------
        ValueError
            If a sample is too large for the precision of the network, which would give NaN.
        """
        outputs = self._outputs(X)
        return outputs[:, 0] if self.y_ndim_ == 1 else outputs

    def _validate_training(self, X: Any, y: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        if issparse(y):
            raise TypeError(
                "y is a sparse matrix, but regression targets must be dense: pass y.toarray()."
            )
        options = {"multi_output": True, "y_numeric": True, "ensure_min_samples": 2}
        y = without_dates(complete(y))
        return read_table(self, X, y, any_shape=self._takes_any_shape(), **options)

    def _encode(self, y: NDArray[Any]) -> NDArray[Any]:
        self.y_ndim_ = y.ndim
        return _checked(y)

    def _encode_validation(self, y: Any) -> NDArray[Any]:
        y = without_dates(complete(y, "y_val"), "y_val")
        y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y_val")
        return _checked(y)

    def _make_task(self, data: Data, validation: Data) -> Task:
        return Task(data, validation, *regression_scores(self.scoring, data, validation))

    def _count_outputs(self, codes: NDArray[Any]) -> int:
        return int(codes.shape[1])

    def _teacher_targets(self, n_outputs: int) -> Targets:
        return ValueTargets(n_outputs)


def _checked(y: NDArray[Any]) -> NDArray[np.float64]:
    """Targets as (n_samples, n_outputs), whose squares are numbers."""
    targets = y.reshape(len(y), -1).astype(np.float64)
    check_squares(targets)
    return targets
