"""What a fit is about, how its net is pruned, and what the result is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..criteria import Criterion
from ..data.samples import Data
from ..graph.graph import Graph
from ..policies.base import Policy
from ..pruning.path import PathOptions
from ..reports.inputs import InputsReport
from ..reports.path_record import PruningPath
from ..reports.report import PruningReport
from ..reports.teaching import TeacherReport
from ..training.fine_tuning import FineTuning
from ..training.scoring import Constant
from ..utils.interruptions import Interruptions
from ..utils.progress import Progress


@dataclass(frozen=True)
class Teaching:
    """What a network learns from a teacher.

    Parameters
    ----------
    taught : Data or None
        Training samples with soft labels, and synthetic ones; None if the teacher is not used.
    report : TeacherReport
    teacher : estimator or None
        The fitted teacher, if it is to be kept.
    notes : tuple of str
        What the user is warned of.
    loss_alone : float
        Mean validation loss of the networks with which the teacher was compared; infinity if there
        were none.
    networks : tuple of Graph or ModuleNetwork
        Those networks, where their predictions are part of the labels.
    """

    taught: Data | None
    report: TeacherReport
    teacher: Any
    notes: tuple[str, ...]
    loss_alone: float = math.inf
    networks: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Alone:
    """A net trained on all training samples without a teacher, its graph, and how long it took."""

    net: Any
    graph: Graph
    seconds: float


@dataclass(frozen=True)
class Task:
    """Data and scores of a fit, whatever the estimator.

    Parameters
    ----------
    data, validation : Data
        Training and validation samples.
    score : callable
        From net and graph to the validation score.
    loss : callable
        From net and graph to the validation log-loss or root mean squared error.
    score_name, loss_name : str
    constant : Constant
        The constant answer, beside which networks are measured.
    teaching : Teaching or None
        None without a teacher.
    inputs : InputsReport or None
        How the network's inputs were chosen; None where there was nothing to choose.
    names : sequence of str or None
        Of the features.
    alone : Alone or None
        The net without a teacher, where it is known from that choice.
    """

    data: Data
    validation: Data
    score: Callable[[Any, Graph], float]
    loss: Callable[[Any, Graph], float]
    score_name: str
    loss_name: str
    constant: Constant
    teaching: Teaching | None = None
    inputs: InputsReport | None = None
    names: Any = None
    alone: Alone | None = None

    @property
    def taught(self) -> Data | None:
        """Samples with a teacher's labels to train on in place of the training samples."""
        return None if self.teaching is None else self.teaching.taught


@dataclass(frozen=True)
class PruningPlan:
    """How a trained net is pruned; see the estimators for what each field means.

    ``seeds`` are those of the whole fit: split, training, path, pruning samples, fine-tuning.
    """

    chooser: Policy | Criterion
    budget: float | int | str
    budget_unit: str
    options: PathOptions
    fine_tuning: FineTuning
    tolerance: float
    max_pruning_samples: int
    seeds: tuple[int, ...]
    keep_path: bool
    progress: Progress
    interruptions: Interruptions


@dataclass
class Pruned:
    """The pruned, fine-tuned net, its path and report.

    ``chosen`` is the step of the path that the net was cut at, ``chooser`` the policy or criterion
    after the last round, ``teacher`` the fitted teacher if it is to be kept.
    """

    net: Any
    path: PruningPath
    report: PruningReport
    chosen: int
    chooser: Policy | Criterion
    teacher: Any = None
