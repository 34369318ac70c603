"""A report on a fit that prints as a table: what went, what it cost, what it gained."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from sklearn import get_config

from ..utils.optional import frames
from ..utils.words import counted
from .formatting import as_html, as_text
from .inputs import InputsReport
from .teaching import TeacherReport


@dataclass(frozen=True)
class Measured:
    """One network in numbers.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int
    n_parameters, n_macs, n_bytes : int
        Parameters, MACs per sample, bytes of all parameters and buffers.
    ms_sample, ms_batch : float
        Milliseconds to predict one sample, and the batch named in the report.
    score : float
        Validation score.
    loss : float
        Log-loss, or root mean squared error, on validation samples.
    """

    hidden_layer_sizes: tuple[int, ...]
    n_parameters: int
    n_macs: int
    n_bytes: int
    ms_sample: float
    ms_batch: float
    score: float
    loss: float

    @classmethod
    def of(cls, network: Any, milliseconds: tuple[float, float], score: float, loss: float) -> Any:
        """A network's sizes and cost, beside its times, score and loss."""
        n_parameters, n_macs = network.cost()
        return cls(network.sizes, n_parameters, n_macs, network.n_bytes, *milliseconds, score, loss)


def slower(before: Measured, after: Measured, batch_size: int) -> list[str]:
    """A warning if the smaller network is not faster."""
    pruned = after.hidden_layer_sizes != before.hidden_layer_sizes
    if not pruned or after.ms_batch < before.ms_batch or after.ms_sample < before.ms_sample:
        return []
    return [
        f"The smaller network is not faster, neither for one sample nor for {batch_size:,}: at "
        "this size the overhead of a call is larger than the arithmetic."
    ]


@dataclass(frozen=True)
class PruningReport:
    """Size, speed and score before and after pruning, and what it took.

    ``print`` and notebooks show it as a table.

    Attributes
    ----------
    before, after : Measured
        The unpruned and the final network, on the same validation samples.
    score_name, loss_name : str
        Names of the validation score and loss.
    n_validation : int
        Number of validation samples.
    batch_size : int
        Samples of the batch that was timed.
    n_pulls, n_evaluations, n_backward : int
        Pulls of the whole path, (neuron, sample) pairs evaluated in them, and samples times
        backward passes of estimates.
    n_rounds, n_fine_tune_epochs : int
    confidence : float
        Expected fraction of correct removals, the mean over rounds; NaN for policies that do
        not estimate it.
    seconds_training, seconds_pruning, seconds_fine_tuning : float
        Training is 0 for a net that was trained before; with ``memory`` it may be the time to
        read the cached network.
    unused_features : tuple
        Input features that do not change the pruned network's output on the training samples.
    remarks : tuple of str
        Warnings that the fit issued, and others, but for those that follow from the times: the
        same fit has the same ones, and a pickle of the same length.
    interrupted : bool
        Whether Ctrl-C ended pruning or fine-tuning.
    teacher : TeacherReport or None
        How the teacher was used; None without one.
    inputs : InputsReport or None
        How the inputs of the network were chosen; None where there was nothing to choose.
    groups, unit_kinds : tuple of str
        For a module that is not a chain: names of the modules whose units can be removed, in the
        order of `hidden_layer_sizes`, and what the units are: "channel", "head" or "neuron".
    kept_whole : dict of str to str
        Why other modules keep all their units, by name; for a chain those that `layers` leaves
        out.
    compensation : dict of str to str
        For such a module: what takes the place of `ablation` where a layer reads removed units,
        and why, by the layer's name; empty where all are compensated alike.
    n_bytes_pickle : int or None
        Bytes of a pickle of the fitted estimator; None where it cannot be pickled.
    n_bytes_flash, n_bytes_ram : int or None
        Bytes of flash and RAM that the network takes in C, estimated for ``to_c()`` in float32 on
        a 32-bit processor; None where it has no such form, or more than a million parameters or
        67 million MACs per sample.
    """

    before: Measured
    after: Measured
    score_name: str
    loss_name: str
    n_validation: int
    batch_size: int
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
    remarks: tuple[str, ...] = ()
    interrupted: bool = False
    teacher: TeacherReport | None = None
    inputs: InputsReport | None = None
    groups: tuple[str, ...] = ()
    unit_kinds: tuple[str, ...] = ()
    kept_whole: dict[str, str] = field(default_factory=dict)
    compensation: dict[str, str] = field(default_factory=dict)
    n_bytes_pickle: int | None = None
    n_bytes_flash: int | None = None
    n_bytes_ram: int | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """All remarks, and one if the smaller network is not faster."""
        return (*self.remarks, *slower(self.before, self.after, self.batch_size))

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
        pandas = frames("PruningReport.to_frame")
        return pandas.DataFrame(networks.values(), index=list(networks))

    def __str__(self) -> str:
        return as_text(self._title(), self._rows(), self._notes() + self._warnings())

    def _repr_html_(self) -> str | None:
        """For notebooks; None, which means text, where scikit-learn's are to be text."""
        if get_config()["display"] == "text":
            return None
        return as_html(self._title(), self._rows(), self._notes(), self._warnings())

    def _title(self) -> str:
        # Of layers that are pruned alone, as the budget counts.
        every = range(len(self.before.hidden_layer_sizes))
        pruned = [k for k, name in enumerate(self.groups) if name not in self.kept_whole]
        chosen = pruned if pruned and len(self.groups) == len(every) else every
        old, new = (sum(n.hidden_layer_sizes[k] for k in chosen) for n in (self.before, self.after))
        found = {kind for k, kind in enumerate(self.unit_kinds) if k in chosen}
        kinds = sorted(found or {"neuron"})
        unit = kinds[0] if len(kinds) == 1 else "unit"
        unit = f"hidden {unit}" if "neuron" in kinds else unit
        return f"{old - new} of {counted(old, unit)} removed ({(old - new) / old:.1%})"

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
                    ("MACs per sample", before.n_macs, after.n_macs),
                    ("bytes of weights", before.n_bytes, after.n_bytes),
                )
            ),
            *(
                (name, _microseconds(a), _microseconds(b), _faster(a, b))
                for name, a, b in (
                    ("µs for one sample", before.ms_sample, after.ms_sample),
                    (
                        f"µs for {counted(self.batch_size, 'sample')}",
                        before.ms_batch,
                        after.ms_batch,
                    ),
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
        """Rounds, pulls, seconds, and unused features."""
        training = f"{self.seconds_training:.2f}" if self.seconds_training else "done before"
        notes = [
            f"{counted(self.n_rounds, 'round')}, {counted(self.n_pulls, 'pull')} "
            f"({counted(self.n_evaluations, 'neuron-sample evaluation')}), "
            f"{counted(self.n_fine_tune_epochs, 'epoch')} of fine-tuning, "
            f"{counted(self.n_validation, 'validation sample')}",
            f"seconds: training {training}, pruning {self.seconds_pruning:.2f}, "
            f"fine-tuning {self.seconds_fine_tuning:.2f}",
        ]
        for part in (self.inputs, self.teacher):
            notes += [] if part is None else part.notes()
        sizes = self.before.hidden_layer_sizes, self.after.hidden_layer_sizes
        groups = zip(self.groups, self.unit_kinds, *sizes, strict=False)
        notes += [
            f"{name}: {old} -> {counted(new, kind)}"
            for name, kind, old, new in groups
            if name not in self.kept_whole
        ]
        notes += [f"{name}: kept whole, {why}" for name, why in self.kept_whole.items()]
        notes += [f"compensation in {name}: {what}" for name, what in self.compensation.items()]
        if self.n_backward:
            notes.append(f"estimates: backward passes of {counted(self.n_backward, 'sample')}")
        notes += self._bytes_elsewhere()
        if np.isfinite(self.confidence):
            notes.append(f"expected fraction of correct removals: {self.confidence:.1%}")
        if self.unused_features:
            # A text has thousands of words; the attribute names them all.
            shown, n_more = map(str, self.unused_features[:20]), len(self.unused_features) - 20
            more = f" and {n_more:,} more" if n_more > 0 else ""
            notes.append(f"unused input features: {', '.join(shown)}{more}")
        return notes

    def _bytes_elsewhere(self) -> list[str]:
        found = []
        if self.n_bytes_pickle is not None:
            found.append(f"as a pickle {self.n_bytes_pickle:,}")
        if self.n_bytes_flash is not None and self.n_bytes_ram is not None:
            found.append(
                f"in C about {self.n_bytes_flash:,} of flash and {self.n_bytes_ram:,} of RAM"
            )
        return [f"bytes: {', '.join(found)}"] if found else []

    def _warnings(self) -> list[str]:
        return [f"Warning: {text}" for text in self.warnings]

    __repr__ = __str__


def _sizes(network: Measured) -> str:
    return "-".join(str(size) for size in network.hidden_layer_sizes)


def _number(value: float, sign: str = "") -> str:
    """Four decimals, or four digits where those say nothing."""
    plain = value == 0 or 1e-3 <= abs(value) < 1e5 or (sign and 5e-5 <= abs(value) < 1)
    return f"{value:{sign}.4f}" if plain else f"{value:{sign}.4g}"


def _microseconds(milliseconds: float) -> str:
    """With a decimal where there are few."""
    found = 1000 * milliseconds
    return f"{found:.1f}" if found < 100 else f"{found:,.0f}"


def _faster(before: float, after: float) -> str:
    if after <= 0 or 0.95 < before / after < 1.05:
        return "the same"
    return f"{before / after:.1f}x faster" if before > after else f"{after / before:.1f}x slower"


def _less(before: int, after: int) -> str:
    return f"{(after - before) / before:+.1%}"
