"""A network that is no chain: the user's module, its operators, and its groups of units."""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from .head_counts import head_counts, width_counts
from .labelling import find_labels
from .labels import Axis
from .layouts import layouts
from .narrowing import Narrowing, narrow, narrowing_of, removed_places
from .program import Operation, Program, Samples
from .structure import Structure, group_of_classes
from .unit_groups import UnitGroup, find_unit_groups
from .whole_weights import whole_weights

#: What may come after the logits.
_SQUASHING = ("softmax", "log_softmax", "_softmax", "_log_softmax", "sigmoid", "log_sigmoid")


#: Largest difference that smaller weights may make, as a fraction of the largest output.
_SLIM_TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4}


class ModuleNetwork:
    """A user's module as the operators that it runs, with groups of units that can be removed.

    All of it is in evaluation mode.  A pruned network is the same program with weights of the
    same shapes: a unit is removed where the weights of all its readers are zero.  `narrowed`
    makes the smaller module.

    Attributes
    ----------
    module : nn.Module
        With all units, in evaluation mode.
    program : Program
        Its operators.
    weights : dict of str to Tensor
        Parameters and buffers with all units, by the module's own names.
    groups : tuple of UnitGroup
        Units that can be removed.
    kept : tuple of ndarray of bool
        Units that stay, for each group.
    kept_whole : dict of str to str
        Why other modules keep all their units, by name.
    small : dict of str to Tensor or None
        Weights without what is removed, that the network runs with: see `slimmed`.
    """

    small: dict[str, Tensor] | None = None

    def __init__(
        self,
        module: nn.Module,
        program: Program,
        structure: Structure,
        weights: Mapping[str, Tensor],
        kept: Sequence[NDArray[np.bool_]] | None = None,
    ):
        self.module, self.program, self.structure = module, program, structure
        self.weights = dict(weights)
        sizes = [group.size for group in structure.groups]
        self.kept = tuple(np.ones(size, bool) for size in sizes) if kept is None else tuple(kept)

    @classmethod
    def of(
        cls,
        module: nn.Module,
        program: Program,
        x: Samples,
        *,
        residual_streams: bool = False,
        tied: Collection[str] = (),
        training: Program | None = None,
        in_parts: Collection[str] = (),
    ) -> ModuleNetwork:
        """The network of a module and its program, from samples that it takes.

        The module is neither copied nor checked; `recover_network` does that.
        """
        weights = weights_of(module)
        found = find_labels(program, x, weights, tied, training, in_parts)
        groups, kept_whole = find_unit_groups(found, program, weights, residual_streams)
        parameters = [name for name, _ in module.named_parameters()]
        others = whole_weights(found, program, weights, parameters)
        going = {group.name for group in groups}
        others = {name: why for name, why in others.items() if name not in going}
        kept_whole = {**others, **kept_whole}
        structure = Structure.of(groups, kept_whole, found, weights, parameters)
        classes = found.labels.classes()[0]
        unit_of = group_of_classes(groups, found, classes)
        group_of = {k: unit_of[c] for k, c in enumerate(classes.tolist()) if c in unit_of}
        given = module, found, groups, group_of
        structure = replace(structure, counts={**width_counts(*given), **head_counts(*given)})
        return cls(module, program, structure, weights)

    @property
    def running(self) -> dict[str, Tensor]:
        """The weights that the network runs with."""
        return {**(self.weights if self.small is None else self.small), **self.masks}

    @property
    def masks(self) -> dict[str, Tensor]:
        """Which members of ensembles stay, 1 or 0, by the names of their groups."""
        return {
            group.name: torch.as_tensor(mask, dtype=self.dtype, device=self.device)
            for group, mask in zip(self.groups, self.kept, strict=True)
            if not all(reader.weighted for reader in group.readers)
        }

    def slimmed(self, x: Samples) -> ModuleNetwork:
        """The network that runs with smaller weights; itself, where its operators refuse them.

        All values then lack the units that are removed, as those of the smaller module do.
        Operators with sizes among their arguments may not take such values.

        Parameters
        ----------
        x : Samples
            A few, on which both must return the same.
        """
        small = dict(self.weights)
        for (name, axis), places in self.removed().items():
            left = torch.as_tensor(self._left(name, axis, places), device=self.device)
            small[name] = small[name].index_select(axis, left)
        network = ModuleNetwork(self.module, self.program, self.structure, self.weights, self.kept)
        network.small = small
        with torch.inference_mode():
            wanted = self.run(self.known(x), [self.logits], self.weights)[self.logits]
            try:
                found = network.run(self.known(x), [self.logits])[self.logits]
            except (RuntimeError, IndexError, ValueError, TypeError):
                return self
        same = found.shape == wanted.shape
        gap = _SLIM_TOLERANCES.get(self.dtype, 0.0) * wanted.abs().max()
        return network if same and bool((found - wanted).abs().max() <= gap) else self

    def whole(self) -> ModuleNetwork:
        """The network that runs with weights of the unpruned network's shapes."""
        return self if self.small is None else self.with_weights({})

    def outputs_left(self, weight: str, axis: int) -> NDArray[np.intp]:
        """Places along an axis of a weight that values still have; of no axis one place."""
        if axis < 0:
            return np.arange(1)
        gone = self.removed().get((weight, axis)) if self.small is not None else None
        return self._left(weight, axis, np.empty(0, int) if gone is None else gone)

    def _left(self, weight: str, axis: int, gone: NDArray[np.intp]) -> NDArray[np.intp]:
        return np.setdiff1d(np.arange(self.weights[weight].shape[axis]), gone)

    # ---------------------------------------------------------------------- structure

    @property
    def groups(self) -> tuple[UnitGroup, ...]:
        """Units that can be removed."""
        return self.structure.groups

    @property
    def kept_whole(self) -> dict[str, str]:
        """Why other modules keep all their units."""
        return self.structure.kept_whole

    @property
    def recurrent(self) -> set[str]:
        """Recurrent weights whose units can be removed."""
        readers = [reader for group in self.groups for reader in group.readers]
        return {reader.weight for reader in readers if reader.runs != reader.value}

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of each group that stay."""
        return tuple(int(mask.sum()) for mask in self.kept)

    @property
    def output(self) -> int:
        """The value that the network returns."""
        return self.program.output

    @cached_property
    def logits(self) -> int:
        """The value before a softmax or sigmoid that comes last; else the output."""
        last = {operation.value: operation for operation in self.program.operations}
        value = self.output
        while value in last and last[value].packet in _SQUASHING:
            value = max(last[value].reads)
        return value

    @property
    def has_tail(self) -> bool:
        """Whether a softmax or sigmoid comes last."""
        return self.logits != self.output

    @cached_property
    def _parameter(self) -> Tensor:
        floating = [weight for weight in self.weights.values() if weight.is_floating_point()]
        return floating[0]

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self._parameter.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights."""
        return self._parameter.dtype

    @property
    def n_bytes(self) -> int:
        """Bytes of all parameters and buffers, without those that are removed."""
        gone = self.removed()
        return sum(
            weight.itemsize * math.prod(_shape(name, weight.shape, gone))
            for name, weight in self.weights.items()
        )

    def removed(self, kept: Sequence[NDArray[np.bool_]] | None = None) -> dict[Axis, Any]:
        """Places along the axes of weights that are gone."""
        return removed_places(self.groups, self.kept if kept is None else kept)

    # ------------------------------------------------------------------------ running

    def run(
        self,
        known: Mapping[int, Any],
        wanted: Collection[int] | None = None,
        weights: Mapping[str, Tensor] | None = None,
        n_samples: int | None = None,
    ) -> Any:
        """Values computed from known values, as `Program.run` does.

        Parameters
        ----------
        weights : mapping of str to Tensor, optional
            In place of the network's own; others may be missing.
        """
        used = self.running
        if weights is not None:
            used = {**self.weights, **self.masks, **weights}
        return self.program.run(known, wanted, weights=used, n_samples=n_samples)

    def forward(self, x: Samples) -> Tensor:
        """The network's outputs."""
        outputs: Tensor = self.run(self.known(x))
        return outputs

    def known(self, x: Samples) -> dict[int, Tensor]:
        """The values that samples are; images of convolutions with the channels last in memory.

        Convolutions and pools keep that format, and most of them are faster with it.
        """
        known = self.program.known(x)
        return _channels_last(known) if self.program.convolves else known

    def downstream(self, values: Iterable[int]) -> tuple[Operation, ...]:
        """The operations that must run again when these values change."""
        return self.program.downstream(values)

    # ------------------------------------------------------------------------- copies

    def with_weights(
        self,
        changed: Mapping[str, Tensor],
        kept: Sequence[NDArray[np.bool_]] | None = None,
    ) -> ModuleNetwork:
        """The same program with other weights, and other units that stay.

        The weights that read a unit which goes must be zero where they do.
        """
        kept = self.kept if kept is None else kept
        weights = {**self.weights, **changed}
        return ModuleNetwork(self.module, self.program, self.structure, weights, kept)

    def masked(self, kept: Sequence[ArrayLike]) -> ModuleNetwork:
        """The network without some units: what reads them has weights of zero.

        Members of ensembles have weights of zero themselves, and leave the mean.
        """
        masks = [np.asarray(mask, dtype=bool) for mask in kept]
        changed: dict[str, Tensor] = {}
        for group, mask in zip(self.groups, masks, strict=True):
            axes = [(r.weight, r.inputs) for r in group.readers if r.weighted]
            for name, axis in axes or group.members:
                places = group.members[name, axis][~mask].reshape(-1)
                if len(places):
                    weight = changed.get(name)
                    weight = self.weights[name].clone() if weight is None else weight
                    at = torch.as_tensor(places, device=weight.device)
                    changed[name] = weight.index_fill(axis, at, 0)
        return self.with_weights(changed, masks)

    def narrowing(self) -> Narrowing:
        """What makes the user's module smaller, as plain data, for `narrow`."""
        shapes = {name: weight.shape for name, weight in self.weights.items()}
        widths = []
        for (name, attribute), width in self.structure.attributes:
            part = self.module.get_submodule(name)
            left = width.left(self.sizes)
            if getattr(part, attribute, None) == width.total and left < width.total:
                widths.append(((name, attribute), left))
        return narrowing_of(self.removed(), shapes, widths, self.structure.with_states)

    def narrowed(self) -> nn.Module:
        """A copy of the user's module that has the units which stay, and their weights."""
        module = copy.deepcopy(self.module)
        with torch.no_grad():
            for name, tensor in weights_of(module).items():
                tensor.copy_(self.weights[name])
        return narrow(module, self.narrowing())

    def with_structure(self, structure: Structure) -> ModuleNetwork:
        """The network with another structure of the same groups."""
        return ModuleNetwork(self.module, self.program, structure, self.weights, self.kept)

    def laid_out(self, x: Samples) -> ModuleNetwork:
        """The network whose readers know where values hold the samples, from a few of them."""
        reads = {reader.reads for group in self.groups for reader in group.readers}
        with torch.inference_mode():
            found = layouts(lambda some: self.run(self.known(some), reads), x, reads)
        groups = tuple(
            replace(
                group,
                readers=tuple(
                    replace(reader, layout=found[reader.reads]) for reader in group.readers
                ),
            )
            for group in self.groups
        )
        return self.with_structure(replace(self.structure, groups=groups))

    def with_groups(self, numbers: Sequence[int], kept_whole: Mapping[str, str]) -> ModuleNetwork:
        """The network with these groups alone, and why others are kept whole."""
        structure = self.structure.of_groups(numbers, kept_whole)
        kept = [self.kept[number] for number in numbers]
        return ModuleNetwork(self.module, self.program, structure, self.weights, kept)

    def to(self, dtype: torch.dtype) -> ModuleNetwork:
        """The network over a copy of the module in another dtype."""
        module = copy.deepcopy(self.module).to(dtype)
        program = self.program.to(dtype)
        weights = {
            name: weight.to(dtype) if weight.is_floating_point() else weight
            for name, weight in self.weights.items()
        }
        return ModuleNetwork(module, program, self.structure, weights, self.kept)

    def copied(self) -> ModuleNetwork:
        """The same network over a copy of the module."""
        module = copy.deepcopy(self.module)
        weights = {name: weight.clone() for name, weight in self.weights.items()}
        return ModuleNetwork(module, self.program, self.structure, weights, self.kept)

    # --------------------------------------------------------------------------- cost

    def cost(self, sizes: Sequence[int] | None = None) -> tuple[int, int]:
        """Parameters and MACs per sample, with these numbers of units in the groups.

        Parameters
        ----------
        sizes : sequence of int, optional
            Units of each group; those that stay when not given.
        """
        return self.structure.cost(self.sizes if sizes is None else sizes)


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers of a module by name; what has two names by the first."""
    return {
        **{name: parameter.detach() for name, parameter in module.named_parameters()},
        **dict(module.named_buffers()),
    }


def _channels_last(values: Mapping[int, Tensor]) -> dict[int, Tensor]:
    found = dict(values)
    for number, value in values.items():
        if value.dim() == 4:
            # A copy: of one channel, a view would count as the other format.
            found[number] = torch.empty_like(value, memory_format=torch.channels_last).copy_(value)
    return found


def _shape(name: str, shape: torch.Size, gone: Mapping[Axis, Any]) -> list[int]:
    return [size - len(gone.get((name, axis), ())) for axis, size in enumerate(shape)]
