"""What the values of attention heads become when other heads of their layer are removed.

With its pattern A_h held, what head h adds to the result of the layer's reader is linear in the
weights V_h of its values: (A_h u) V_h' W_h', with u what these read, a 1 for the bias included,
and W_h the reader's columns of the head.  A fit of the reader alone leaves each head the few
directions of u that it was trained to read; as many others may be of more use once heads are gone.

So V_h of one kept head after the other is fitted to what the reader returned in the unpruned
network, less what the other heads add, and the reader is fitted after that.  Either is least
squares, and with the rest held no step makes the error larger.  Sweeps over the heads after each
removal go on from the last ones.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data.samples import Samples
from ..graph.module_network import ModuleNetwork
from ..graph.operators.step import Source
from ..graph.program import needed
from ..graph.readers import Reader
from .reader_fits import Rows, inverse_of, strengths
from .reader_rows import RowSample, SumsOfRows

#: Samples on which it is tried which weights are those of values.
_TRIED = 4

#: Sweeps over the heads after a removal, and rows for each input of a head at least.
_SWEEPS, _ROWS_PER_INPUT = 3, 64


@dataclass(frozen=True)
class HeadValues:
    """The weights of a group's values, in which what its reader reads is linear.

    Parameters
    ----------
    number : int
        Of the group.
    source : Source
        The operation that computes the values.
    places : Tensor of int, shape (n_units, n_each)
        Slices of its weight, along the axis of its outputs, in the order of `columns`.
    columns : Tensor of int, shape (n_units, n_each)
        Columns of the reader's matrix.
    reader : Reader
    """

    number: int
    source: Source
    places: Tensor
    columns: Tensor
    reader: Reader

    def n_columns(self, network: ModuleNetwork) -> int:
        """Columns of the Gram matrix of what its heads read."""
        n_inputs = self._n_inputs(network) + bool(self.source.bias)
        return int(network.kept[self.number].sum()) * n_inputs

    def fitted(
        self,
        network: ModuleNetwork,
        samples: Samples,
        sample: RowSample,
        parts: Iterable[slice],
        ridge: float,
    ) -> dict[str, Tensor]:
        """The weights after sweeps over the heads that stay, and their biases, by name.

        Parameters
        ----------
        network : ModuleNetwork
            As it stands.
        samples : Samples
        sample : RowSample
            Rows of the reader, and what it returned in the unpruned network.
        parts : iterable of slice
            Those that targets were kept in.
        ridge : float
            Fraction of the mean variance of what a head reads, that pulls to its old values.
        """
        stay = torch.as_tensor(np.flatnonzero(network.kept[self.number]), device=network.device)
        sums = self._sums(network, samples, sample, parts, stay)
        matrix = self.reader.matrix(network.weights[self.reader.weight]).double()
        heads = matrix[:, self.columns[stay]].permute(1, 0, 2)
        values = _swept(sums, self._values(network, stay), heads, bool(self.reader.bias), ridge)
        return self._weights(network, stay, values)

    def _sums(
        self,
        network: ModuleNetwork,
        samples: Samples,
        sample: RowSample,
        parts: Iterable[slice],
        stay: Tensor,
    ) -> Rows:
        """Means and products of what heads read with their patterns, (n_stay * n_inputs,)."""
        weights = (samples.weights / samples.weights.sum()).double()
        columns, order = self.columns[stay].flatten().sort()
        everything = torch.arange(self.columns.numel(), device=columns.device)
        back, sums = order.argsort(), SumsOfRows()
        n_rows = len(samples) * min(sample.n_each, sample.targets[0][0].shape[2])
        step = max(1, n_rows // (_ROWS_PER_INPUT * self._n_inputs(network)))
        with torch.inference_mode():
            for place, whole in enumerate(parts):
                part = slice(whole.start, whole.stop, step)
                known = _before(network, self.source, self.reader, samples.x[part], sample.reads)
                read = []
                for basis in self._bases(network, stay):
                    value = network.run(known, [self.reader.reads], basis)[self.reader.reads]
                    rows = sample.inputs(0, value, part, columns, everything)[..., back]
                    # (n_samples, 1, n_rows, n_stay, n_each)
                    read.append(rows.unflatten(3, (len(stay), -1)))
                # The last run is that of the bias, the same in all places of a head.
                bias = [read.pop()[..., :1]] if self.source.bias else []
                inputs = torch.cat(read, 4)[..., : self._n_inputs(network)]
                inputs = torch.cat([inputs, *bias], 4)
                each = weights[part] / inputs.shape[2]
                sums.add(inputs.flatten(3), sample.target(network, 0, place, known, part), each)
            return sums.total()

    def _n_inputs(self, network: ModuleNetwork) -> int:
        weight = network.weights[self.source.weight]
        return int(weight.shape[1 - self.source.outputs])

    def _bases(self, network: ModuleNetwork, stay: Tensor) -> Iterable[dict[str, Tensor]]:
        """Weights with which each place of a head is one of the inputs, then the bias."""
        n_inputs, n_each = self._n_inputs(network), self.columns.shape[1]
        biased = bool(self.source.bias)
        wide = torch.zeros(len(stay), n_each, n_inputs + biased, dtype=torch.float64)
        for first in range(0, n_inputs, n_each):
            values = wide.clone()
            some = torch.arange(min(n_each, n_inputs - first))
            values[:, some, first + some] = 1
            yield self._weights(network, stay, values)
        if biased:
            wide[..., -1] = 1
            yield self._weights(network, stay, wide)

    def _values(self, network: ModuleNetwork, stay: Tensor) -> Tensor:
        """Weights of the values, and their biases last, (n_stay, n_each, n_inputs); float64."""
        places = self.places[stay]
        weight = network.weights[self.source.weight].movedim(self.source.outputs, 0)
        found = weight[places].double()
        if self.source.bias:
            bias = network.weights[self.source.bias][places].double()
            found = torch.cat([found, bias[..., None]], -1)
        return found

    def _weights(self, network: ModuleNetwork, stay: Tensor, values: Tensor) -> dict[str, Tensor]:
        """The weights, by name, with these values in them."""
        return _with_rows(network, self.source, self.places[stay], values)


def _swept(sums: Rows, values: Tensor, heads: Tensor, biased: bool, ridge: float) -> Tensor:
    """Values after some sweeps, between which the reader is fitted.

    Parameters
    ----------
    sums : Rows
        Of what heads read, and of targets.
    values : Tensor of shape (n_heads, n_each, n_inputs)
    heads : Tensor of shape (n_heads, n_outputs, n_each)
        The reader's columns.
    biased : bool
        Whether the reader has a bias, which takes means.
    ridge : float
    """
    n_heads, _, n_inputs = values.shape
    # Its lower half is all there is.
    gram = sums.gram[0].tril() + sums.gram[0].tril(-1).T
    cross = sums.cross[0]
    if biased:
        gram = gram - sums.mean[0][:, None] * sums.mean[0]
        cross = cross - sums.mean[0][:, None] * sums.targets[0]
    gram = gram.view(n_heads, n_inputs, n_heads, n_inputs)
    cross, values = cross.view(n_heads, n_inputs, -1), values.clone()
    own = torch.stack([gram[k, :, k] for k in range(n_heads)])
    inverse = inverse_of(own, strengths(own, ridge))
    for sweep in range(_SWEEPS):
        heads = _read_again(values, heads, gram, cross, ridge) if sweep else heads
        squares = heads.transpose(1, 2) @ heads
        # Directions that the reader hardly has are not to become large.
        back = inverse_of(squares, strengths(squares, ridge)) @ heads.transpose(1, 2)
        for k in range(n_heads):
            # What is missing, times what the head reads, (n_outputs, n_inputs).
            missing = cross[k].T - torch.einsum("hoi,hij->oj", heads @ values, gram[:, :, k])
            values[k] += back[k] @ missing @ inverse[k]
    return values


def _read_again(values: Tensor, heads: Tensor, gram: Tensor, cross: Tensor, ridge: float) -> Tensor:
    """The reader's columns, fitted to the targets with these values; shapes as in `_swept`."""
    read = torch.einsum("hei,hikj->hekj", values, gram)
    read = torch.einsum("hekj,kfj->hekf", read, values).flatten(2).flatten(0, 1)
    strength = strengths(read[None], ridge)
    old = heads.permute(0, 2, 1).flatten(0, 1)
    towards = torch.einsum("hei,hio->heo", values, cross).flatten(0, 1) + strength * old
    found = inverse_of(read[None], strength)[0] @ towards
    return found.unflatten(0, values.shape[:2]).permute(0, 2, 1)


# ------------------------------------------------------------------------ which these are


def head_values(
    network: ModuleNetwork, number: int, sample: RowSample, x: Any
) -> HeadValues | None:
    """The weights of a group's values; None where what is read is not linear in any of them.

    What weights do is tried: those of queries and keys are within a softmax.

    Parameters
    ----------
    network : ModuleNetwork
    number : int
        Of the group.
    sample : RowSample
        Rows of the group's readers.
    x : samples
    """
    group, reader = network.groups[number], sample.readers[0]
    matrix = reader.matrix(network.weights[reader.weight])
    columns = torch.as_tensor(reader.columns, device=network.device)
    alone = len(sample.readers) == 1 and reader.blocks == 1 and columns.numel() == matrix.shape[1]
    if group.unit_kind != "head" or not alone or reader.layout is None:
        return None
    for source in group.producers:
        axis = source.weight, source.outputs
        after = _after(network, source)
        # A stream that the values are part of would change with them.
        follows = sample.reads & after == {reader.reads}
        if not follows or not _used_once(network, source, group.members):
            continue
        places = torch.as_tensor(group.members[axis], device=network.device)
        order = _linear_places(network, source, reader, places, columns, x[:_TRIED])
        if order is not None:
            return HeadValues(number, source, places.gather(1, order), columns, reader)
    return None


def _after(network: ModuleNetwork, source: Source) -> set[int]:
    """Values that change with the weight of a source or its bias."""
    names = {source.weight, source.bias}
    first = {
        operation.value
        for operation in network.program.operations
        if not names.isdisjoint(operation.weights)
    }
    return first | {operation.value for operation in network.downstream(first)}


def _used_once(network: ModuleNetwork, source: Source, members: Any) -> bool:
    """Whether a weight, and its bias, are matrices that one operation alone reads."""
    if source.runs >= 0 or network.weights[source.weight].dim() != 2:
        return False
    if source.bias and (source.bias, 0) not in members:
        return False
    names = [name for operation in network.program.operations for name in operation.weights]
    return all(names.count(name) <= 1 for name in (source.weight, source.bias) if name)


def _linear_places(
    network: ModuleNetwork,
    source: Source,
    reader: Reader,
    places: Tensor,
    columns: Tensor,
    x: Any,
) -> Tensor | None:
    """For each column of a unit, which of its places it is linear in, (n_units, n_each).

    None where a column is not a multiple of one place, and of that alone.
    """
    n_units = len(columns)
    n_inputs = network.weights[source.weight].shape[1 - source.outputs]
    drawn = torch.Generator().manual_seed(0)
    tried = torch.randn(n_units, 1, n_inputs + bool(source.bias), generator=drawn).double()
    tried /= math.sqrt(n_inputs)
    order = torch.full(columns.shape, -1, device=columns.device)
    with torch.inference_mode():
        known = _before(network, source, reader, x)

        def read(slot: int, times: float) -> Tensor:
            changed = _with_rows(network, source, places[:, slot : slot + 1], tried * times)
            value = network.run(known, [reader.reads], changed)[reader.reads]
            return reader.patches(value)[..., columns].flatten(0, 1)

        # Values come last where one weight computes queries and keys as well.
        for slot in reversed(range(places.shape[1])):
            if bool((order >= 0).all()):
                break
            none, once, twice = (read(slot, times) for times in (0.0, 1.0, 2.0))
            size = once.abs().amax(0)
            moved = (once - none).abs().amax(0) > 1e-5 * size.max()
            even = ((twice - 2 * once).abs().amax(0) <= 1e-4 * size) & (none == 0).all(0)
            if not moved.any() or not bool((even | ~moved).all()):
                continue
            if not bool((moved.sum(1) == 1).all()) or bool((order[moved] >= 0).any()):
                return None
            order[moved] = slot
    return order if bool((order >= 0).all()) else None


def _before(
    network: ModuleNetwork, source: Source, reader: Reader, x: Any, more: Collection[int] = ()
) -> dict[int, Any]:
    """Values from which what a reader reads follows, with other weights of a source, and more."""
    after = _after(network, source)
    changing = [operation for operation in network.program.operations if operation.value in after]
    first = needed(changing, set(), [reader.reads])
    known = network.known(x)
    wanted = sorted(set(more).union(*(operation.reads for operation in first)) - after)
    return {**known, **network.run(known, wanted)}


def _with_rows(
    network: ModuleNetwork, source: Source, places: Tensor, values: Tensor
) -> dict[str, Tensor]:
    """A weight with other slices along the axis of its outputs, and its bias, by name.

    Parameters
    ----------
    places : Tensor of int, shape (n_units, n_each)
    values : Tensor of shape (n_units, n_each, n_inputs)
        With biases last, where there are any.
    """
    weight, at = network.weights[source.weight], places.flatten()
    values = values.flatten(0, 1).to(weight)
    n_inputs = weight.shape[1 - source.outputs]
    slices = values[:, :n_inputs].movedim(0, source.outputs)
    changed = {source.weight: weight.index_copy(source.outputs, at, slices)}
    if source.bias:
        bias = network.weights[source.bias]
        changed[source.bias] = bias.index_copy(0, at, values[:, n_inputs])
    return changed
