"""One fit as a story: a trained net, a path, a step chosen, a smaller net fine-tuned."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone

from .chain import Chain, recover_chain
from .criteria import Criterion
from .evaluation import Rows
from .exceptions import PruningWarning
from .latency import milliseconds
from .path import PathOptions, Walk, pruning_path
from .policies.base import Policy
from .progress import Progress
from .report import Measured, PruningPath, PruningReport
from .resuming import Known, Resume
from .schedules import Budget
from .shrinking import net_around
from .training import Data, FineTuning, fine_tune, rows_of

_BATCH_ROWS = 1000


@dataclass(frozen=True)
class Task:
    """What a fit is about, whatever the estimator.

    Parameters
    ----------
    data, validation : Data
        Training and validation rows.
    score : callable
        Net and chain to the validation score.
    loss : callable
        Net and chain to the validation log-loss or root mean squared error.
    score_name, loss_name : str
    """

    data: Data
    validation: Data
    score: Callable[[Any, Chain], float]
    loss: Callable[[Any, Chain], float]
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
    verbose: int


@dataclass
class Pruned:
    """What came of it."""

    net: Any
    path: PruningPath
    report: PruningReport
    chosen: int


def prune(
    net: Any,
    task: Task,
    plan: PruningPlan,
    seconds_training: float,
    known: Known | None = None,
) -> Pruned:
    """Walk the path, choose a step of it, fine-tune, report.

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
    rows = rows_of(net, task.data)
    original = recover_chain(net.module_, rows.x[:64])
    budget = Budget.of(
        plan.budget,
        plan.budget_unit,
        original.hidden_sizes,
        original.cost,
        plan.options.min_neurons,
    )
    _, _, path_seed, rows_seed, tuning_seed = plan.seeds

    started = time.perf_counter()
    n_going = budget.target if budget.unit == "neurons" else sum(original.hidden_sizes)
    with Progress("pruning", n_going, "neurons", plan.verbose) as progress:
        walk = pruning_path(
            original,
            _some(rows, plan.max_pruning_rows, rows_seed),
            plan.chooser,
            budget,
            plan.options,
            score=lambda chain: task.score(net, chain),
            seed=path_seed,
            on_step=lambda step: progress.advance(
                len(step.removed), left=sum(step.sizes), score=f"{step.score:.4f}"
            ),
            known=known,
        )
    seconds_pruning = time.perf_counter() - started
    if known is not None:
        # Where rounds were walked before, the time it took then counts.
        n_known = min(walk.n_replayed + 1, len(walk.steps))
        seconds_pruning += sum(fact["seconds"] for fact in known.facts[1:n_known])

    started = time.perf_counter()
    tuner = _Tuner(net, task, plan, rows, original, walk, tuning_seed)
    if plan.budget == "auto" and not walk.interrupted:
        chosen = tuner.smallest_within(walk.steps[0].score - plan.tolerance)
    else:
        chosen = len(walk.steps) - 1
    pruned = tuner.tuned(chosen)
    seconds_tuning = time.perf_counter() - started

    found = _complaints(walk, chosen, tuner, plan, len(task.validation))
    for text in found:
        warnings.warn(text, PruningWarning, stacklevel=4)
    final = recover_chain(pruned.module_, rows.x[:64])
    spread = rows.x.double().std(dim=0, correction=0).cpu().numpy()
    before, after, batch_rows = _measure(net, task, [original, final], rows)
    found += hints(net, before, after, batch_rows)
    report = PruningReport(
        before=before,
        after=after,
        score_name=task.score_name,
        loss_name=task.loss_name,
        n_validation=len(task.validation),
        batch_rows=batch_rows,
        n_pulls=sum(step.n_pulls for step in walk.steps),
        n_evaluations=sum(step.n_evaluations for step in walk.steps),
        n_backward=sum(step.n_backward for step in walk.steps),
        n_rounds=len(walk.steps) - 1,
        n_fine_tune_epochs=tuner.epochs,
        seconds_training=seconds_training,
        seconds_pruning=seconds_pruning,
        seconds_fine_tuning=seconds_tuning,
        unused_features=unused_features(final, spread),
        warnings=tuple(found),
        interrupted=tuner.interrupted,
    )
    fine_tuned = {number: tuner.scores[number] for number in sorted(tuner.fine_tuned)}
    path = PruningPath.of(walk.steps, fine_tuned, plan.keep_path)
    if plan.keep_path:
        path.resume = _resume(plan, net, walk, spread)
    return Pruned(pruned, path, report, chosen)


class _Tuner:
    """Fine-tunes steps of a walk when asked, each once."""

    def __init__(
        self,
        net: Any,
        task: Task,
        plan: PruningPlan,
        rows: Rows,
        original: Chain,
        walk: Walk,
        seed: int,
    ):
        self.net, self.task, self.plan, self.walk, self.seed = net, task, plan, walk, seed
        self.rows, self.validation = rows, rows_of(net, task.validation)
        self.epochs = 0
        self.interrupted = walk.interrupted
        self.scores: dict[int, float] = {}
        self.fine_tuned: set[int] = set()
        self._nets: dict[int, Any] = {}
        self._teacher: torch.Tensor | None = None
        self._original = original

    def tuned(self, number: int) -> Any:
        """The net of a step, fine-tuned; the unpruned network stays as it was trained."""
        if number not in self._nets:
            step = self.walk.steps[number]
            assert step.chain is not None
            net = net_around(self.net, step.chain)
            chain = step.chain
            if number and self.plan.fine_tuning.epochs and not self.interrupted:
                self._fine_tune(net)
                if not self.interrupted:
                    self.fine_tuned.add(number)
                chain = recover_chain(net.module_, self.rows.x[:64])
            self._nets[number] = net
            self.scores[number] = self.task.score(self.net, chain)
        return self._nets[number]

    def smallest_within(self, least: float) -> int:
        """The smallest kept step whose fine-tuned score reaches `least`, by bisection."""
        kept = [k for k, step in enumerate(self.walk.steps) if step.chain is not None]
        good, bad = 0, len(kept)
        # Scores fall along the path, but for noise: the last one is tried first.
        probe = len(kept) - 1
        while bad - good > 1 and not self.interrupted:
            self.tuned(kept[probe])
            if self.scores[kept[probe]] >= least:
                good = probe
            else:
                bad = probe
            probe = (good + bad) // 2
        return kept[good]

    def _fine_tune(self, net: Any) -> None:
        options = self.plan.fine_tuning
        if self._teacher is None and options.distillation:
            with torch.no_grad():
                self._teacher = self._original.forward(self.rows.x)
        with Progress("fine-tuning", options.epochs, "epochs", self.plan.verbose) as progress:
            try:
                fine_tune(
                    net,
                    self.rows,
                    self.validation,
                    self._teacher,
                    options,
                    self.seed,
                    on_epoch=lambda number: progress.advance(1),
                )
            except KeyboardInterrupt:
                # The network is trained and pruned: it stays as it was before fine-tuning.
                self.interrupted = True
        self.epochs += progress.done


def _some(rows: Rows, most: int, seed: int) -> Rows:
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
    if tuner.interrupted:
        found.append(
            f"Fine-tuning was interrupted after {tuner.epochs} epochs: the smallest network that "
            "was good enough by then is kept."
            if plan.budget == "auto"
            else f"Fine-tuning was interrupted after {tuner.epochs} epochs: the pruned network is "
            "kept as it was before."
        )
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
    net: Any, task: Task, chains: list[Chain], rows: Rows
) -> tuple[Measured, Measured, int]:
    """Both networks in numbers, and the rows of the batch they were timed on."""
    batch = rows.x[:_BATCH_ROWS]
    networks = [chain.forward for chain in chains]
    one, many = milliseconds(networks, batch[:1]), milliseconds(networks, batch)
    before, after = (
        Measured(
            chain.hidden_sizes,
            *chain.cost(),
            chain.n_bytes,
            one[k],
            many[k],
            task.score(net, chain),
            task.loss(net, chain),
        )
        for k, chain in enumerate(chains)
    )
    return before, after, len(batch)


def hints(net: Any, before: Measured, after: Measured, batch_rows: int) -> list[str]:
    """What a user should know of a network that is as it was asked for."""
    found = []
    pruned = after.hidden_layer_sizes != before.hidden_layer_sizes
    if pruned and after.ms_batch >= before.ms_batch:
        found.append(
            f"the smaller network is not faster: {before.ms_batch:.3f} ms before, "
            f"{after.ms_batch:.3f} ms after for {batch_rows:,} rows. At this size the cost of a "
            "call outweighs the arithmetic."
        )
    if getattr(net, "early_stopping", False) and len(net.history or []) >= net.max_epochs:
        found.append(
            f"the training took all of its max_epochs={net.max_epochs} epochs: a larger max_epochs "
            "may give a better network. Are the features scaled?"
        )
    return found


def unused_features(chain: Chain, spread: NDArray[np.float64]) -> tuple[int, ...]:
    """Features whose spread, times their largest weight, is nothing beside the others'."""
    if chain.head:
        return ()
    largest = chain.stages[0].linear.weight.detach().double().abs().amax(dim=0)
    used = largest.cpu().numpy() * spread
    return tuple(int(k) for k in np.flatnonzero(used <= 1e-9 * max(used.max(), 1e-300)))


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
