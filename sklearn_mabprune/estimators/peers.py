"""Networks that are trained without the teacher: it is compared and averaged with them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from ..data.folds import Fold
from ..data.samples import Data
from ..training.auto_size import SelfSizing
from ..training.beside import trained_beside
from ..training.conversion import samples_of
from ..training.fine_tuning import validation_loss
from ..training.initial import WATCHING, train
from ..training.lessons import Lessons, blended
from ..training.predicting import network_outputs
from ..training.teacher_targets import Floats
from ..utils.compat import uncompiled
from ..utils.side_by_side import Turn
from .caching import cached
from .plan import Task

# Networks at most: each of them costs a training.
_MOST = 5
# Their patience at most: an average of several gains nothing by the last epochs of each.
_PATIENCE = 10
# A fold whose training part is smaller than this fraction of the largest one says little.
_SMALLEST = 0.5


@dataclass(frozen=True)
class Peers:
    """Networks that were trained without the teacher, each on the training part of a fold.

    Parameters
    ----------
    net : skorch net
        Says how outputs become predictions.
    networks : tuple of Graph or ModuleNetwork
    folds : tuple of (ndarray of int, ndarray of int)
        Training and test samples of each.
    loss : float
        Mean of their losses on the validation samples; NaN where it is not known.
    """

    net: Any
    networks: tuple[Any, ...]
    folds: tuple[Fold, ...]
    loss: float = np.nan

    def out_of_fold(self, data: Data, n_outputs: int) -> Floats:
        """Predictions for training samples by networks that have not seen them, NaN for others.

        Returns
        -------
        ndarray of shape (n_samples, n_outputs)
        """
        total, times = np.zeros((len(data), n_outputs)), np.zeros((len(data), 1))
        for network, (_, test) in zip(self.networks, self.folds, strict=True):
            total[test] += self._asked(network, data.at(test).x)
            times[test] += 1
        return np.where(times > 0, total / np.maximum(times, 1), np.nan)

    def labels(self, x: Any) -> Floats:
        """Mean prediction of all networks, (n_samples, n_outputs)."""
        found = [self._asked(network, x) for network in self.networks]
        return np.asarray(np.mean(found, axis=0))

    def averaged(self, lessons: Lessons, own: Floats, share: float) -> Lessons:
        """Lessons in whose labels the teacher has a share and these networks the rest.

        Parameters
        ----------
        lessons : Lessons
        own : ndarray of shape (n_samples, n_outputs)
            `out_of_fold` of the training samples.
        share : float in [0, 1]

        Returns
        -------
        Lessons
        """
        more = lessons.synthetic
        return blended(lessons, own, None if more is None else self.labels(more.x), share)

    def _asked(self, network: Any, x: Any) -> Floats:
        return network_outputs(self.net, network.forward, x).astype(np.float64)


def folds_of_peers(lessons: Lessons) -> tuple[Fold, ...]:
    """Folds on which networks are trained: the last ones, but for those with few samples.

    Of folds in the order of time the last ones have most samples.
    """
    most = max((len(train) for train, _ in lessons.folds), default=0)
    large = [fold for fold in lessons.folds if len(fold[0]) >= _SMALLEST * most]
    return tuple(large[-_MOST:])


def trained_peers(room: Any, folds: tuple[Fold, ...]) -> Peers:
    """A network for each fold, of the size and inputs of the one that is to be taught.

    Parameters
    ----------
    room : Classroom
    folds : tuple of (ndarray of int, ndarray of int)

    Returns
    -------
    Peers
    """
    data, room = room.task.data, replace(room, net=_hurried(room.net))
    with room.progress.stage("comparison", len(folds) * room.net.max_epochs, "epochs"):
        calls = [partial(_trained_on_fold, room, fitted) for fitted, _ in folds]
        found = trained_beside(room.net, calls, data, room.interruptions, room.model.memory)
    networks = tuple(network for _, network in found)
    loss = float(np.mean([loss_of(net, room.task) for net, _ in found]))
    return Peers(found[0][0], networks, folds, loss)


def _hurried(net: Any) -> Any:
    """A net that stops earlier, if it is one of ours."""
    if not isinstance(net, SelfSizing) or net.patience <= _PATIENCE:
        return net
    return clone(net).set_params(patience=_PATIENCE)


def loss_of(net: Any, task: Task) -> float:
    """Loss of a trained net on the validation samples."""
    return validation_loss(uncompiled(net.module_), samples_of(net, task.validation))


def _trained_on_fold(room: Any, fitted: NDArray[np.intp], turn: Turn) -> tuple[Any, Any]:
    return trained_alone(room, room.task.data.at(fitted), turn)


def trained_alone(room: Any, fitted: Data, turn: Turn) -> tuple[Any, Any]:
    """A net that is trained on some of the samples without the teacher, and its network.

    Sizes and scales are those of all samples.
    """
    found: tuple[Any, Any] = cached(room.model.memory, train, WATCHING)(
        room.net,
        room.task.data.encoded,
        room.task.validation,
        room.seed,
        on_epoch=lambda net: turn.step(room.progress.advance),
        interruptions=turn.interruptions,
        taught=replace(fitted.encoded, y=room.targets.soft(fitted.y)),
    )
    return found
