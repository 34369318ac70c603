"""A fit after the initial training, as a story: a path, a step of it, fine-tuning, a report."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone

from ..ablation.measured import activations_of
from ..ablation.outliers import without_outliers
from ..data.samples import Samples
from ..exceptions import PruningWarning
from ..graph.array_chain import few_forward
from ..graph.compact import compact, described, to_arrays
from ..pruning.budget import Budget
from ..pruning.path import Surroundings, Walk, pruning_path
from ..pruning.replay import Known, Resume
from ..reports import notes
from ..reports.path_record import PruningPath
from ..reports.report import Measured, PruningReport, slower
from ..reports.timing import milliseconds
from ..training.conversion import samples_of
from ..training.inputs import stage_missing
from ..utils.interruptions import Interruptions
from ..utils.words import counted
from .plan import Pruned, PruningPlan, Task
from .tuner import Tuner, told

# Samples of the batch that networks are timed on.
_BATCH_SIZE = 1000


@contextmanager
def naming_large_features(task: Task) -> Iterator[None]:
    """Have errors on numbers that are too large name the features that may be.

    Parameters
    ----------
    task : Task
    """
    try:
        yield
    except torch.linalg.LinAlgError as error:
        raise ValueError(
            f"Least squares of hidden activations failed ({error}): they are too large, or not "
            "finite. Scale the features (StandardScaler), lower the net's lr, or take "
            f"ablation='mean'.{_large_features(task)}"
        ) from error
    except ValueError as error:
        large = _large_features(task) if "cale the features" in str(error) else ""
        if not large:
            raise
        raise type(error)(f"{error}{large}") from error


def _large_features(task: Task) -> str:
    """The end of an error: features that may be too large."""
    x = task.data.x
    if not isinstance(x, np.ndarray) or x.ndim != 2 or x.dtype.kind != "f":
        return ""
    return notes.large_features(notes.spread_of(torch.as_tensor(x)), task.names)


@dataclass
class _Fit:
    """A fit while it goes on: the trained net, its graph and samples, seconds by stage.

    `n_outliers` samples were left out of pulls and compensation.
    """

    net: Any
    graph: Any
    task: Task
    plan: PruningPlan
    samples: Samples
    budget: Budget
    seconds: dict[str, float] = field(default_factory=dict)
    n_outliers: int = 0

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time that a block takes to a stage."""
        started = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - started


def prune(
    net: Any,
    graph: Any,
    task: Task,
    plan: PruningPlan,
    seconds_training: float,
    known: Known | None = None,
) -> Pruned:
    """Walk the path, choose a step of it, fine-tune, report.

    Ctrl-C ends the rounds or the fine-tuning, and what was done until then is kept and
    reported; a second one is raised.  All other work is short, and Ctrl-C waits for it.

    Parameters
    ----------
    net : skorch net
        Trained; left as it is.
    graph : Graph or ModuleNetwork
        Of its module.
    task : Task
    plan : PruningPlan
    seconds_training : float
        For the report.
    known : Known, optional
        An earlier path of the same network, to another budget.

    Returns
    -------
    Pruned
    """
    fit = _prepared(net, graph, task, plan, seconds_training)
    walk = _walked(fit, known)
    tuner, chosen = _tuned(fit, walk)
    path, spread = _recorded(fit, walk, tuner)
    report = _reported(fit, walk, tuner, chosen, spread)
    teacher = None if task.teaching is None else task.teaching.teacher
    return Pruned(tuner.tuned(chosen), path, report, chosen, walk.chooser, teacher)


def _prepared(net: Any, graph: Any, task: Task, plan: PruningPlan, seconds_training: float) -> _Fit:
    """Training samples on the net's device, and how much is to be removed."""
    limits = plan.options.limits(graph.groups)
    budget = Budget.of(plan.budget, plan.budget_unit, graph.sizes, graph.cost, limits)
    seconds = {"training": seconds_training}
    if task.alone is not None and net is task.alone.net and task.inputs is not None:
        # The training took place in the choice of inputs, and is told where trainings are.
        seconds["training"] += task.alone.seconds
        left = replace(task.inputs, seconds=task.inputs.seconds - task.alone.seconds)
        task = replace(task, inputs=left)
    return _Fit(net, graph, task, plan, samples_of(net, task.data), budget, seconds)


def _walked(fit: _Fit, known: Known | None) -> Walk:
    """The pruning path; after Ctrl-C up to the last finished round."""
    plan, budget, progress = fit.plan, fit.budget, fit.plan.progress
    with fit.timed("pruning"):
        samples = _some(fit.samples, plan.max_pruning_samples, plan.seeds[3])
        activations = activations_of(fit.graph, samples)
        _check_outputs(activations)
        activations = without_outliers(activations)
        fit.n_outliers = len(samples) - len(activations.samples)
        activations = activations.for_pulls(plan.seeds[3])
        n_going = budget.target if budget.unit == "neurons" else sum(fit.graph.sizes)
        with progress.stage("pruning", n_going, "neurons"):
            walk = pruning_path(
                activations,
                plan.chooser,
                budget,
                plan.options,
                Surroundings(
                    score=lambda network: fit.task.score(fit.net, compact(network)),
                    on_step=lambda step: progress.advance(len(step.removed), *told(step)),
                    interruptions=plan.interruptions,
                ),
                plan.seeds[2],
                known,
            )
    if known is not None:
        # Replayed rounds count with the time that they took when they were walked first.
        n_known = min(walk.n_replayed + 1, len(walk.steps))
        fit.seconds["pruning"] += sum(fact["seconds"] for fact in known.facts[1:n_known])
    return walk


def _tuned(fit: _Fit, walk: Walk) -> tuple[Tuner, int]:
    """Fine-tuned networks of the path, and the step that is chosen."""
    progress = fit.plan.progress
    with fit.timed("fine-tuning"):
        tuner = Tuner(fit.net, fit.task, fit.plan, fit.samples, walk)
        with progress.stage("fine-tuning", tuner.most_epochs(), "epochs"):
            chosen = tuner.choose()
            tuner.tuned(chosen)
            progress.tell(*told(walk.steps[chosen], tuner.scores[chosen]))
    return tuner, chosen


def _recorded(fit: _Fit, walk: Walk, tuner: Tuner) -> tuple[PruningPath, NDArray[np.float64]]:
    """The path as arrays, and the standard deviation of each feature."""
    fine_tuned = {number: tuner.scores[number] for number in sorted(tuner.fine_tuned)}
    path = PruningPath.of(walk.steps, fine_tuned, fit.plan.keep_path)
    spread = notes.spread_of(fit.samples.x)
    if fit.plan.keep_path:
        teaching = fit.task.teaching
        path.resume = Resume(
            seeds=fit.plan.seeds,
            options=fit.plan.options,
            chooser=clone(fit.plan.chooser),
            n_epochs=len(fit.net.history or []),
            states={k: step.state for k, step in enumerate(walk.steps) if step.state is not None},
            spread=spread,
            peers=[] if teaching is None else [to_arrays(each) for each in teaching.networks],
        )
    return path, spread


def _reported(
    fit: _Fit, walk: Walk, tuner: Tuner, chosen: int, spread: NDArray[np.float64]
) -> PruningReport:
    """Both networks measured, and warnings issued."""
    task, plan, final = fit.task, fit.plan, tuner.graphs[chosen]
    original = compact(fit.graph)
    before, after, batch_size = _measured(fit, [original, final])
    losses = task.constant.losses(fit.net, original)
    constant_score = task.constant.score() if plan.budget == "auto" else np.nan
    interrupted = plan.interruptions.happened
    found = _complaints(walk, chosen, tuner, len(task.validation), interrupted)
    found += notes.outliers(fit.n_outliers if len(walk.steps) > 1 else 0)
    found += notes.behind_constant(task.constant.answer, *losses, task.validation.weights)
    if found and not interrupted:
        found[-1] += notes.large_features(spread, task.names)
    elif plan.budget == "auto":
        scores = walk.steps[0].score, constant_score
        found += notes.auto_beside_constant(
            task.constant.answer, *scores, plan.tolerance, task.score_name
        )
    found += notes.unscored(walk.steps[0].score, task.score_name)
    found += notes.rounded_away(plan.budget, fit.budget)
    found += [] if task.teaching is None else list(task.teaching.notes)
    found += stage_missing(fit.net)
    plan.progress.clear()
    for text in (*found, *slower(before, after, batch_size)):
        warnings.warn(text, PruningWarning, stacklevel=5)
    return PruningReport(
        before=before,
        after=after,
        score_name=task.score_name,
        loss_name=task.loss_name,
        n_validation=len(task.validation),
        batch_size=batch_size,
        n_pulls=sum(step.n_pulls for step in walk.steps),
        n_evaluations=sum(step.n_evaluations for step in walk.steps),
        n_backward=sum(step.n_backward for step in walk.steps),
        n_rounds=len(walk.steps) - 1,
        n_fine_tune_epochs=tuner.epochs,
        confidence=notes.mean_confidence(np.array([step.confidence for step in walk.steps])),
        seconds_training=fit.seconds["training"],
        seconds_pruning=fit.seconds["pruning"],
        seconds_fine_tuning=fit.seconds["fine-tuning"],
        unused_features=notes.unused_features(final, spread),
        remarks=(*found, *notes.unfinished(fit.net), *notes.first_epoch_best(fit.net)),
        interrupted=interrupted,
        teacher=None if task.teaching is None else task.teaching.report,
        inputs=task.inputs,
        compensation=dict(walk.remarks),
        **described(fit.graph, fit.budget.limits.pruned),
    )


def tell_late(model: Any, interruptions: Interruptions) -> None:
    """Add to a fitted estimator's report a Ctrl-C that came after it was written; warn of it.

    Called where Ctrl-C is not deferred any more: none goes unreported.
    """
    report = model.pruning_report_
    if interruptions.happened and not report.interrupted:
        text = "Ctrl-C came when the fit was done: the network was finished, and is kept."
        warnings.warn(text, PruningWarning, stacklevel=4)
        remarks = (text, *report.remarks)
        model.pruning_report_ = replace(report, interrupted=True, remarks=remarks)


def _some(samples: Samples, most: int, seed: int) -> Samples:
    """At most so many samples, drawn without replacement."""
    if len(samples) <= most:
        return samples
    index = np.sort(np.random.default_rng(seed).permutation(len(samples))[:most])
    return samples.at(torch.as_tensor(index, device=samples.weights.device))


def _check_outputs(activations: Any) -> None:
    """Refuse a network whose outputs are not finite: nothing can be measured on it."""
    with torch.no_grad():
        finite = torch.isfinite(activations.outputs()).all(dim=1)
    if not bool(finite.all()):
        raise ValueError(
            f"The trained network returns infinity or NaN for {int((~finite).sum()):,} of "
            f"{counted(len(finite), 'sample')}: its weights or the features are too large. Scale "
            "the features (StandardScaler), and lower the net's lr."
        )


def _complaints(
    walk: Walk, chosen: int, tuner: Tuner, n_validation: int, interrupted: bool
) -> list[str]:
    """Warnings if the fit was interrupted, or costs more than the tolerance."""
    step, first, plan = walk.steps[chosen], walk.steps[0], tuner.plan
    if walk.interrupted:
        return [notes.pruning_interrupted(sum(first.sizes) - sum(step.sizes), sum(first.sizes))]
    found = []
    if interrupted:
        finished = chosen in tuner.fine_tuned or not plan.fine_tuning.cycles
        found.append(notes.fine_tuning_interrupted(tuner.epochs, plan.budget, finished))
    scores = first.score, tuner.scores[chosen]
    return found + notes.beyond_tolerance(plan.budget, plan.tolerance, n_validation, *scores)


def _measured(fit: _Fit, graphs: list[Any]) -> tuple[Measured, Measured, int]:
    """Both networks in numbers, and the size of the batch that they were timed on."""
    batch = fit.samples.x[:_BATCH_SIZE]
    one = milliseconds([few_forward(graph) for graph in graphs], batch[:1])
    many = milliseconds([graph.forward for graph in graphs], batch)
    before, after = (
        Measured.of(
            graph,
            (one[k], many[k]),
            fit.task.score(fit.net, graph),
            fit.task.loss(fit.net, graph),
        )
        for k, graph in enumerate(graphs)
    )
    return before, after, len(batch)
