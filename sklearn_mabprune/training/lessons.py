"""What a teacher says: soft labels of samples that it has not seen, and of synthetic samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from ..data.blocks import ColumnBlocks
from ..data.folds import Fold, content_folds
from ..data.samples import Data
from ..data.synthetic import synthetic_samples
from ..data.user_groups import group_folds
from ..utils.memory import no_memory, out_of_memory
from .splitters import folds_of_splitter, undivided
from .teacher import Teacher
from .teacher_fits import is_constant
from .teacher_targets import Floats, Targets

# Folds of a teacher that needs none: networks are compared with it on them.
_FOLDS = 5
#: `teacher_cv` of a frozen teacher that was fitted on other samples than X.
UNSEEN = "unseen"
#: Synthetic samples of "auto", as a multiple of the training samples, and most values of them.
_TIMES, _MOST_VALUES = 4, 2**26
# Training samples that an epoch draws from those that were taught, as a multiple of the others.
_EPOCH = 2


@dataclass(frozen=True)
class Lessons:
    """Soft labels by a teacher.

    Parameters
    ----------
    out_of_fold : ndarray of shape (n_samples, n_outputs)
        Labels of the training samples by a teacher that has not seen them; NaN where there is none.
    synthetic : Data or None
        Synthetic samples with soft labels.
    folds : tuple of (ndarray of int, ndarray of int)
        Training and test samples of each fold, on which networks can be compared.
    n_folds : int
        Number of fits besides that on all samples.
    fitted : estimator
        The teacher, fitted on all training samples; None before it is needed.
    teacher : Teacher
        The one that labelled: where the given one cannot be fitted on the columns of the table,
        the one for encoded features.
    temperature : float
        Temperature of its probabilities, fitted on `out_of_fold`: trees are surer than they are
        right, which costs log-loss, and a network learns it.  1 where nothing can be fitted.
    """

    out_of_fold: Floats
    synthetic: Data | None
    folds: tuple[Fold, ...]
    n_folds: int
    fitted: Any
    teacher: Teacher
    temperature: float = 1.0

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Whether each training sample has a label, (n_samples,)."""
        return np.asarray(np.isfinite(self.out_of_fold).all(axis=1))


def synthetic_count(asked: Any, data: Data) -> int:
    """Number of synthetic samples, from the parameter `n_synthetic`.

    Sparse features have none: a combination of two texts is no text.
    """
    if issparse(data.x):
        return 0
    if isinstance(asked, str):
        return int(min(_TIMES * len(data), _MOST_VALUES // max(1, data.x.shape[1])))
    return int(asked) if isinstance(asked, Integral) else round(asked * len(data))


def out_of_fold(
    teacher: Teacher,
    cv: Any,
    data: Data,
    seed: int,
    on_fit: Callable[[], Any] = lambda: None,
) -> Lessons:
    """Labels of each training sample by teachers that were fitted without it.

    Parameters
    ----------
    teacher : Teacher
    cv : int, splitter or "unseen"
        Folds.  Where a sample is in several test parts, its label is the mean.
    data : Data
        Training samples.
    seed : int
        Of folds and teachers.
    on_fit : callable
        Called after each fit of the teacher.

    Returns
    -------
    Lessons
        Without synthetic samples.  A frozen teacher labels no training samples unless `cv` says
        that it has not seen them.

    Raises
    ------
    ValueError
        If a fit or a prediction of the teacher fails (the message names the fold), or if the
        samples are too few for the folds.
    """
    if teacher.frozen:
        total = np.full((len(data), teacher.targets.n_outputs), np.nan)
        if cv != UNSEEN:
            return Lessons(total, None, (), 0, teacher.model, teacher)
        labels = _asked(teacher, teacher.model, data, "on the training samples")
        unseen = tuple(_folds_of_networks(data, seed))
        return _calibrated(Lessons(labels, None, unseen, 0, teacher.model, teacher), data)
    total = np.zeros((len(data), teacher.targets.n_outputs))
    times = np.zeros(len(data), dtype=np.intp)
    folds, read = _folds(cv, data, seed), False
    for number, (train, test) in enumerate(folds):
        where = f"in fold {number + 1} of {len(folds)}"
        fit = _fitted if read else _first_fitted
        teacher, fitted = fit(teacher, data.at(train), seed, where)
        # Where there is nothing to learn, nothing was read.
        read = read or not is_constant(data.y[train])
        total[test] += _asked(teacher, fitted, data.at(test), where)
        times[test] += 1
        on_fit()
    known = times > 0
    total[known] /= times[known, None]
    total[~known] = np.nan
    return _calibrated(Lessons(total, None, tuple(folds), len(folds), None, teacher), data)


def with_synthetic(
    lessons: Lessons,
    n: int,
    data: Data,
    seed: int,
    encode: Callable[[Any], Any] | None = None,
) -> Lessons:
    """Lessons with the teacher fitted on all training samples, and samples that it labels.

    Parameters
    ----------
    lessons : Lessons
    n : int
        Number of synthetic samples.
    data : Data
        Training samples.
    seed : int
        Of the teacher and of the synthetic samples.
    encode : callable, optional
        From a table to features, where the data has one.

    Returns
    -------
    Lessons
    """
    teacher, fitted = lessons.teacher, lessons.fitted
    if fitted is None:
        # Folds in order of time may all be of one class.
        read = any(not is_constant(data.y[train]) for train, _ in lessons.folds)
        fit = _fitted if read else _first_fitted
        teacher, fitted = fit(teacher, data, seed, "on all training samples")
    lessons = replace(lessons, fitted=fitted, teacher=teacher)
    if not n:
        return lessons
    try:
        found, origin = _exchanged(data, n, seed, encode)
    except Exception as error:
        if not out_of_memory(error):
            raise
        raise no_memory(
            error, f"{n:,} synthetic samples were made", "Pass a lower n_synthetic."
        ) from error
    labels = _asked(teacher, fitted, found, "on synthetic samples")
    labels = teacher.targets.tempered(labels, lessons.temperature)
    # Of the weights of the samples that they are made from.
    weights = None if data.weights is None else data.weights[origin]
    synthetic = Data(found.x, labels, weights, data.n_outputs)
    return replace(lessons, synthetic=synthetic)


def blended(lessons: Lessons, own: Floats, own_synthetic: Floats | None, share: float) -> Lessons:
    """Lessons whose labels are averaged with those of networks, which err in other places.

    Parameters
    ----------
    lessons : Lessons
    own : ndarray of shape (n_samples, n_outputs)
        Predictions of networks for training samples that they have not seen; NaN where there is
        none.
    own_synthetic : ndarray of shape (n_synthetic, n_outputs) or None
        Their predictions for the synthetic samples.
    share : float in [0, 1]
        Fraction of the teacher.

    Returns
    -------
    Lessons
    """
    both = share * lessons.out_of_fold + (1 - share) * own
    labels = np.where(np.isfinite(own), both, lessons.out_of_fold)
    synthetic = lessons.synthetic
    if synthetic is not None and own_synthetic is not None:
        synthetic = replace(synthetic, y=share * synthetic.y + (1 - share) * own_synthetic)
    return replace(lessons, out_of_fold=labels, synthetic=synthetic)


def mixed(data: Data, lessons: Lessons, weight: float, targets: Targets) -> Data:
    """Training samples with a teacher's labels mixed into their targets, and synthetic samples.

    Parameters
    ----------
    data : Data
    lessons : Lessons
    weight : float in [0, 1]
        Fraction of the teacher's labels in the targets of training samples that have any.
    targets : Targets

    Returns
    -------
    Data
        Its targets are soft labels, and an epoch draws some of its samples.
    """
    own = targets.soft(data.y)
    labels = np.where(
        lessons.labelled[:, None], (1 - weight) * own + weight * lessons.out_of_fold, own
    )
    more = lessons.synthetic
    if more is None:
        return replace(data, y=labels)
    weights = None
    if data.weights is not None and more.weights is not None:
        weights = np.concatenate([data.weights, more.weights])
    return Data(
        np.concatenate([data.x, more.x]),
        np.concatenate([labels, more.y]),
        weights,
        data.n_outputs,
        per_epoch=min(_EPOCH * len(data), len(data) + len(more)),
    )


def _calibrated(lessons: Lessons, data: Data) -> Lessons:
    """Lessons with probabilities at the temperature that suits samples the teacher had not seen."""
    targets, known = lessons.teacher.targets, lessons.labelled
    labels, weights = lessons.out_of_fold, data.weights
    found = targets.temperature(
        labels[known], data.y[known], None if weights is None else weights[known]
    )
    labels = np.where(known[:, None], targets.tempered(labels, found), labels)
    return replace(lessons, out_of_fold=labels, temperature=found)


def _folds(cv: Any, data: Data, seed: int) -> list[Fold]:
    """Folds of the training samples, in which neither copies nor groups are divided."""
    if not isinstance(cv, Integral):
        return folds_of_splitter(cv, data, seed)
    n_folds, n_units = int(cv), _n_units(data, seed)
    if n_units < n_folds:
        units, why = "distinct training samples", "copies of a sample are"
        if data.groups is not None:
            units, why = "groups of training samples", "samples of a group are"
        raise ValueError(
            f"teacher_cv={cv} folds need as many {units}, X has {n_units}: {why} in one fold. Pass "
            "more samples, a smaller teacher_cv, or teacher=None."
        )
    if data.groups is not None:
        return group_folds(data.groups, data.y, n_folds)
    return list(content_folds(data.x, data.y, n_folds, seed))


def _folds_of_networks(data: Data, seed: int) -> list[Fold]:
    """Folds where the teacher needs none; none where there are too few samples or groups."""
    n_folds = min(_FOLDS, _n_units(data, seed))
    return _folds(n_folds, data, seed) if n_folds > 1 else []


def _n_units(data: Data, seed: int) -> int:
    """Number of groups, or of distinct samples."""
    return len(np.unique(undivided(data, seed)))


def _exchanged(
    data: Data, n: int, seed: int, encode: Callable[[Any], Any] | None
) -> tuple[Data, NDArray[np.intp]]:
    """Synthetic samples and the samples that they are made from; columns of a table as a whole."""
    table = data.table
    if table is None or encode is None:
        x, origin = synthetic_samples(data.x, ColumnBlocks.of(data.x), n, seed)
        return Data(x, data.y[origin], None, data.n_outputs), origin
    columns = ColumnBlocks(np.arange(len(table.columns)), len(table.columns))
    values, origin = synthetic_samples(table.values, columns, n, seed, near=data.x)
    table = replace(table, values=values)
    x = table.encoded(encode, data.x)
    return Data(x, data.y[origin], None, data.n_outputs, table=table), origin


def _first_fitted(teacher: Teacher, data: Data, seed: int, where: str) -> tuple[Teacher, Any]:
    """As `_fitted`; a teacher that cannot read the columns of a table gets encoded features."""
    try:
        return _fitted(teacher, data, seed, where)
    except ValueError:
        if not teacher.reads_both:
            raise
        try:
            return _fitted(teacher.of_features, data, seed, where)
        except ValueError:
            pass
        # What was wrong with the columns, whose names the user knows.
        raise


def _fitted(teacher: Teacher, data: Data, seed: int, where: str) -> tuple[Teacher, Any]:
    """A teacher, and a copy fitted on samples; what it raises is told with the place."""
    try:
        return teacher, teacher.fit(teacher.samples(data), data.y, data.weights, seed)
    except Exception as error:
        raise _failed(teacher, "fitted", where, error) from error


def _asked(teacher: Teacher, fitted: Any, data: Data, where: str) -> Floats:
    """A fitted teacher's labels; what it raises is told with the place."""
    try:
        return teacher.labels(fitted, teacher.samples(data))
    except Exception as error:
        raise _failed(teacher, "asked", where, error) from error


def _failed(teacher: Teacher, what: str, where: str, error: Exception) -> Exception:
    """The error of a teacher, with the place; one of memory stays one."""
    if out_of_memory(error):
        return no_memory(
            error,
            f"the teacher {teacher.name} was {what} {where}",
            "Pass a smaller teacher, fewer samples, a lower n_synthetic, or teacher=None.",
        )
    return ValueError(
        f"The teacher {teacher.name} failed {where}: {_sentence(error)} Pass another teacher, "
        "another teacher_cv, or teacher=None."
    )


def _sentence(error: Exception) -> str:
    """The class and the text of an error, with a full stop."""
    text = f"{type(error).__name__}: {error}".rstrip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
