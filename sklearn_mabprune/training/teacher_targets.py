"""Targets as a teacher is fitted on them, its predictions as soft labels, and their losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..utils.words import counted

Floats = NDArray[np.float64]

# Probabilities below it count as it in the log-loss.
_LEAST = 1e-7
# Temperatures that are tried: their logarithms are evenly spaced.
_TEMPERATURES = np.geomspace(0.5, 8, 33)


def _temperature(
    targets: ClassTargets | LabelTargets, labels: Floats, y: NDArray[Any], weights: Floats | None
) -> float:
    """The temperature at which probabilities have the lowest log-loss; 1 if none is better."""
    if not len(y):
        return 1.0
    losses = [
        np.average(targets.losses(targets.tempered(labels, t), y), weights=weights)
        for t in _TEMPERATURES
    ]
    best = int(np.argmin(losses))
    known = np.average(targets.losses(labels, y), weights=weights)
    return float(_TEMPERATURES[best]) if losses[best] < known else 1.0


@dataclass(frozen=True)
class ClassTargets:
    """One class per sample; soft labels are class probabilities.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        Class labels, as the teacher knows them.
    """

    classes: NDArray[Any]
    method = "predict_proba"
    kind = "classifier"
    loss_name, score_name = "log-loss", "accuracy"
    several = False

    @property
    def n_outputs(self) -> int:
        """Columns of soft labels."""
        return len(self.classes)

    def for_teacher(self, y: NDArray[Any]) -> NDArray[Any]:
        """Targets as a teacher is fitted on them: class labels, (n_samples,)."""
        return self.classes[y]

    def soft(self, y: NDArray[Any]) -> Floats:
        """Targets as soft labels: 1 for the class of each sample, (n_samples, n_classes)."""
        return np.eye(len(self.classes))[y]

    def read(self, answer: Any, teacher: Any) -> Floats:
        """Predicted probabilities with a column for each class, 0 where `teacher` lacks it."""
        answer = np.asarray(answer, dtype=np.float64)
        known = np.asarray(getattr(teacher, "classes_", self.classes))
        if answer.ndim != 2 or answer.shape[1] != len(known):
            raise ValueError(
                f"predict_proba returned shape {answer.shape} for {counted(len(known), 'class')}"
            )
        found = np.zeros((len(answer), len(self.classes)))
        for column, label in enumerate(known):
            place = np.flatnonzero(self.classes == label)
            if place.size:
                found[:, place[0]] = answer[:, column]
        return found

    def check_known(self, teacher: Any) -> None:
        """Refuse a fitted teacher of other classes."""
        known = np.asarray(getattr(teacher, "classes_", self.classes))
        if known.shape != self.classes.shape or not np.array_equal(known, self.classes):
            raise ValueError(
                f"The frozen teacher was fitted on the classes {known.tolist()[:10]}, y has "
                f"{self.classes.tolist()[:10]}. Pass a teacher of the classes of y."
            )

    def tempered(self, labels: Floats, temperature: float) -> Floats:
        """Probabilities whose logarithms are divided by a temperature; 0 stays 0."""
        if temperature == 1:
            return labels
        powers = labels ** (1 / temperature)
        return np.asarray(powers / np.maximum(powers.sum(axis=1, keepdims=True), _LEAST))

    def temperature(self, labels: Floats, y: NDArray[Any], weights: Floats | None) -> float:
        """The temperature at which probabilities have the lowest log-loss; 1 if none is better."""
        return _temperature(self, labels, y, weights)

    def losses(self, labels: Floats, y: NDArray[Any]) -> Floats:
        """Log-loss of each sample, (n_samples,)."""
        return -np.log(np.clip(labels[np.arange(len(y)), y], _LEAST, 1))

    def score(self, labels: Floats, y: NDArray[Any], weights: Floats | None) -> float:
        """Accuracy."""
        return float(np.average(labels.argmax(axis=1) == y, weights=weights))

    def shown(self, loss: float) -> float:
        """A mean loss in the units in which it is reported."""
        return loss


@dataclass(frozen=True)
class LabelTargets:
    """Multilabel targets; soft labels are probabilities of each label.

    Parameters
    ----------
    n_outputs : int
        Number of labels.
    """

    n_outputs: int
    method = "predict_proba"
    kind = "classifier"
    loss_name, score_name = "log-loss", "accuracy"
    several = True

    def for_teacher(self, y: NDArray[Any]) -> NDArray[Any]:
        """Targets as a teacher is fitted on them: an indicator matrix of integers."""
        return y.astype(np.int64)

    def soft(self, y: NDArray[Any]) -> Floats:
        """The indicator matrix as floats."""
        return y.astype(np.float64)

    def read(self, answer: Any, teacher: Any) -> Floats:
        """Probability of each label, (n_samples, n_labels), from an array or a list of arrays."""
        if isinstance(answer, list):
            classes = getattr(teacher, "classes_", [np.arange(2)] * len(answer))
            answer = np.column_stack([_of_one(*pair) for pair in zip(answer, classes, strict=True)])
        answer = np.asarray(answer, dtype=np.float64)
        if answer.ndim != 2 or answer.shape[1] != self.n_outputs:
            raise ValueError(
                f"predict_proba returned shape {answer.shape} for "
                f"{counted(self.n_outputs, 'label')}"
            )
        return answer

    def check_known(self, teacher: Any) -> None:
        """Labels are told apart by their number, which `read` checks."""

    def tempered(self, labels: Floats, temperature: float) -> Floats:
        """Probabilities whose log-odds are divided by a temperature; 0 and 1 stay."""
        if temperature == 1:
            return labels
        yes, no = (p ** (1 / temperature) for p in (labels, 1 - labels))
        return np.asarray(yes / (yes + no))

    def temperature(self, labels: Floats, y: NDArray[Any], weights: Floats | None) -> float:
        """One temperature that calibrates the probabilities of all labels."""
        return _temperature(self, labels, y, weights)

    def losses(self, labels: Floats, y: NDArray[Any]) -> Floats:
        """Log-loss of each sample, the mean over labels, (n_samples,)."""
        right = np.where(y > 0.5, labels, 1 - labels)
        return np.asarray(-np.log(np.clip(right, _LEAST, 1)).mean(axis=1))

    def score(self, labels: Floats, y: NDArray[Any], weights: Floats | None) -> float:
        """Fraction of samples of which all labels are right."""
        return float(np.average(((labels > 0.5) == (y > 0.5)).all(axis=1), weights=weights))

    def shown(self, loss: float) -> float:
        """A mean loss in the units in which it is reported."""
        return loss


def _of_one(probabilities: NDArray[Any], classes: NDArray[Any]) -> Floats:
    """Probability of 1, where a fold may have had samples with and without the label alone."""
    place = np.flatnonzero(np.asarray(classes) == 1)
    if not place.size:
        return np.zeros(len(probabilities))
    return np.asarray(probabilities[:, place[0]], dtype=np.float64)


@dataclass(frozen=True)
class ValueTargets:
    """Real targets; soft labels are values in original units.

    Parameters
    ----------
    n_outputs : int
        Number of targets.
    """

    n_outputs: int
    method = "predict"
    kind = "regressor"
    score_name = "R2"

    @property
    def loss_name(self) -> str:
        """What the loss is called in reports."""
        return "RMSE in standard deviations" if self.several else "RMSE"

    @property
    def several(self) -> bool:
        """Whether a teacher has to predict more than one column."""
        return self.n_outputs > 1

    def for_teacher(self, y: NDArray[Any]) -> NDArray[Any]:
        """Targets as a teacher is fitted on them: flat if there is one."""
        return y if self.several else y[:, 0]

    def soft(self, y: NDArray[Any]) -> Floats:
        """The targets, (n_samples, n_outputs)."""
        return y

    def read(self, answer: Any, teacher: Any) -> Floats:
        """Predicted values, (n_samples, n_outputs)."""
        answer = np.asarray(answer, dtype=np.float64)
        answer = answer.reshape(len(answer), -1)
        if answer.shape[1] != self.n_outputs:
            raise ValueError(
                f"predict returned {counted(answer.shape[1], 'value')} for "
                f"{counted(self.n_outputs, 'target')}"
            )
        return answer

    def check_known(self, teacher: Any) -> None:
        """Targets are told apart by their number, which `read` checks."""

    def tempered(self, labels: Floats, temperature: float) -> Floats:
        """Values as they are: there are no probabilities to calibrate."""
        return labels

    def temperature(self, labels: Floats, y: NDArray[Any], weights: Floats | None) -> float:
        """Always 1."""
        return 1.0

    def losses(self, labels: Floats, y: NDArray[Any]) -> Floats:
        """Squared error of each sample, (n_samples,).

        Of several targets the mean, each divided by the variance of the target: the one with the
        smallest unit would decide alone.
        """
        errors = (labels - y) ** 2
        if self.several:
            spread = y.var(axis=0)
            errors = errors / np.where(spread > 0, spread, 1)
        return np.asarray(errors.mean(axis=1))

    def score(self, labels: Floats, y: NDArray[Any], weights: Floats | None) -> float:
        """R2, the mean over targets."""
        left = np.average((labels - y) ** 2, axis=0, weights=weights)
        spread = np.average(
            (y - np.average(y, axis=0, weights=weights)) ** 2, axis=0, weights=weights
        )
        return float(np.mean(1 - left / np.where(spread > 0, spread, 1)))

    def shown(self, loss: float) -> float:
        """A mean loss in the units in which it is reported: its root."""
        return float(np.sqrt(loss))


Targets = ClassTargets | LabelTargets | ValueTargets
