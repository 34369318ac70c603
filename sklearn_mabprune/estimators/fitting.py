"""One fit as a story: a trained net, a path, a step chosen, a smaller net fine-tuned."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone

from ..ablation.activations import Activations
from ..criteria import Criterion
from ..data.samples import Samples
from ..data.sparse import few
from ..exceptions import PruningWarning
from ..graph.graph import Graph
from ..graph.tracing import recover_graph
from ..policies.base import Policy
from ..pruning.budget import Budget
from ..pruning.path import PathOptions, Step, Surroundings, Walk, pruning_path
from ..pruning.replay import Known, Resume
from ..reports.notes import (
    mean_confidence,
    rounded_away,
    slower,
    spread_of,
    unfinished,
    unscored,
    unused_features,
)
from ..reports.path_record import PruningPath
from ..reports.report import Measured, PruningReport
from ..reports.timing import milliseconds
from ..training.fine_tuning import FineTuning, fine_tune, validation_losses
from ..training.initial import Data, samples_of
from ..training.predicting import run_in_parts
from ..training.rebuilding import net_around
from ..utils.compat import uncompiled
from ..utils.interruptions import Patience
from ..utils.progress import Progress

_BATCH_ROWS = 1000


@dataclass(frozen=True)
class Task:
    """What a fit is about, whatever the estimator.

    Parameters
    ----------
    data, validation : Data
        Training and validation rows.
    score : callable
        Net and graph to the validation score.
    loss : callable
        Net and graph to the validation log-loss or root mean squared error.
    score_name, loss_name : str
    """

    data: Data
    validation: Data
    score: Callable[[Any, Graph], float]
    loss: Callable[[Any, Graph], float]
    score_name: str
    loss_name: str


@dataclass(frozen=True)
class PruningPlan:
    """How a trained net is pruned; see the estimators for what each field means.

    ``seeds`` are those of the whole fit: split, training, path, pruning rows, fine-tuning.
    """

    chooser: Policy | Criterion
    budget: float | int | str
    budget_unit: str
    options: PathOptions
    fine_tuning: FineTuning
    tolerance: float
    max_pruning_rows: int
    seeds: tuple[int, ...]
    keep_path: bool
    progress: Progress


@dataclass
class Pruned:
    """What came of it."""

    net: Any
    path: PruningPath
    report: PruningReport
    chosen: int
    chooser: Policy | Criterion


def prune(
    net: Any,
    task: Task,
    plan: PruningPlan,
    seconds_training: float,
    known: Known | None = None,
) -> Pruned:
    """Walk the path, choose a step of it, fine-tune, report.

    Ctrl-C ends what is going on, and what was done until then is kept and reported; a
    second one is raised.

    Parameters
    ----------
    net : skorch net
        Trained; left as it is.
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
    patience, progress = Patience(), plan.progress
    _, _, path_seed, rows_seed, tuning_seed = plan.seeds

    started = time.perf_counter()
    rows, original, budget = patience.run(lambda: _set_up(net, task, plan))
    activations = patience.run(
        lambda: Activations(original, _some(rows, plan.max_pruning_rows, rows_seed))
    )
    patience.run(lambda: _check_outputs(activations))
    n_going = budget.target if budget.unit == "neurons" else sum(original.sizes)
    with progress.stage("pruning", n_going, "neurons"):
        walk = patience.run(
            lambda: pruning_path(
                activations,
                plan.chooser,
                # After Ctrl-C: the unpruned network alone, in numbers.
                replace(budget, target=0) if patience.happened else budget,
                plan.options,
                Surroundings(
                    score=lambda graph: task.score(net, graph),
                    on_step=lambda step: progress.advance(len(step.removed), *_told(step)),
                ),
                path_seed,
                known=known,
            )
        )
    patience.happened |= walk.interrupted
    walk.interrupted = patience.happened
    seconds_pruning = time.perf_counter() - started
    if known is not None:
        # Where rounds were walked before, the time it took then counts.
        n_known = min(walk.n_replayed + 1, len(walk.steps))
        seconds_pruning += sum(fact["seconds"] for fact in known.facts[1:n_known])

    started = time.perf_counter()
    tuner = _Tuner(net, task, plan, rows, original, walk, tuning_seed, patience)
    with progress.stage("fine-tuning", tuner.most_epochs(), "epochs"):
        if plan.budget == "auto" and not walk.interrupted:
            chosen = tuner.smallest_within(walk.steps[0].score - plan.tolerance)
        else:
            chosen = len(walk.steps) - 1
        pruned = tuner.tuned(chosen)
        progress.tell(*_told(walk.steps[chosen], tuner.scores[chosen]))
    seconds_tuning = time.perf_counter() - started

    fine_tuned = {number: tuner.scores[number] for number in sorted(tuner.fine_tuned)}
    path = patience.run(lambda: PruningPath.of(walk.steps, fine_tuned, plan.keep_path))
    final = patience.run(lambda: recover_graph(pruned.module_, few(rows.x)))
    spread = patience.run(lambda: spread_of(rows.x))
    if plan.keep_path:
        path.resume = patience.run(lambda: _resume(plan, net, walk, spread))
    before, after, batch_size = patience.run(lambda: _measure(net, task, [original, final], rows))
    found = _complaints(walk, chosen, tuner, plan, len(task.validation))
    found += unscored(walk.steps[0].score, task.score_name)
    found += rounded_away(plan.budget, budget, plan.options.min_neurons)
    found += slower(before, after, batch_size)
    progress.clear()
    for text in found:
        warnings.warn(text, PruningWarning, stacklevel=4)
    report = PruningReport(
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
        confidence=mean_confidence(path.confidence),
        seconds_training=seconds_training,
        seconds_pruning=seconds_pruning,
        seconds_fine_tuning=seconds_tuning,
        unused_features=unused_features(final, spread),
        warnings=(*found, *unfinished(net)),
        interrupted=patience.happened,
    )
    return Pruned(pruned, path, report, chosen, walk.chooser)


def _set_up(net: Any, task: Task, plan: PruningPlan) -> tuple[Samples, Graph, Budget]:
    """Training rows, the network read as a chain, and what is to go."""
    rows = samples_of(net, task.data)
    original = recover_graph(net.module_, few(rows.x))
    sizes, least = original.sizes, plan.options.min_neurons
    return rows, original, Budget.of(plan.budget, plan.budget_unit, sizes, original.cost, least)


def _check_outputs(activations: Activations) -> None:
    """Refuse a network that gives no numbers for some rows: nothing can be measured on it."""
    rows = activations.samples
    with torch.no_grad():
        if activations.keeps:
            outputs = activations.logits.T
        else:
            outputs = run_in_parts(activations.graph.forward, rows.x)
        finite = torch.isfinite(outputs).all(dim=1)
    if not bool(finite.all()):
        raise ValueError(
            f"The trained network returns infinity or NaN for {int((~finite).sum()):,} of "
            f"{len(rows):,} rows: its weights or the features are too large. Scale the features "
            "(StandardScaler), and lower the net's lr."
        )


def _told(step: Step, score: float | None = None) -> tuple[str, str]:
    """What the progress display says of a step."""
    return (
        f"{sum(step.sizes)} neurons left",
        f"score {step.score if score is None else score:.4f}",
    )


class _Tuner:
    """Fine-tunes steps of a walk when asked, each once."""

    def __init__(
        self,
        net: Any,
        task: Task,
        plan: PruningPlan,
        rows: Samples,
        original: Graph,
        walk: Walk,
        seed: int,
        patience: Patience,
    ):
        self.net, self.task, self.plan, self.walk, self.seed = net, task, plan, walk, seed
        self.rows, self.patience = rows, patience
        self.epochs = 0
        self.scores: dict[int, float] = {}
        self.fine_tuned: set[int] = set()
        self._nets: dict[int, Any] = {}
        self._teacher: torch.Tensor | None = None
        self._original = original

    def most_epochs(self) -> int:
        """Epochs of fine-tuning that are to come, at most."""
        epochs, n_kept = sum(self.plan.fine_tuning.cycles), len(self._kept())
        return epochs * (1 + math.ceil(math.log2(n_kept))) if self.plan.budget == "auto" else epochs

    def tuned(self, number: int) -> Any:
        """The net of a step, fine-tuned; the unpruned network stays as it was trained."""
        if number not in self._nets:
            net, graph = self.patience.run(lambda: self._made(number))
            self.scores[number] = self.patience.run(lambda: self.task.score(self.net, graph))
            self._nets[number] = net
        return self._nets[number]

    def _made(self, number: int) -> tuple[Any, Graph]:
        """A net of a step and its graph; not fine-tuned after Ctrl-C."""
        step = self.walk.steps[number]
        assert step.graph is not None
        net = net_around(self.net, step.graph)
        if number == 0 or not self.plan.fine_tuning.cycles or self.patience.happened:
            return net, step.graph
        self._fine_tune(net, step)
        graph = recover_graph(net.module_, few(self.rows.x))
        self.fine_tuned.add(number)
        return net, graph

    def _kept(self) -> list[int]:
        return [k for k, step in enumerate(self.walk.steps) if step.graph is not None]

    def smallest_within(self, least: float) -> int:
        """The smallest kept step whose fine-tuned score reaches `least`, by bisection."""
        kept = self._kept()
        good, bad = 0, len(kept)
        # Scores fall along the path, but for noise: the last one is tried first.
        probe = len(kept) - 1
        while bad - good > 1 and not self.patience.happened:
            self.tuned(kept[probe])
            if self.scores[kept[probe]] >= least:
                good = probe
            else:
                bad = probe
            probe = (good + bad) // 2
        return kept[good]

    def _fine_tune(self, net: Any, step: Step) -> None:
        options = self.plan.fine_tuning
        if self._teacher is None and options.distillation:
            with torch.no_grad():
                self._teacher = run_in_parts(self._original.forward, self.rows.x)
        validation = samples_of(self.net, self.task.validation)

        def on_epoch(number: int) -> None:
            self.epochs += 1
            self.plan.progress.advance(1, *_told(step))

        wanted = validation_losses(uncompiled(self.net.module_), validation)
        fine_tune(net, self.rows, validation, self._teacher, options, self.seed, on_epoch, wanted)


def _some(rows: Samples, most: int, seed: int) -> Samples:
    """At most so many rows, drawn without replacement."""
    if len(rows) <= most:
        return rows
    index = np.sort(np.random.default_rng(seed).permutation(len(rows))[:most])
    return rows.at(torch.as_tensor(index, device=rows.x.device))


def _complaints(
    walk: Walk, chosen: int, tuner: _Tuner, plan: PruningPlan, n_validation: int
) -> list[str]:
    """What did not go as asked."""
    found = []
    step = walk.steps[chosen]
    score, unpruned = tuner.scores[chosen], walk.steps[0].score
    if walk.interrupted:
        found.append(
            f"Pruning was interrupted: the network of the last finished round is kept, "
            f"{sum(walk.steps[0].sizes) - sum(step.sizes)} of {sum(walk.steps[0].sizes)} neurons "
            "are gone, and it was not fine-tuned."
        )
        return found
    if tuner.patience.happened:
        if plan.budget == "auto":
            kept = "the smallest network that was good enough by then is kept."
        elif chosen in tuner.fine_tuned or not plan.fine_tuning.cycles:
            kept = "the network was finished, and is kept."
        else:
            kept = "the pruned network is kept as it was before."
        found.append(f"Fine-tuning was interrupted after {tuner.epochs} epochs: {kept}")
    # A single validation row more or less is no news.
    allowed = max(plan.tolerance, 1.0001 / n_validation)
    if plan.budget != "auto" and score < unpruned - allowed:
        found.append(
            f"pruning_budget={plan.budget!r} costs more than tolerance={plan.tolerance}: the "
            f"score on {n_validation:,} validation rows fell from {unpruned:.4f} to {score:.4f}. "
            "Lower pruning_budget, raise fine_tune_epochs, or let pruning_budget='auto' find the "
            "smallest network within tolerance."
        )
    return found


def _measure(
    net: Any, task: Task, graphs: list[Graph], rows: Samples
) -> tuple[Measured, Measured, int]:
    """Both networks in numbers, and the rows of the batch they were timed on."""
    batch = rows.x[:_BATCH_ROWS]
    networks = [graph.forward for graph in graphs]
    one, many = milliseconds(networks, batch[:1]), milliseconds(networks, batch)
    before, after = (
        Measured(
            graph.sizes,
            *graph.cost(),
            graph.n_bytes,
            one[k],
            many[k],
            task.score(net, graph),
            task.loss(net, graph),
        )
        for k, graph in enumerate(graphs)
    )
    return before, after, len(batch)


def _resume(plan: PruningPlan, net: Any, walk: Walk, spread: NDArray[np.float64]) -> Resume:
    """What this path leaves for others."""
    return Resume(
        seeds=plan.seeds,
        options=plan.options,
        chooser=clone(plan.chooser),
        n_epochs=len(net.history or []),
        states={k: step.state for k, step in enumerate(walk.steps) if step.state is not None},
        spread=spread,
    )
