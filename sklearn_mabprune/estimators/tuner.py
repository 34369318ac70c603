"""Fine-tuning of the steps of a path, each when it is asked for."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any

import torch

from ..ablation.unread import without_unread
from ..data.samples import Samples
from ..graph.compact import compact, with_weights_of
from ..pruning.path import Step, Walk
from ..training.conversion import samples_of
from ..training.fine_tuning import draws, fine_tune, validation_losses
from ..training.predicting import run_in_parts
from ..training.rebuilding import net_around
from ..utils.compat import uncompiled
from ..utils.randomness import global_generators
from ..utils.words import counted
from .plan import PruningPlan, Task


def told(step: Step, score: float | None = None) -> tuple[str, str]:
    """What the progress display says about a step."""
    return (
        f"{counted(sum(step.sizes), 'neuron')} left",
        f"score {step.score if score is None else score:.4f}",
    )


class Tuner:
    """Fine-tunes steps of a walk when asked, each once.

    Parameters
    ----------
    net : skorch net
        The unpruned net; left as it is.
    task : Task
    plan : PruningPlan
    samples : Samples
        All training samples; where a teacher is used, those that it taught take their place.
    walk : Walk

    Attributes
    ----------
    epochs : int
        Epochs of fine-tuning so far.
    scores : dict of int to float
        Validation score of each step that was asked for.
    graphs : dict of int to Graph or SmallModule
        Its network.
    fine_tuned : set of int
        The steps among them that were fine-tuned, to the end.
    """

    def __init__(self, net: Any, task: Task, plan: PruningPlan, samples: Samples, walk: Walk):
        self.net, self.task, self.plan = net, task, plan
        self.own = samples
        self.samples = samples if task.taught is None else samples_of(net, task.taught)
        self.walk = walk
        self.interruptions, self.seed = plan.interruptions, plan.seeds[4]
        self.epochs = 0
        self.scores: dict[int, float] = {}
        self.graphs: dict[int, Any] = {}
        self.fine_tuned: set[int] = set()
        self._nets: dict[int, Any] = {}
        self._teacher: torch.Tensor | None = None

    def most_epochs(self) -> int:
        """Largest number of epochs of fine-tuning that may follow."""
        epochs, n_kept = sum(self.plan.fine_tuning.cycles), len(self._kept())
        return epochs * (1 + math.ceil(math.log2(n_kept))) if self.plan.budget == "auto" else epochs

    def choose(self) -> int:
        """The step to end at: the last one, or for "auto" the smallest within tolerance."""
        if self.plan.budget != "auto" or self.walk.interrupted:
            return len(self.walk.steps) - 1
        return self.smallest_within(self.walk.steps[0].score - self.plan.tolerance)

    def tuned(self, number: int) -> Any:
        """The net of a step, fine-tuned; that of the unpruned network is left as it was trained."""
        if number not in self._nets:
            net, graph = self._made(number)
            self.scores[number] = self.task.score(self.net, graph)
            self._nets[number], self.graphs[number] = net, graph
        return self._nets[number]

    def smallest_within(self, least: float) -> int:
        """The smallest kept step whose fine-tuned score is at least `least`, by bisection."""
        kept = self._kept()
        good, bad = 0, len(kept)
        # Scores fall along the path, apart from noise: the last one is tried first.
        probe = len(kept) - 1
        while bad - good > 1 and not self.interruptions.happened:
            self.tuned(kept[probe])
            if self.scores[kept[probe]] >= least:
                good = probe
            else:
                bad = probe
            probe = (good + bad) // 2
        return kept[good]

    def _kept(self) -> list[int]:
        return [k for k, step in enumerate(self.walk.steps) if step.graph is not None]

    def _made(self, number: int) -> tuple[Any, Any]:
        """A net of a step and its graph; not fine-tuned after Ctrl-C."""
        step = self.walk.steps[number]
        assert step.graph is not None
        if number and self.plan.fine_tuning.cycles:
            graph = without_unread(step.graph, self.own)
            net = net_around(self.net, graph)
            # The global generators are restored even if Ctrl-C comes while fine_tune does it.
            with (
                global_generators(self.seed, net.device) if draws(net.module_) else nullcontext(),
                self.interruptions.caught(),
                self.interruptions.raised(),
            ):
                self._fine_tune(net, step)
                self.fine_tuned.add(number)
            if number in self.fine_tuned:
                return net, with_weights_of(graph, uncompiled(net.module_))
        return net_around(self.net, step.graph), compact(step.graph)

    def _fine_tune(self, net: Any, step: Step) -> None:
        options, original = self.plan.fine_tuning, self.walk.steps[0].graph
        assert original is not None
        if self._teacher is None and options.distillation:
            with torch.no_grad():
                self._teacher = run_in_parts(compact(original).forward, self.samples.x)
        validation = samples_of(self.net, self.task.validation)

        def on_epoch(number: int) -> None:
            self.epochs += 1
            self.plan.progress.advance(1, *told(step))

        wanted = validation_losses(uncompiled(self.net.module_), validation)
        fine_tune(
            net, self.samples, validation, self._teacher, options, self.seed, on_epoch, wanted
        )
