"""What a fit leaves behind: the path as arrays, and a report that prints as a table."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .path import Step
from .resuming import Resume

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
    reward_scale : ndarray of float, shape (n_steps, 2)
        Loss increases that were worth a reward of 1 and of 0; NaN for criteria.
    networks : dict of int to dict
        Networks kept, by step: layers, dtype, and weights as NumPy arrays.  Empty with
        ``keep_path=False``.
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
    networks: dict[int, dict[str, Any]] = field(default_factory=dict, repr=False)
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
            reward_scale=column("reward_scale", float),
            networks={
                number: step.chain.to_arrays()
                for number, step in enumerate(steps)
                if keep and step.chain is not None
            },
        )

    def __len__(self) -> int:
        return len(self.n_neurons)


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
    """What went, what it cost, what it gained; ``print`` shows it as a table.

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
    seconds_training: float
    seconds_pruning: float
    seconds_fine_tuning: float
    unused_features: tuple[Any, ...] = ()
    warnings: tuple[str, ...] = ()
    interrupted: bool = False

    def to_dict(self) -> dict[str, Any]:
        """All of it as nested dicts."""
        return asdict(self)

    def __str__(self) -> str:
        before, after = self.before, self.after
        old, new = sum(before.hidden_layer_sizes), sum(after.hidden_layer_sizes)
        rows = [
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
        widths = [max(len(row[k]) for row in rows) for k in range(4)]
        lines = [f"{old - new} of {old} hidden neurons removed ({(old - new) / old:.1%})", ""]
        lines += [
            "  ".join(
                cell.ljust(w) if k == 0 else cell.rjust(w)
                for k, (cell, w) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        lines += [
            "",
            f"{self.n_rounds} rounds, {self.n_pulls:,} pulls ({self.n_evaluations:,} rows "
            f"evaluated), {self.n_fine_tune_epochs} epochs of fine-tuning, "
            f"{self.n_validation:,} validation rows",
            f"seconds: training {self.seconds_training:.2f}, pruning {self.seconds_pruning:.2f}, "
            f"fine-tuning {self.seconds_fine_tuning:.2f}",
        ]
        if self.n_backward:
            lines.append(f"estimates: {self.n_backward:,} backward passes of a row")
        if self.unused_features:
            lines.append("features that nothing uses: " + ", ".join(map(str, self.unused_features)))
        lines += [f"Warning: {text}" for text in self.warnings]
        return "\n".join(lines)

    __repr__ = __str__


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
