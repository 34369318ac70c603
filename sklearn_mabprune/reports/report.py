"""What a fit leaves behind: the path as arrays, and a report that prints as a table."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config

from ..pruning.path import Step
from ..pruning.replay import Resume
from .formatting import as_html, as_text

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass
class PruningPath:
    """The whole path from large to small; entry 0 is the unpruned network.

    Attributes
    ----------
    n_neurons, n_parameters, n_macs : ndarray of int, shape (n_steps,)
        Hidden neurons, trainable numbers and multiply-adds a row.
    layer_sizes : list of tuple of int
        Neurons of each hidden layer.
    loss : ndarray of float, shape (n_steps,)
        Mean loss on the pruning rows (training rows), before fine-tuning.
    score : ndarray of float, shape (n_steps,)
        Validation score before fine-tuning.
    score_fine_tuned : ndarray of float, shape (n_steps,)
        Validation score after fine-tuning; NaN for steps that were not fine-tuned.
    n_pulls, n_evaluations, n_backward : ndarray of int, shape (n_steps,)
        Pulls, (neuron, row) pairs evaluated in them, and rows times backward passes of
        estimates, in the round that led here.
    seconds : ndarray of float, shape (n_steps,)
        Of that round.
    removed : list of ndarray of int
        Arms that went in that round, safest first: neurons of the original network,
        counted through its hidden layers.
    loss_increase : list of ndarray of float
        What the round thought of them; empty for criteria.
    standard_error : list of ndarray of float
        Standard errors of these estimates, from the spread of the pulls: 0 for neurons
        measured on all rows, NaN where it is not known.
    reward_scale : ndarray of float, shape (n_steps, 2)
        Loss increases that were worth a reward of 1 and of 0; NaN for criteria.
    confidence : ndarray of float, shape (n_steps,)
        Share of a round's choices that the policy expects to be right, as if it had
        measured every neuron on all pruning rows; NaN where it does not say.
    networks : dict of int to dict
        Networks kept, by step: layers, dtype, and weights as NumPy arrays.  Empty with
        ``keep_path=False``.
    pulls_by_arm : ndarray of unsigned int, shape (n_steps, n_original_neurons)
        Pulls of each neuron of the original network in the round that led here.
    estimates : dict of int to ndarray of float32, shape (2, n_original_neurons)
        For the steps whose networks are kept (with ``keep_path=False`` too): the loss
        increase of every neuron that could have gone in the round that led here, and its
        standard error.  NaN for neurons that were gone before.  Empty for criteria.  After
        ``at_budget``, of the rounds that were known only those that both paths keep.
    resume : Resume or None
        What ``at_budget`` needs to go on along this path; None with ``keep_path=False``.
    """

    n_neurons: Ints
    n_parameters: Ints
    n_macs: Ints
    layer_sizes: list[tuple[int, ...]]
    loss: Floats
    score: Floats
    score_fine_tuned: Floats
    n_pulls: Ints
    n_evaluations: Ints
    n_backward: Ints
    seconds: Floats
    removed: list[Ints]
    loss_increase: list[Floats]
    reward_scale: Floats
    confidence: Floats
    networks: dict[int, dict[str, Any]] = field(default_factory=dict, repr=False)
    standard_error: list[Floats] = field(default_factory=list, repr=False)
    pulls_by_arm: NDArray[np.unsignedinteger] = field(
        default_factory=lambda: np.empty((0, 0), dtype=np.uint8), repr=False
    )
    estimates: dict[int, NDArray[np.float32]] = field(default_factory=dict, repr=False)
    resume: Resume | None = field(default=None, repr=False)

    @classmethod
    def of(cls, steps: list[Step], fine_tuned: dict[int, float], keep: bool) -> PruningPath:
        """Arrays of a walk's steps."""

        def column(name: str, kind: Any) -> Any:
            return np.array([getattr(step, name) for step in steps], dtype=kind)

        tuned = np.full(len(steps), np.nan)
        for step, score in fine_tuned.items():
            tuned[step] = score
        return cls(
            n_neurons=np.array([sum(step.sizes) for step in steps], dtype=np.intp),
            n_parameters=column("n_parameters", np.intp),
            n_macs=column("n_macs", np.intp),
            layer_sizes=[step.sizes for step in steps],
            loss=column("loss", float),
            score=column("score", float),
            score_fine_tuned=tuned,
            n_pulls=column("n_pulls", np.intp),
            n_evaluations=column("n_evaluations", np.intp),
            n_backward=column("n_backward", np.intp),
            seconds=column("seconds", float),
            removed=[step.removed for step in steps],
            loss_increase=[step.loss_increase for step in steps],
            standard_error=[step.standard_error for step in steps],
            reward_scale=column("reward_scale", float),
            confidence=column("confidence", float),
            networks={
                number: step.chain.to_arrays()
                for number, step in enumerate(steps)
                if keep and step.chain is not None
            },
            pulls_by_arm=_pulls_by_arm(steps),
            estimates={
                number: step.estimates
                for number, step in enumerate(steps)
                if step.estimates is not None
            },
        )

    def __len__(self) -> int:
        return len(self.n_neurons)

    def to_frame(self) -> Any:
        """A pandas DataFrame with a row for each step and a column for each number of it.

        Returns
        -------
        pandas.DataFrame
            Index ``step``; columns are the attributes that have one value a step, and
            ``layer_sizes``.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        columns = (
            "n_neurons", "n_parameters", "n_macs", "layer_sizes", "loss", "score",
            "score_fine_tuned", "n_pulls", "n_evaluations", "n_backward", "seconds",
        )  # fmt: skip
        frame = _pandas("PruningPath.to_frame").DataFrame({k: getattr(self, k) for k in columns})
        return frame.rename_axis("step")


@dataclass(frozen=True)
class Measured:
    """One network in numbers.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int
    n_parameters, n_macs, n_bytes : int
        Trainable numbers, multiply-adds a row, bytes of all weights and statistics.
    ms_row, ms_batch : float
        Milliseconds for one row, and for the batch named in the report.
    score : float
        On validation rows.
    loss : float
        Log-loss, or root mean squared error, on validation rows.
    """

    hidden_layer_sizes: tuple[int, ...]
    n_parameters: int
    n_macs: int
    n_bytes: int
    ms_row: float
    ms_batch: float
    score: float
    loss: float


@dataclass(frozen=True)
class PruningReport:
    """What went, what it cost, what it gained; ``print`` and notebooks show it as a table.

    Attributes
    ----------
    before, after : Measured
        The unpruned and the delivered network, on the same validation rows.
    score_name, loss_name : str
        What score and loss are.
    n_validation : int
        Validation rows.
    batch_rows : int
        Rows of the batch that was timed.
    n_pulls, n_evaluations, n_backward : int
        Pulls of the whole path, (neuron, row) pairs evaluated in them, and rows times
        backward passes of estimates.
    n_rounds, n_fine_tune_epochs : int
    confidence : float
        Expected share of right choices, the mean over rounds; NaN where the policy does
        not say.
    seconds_training, seconds_pruning, seconds_fine_tuning : float
        Training is 0 for a net that came trained; with ``memory`` it may be the time it
        took to read the cached network.
    unused_features : tuple
        Input features that cannot change the pruned network's output on the training rows.
    warnings : tuple of str
        What the user should know.
    interrupted : bool
        Whether Ctrl-C ended pruning or fine-tuning.
    """

    before: Measured
    after: Measured
    score_name: str
    loss_name: str
    n_validation: int
    batch_rows: int
    n_pulls: int
    n_evaluations: int
    n_backward: int
    n_rounds: int
    n_fine_tune_epochs: int
    confidence: float
    seconds_training: float
    seconds_pruning: float
    seconds_fine_tuning: float
    unused_features: tuple[Any, ...] = ()
    warnings: tuple[str, ...] = ()
    interrupted: bool = False

    def to_dict(self) -> dict[str, Any]:
        """All of it as nested dicts."""
        return asdict(self)

    def to_frame(self) -> Any:
        """A pandas DataFrame with the rows ``before`` and ``after``.

        Returns
        -------
        pandas.DataFrame
            One column for each attribute of :attr:`before` and :attr:`after`.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        networks = {"before": asdict(self.before), "after": asdict(self.after)}
        pandas = _pandas("PruningReport.to_frame")
        return pandas.DataFrame(networks.values(), index=list(networks))

    def __str__(self) -> str:
        return as_text(self._title(), self._rows(), self._notes() + self._warnings())

    def _repr_html_(self) -> str | None:
        """For notebooks; None, which means text, where scikit-learn's are to be text."""
        if get_config()["display"] == "text":
            return None
        return as_html(self._title(), self._rows(), self._notes(), self._warnings())

    def _title(self) -> str:
        old, new = (sum(n.hidden_layer_sizes) for n in (self.before, self.after))
        return f"{old - new} of {old} hidden neurons removed ({(old - new) / old:.1%})"

    def _rows(self) -> list[tuple[str, ...]]:
        """Name, before, after, change."""
        before, after = self.before, self.after
        old, new = sum(before.hidden_layer_sizes), sum(after.hidden_layer_sizes)
        return [
            ("", "before", "after", ""),
            ("hidden layers", _sizes(before), _sizes(after), _less(old, new)),
            *(
                (name, f"{a:,}", f"{b:,}", _less(a, b))
                for name, a, b in (
                    ("parameters", before.n_parameters, after.n_parameters),
                    ("multiply-adds a row", before.n_macs, after.n_macs),
                    ("bytes", before.n_bytes, after.n_bytes),
                )
            ),
            *(
                (name, f"{a:.3f}", f"{b:.3f}", _faster(a, b))
                for name, a, b in (
                    ("ms a row", before.ms_row, after.ms_row),
                    (f"ms for {self.batch_rows:,} rows", before.ms_batch, after.ms_batch),
                )
            ),
            *(
                (f"{name} (validation)", _number(a), _number(b), _number(b - a, "+"))
                for name, a, b in (
                    (self.score_name, before.score, after.score),
                    (self.loss_name, before.loss, after.loss),
                )
            ),
        ]

    def _notes(self) -> list[str]:
        """What it cost, and what nothing uses."""
        notes = [
            f"{self.n_rounds} rounds, {self.n_pulls:,} pulls ({self.n_evaluations:,} rows "
            f"evaluated), {self.n_fine_tune_epochs} epochs of fine-tuning, "
            f"{self.n_validation:,} validation rows",
            f"seconds: training {self.seconds_training:.2f}, pruning {self.seconds_pruning:.2f}, "
            f"fine-tuning {self.seconds_fine_tuning:.2f}",
        ]
        if self.n_backward:
            notes.append(f"estimates: {self.n_backward:,} backward passes of a row")
        if np.isfinite(self.confidence):
            notes.append(f"choices that the policy expects to be right: {self.confidence:.1%}")
        if self.unused_features:
            # A text has thousands of words; the attribute names them all.
            shown, n_more = map(str, self.unused_features[:20]), len(self.unused_features) - 20
            more = f" and {n_more:,} more" if n_more > 0 else ""
            notes.append(f"features that nothing uses: {', '.join(shown)}{more}")
        return notes

    def _warnings(self) -> list[str]:
        return [f"Warning: {text}" for text in self.warnings]

    __repr__ = __str__


def _pulls_by_arm(steps: list[Step]) -> NDArray[np.unsignedinteger]:
    """One row a step, in the smallest type that holds it."""
    none = np.zeros(sum(steps[0].sizes), dtype=np.intp)
    rows = [none if step.pulls_by_arm is None else step.pulls_by_arm for step in steps]
    table = np.stack(rows)
    return table.astype(np.min_scalar_type(int(table.max())))


def _pandas(caller: str) -> Any:
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            f"{caller} needs pandas, which is not installed: pip install pandas"
        ) from error
    return pandas


def _sizes(network: Measured) -> str:
    return "-".join(str(size) for size in network.hidden_layer_sizes)


def _number(value: float, sign: str = "") -> str:
    """Four decimals, or four digits where those say nothing."""
    plain = value == 0 or 1e-3 <= abs(value) < 1e5 or (sign and 5e-5 <= abs(value) < 1)
    return f"{value:{sign}.4f}" if plain else f"{value:{sign}.4g}"


def _faster(before: float, after: float) -> str:
    if after <= 0 or 0.95 < before / after < 1.05:
        return "the same"
    return f"{before / after:.1f}x faster" if before > after else f"{after / before:.1f}x slower"


def _less(before: int, after: int) -> str:
    return f"{(after - before) / before:+.1%}"
