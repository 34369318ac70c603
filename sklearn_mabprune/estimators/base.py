"""Base class of the classifier and the regressor: fit and prediction."""

from __future__ import annotations

import time
import warnings
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, MetaEstimatorMixin
from sklearn.utils.validation import check_is_fitted

from ..ablation.loss_models import check_drawn
from ..data.features import read_table
from ..data.losses import check_criterion
from ..data.plain_samples import plain_samples
from ..data.samples import Data
from ..data.sparse import outputs_of
from ..exceptions import PruningWarning
from ..export.mixin import Exports
from ..graph.graph import Graph
from ..policies import Policy
from ..pruning.path import PathOptions
from ..training.conversion import note_inputs
from ..training.fine_tuning import FineTuning, check_optimizer, check_trainable
from ..training.initial import check_fits, check_weights
from ..training.input_choice import inputs_to_try
from ..training.mlp import MLP
from ..training.net_parameters import check_net
from ..training.outside_module import check_batch_statistics
from ..training.predicting import few_outputs, network_outputs
from ..training.rebuilding import copy_of_net
from ..training.scoring import check_score
from ..training.teacher_targets import Targets
from ..utils.compat import fit_context, uncompiled
from ..utils.interruptions import Interruptions
from ..utils.progress import Progress
from ..utils.randomness import draw_seeds
from ..utils.torch_settings import own_settings
from ..utils.validation import check_parameters
from .at_budget import ResizingMixin
from .epochs import Epochs
from .fitted_attributes import fitted_attributes, forget, unfitted
from .fitting import naming_large_features, prune, tell_late
from .initial import TrainsNets
from .layers import check_budget, check_named, names_of, with_named
from .parameters import (
    CONSTRAINTS,
    check_layers,
    check_nested,
    check_no_class,
    check_teacher_name,
    resolve_net,
    resolve_policy,
)
from .pickling import Pickles
from .plan import Pruned, PruningPlan, Task
from .reading import Given, read
from .seeing import SeesTables
from .sizes import with_sizes
from .teaching import Classroom, taught, trained


class BaseMABPruned(
    ResizingMixin,
    SeesTables,
    TrainsNets,
    Epochs,
    Exports,
    Pickles,
    MetaEstimatorMixin,
    BaseEstimator,
):
    """Base class of estimators that train a skorch net, prune it with a bandit, and fine-tune it.

    The subclasses have the constructors, whose parameters this class reads.
    """

    _parameter_constraints = CONSTRAINTS
    _default_net: type
    _net_base: type

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters of this estimator and, if `deep`, of the objects inside it."""
        params = super().get_params(deep=deep)
        # skorch lists a private attribute of its nets among their parameters.
        return {name: value for name, value in params.items() if "___" not in name}

    def set_params(self, **params: Any) -> Any:
        """Set parameters of this estimator or, as ``policy__...``, of an object inside it."""
        check_nested(self, self._default_net, params)
        return super().set_params(**params)

    def _validate_params(self) -> None:
        check_no_class(self.policy)
        check_parameters(self)
        check_layers(self.layers, self.min_neurons)
        check_teacher_name(self.teacher)

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        groups: Any = None,
    ) -> Any:
        """Fit the network: train, prune, fine-tune.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Training samples; scale them first (StandardScaler).  For a net with a module of your
            own also an array of more dimensions, such as images of shape
            (n_samples, n_channels, height, width), or of integers for an embedding, or a
            dictionary of arrays if its ``forward`` takes several inputs.
            Sparse matrices are used as CSR and never converted to dense as a whole.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets: values, classes, or a multilabel indicator matrix.
        sample_weight : array-like of shape (n_samples,), optional
            Samples of weight 0 are ignored; only ratios of weights matter.
        X_val : array-like of shape (n_validation, n_features), optional
            Validation samples; without them `validation_fraction` of X is held out.
        y_val : array-like of shape (n_validation,) or (n_validation, n_outputs), optional
            Targets of the validation samples.
        groups : array-like of shape (n_samples,), optional
            Group of each sample of X, such as its patient: a group is never divided, neither
            between training and validation nor between the folds of a teacher.

        Returns
        -------
        object
            The fitted estimator itself.

        Raises
        ------
        ValueError
            If a parameter or the data is invalid; the message says which and why.
        UnsupportedModuleError
            If the net's module cannot be read, or has no units that can be removed; the
            message says why, and what to change in it.

        Warns
        -----
        PruningWarning
            If the score decreases by more than `tolerance`, if there are too few samples to
            hold some out, if the smaller network is not faster, or if Ctrl-C ended the
            pruning or the fine-tuning.
        sklearn.exceptions.ConvergenceWarning
            If the training of a net with early stopping took all of its `max_epochs`.
        """
        forget(self)
        with Interruptions() as interruptions, own_settings():
            # Whatever ends the fit, and wherever: `self` has all fitted attributes or none.
            new = unfitted(self)
            with interruptions.raised():
                chooser = resolve_policy(self.policy)
                net, frozen = resolve_net(self.estimator, self._default_net, self._net_base)
                if not frozen:
                    check_net(net)
                seeds = draw_seeds(self.random_state, 5)
                given = Given(X, y, sample_weight, X_val, y_val, groups)
                task, held_out = read(new, given, seeds[0])
            other = None if frozen else inputs_to_try(net, task.data)
            stages = ["inputs"] * (other is not None)
            stages += ["teacher", "comparison"] * (self.teacher is not None)
            stages += ["training"] * (not frozen) + ["pruning", "fine-tuning"]
            with naming_large_features(task), Progress(self.verbose, stages) as progress:
                if frozen:
                    progress.clear()  # before a warning
                    net, graph = new._thaw(net, task, X_val is None)
                if other is not None:
                    net, task = new._with_inputs(
                        other, net, task, seeds[1], progress, interruptions
                    )
                if self.teacher is not None:
                    room = Classroom(new, net, task, seeds[1], progress, interruptions)
                    task = taught(replace(room, trained=frozen, apart=X_val is not None))
                started = time.perf_counter()
                if not frozen:
                    net, graph, task = trained(new, net, task, seeds[1], progress, interruptions)
                seconds = 0.0 if frozen else time.perf_counter() - started
                plan = new._plan(chooser, net, tuple(seeds), progress, interruptions)
                pruned = prune(net, with_named(new, net, graph, task.data), task, plan, seconds)
            new._remember(pruned, held_out)
            self.__dict__.update(fitted_attributes(new))
        tell_late(self, interruptions)
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # ----------------------------------------------------------------- steps of fit

    def _check_start(self, net: Any, graph: Graph, task: Task) -> None:
        """Refuse invalid budgets and scorings before the training."""
        check_budget(self, net, graph, task.data)
        check_optimizer(net, self.fine_tune_epochs)
        if self.control_variate == "fisher" and isinstance(resolve_policy(self.policy), Policy):
            check_drawn(uncompiled(net.criterion_))
        check_score(self.scoring, task.score, net, graph)

    def _thaw(self, net: Any, task: Task, own_samples: bool) -> tuple[Any, Graph]:
        """A copy of a trained net, checked against the data, and its graph."""
        check_weights(net, task.data, task.validation)
        net = copy_of_net(net)
        check_criterion(net, task.data.y)
        note_inputs(net, task.data)
        graph = check_fits(net, task.data)
        check_named(self, graph)
        self._check_frozen(net)
        if self.fine_tune_epochs != 0:
            check_batch_statistics(net, len(task.data))
        check_score(self.scoring, task.score, net, graph)
        if own_samples:
            warnings.warn(
                "estimator is a trained net: if it was trained on samples that are now held out "
                "for validation, validation scores are optimistic. Pass X_val and y_val that the "
                "net was not trained on.",
                PruningWarning,
                stacklevel=4,
            )
        return net, graph

    def _plan(
        self,
        chooser: Any,
        net: Any,
        seeds: tuple[int, ...],
        progress: Progress,
        interruptions: Interruptions,
    ) -> PruningPlan:
        """The pruning plan, from the parameters."""
        check_optimizer(net, self.fine_tune_epochs)
        check_trainable(net, self.fine_tune_epochs)
        return PruningPlan(
            chooser=chooser,
            budget=self.pruning_budget,
            budget_unit=self.budget_unit,
            options=PathOptions(
                pulls_per_neuron=self.pulls_per_neuron,
                pull_batch_size=self.pull_batch_size,
                arms_per_pull=self.arms_per_pull,
                discount=self.discount,
                rank_by=self.rank_by,
                control_variate=self.control_variate,
                ablation=self.ablation,
                ridge=self.ridge,
                step=self.step,
                scope=self.scope,
                layers=names_of(self.layers),
                min_neurons=self.min_neurons,
            ),
            fine_tuning=FineTuning.of(
                self.fine_tune_epochs,
                len(net.history or []) or net.max_epochs,
                self.fine_tune_lr,
                self.distillation,
                self.temperature,
            ),
            tolerance=self.tolerance,
            max_pruning_samples=self.max_pruning_samples,
            seeds=seeds,
            keep_path=self.keep_path != "never",
            progress=progress,
            interruptions=interruptions,
        )

    def _remember(self, pruned: Pruned, held_out: float) -> None:
        """Set the fitted attributes."""
        path, report = pruned.path, pruned.report
        names = getattr(self, "feature_names_in_", None)
        if names is not None:
            unused = tuple(str(names[k]) for k in report.unused_features)
            report = replace(report, unused_features=unused)
        self.estimator_, self.policy_ = pruned.net, pruned.chooser
        self.neuron_ranking_ = path.ranking(pruned.chosen)
        self.neuron_support_ = [part == 1 for part in self.neuron_ranking_]
        self.hidden_layer_sizes_ = path.layer_sizes[pruned.chosen]
        self.pruning_path_ = path
        self.pruning_report_ = report
        self.n_pulls_ = report.n_pulls
        self.validation_fraction_ = held_out
        if pruned.teacher is not None:
            self.teacher_ = pruned.teacher
        self.pruning_report_ = with_sizes(report, self)

    # ----------------------------------------------------------------- prediction

    def _outputs(self, X: Any) -> NDArray[Any]:
        """Predictions of the pruned network, (n_samples, n_outputs)."""
        own = vars(self)
        if "estimator_" not in own:
            check_is_fitted(self)
        net, names = own["estimator_"], own.get("feature_names_in_")
        x = plain_samples(self, X)
        if x is None:
            x = read_table(self, X, any_shape="input_shape_" in own, reset=False)
        module = net.module_
        if module.training:
            module.eval()
        outputs = few_outputs(net, x)
        if outputs is not None:
            return outputs
        return network_outputs(net, partial(outputs_of, module), x, names)

    def _takes_any_shape(self) -> bool:
        """Whether samples may have any shape: they do where the module is the user's own."""
        net = getattr(self.estimator, "estimator", self.estimator)
        return net is not None and net.module is not MLP

    # ------------------------------------------------- overridden by the subclasses

    def _validate_training(self, X: Any, y: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        raise NotImplementedError

    def _encode(self, y: NDArray[Any]) -> NDArray[Any]:
        raise NotImplementedError

    def _encode_validation(self, y: Any) -> NDArray[Any]:
        raise NotImplementedError

    def _weigh(
        self, codes: NDArray[Any], weights: NDArray[np.float64] | None
    ) -> NDArray[np.float64] | None:
        return weights

    def _make_task(self, data: Data, validation: Data) -> Task:
        raise NotImplementedError

    def _count_outputs(self, codes: NDArray[Any]) -> int:
        raise NotImplementedError

    def _teacher_targets(self, n_outputs: int) -> Targets:
        raise NotImplementedError

    def _check_frozen(self, net: Any) -> None:
        """Refuse a net that was trained on other targets; the default accepts every net."""
