"""``at_budget``: estimators of other sizes from the same initial training."""

from __future__ import annotations

import copy
import math
import warnings
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from ..data.named_features import is_named
from ..exceptions import NotKeptError, PruningWarning
from ..graph.array_chain import few_forward
from ..graph.compact import compact, network_from
from ..graph.lazy import drawn as of_form
from ..graph.units import UnitTable
from ..pruning.budget import Budget
from ..pruning.replay import Known
from ..pruning.selection import limits_of
from ..reports.notes import mean_confidence, rounded_away, unfinished, unused_features
from ..reports.path_record import PruningPath
from ..reports.report import Measured, PruningReport
from ..reports.timing import milliseconds
from ..training.rebuilding import copy_of_net, net_around
from ..utils.compat import check_feature_names, check_n_features
from ..utils.interruptions import Interruptions
from ..utils.progress import Progress
from ..utils.randomness import draw_seeds
from ..utils.torch_settings import own_settings
from ..utils.words import counted
from .fitted_attributes import fitted_attributes
from .fitting import naming_large_features, prune, tell_late
from .layers import names_of
from .parameters import resolve_policy
from .plan import Pruned
from .reading import Given, read
from .teaching import Classroom, taught

# Largest number of values in the batch that networks are timed on: text data has many features.
_MAX_VALUES = 2**24


class ResizingMixin:
    """Mixin with ``at_budget``, for estimators with a ``pruning_path_``."""

    def at_budget(
        self,
        budget: Any,
        X: Any = None,
        y: Any = None,
        sample_weight: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        groups: Any = None,
    ) -> Any:
        """A new fitted estimator of another size, without the initial training.

        With the data of ``fit`` the result equals a fit with this budget: the path is replayed,
        without pulls, to the smallest kept network that is large enough, then pruned further and
        fine-tuned.  A teacher labels the samples again, unless `memory` has its labels.  Without
        data the result is a kept network of the path, not fine-tuned; except at the size of this
        estimator, where it is a copy of this estimator.

        Parameters
        ----------
        budget : float in [0, 1), int or "auto"
            New `pruning_budget`, in `budget_unit`; smaller or larger than that of ``fit``.
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features), optional
            The samples of fit.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), optional
            The targets of fit.
        sample_weight : array-like of shape (n_samples,), optional
            The sample weights of fit.
        X_val : array-like of shape (n_validation, n_features), optional
            The validation samples of fit, if it had any.
        y_val : array-like of shape (n_validation,) or (n_validation, n_outputs), optional
            Targets of the validation samples.
        groups : array-like of shape (n_samples,), optional
            The groups of fit, if it had any.

        Returns
        -------
        object
            Fitted estimator with ``pruning_budget=budget``, independent of this one.  Without
            data its report has no validation loss (NaN).

        Raises
        ------
        NotKeptError
            If the path was not kept: with ``keep_path="never"``, or after loading a pickle or
            file that was written without ``keep_path="always"``.  It is a ValueError.
        ValueError
            If there is no data and no network of this size was kept, or if the data does not
            match the network.

        Warns
        -----
        PruningWarning
            If the samples are not those of fit, and in all cases in which fit warns.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_mabprune import MABPrunedClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MABPrunedClassifier(pruning_budget=0.5, tolerance=1, random_state=0).fit(X, y)
        >>> smaller = model.at_budget(0.75, X, y)
        >>> sum(model.hidden_layer_sizes_), sum(smaller.hidden_layer_sizes_)
        (96, 48)
        """
        check_is_fitted(self)
        path = self.pruning_path_  # type: ignore[attr-defined]
        if not getattr(path, "networks", None):
            raise NotKeptError(
                "at_budget needs the networks of pruning_path_, which has none: this estimator was "
                "fitted with keep_path='never', or comes from a pickle, a file or a process of "
                "joblib. Call at_budget before, or set keep_path='always' before (in fit, or by "
                "set_params on the estimator that is pickled or saved); or fit anew with "
                f"pruning_budget={budget!r}."
            )
        new = clone(self).set_params(pruning_budget=budget)
        new._validate_params()
        given = Given(X, y, sample_weight, X_val, y_val, groups)
        if X is not None and y is not None:
            return _with_data(self, new, given)
        if any(part is not None for part in vars(given).values()):
            missing = " and ".join(n for n, part in {"X": X, "y": y}.items() if part is None)
            raise ValueError(
                f"at_budget was given a part of the data, without {missing}. Pass X and y together "
                "(and sample_weight, X_val, y_val and groups as in fit), or no data for a kept "
                "network."
            )
        with own_settings():
            return _without_data(self, new)


# ------------------------------------------------------------------------------- with data


def _with_data(old: Any, new: Any, given: Given) -> Any:
    """`new`, fitted from the unpruned network of `old`."""
    path, resume = old.pruning_path_, old.pruning_path_.resume
    with Interruptions() as interruptions, own_settings():
        with interruptions.raised():
            chooser = resolve_policy(new.policy)
            seeds = resume.seeds if resume else tuple(draw_seeds(new.random_state, 5))
            if not is_named(given.X):
                check_n_features(old, given.X, reset=False)
                check_feature_names(old, given.X, reset=False)
            with new.seeing(old._table_source):
                task, held_out = read(new, given, seeds[0])
            _check_inputs(old, new)
        original = network_from(path.networks[0], old.estimator_.device)
        with torch.no_grad():
            n_known = original.forward(_drawn(old, original, 2)).shape[1]
        n_known += getattr(old.estimator_, "one_output_", False)
        _check_targets(old, new, n_known, task.data.n_outputs)
        net = _net(old, original)
        task = replace(task, inputs=old.pruning_report_.inputs)
        stages = ["teacher"] * (new.teacher is not None) + ["pruning", "fine-tuning"]
        with naming_large_features(task), Progress(new.verbose, stages) as progress:
            if new.teacher is not None:
                room = Classroom(new, net, task, seeds[1], progress, interruptions)
                arrays, device = resume.peers if resume else [], old.estimator_.device
                peers = tuple(network_from(each, device) for each in arrays)
                room = replace(room, known=old.pruning_report_.teacher, networks=peers)
                task = taught(replace(room, trained=True, apart=given.X_val is not None))
            plan = new._plan(chooser, net, seeds, progress, interruptions)
            walked = _known(path) if resume and resume.fits(plan.options, chooser) else None
            pruned = prune(net, original, task, plan, old.pruning_report_.seconds_training, walked)
        new._remember(pruned, held_out)
    tell_late(new, interruptions)
    if not np.isclose(pruned.path.loss[0], path.loss[0], rtol=1e-4):
        warnings.warn(
            "X, y or groups are not those of fit, or in another order: pruning started anew. If "
            "the network was trained on samples that are now held out for validation, validation "
            "scores are optimistic. Pass the data of fit, in the same order.",
            PruningWarning,
            stacklevel=3,
        )
    return new


def _check_inputs(old: Any, new: Any) -> None:
    """Refuse samples of another shape, or other inputs."""
    known, found = (getattr(model, "input_shape_", None) for model in (old, new))
    if known != found:
        raise ValueError(
            f"X has samples of shape {found}, the network was trained on {known}. Pass the data of "
            "fit, or fit again."
        )


def _check_targets(old: Any, new: Any, n_known: int, n_outputs: int) -> None:
    """Refuse targets of another kind, with other classes or of another number."""
    known, found = getattr(old, "classes_", None), getattr(new, "classes_", None)
    multilabel = getattr(old, "multilabel_", False)
    if multilabel != getattr(new, "multilabel_", False):
        kinds = "multilabel targets", "one class per sample"
        trained, given = kinds if multilabel else kinds[::-1]
        raise ValueError(
            f"y has {given}, the network was trained on {trained}. Pass the data of fit, or fit "
            "again."
        )
    if known is not None and not np.array_equal(known, found):  # type: ignore[arg-type]
        raise ValueError(
            f"y has the classes {np.asarray(found).tolist()}, the network was trained on "
            f"{np.asarray(known).tolist()}. Pass the data of fit, or fit again."
        )
    if n_outputs != n_known:
        raise ValueError(
            f"y has {counted(n_outputs, 'target')}, the network was trained on {n_known}. Pass "
            "the data of fit, or fit again."
        )


def _net(old: Any, graph: Any) -> Any:
    """An independent copy of the fitted net, with the layers of this graph."""
    net = net_around(old.estimator_, graph)
    net.history_ = copy.deepcopy(net.history_)
    if old.pruning_path_.resume:
        # Later training of the pruned net is not a part of the initial training.
        del net.history_[old.pruning_path_.resume.n_epochs :]
    return net


def _known(path: PruningPath) -> Known:
    """The path in the form in which it is replayed."""
    assert path.resume is not None
    facts = [
        {
            "n_pulls": int(path.n_pulls[k]),
            "n_evaluations": int(path.n_evaluations[k]),
            "n_backward": int(path.n_backward[k]),
            "loss_increase": path.loss_increase[k].copy(),
            "standard_error": path.standard_error[k].copy(),
            "reward_scale": tuple(path.reward_scale[k]),
            "confidence": float(path.confidence[k]),
            "pulls_by_arm": path.pulls_by_arm[k].astype(np.intp),
            "estimates": copy.deepcopy(path.estimates.get(k)),
            "seconds": float(path.seconds[k]),
        }
        for k in range(len(path))
    ]
    states = copy.deepcopy(path.resume.states)
    loss = float(path.loss[0])
    return Known(loss, path.layer_sizes, path.removed, facts, states)


# ---------------------------------------------------------------------------- without data


def _without_data(old: Any, new: Any) -> Any:
    """`new`, fitted: a kept network of the path of `old`."""
    path, device = old.pruning_path_, old.estimator_.device
    original = network_from(path.networks[0], device)
    limits = limits_of(original.groups, names_of(new.layers), new.min_neurons)
    budget = Budget.of(
        new.pruning_budget, new.budget_unit, path.layer_sizes[0], original.cost, limits
    )
    number = _step_of(old, new, budget)
    notes = rounded_away(new.pruning_budget, budget)
    for text in notes:
        warnings.warn(text, PruningWarning, stacklevel=3)
    # The net by itself: a deep copy would pickle it, which some modules do not let.
    memo = {id(old.estimator_): copy_of_net(old.estimator_)}
    vars(new).update(copy.deepcopy(fitted_attributes(old), memo))
    if path.layer_sizes[number] == old.hidden_layer_sizes_:
        return new
    graph = network_from(path.networks[number], device)
    small = compact(graph)
    shorter = _path_until(path, number)
    if path.resume and number in path.resume.states:
        policy = copy.deepcopy(path.resume.states[number]["chooser"])
    else:
        policy = resolve_policy(new.policy)
    report = _report(old, compact(original), small, shorter, notes)
    pruned = Pruned(_net(old, graph), shorter, report, number, policy)
    new._remember(pruned, old.validation_fraction_)
    return new


def _step_of(old: Any, new: Any, budget: Budget) -> int:
    """The step at which a fit with this budget would end, if its network was kept."""
    path, sizes = old.pruning_path_, old.pruning_path_.layer_sizes
    chosen = path.step_of(old.hidden_layer_sizes_)
    if new.pruning_budget == old.pruning_budget == "auto":
        return chosen
    kept = sorted({*path.networks, chosen})
    if new.pruning_budget != "auto":
        for number in kept:
            if budget.reached(sizes[number]):
                # A fit might remove only a part of this step's units.
                if not number or not budget.reached(_one_more(path, number)):
                    return number
                break
    counts = ", ".join(str(budget.gone(sizes[number])) for number in kept)
    raise ValueError(
        f"No network of pruning_budget={new.pruning_budget!r} was kept on the path. Pass X and y "
        f"for any budget; without them there are networks with {counts} of {budget.total} "
        f"{budget.called} removed."
    )


def _one_more(path: PruningPath, number: int) -> tuple[int, ...]:
    """Hidden sizes of a step before its last unit was removed."""
    layer = int(UnitTable(path.layer_sizes[0]).group(path.removed[number][-1:])[0])
    sizes = list(path.layer_sizes[number])
    sizes[layer] += 1
    return tuple(sizes)


def _path_until(path: PruningPath, number: int) -> PruningPath:
    """The path up to a step, without fine-tuned scores."""
    part = {
        each.name: copy.deepcopy(getattr(path, each.name)[: number + 1])
        for each in fields(path)
        if isinstance(getattr(path, each.name), (list, np.ndarray))
    }
    part["score_fine_tuned"][:] = np.nan

    def until(kept: dict[int, Any]) -> dict[int, Any]:
        return {k: copy.deepcopy(value) for k, value in kept.items() if k <= number}

    resume = path.resume and replace(path.resume, states=until(path.resume.states))
    return replace(
        path,
        **part,
        networks=until(path.networks),
        estimates=until(path.estimates),
        resume=copy.deepcopy(resume),
    )


def _drawn(old: Any, graph: Any, n_samples: int) -> Any:
    """Dense samples: the speed of a network does not depend on their values."""
    shape = getattr(old, "input_shape_", None) or (graph.n_inputs,)
    if isinstance(shape, dict):
        size = sum(map(math.prod, shape.values()))
        n_samples = min(n_samples, max(1, _MAX_VALUES // size))
        return of_form(old.estimator_.input_form_, n_samples, graph.device)
    n_samples = min(n_samples, max(1, _MAX_VALUES // math.prod(shape)))
    if getattr(old.estimator_, "reads_integers_", False):
        return torch.zeros(n_samples, *shape, dtype=torch.int64, device=graph.device)
    drawn = torch.randn(n_samples, *shape, generator=torch.Generator().manual_seed(0))
    return drawn.to(graph.device, graph.dtype)


def _report(
    old: Any, original: Any, graph: Any, path: PruningPath, warned: list[str]
) -> PruningReport:
    """The report of a kept network, made without the data of fit."""
    report, resume = old.pruning_report_, path.resume
    samples = _drawn(old, graph, report.batch_size)
    batch_size = len(samples)
    networks = [original, graph]
    one = milliseconds([few_forward(network) for network in networks], samples[:1])
    many = milliseconds([network.forward for network in networks], samples)
    before = replace(report.before, ms_sample=one[0], ms_batch=many[0])
    # There are no validation samples.
    loss = np.nan if len(path) > 1 else before.loss
    after = Measured.of(graph, (one[1], many[1]), float(path.score[-1]), loss)
    untuned = ["this network was not fine-tuned: at_budget does it if it gets X and y."]
    return replace(
        report,
        before=before,
        after=after,
        batch_size=batch_size,
        n_pulls=int(path.n_pulls.sum()),
        n_evaluations=int(path.n_evaluations.sum()),
        n_backward=int(path.n_backward.sum()),
        n_rounds=len(path) - 1,
        n_fine_tune_epochs=0,
        confidence=mean_confidence(path.confidence),
        seconds_pruning=float(path.seconds.sum()),
        seconds_fine_tuning=0.0,
        interrupted=False,
        unused_features=unused_features(graph, resume.spread) if resume else (),
        remarks=(*warned, *untuned[: len(path) - 1], *unfinished(old.estimator_)),
    )
