"""What a fit reports of its teacher."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..utils.optional import frames
from ..utils.words import counted


@dataclass(frozen=True)
class TeacherReport:
    """How a teacher was used in a fit.

    Attributes
    ----------
    name : str
        Class of the teacher.
    weight : float
        Fraction of the teacher's labels in the targets of the training samples; 0 if the network
        is better without the teacher, which then was not used at all.
    teacher_score, network_score : float
        Accuracy or R2 of the teacher, and of the network trained without it, on samples that
        neither has seen; NaN where it was not measured.
    teacher_loss, network_loss : float
        Log-loss or root mean squared error on the same samples.
    score_name, loss_name : str
    n_compared : int
        Number of these samples.
    n_folds : int
        Folds in which the teacher was fitted; 0 for a frozen one.
    n_labelled : int
        Training samples whose targets were mixed with the teacher's labels.
    n_synthetic : int
        Synthetic samples that it labelled for the training.
    seconds_teacher, seconds_comparison : float
        Time for fits and labels of the teacher, and for the network trained without it.
    saw : str
        What the teacher was fitted on: the "features" of the network, or the "columns" from which
        :func:`make_tabular_pipeline` makes them.
    temperature : float
        Temperature of the teacher's probabilities, fitted on samples that it had not seen; 1 for
        values.
    share : float
        Fraction of the teacher in its labels, which are averaged with the predictions of networks
        that were trained without it; 1 if there were none.
    n_networks : int
        Number of these networks.
    """

    name: str
    weight: float
    teacher_score: float
    network_score: float
    teacher_loss: float
    network_loss: float
    score_name: str
    loss_name: str
    n_compared: int
    n_folds: int
    n_labelled: int
    n_synthetic: int
    seconds_teacher: float
    seconds_comparison: float
    saw: str = "features"
    temperature: float = 1.0
    share: float = 1.0
    n_networks: int = 0

    @property
    def used(self) -> bool:
        """Whether the network was trained on any of the teacher's labels."""
        return bool(self.n_labelled and self.weight) or self.n_synthetic > 0

    def to_dict(self) -> dict[str, Any]:
        """All of it as a dict."""
        return asdict(self)

    def to_frame(self) -> Any:
        """A pandas DataFrame of one row, with a column for each attribute.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        return frames("TeacherReport.to_frame").DataFrame([asdict(self)], index=["teacher"])

    def notes(self) -> list[str]:
        """Lines of the report of a fit."""
        found = f"teacher {self.name}{' (sees columns)' * (self.saw == 'columns')}: "
        if not self.used:
            found += "not used"
        else:
            found += f"weight {self.weight:g} for {counted(self.n_labelled, 'training sample')}"
            found += f", {counted(self.n_synthetic, 'synthetic sample')}"
            found += f", temperature {self.temperature:.2f}" * (self.temperature != 1)
            if self.n_networks:
                networks = counted(self.n_networks, "network")
                found += f", its share in labels of {networks} {self.share:.2f}"
        lines = [
            f"{found}; seconds: labels {self.seconds_teacher:.2f}, comparison "
            f"{self.seconds_comparison:.2f}"
        ]
        if np.isfinite(self.teacher_loss):
            compared = f"teacher {self._measured(self.teacher_score, self.teacher_loss)}"
            if np.isfinite(self.network_loss):
                compared += (
                    f"; network alone {self._measured(self.network_score, self.network_loss)}"
                )
            lines.append(f"on {counted(self.n_compared, 'unseen sample')}: {compared}")
        return lines

    def _measured(self, score: float, loss: float) -> str:
        return f"{self.score_name} {score:.4f}, {self.loss_name} {loss:.4g}"

    def __str__(self) -> str:
        return "\n".join(self.notes())
