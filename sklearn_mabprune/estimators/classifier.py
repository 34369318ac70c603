"""Neural network classifier that is trained, pruned by a bandit and fine-tuned in one fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d
from sklearn.utils.validation import check_array
from skorch import NeuralNetClassifier

from ..data.features import read_table
from ..data.samples import Data
from ..data.targets import (
    as_indicator,
    class_weights,
    complete,
    predicted,
    read_labels,
    scaled_weights,
)
from ..training.nets import MLPNetClassifier
from ..training.scoring import classification_scores
from ..training.teacher_targets import ClassTargets, LabelTargets, Targets
from ..utils.compat import StrOptions
from .base import BaseMABPruned
from .docstrings import documented
from .parameters import CONSTRAINTS, check_class_weights
from .plan import Task


@documented
class MABPrunedClassifier(ClassifierMixin, BaseMABPruned):
    """Neural network classifier, pruned by multi-armed bandits.

    ``fit`` trains the network, then removes hidden units round by round: backward passes
    estimate how much the loss rises without a unit, a bandit measures those units on blocks of
    samples (*pulls*) for which the estimate leaves it open whether they are removed, the units
    with the smallest increase are cut out, and the other units of their layer compensate for
    them.  The smaller network is fine-tuned on y and on the unpruned network's outputs.

    Parameters
    ----------
    estimator : skorch net, FrozenEstimator or None, default=None
        The network to train and prune; None is ``MLPNetClassifier()``.  Or any skorch
        ``NeuralNetClassifier``: modules of your own may have convolutions, skip
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
        Validation score, as everywhere in scikit-learn; None: accuracy.
    {tolerance}
    {max_pruning_samples}
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, multiplied into the sample weights.
    {keep_path}
    {memory}
    {random_state}
    {verbose}

    Attributes
    ----------
    {classes_}
    {multilabel_}
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
    MABPrunedClassifierCV : The same with a budget chosen by cross-validation.

    References
    ----------
    S. A. Ameen, S. Vadera, "Structured Neuron Pruning in Deep Neural Networks Using
    Multi-Armed Bandits", arXiv 2606.07615, 2026.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_mabprune import MABPrunedClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> model = make_pipeline(
    ...     StandardScaler(), MABPrunedClassifier(pruning_budget=0.75, random_state=0)
    ... ).fit(X, y)
    >>> sum(model[-1].hidden_layer_sizes_)
    48
    >>> bool(model.score(X, y) > 0.97)
    True
    """

    _parameter_constraints = {**CONSTRAINTS, "class_weight": [dict, StrOptions({"balanced"}), None]}
    _default_net = MLPNetClassifier
    _net_base = NeuralNetClassifier

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
        class_weight: Any = None,
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
        self.class_weight = class_weight
        self.keep_path = keep_path
        self.memory = memory
        self.random_state = random_state
        self.verbose = verbose

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Class probabilities.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Each sample's probabilities sum to 1; if multilabel, each label has its own.

        Raises
        ------
        ValueError
            If a sample is too large for the precision of the network, which would give NaN.
        """
        return self._outputs(X)

    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """Logarithms of class probabilities, (n_samples, n_classes)."""
        return np.log(self.predict_proba(X))

    def predict(self, X: Any) -> NDArray[Any]:
        """Class labels.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_labels)
            Class of the highest probability; for multilabel targets an indicator matrix of the
            labels with a probability above 0.5.
        """
        return predicted(self._outputs(X), self.classes_, self.multilabel_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _validate_training(self, X: Any, y: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        options = {"multi_output": True, "ensure_min_samples": 2}
        X, y = read_table(self, X, complete(y), any_shape=self._takes_any_shape(), **options)
        return X, read_labels(y)

    def _encode(self, y: NDArray[Any]) -> NDArray[Any]:
        self.multilabel_ = y.ndim == 2
        if self.multilabel_:
            self.classes_ = np.arange(y.shape[1])
            return y.astype(np.float64)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"{type(self).__name__} needs at least 2 classes, the data has 1 class: "
                f"{self.classes_.tolist()[0]!r}. Pass samples of another class as well."
            )
        return codes.astype(np.int64)

    def _encode_validation(self, y: Any) -> NDArray[Any]:
        y = complete(y, "y_val")
        if self.multilabel_:
            y = as_indicator(check_array(y, accept_sparse="csr", input_name="y_val"), "y_val")
            return y.astype(np.float64)
        y = column_or_1d(y)
        unknown = np.setdiff1d(y, self.classes_)
        if unknown.size:
            raise ValueError(
                f"y_val has classes that are not in y: {unknown[:5].tolist()}. Pass y_val with "
                "classes of y."
            )
        return np.searchsorted(self.classes_, y).astype(np.int64)

    def _weigh(
        self, codes: NDArray[Any], weights: NDArray[np.float64] | None
    ) -> NDArray[np.float64] | None:
        if self.class_weight is None:
            return weights
        if self.multilabel_:
            raise ValueError(
                f"class_weight={self.class_weight!r} is not defined for multilabel y. Pass "
                "sample_weight, or weight the labels in the loss: MLPNetClassifier("
                "criterion=BCEWithLogitsLoss, criterion__pos_weight=...)."
            )
        if isinstance(self.class_weight, dict):
            check_class_weights(self.class_weight)
        each = scaled_weights(class_weights(self.class_weight, self.classes_, codes))
        each = each if weights is None else each * weights
        if not (each > 0).any():
            raise ValueError(
                f"class_weight={self.class_weight!r} gives every sample the weight 0. Pass a "
                "positive weight for at least one class."
            )
        return each

    def _make_task(self, data: Data, validation: Data) -> Task:
        scores = classification_scores(self.scoring, data, validation, self.classes_)
        return Task(data, validation, *scores)

    def _count_outputs(self, codes: NDArray[Any]) -> int:
        return len(self.classes_)

    def _teacher_targets(self, n_outputs: int) -> Targets:
        return LabelTargets(n_outputs) if self.multilabel_ else ClassTargets(self.classes_)

    def _check_frozen(self, net: Any) -> None:
        if self.multilabel_:
            return
        # A net whose weights were loaded from a file has no classes_.
        known, n_classes = np.asarray(getattr(net, "classes_", self.classes_)), len(self.classes_)
        # Strings are encoded by their sorted order; numbers must be the net's class numbers.
        strings = self.classes_.dtype.kind not in "iufb"
        if not (
            np.array_equal(known, self.classes_)
            or (strings and np.array_equal(known, np.arange(n_classes)))
        ):
            raise ValueError(
                f"The net was trained on classes {known.tolist()}, y has {self.classes_.tolist()}. "
                "Pass y with the classes that the net was trained on."
            )
