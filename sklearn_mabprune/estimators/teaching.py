"""The part of a fit before the initial training: what the network is to learn from a teacher."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np
from scipy.sparse import issparse

from ..data.losses import check_soft_labels
from ..graph.graph import Graph
from ..reports.teaching import TeacherReport
from ..training.conversion import dtype_of
from ..training.initial import train
from ..training.lessons import (
    UNSEEN,
    Lessons,
    mixed,
    out_of_fold,
    synthetic_count,
    with_synthetic,
)
from ..training.paired_losses import paired_losses
from ..training.predicting import network_outputs
from ..training.teacher import Teacher, resolve_teacher
from ..training.teacher_targets import Floats, Targets
from ..training.teacher_weight import UNKNOWN, Comparison, compare
from ..utils.compat import uncompiled
from ..utils.interruptions import Interruptions
from ..utils.progress import Progress
from ..utils.randomness import draw_seeds
from ..utils.side_by_side import Turn
from .caching import cached
from .peers import Peers, folds_of_peers, loss_of, trained_alone, trained_peers
from .plan import Task, Teaching


@dataclass(frozen=True)
class Classroom:
    """A network that is to be taught, and the fit around it.

    Parameters
    ----------
    model : MABPrunedClassifier or MABPrunedRegressor
        Its parameters are read.
    net : skorch net
    task : Task
    seed : int
        Of the initial training.
    progress : Progress
    interruptions : Interruptions
    trained : bool
        Whether the net was trained before: it is not compared with the teacher then.
    apart : bool
        Whether the validation samples are the user's, which a frozen teacher has not seen.
    known : TeacherReport, optional
        What an earlier fit on the same samples decided.
    networks : tuple of Graph or ModuleNetwork
        Those that the earlier fit trained without the teacher.
    """

    model: Any
    net: Any
    task: Task
    seed: int
    progress: Progress
    interruptions: Interruptions
    trained: bool = False
    apart: bool = False
    known: TeacherReport | None = None
    networks: tuple[Any, ...] = ()

    @property
    def targets(self) -> Targets:
        """What a teacher is asked for."""
        found: Targets = self.model._teacher_targets(self.task.data.n_outputs)
        return found

    @property
    def teacher_seed(self) -> int:
        """Seed of the teacher and of what it labels."""
        return draw_seeds(self.seed, 4)[3]


#: Training samples below which the network is trained without the teacher, too.
_FEW = 3000


class _Ready(Exception):  # noqa: N818 - it ends a rehearsal and is no error
    """A net has passed all checks before the first epoch."""


def taught(room: Classroom) -> Task:
    """The task with a teacher's labels, if they are worth anything to the network.

    Parameters
    ----------
    room : Classroom

    Returns
    -------
    Task

    Raises
    ------
    ValueError
        If the teacher cannot be used, or fails.
    """
    model, data, seed = room.model, room.task.data, room.teacher_seed
    teacher = resolve_teacher(model.teacher, data.x, room.targets, data.table)
    n_synthetic = synthetic_count(model.n_synthetic, data)
    _check_use(model, teacher, n_synthetic)
    _check_net(room)
    notes = _notes(room, teacher)
    if room.known is not None and not (room.known.used or model.keep_teacher):
        return replace(room.task, teaching=Teaching(None, room.known, None, notes))
    lessons, seconds = _labelled(room, teacher)
    started = time.perf_counter()
    peers = _peers(room, lessons)
    own = None if peers is None else peers.out_of_fold(data, lessons.out_of_fold.shape[1])
    found, loss_alone = _compared(room, lessons, own)
    loss_alone = loss_alone if peers is None else peers.loss
    seconds_comparison = time.perf_counter() - started
    weight, n_synthetic = _decided(room, found, n_synthetic)
    started = time.perf_counter()
    if n_synthetic or model.keep_teacher:
        more = cached(model.memory, with_synthetic, ["encode"])
        encode = None if data.table is None else data.table.encode
        with room.interruptions.raised():
            lessons = more(lessons, n_synthetic, data.bare, seed, encode)
    seconds += time.perf_counter() - started
    report = room.known or _report(lessons, found, weight)
    networks: tuple[Any, ...] = ()
    if peers is not None and own is not None and report.used:
        networks, share = peers.networks, found.part if room.known is None else report.share
        lessons = peers.averaged(lessons, own, share)
        report = replace(report, share=share, n_networks=len(peers.networks))
    report = replace(report, seconds_teacher=seconds, seconds_comparison=seconds_comparison)
    samples = mixed(data, lessons, weight, room.targets) if report.used else None
    kept = lessons.fitted if model.keep_teacher else None
    teaching = Teaching(samples, report, kept, notes, loss_alone, networks)
    return replace(room.task, teaching=teaching)


def _labelled(room: Classroom, teacher: Teacher) -> tuple[Lessons, float]:
    """Out-of-fold labels, and the seconds that they took."""
    started, cv = time.perf_counter(), room.model.teacher_cv
    labelled = cached(room.model.memory, out_of_fold, ["on_fit"])
    n_fits = cv if isinstance(cv, Integral) else 1
    with room.progress.stage("teacher", int(n_fits), "fits"), room.interruptions.raised():
        lessons: Lessons = labelled(
            teacher, cv, room.task.data.bare, room.teacher_seed, on_fit=room.progress.advance
        )
    return lessons, time.perf_counter() - started


def _check_use(model: Any, teacher: Teacher, n_synthetic: int) -> None:
    """Refuse parameters that contradict each other."""
    if model.teacher_cv == UNSEEN and not teacher.frozen:
        raise ValueError(
            "teacher_cv='unseen' says that a fitted teacher has not seen X, but this teacher is "
            "not fitted. Pass FrozenEstimator(fitted), or a number of folds."
        )
    if teacher.frozen and model.teacher_cv != UNSEEN and not n_synthetic:
        raise ValueError(
            "A frozen teacher labels synthetic samples only, since it may have been fitted on X, "
            f"and there are none: n_synthetic={model.n_synthetic!r}, and sparse X has none. Pass "
            "teacher_cv='unseen' if it was fitted on other samples, or a teacher without "
            "FrozenEstimator."
        )


def _check_net(room: Classroom) -> None:
    """Refuse a net that cannot be trained on soft labels before the teacher takes any time."""
    data = room.task.data

    def check(net: Any) -> None:
        dtype = str(dtype_of(net.module_)).removeprefix("torch.")
        soft = room.targets.soft(data.y[:2])
        check_soft_labels(uncompiled(net.criterion_), soft.astype(dtype))

    def on_start(net: Any, graph: Graph) -> None:
        room.model._check_start(net, graph, room.task)
        check(net)
        raise _Ready

    if room.trained:
        check(room.net)
        return
    with suppress(_Ready):
        train(room.net, data.encoded, room.task.validation, room.seed, on_start)


def _peers(room: Classroom, lessons: Lessons) -> Peers | None:
    """Networks that are trained without the teacher, or those of an earlier fit.

    None where the user decided how much the teacher counts, and where there are no folds.
    """
    folds, given = folds_of_peers(lessons), room.model.teacher_weight
    if room.known is not None:
        if len(room.networks) != len(folds):  # none were kept, or the samples are others
            return None
        return Peers(room.net, room.networks, folds) if folds else None
    if not (folds and isinstance(given, str)) or room.trained:
        return None
    return trained_peers(room, folds)


def _compared(room: Classroom, lessons: Lessons, own: Floats | None) -> tuple[Comparison, float]:
    """The teacher beside networks that were trained without it, where both have not seen samples.

    `own` are the predictions of networks for training samples that they have not seen.  Also the
    validation loss of a network that is trained here, where there are no folds; else infinity.
    """
    teacher, loss, outputs = lessons.teacher, math.inf, None
    if lessons.folds:
        known = lessons.labelled
        if own is not None:
            known = known & np.isfinite(own).all(axis=1)
            outputs = own[known]
        unseen, labels = room.task.data.at(np.flatnonzero(known)), lessons.out_of_fold[known]
    elif room.apart and not teacher.sees_table:
        unseen, labels = room.task.validation, teacher.labels(teacher.model, room.task.validation.x)
        if isinstance(room.model.teacher_weight, str) and not room.trained:
            with room.progress.stage("comparison", room.net.max_epochs, "epochs"):
                net, network = trained_alone(room, room.task.data, Turn(room.interruptions))
            outputs = network_outputs(net, network.forward, unseen.x).astype(np.float64)
            loss = loss_of(net, room.task)
    else:
        return UNKNOWN, math.inf
    return compare(teacher.targets, labels, outputs, unseen.y, unseen.weights), loss


def trained(
    model: Any,
    net: Any,
    task: Task,
    seed: int,
    progress: Progress,
    interruptions: Interruptions,
) -> tuple[Any, Graph, Task]:
    """The trained net, its graph, and the task: without the teacher if that was better.

    A network that was taught and yet is worse than those that the teacher was compared with,
    which had fewer samples, is trained again without the teacher.  Where samples are few, the
    comparison rests on few of them and says little: both networks are trained then.
    """
    found, graph = model._train(net, task, seed, progress, interruptions)
    if task.teaching is None or task.teaching.taught is None:
        return found, graph, task
    loss, compared = loss_of(found, task), task.teaching.loss_alone
    if loss > compared or (len(task.data) < _FEW and math.isfinite(compared)):
        alone = _without_teacher(task, task.teaching)
        other, its_graph = model._train(net, alone, seed, progress, interruptions)
        if paired_losses(found, other, task.validation).pays:
            return other, its_graph, alone
    return found, graph, task


def _without_teacher(task: Task, teaching: Teaching) -> Task:
    """The task where the teacher turned out to harm the network: its labels are not used."""
    unused = replace(teaching.report, weight=0.0, n_labelled=0, n_synthetic=0)
    return replace(task, teaching=replace(teaching, taught=None, report=unused))


def _decided(room: Classroom, found: Comparison, n_synthetic: int) -> tuple[float, int]:
    """Weight of the teacher and number of synthetic samples.

    They are the user's, those of an earlier fit, or what the comparison says.
    """
    if room.known is not None:
        return room.known.weight, room.known.n_synthetic
    given = room.model.teacher_weight
    weight = found.weight if isinstance(given, str) else float(given)
    return weight, n_synthetic if weight else 0


def _report(lessons: Lessons, found: Comparison, weight: float) -> TeacherReport:
    """What the report of the fit says of the teacher, but for its seconds."""
    teacher = lessons.teacher
    labelled = int(lessons.labelled.sum())
    return TeacherReport(
        name=teacher.name,
        saw="columns" if teacher.sees_table else "features",
        weight=weight,
        teacher_score=found.teacher_score,
        network_score=found.network_score,
        teacher_loss=found.teacher_loss,
        network_loss=found.network_loss,
        score_name=teacher.targets.score_name,
        loss_name=teacher.targets.loss_name,
        n_compared=found.n_compared,
        n_folds=lessons.n_folds,
        n_labelled=labelled if weight else 0,
        n_synthetic=0 if lessons.synthetic is None else len(lessons.synthetic),
        seconds_teacher=0.0,
        seconds_comparison=0.0,
        temperature=lessons.temperature,
    )


def _notes(room: Classroom, teacher: Teacher) -> tuple[str, ...]:
    """What the user should know, said once a fit."""
    model, data, known = room.model, room.task.data, room.known
    notes = []
    if known is not None and known.used and known.saw == "columns" and data.table is None:
        notes.append(
            "The teacher of fit saw the columns of the table, and here it sees encoded features: "
            "the network is not that of a fit with this budget. Call at_budget of the pipeline."
        )
    if known is not None and known.used and known.n_networks and not room.networks:
        notes.append(
            "The networks with which the teacher's labels were averaged were not saved: the "
            "network is not that of a fit with this budget. Call at_budget of the fitted estimator."
        )
    if issparse(data.x) and not isinstance(model.n_synthetic, str) and model.n_synthetic:
        notes.append(
            f"n_synthetic={model.n_synthetic!r}: X is sparse, and features of sparse samples are "
            "not exchanged. There are no synthetic samples; the teacher labels training samples."
        )
    if data.weights is not None and not teacher.frozen and not teacher.takes_weights:
        notes.append(
            f"The teacher {teacher.name} takes no sample weights, so it was fitted without. The "
            "network was trained with them."
        )
    return tuple(notes)
