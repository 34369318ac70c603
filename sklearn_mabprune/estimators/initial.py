"""The initial training of a fit, and the choice of the network's inputs before it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from ..exceptions import PruningWarning
from ..graph.graph import Graph
from ..reports.inputs import InputsReport
from ..reports.notes import unfinished
from ..training.beside import trained_beside
from ..training.initial import WATCHING, train
from ..training.input_choice import of_all_samples, samples_to_compare
from ..training.paired_losses import paired_losses
from ..utils.interruptions import Interruptions
from ..utils.progress import Progress
from ..utils.side_by_side import Turn
from .caching import cached
from .plan import Alone, Task

_NEVER_FOUND = (
    "memory is set, but random_state=None: each fit draws a seed of its own, so that no fit finds "
    "the training of another one. Pass an integer random_state."
)


class TrainsNets:
    """Methods of an estimator that trains a net before it prunes it."""

    memory: Any
    random_state: Any
    verbose: int
    _check_start: Callable[..., None]

    def _train(
        self, net: Any, task: Task, seed: int, progress: Progress, interruptions: Interruptions
    ) -> tuple[Any, Graph]:
        """The trained net and its graph; those of the choice of inputs, if they are the same."""
        if self.memory is not None and self.random_state is None:
            progress.clear()
            warnings.warn(_NEVER_FOUND, PruningWarning, stacklevel=5)
        with progress.stage("training", net.max_epochs, "epochs"):
            if task.taught is None and task.alone is not None:
                trained = task.alone.net, task.alone.graph
            else:
                trained = self._trained_on(net, task, seed, progress, Turn(interruptions))
        for text in unfinished(trained[0]):
            progress.clear()
            warnings.warn(text, ConvergenceWarning, stacklevel=5)
        return trained

    def _trained_on(
        self, net: Any, task: Task, seed: int, progress: Progress, turn: Turn
    ) -> tuple[Any, Graph]:
        """As `_train`, from the cache of `memory` if it has them, and without its stage."""

        def on_epoch(trained: Any) -> None:
            loss = trained.history[-1].get("valid_loss", np.nan)
            turn.step(lambda: progress.advance(1, f"validation loss {loss:.4f}"))

        found: tuple[Any, Graph] = cached(self.memory, train, WATCHING)(
            net,
            task.data.encoded,
            task.validation,
            seed,
            on_start=lambda untrained, graph: self._check_start(untrained, graph, task),
            on_epoch=on_epoch,
            interruptions=turn.interruptions,
            taught=task.taught,
        )
        return found

    def _timed(
        self, net: Any, task: Task, seed: int, progress: Progress, turn: Turn
    ) -> tuple[tuple[Any, Graph], float]:
        """What `_trained_on` returns, and its seconds."""
        started = time.perf_counter()
        return self._trained_on(net, task, seed, progress, turn), time.perf_counter() - started

    def _with_inputs(
        self,
        other: dict[str, Any],
        net: Any,
        task: Task,
        seed: int,
        progress: Progress,
        interruptions: Interruptions,
    ) -> tuple[Any, Task]:
        """The net, with its own or `other` parameters, and the task with what is known of both.

        Both are trained without the teacher; the validation samples decide.
        """
        some = replace(task, data=samples_to_compare(task.data.encoded, seed))
        nets = [net, clone(net).set_params(**other)]
        started, compared = time.perf_counter(), nets
        if len(some.data) < len(task.data):
            compared = [clone(net).set_params(**of_all_samples(net, task.data)), nets[1]]
        calls = [partial(self._timed, each, some, seed, progress) for each in compared]
        with progress.stage("inputs", 2 * net.max_epochs, "epochs"):
            found = trained_beside(net, calls, some.data, interruptions, self.memory)
        seconds, both = time.perf_counter() - started, [trained for trained, _ in found]
        losses = paired_losses(both[0][0], both[1][0], task.validation)
        chosen = int(losses.pays)
        sizes = [_n_functions(each) for each, _ in both]
        report = InputsReport(
            n_functions=sizes[chosen],
            n_default=sizes[0],
            n_tried=sizes[1],
            loss_default=losses.default,
            loss_tried=losses.tried,
            error=losses.error,
            n_samples=len(some.data),
            seconds=seconds,
        )
        alone = None
        if len(some.data) == len(task.data):
            # Its part of the stage: both may have been trained at the same time.
            part = found[chosen][1] / sum(taken for _, taken in found)
            alone = Alone(*both[chosen], part * seconds)
        return nets[chosen], replace(task, inputs=report, alone=alone)


def _n_functions(net: Any) -> int:
    """Functions of each feature of a trained net."""
    stage = net.input_stage_
    return 0 if stage is None else int(stage.arguments["n_functions"])
