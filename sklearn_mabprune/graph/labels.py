"""Which elements of a network's values and weights are the same unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

#: Label of an element that belongs to no unit: input data, constants, results of what mixes units.
NO_UNIT = 0
#: Label of an element that holds nothing, such as zeros of a padding: it goes with any unit.
NOTHING = -1

#: One axis of a parameter or buffer.
Axis = tuple[str, int]


class Labels:
    """Ids of the slices of weights, and which of them can only be removed together.

    A label is an integer tensor of a value's own shape.  Ids are numbers from 1: one for each
    index of an axis of a weight, made when it is first asked for, so that modules and weights
    that are used twice have one set of ids.

    Parameters
    ----------
    known : mapping of (str, int) to Tensor, optional
        Ids that an earlier walk made, the same for slices that it found to be one unit.

    Attributes
    ----------
    axes : dict of (str, int) to Tensor
        Ids of the slices of a weight along an axis.
    pinning, merging : bool
        Whether pins, and elements that an operator mixes, are noted.
    """

    pinning = merging = True

    def __init__(self, known: Mapping[Axis, Tensor] | None = None) -> None:
        self.axes: dict[Axis, Tensor] = {}
        self._known = dict(known or {})
        self._n_ids = 1 + max((int(ids.max()) for ids in self._known.values()), default=0)
        self._edges: list[NDArray[np.int64]] = []
        self._pins: list[tuple[NDArray[np.int64], str]] = []
        self._merges: list[tuple[NDArray[np.int64], str]] = []

    def ids(self, weight: str, axis: int, size: int) -> Tensor:
        """Ids of the slices of a weight along an axis, (size,)."""
        key = weight, axis
        if key in self._known:
            self.axes[key] = self._known[key]
        elif key not in self.axes:
            self.axes[key] = torch.arange(self._n_ids, self._n_ids + size)
            self._n_ids += size
        return self.axes[key]

    def again(self) -> Labels:
        """Labels for another walk, which begins with what this one has found to be one unit.

        What belongs together only because of what comes later, as all of a head, is then one unit
        from the start.
        """
        classes = self.classes()[0]
        first = torch.as_tensor(np.unique(classes, return_index=True)[1])[torch.as_tensor(classes)]
        found = Labels({axis: first[ids] for axis, ids in self.axes.items()})
        found._merges = [(first[torch.as_tensor(ids)].numpy(), why) for ids, why in self._merges]
        return found

    def of_weight(self, weight: str, tensor: Tensor, axis: int | None = None) -> Tensor:
        """A label for a weight that is used as a value: by its only axis, or by its last one."""
        wide = [axis for axis, size in enumerate(tensor.shape) if size > 1]
        if not wide:
            return torch.full(tensor.shape, NO_UNIT)
        axis = axis if axis in wide else wide[-1]
        return along(self.ids(weight, axis, tensor.shape[axis]), tensor.shape, axis)

    def unite(self, one: Tensor, other: Tensor, reason: str = "") -> None:
        """Elements at the same places are one unit; where only one is a unit it is pinned.

        The two have the same number of dimensions; one of size 1 goes with all places.
        """
        one, other = torch.broadcast_tensors(*compact(one, other))
        pairs = np.unique(
            torch.stack([one.reshape(-1), other.reshape(-1)]).numpy().astype(np.int64), axis=1
        )
        both = (pairs > NO_UNIT).all(0)
        self._edges.append(pairs[:, both & (pairs[0] != pairs[1])])
        single = ((pairs == NO_UNIT).any(0)) & ((pairs > NO_UNIT).any(0))
        self._pin(pairs[:, single].max(0, initial=NO_UNIT), reason)

    def merge(self, label: Tensor, dims: Iterable[int], reason: str) -> Tensor:
        """Elements along these dimensions are one unit; the label of the first of them."""
        first = label
        for dim in dims:
            first = first.narrow(dim, 0, 1)
        small, small_first = compact(label, first)
        if small.shape != small_first.shape and self.merging:
            both_labels = torch.broadcast_tensors(small, small_first)
            pairs = torch.stack(both_labels).reshape(2, -1).numpy()
            pairs = np.unique(pairs, axis=1)
            pairs = pairs[:, pairs[0] != pairs[1]]
            both = (pairs > NO_UNIT).all(0)
            self._edges.append(pairs[:, both])
            self._merges.append((pairs[:, both].reshape(-1), reason))
            single = ((pairs == NO_UNIT).any(0)) & ((pairs > NO_UNIT).any(0))
            self._pin(pairs[:, single].max(0, initial=NO_UNIT), reason)
        return first

    def pin(self, label: Tensor | None, reason: str) -> None:
        """The units of a label cannot be removed."""
        if label is not None:
            (label,) = compact(label)
            self._pin(np.unique(label.numpy()), reason)

    def _pin(self, ids: NDArray[np.int64], reason: str) -> None:
        ids = ids[ids > NO_UNIT]
        if len(ids) and self.pinning:
            self._pins.append((ids, reason))

    def classes(self) -> tuple[NDArray[np.int64], dict[int, list[str]], dict[int, list[str]]]:
        """Number of the class of each id, and why classes are pinned or were merged.

        Returns
        -------
        classes : ndarray of shape (n_ids,)
        pinned, merged : dict of int to list of str
            Reasons by class.
        """
        edges = np.concatenate([np.empty((2, 0), np.int64), *self._edges], axis=1)
        ones = np.ones(edges.shape[1], dtype=np.int8)
        matrix = coo_array((ones, (edges[0], edges[1])), shape=(self._n_ids,) * 2)
        classes = connected_components(matrix, directed=False)[1].astype(np.int64)
        return classes, _by_class(classes, self._pins), _by_class(classes, self._merges)


def _by_class(
    classes: NDArray[np.int64], reasons: Iterable[tuple[NDArray[np.int64], str]]
) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for ids, reason in reasons:
        for number in np.unique(classes[ids]):
            known = found.setdefault(int(number), [])
            if reason not in known:
                known.append(reason)
    return found


def along(ids: Tensor, shape: Iterable[int], dim: int) -> Tensor:
    """A label of this shape whose elements differ along one dimension alone."""
    shape = tuple(shape)
    dim %= len(shape)
    view = [1] * len(shape)
    view[dim] = len(ids)
    return ids.view(view).expand(shape)


def varies(label: Tensor, dim: int) -> bool:
    """Whether a label differs along a dimension."""
    if label.shape[dim] == 1 or label.stride(dim) == 0:
        return False
    (label,) = compact(label) if label.dim() else (label,)
    return bool((label != label.narrow(dim, 0, 1)).any())


def compact(*labels: Tensor) -> list[Tensor]:
    """Labels without the repetitions that ``expand`` made in all of them, to be compared."""
    found = []
    for label in labels:
        for dim in range(label.dim()):
            repeated = label.shape[dim] > 1 and label.stride(dim) == 0
            if repeated:
                label = label.narrow(dim, 0, 1)
        found.append(label)
    return found


def united(labels: Labels, given: list[Any], shape: Iterable[int], reason: str) -> Tensor:
    """The label of a result whose elements are made of those at the same places.

    Parameters
    ----------
    labels : Labels
    given : list of Tensor
        Labels of the operands, which are broadcast as the operands are.
    shape : sequence of int
        Of the result.
    reason : str
        Said of units that meet what is no unit.
    """
    shape = torch.Size(shape)
    operands = [label.reshape((1,) * (len(shape) - label.dim()) + label.shape) for label in given]
    free = []
    for number, label in enumerate(operands):
        others = [other for k, other in enumerate(operands) if k != number]
        spread = [
            dim
            for dim in range(len(shape))
            if label.shape[dim] == 1 and any(varies(other, dim) for other in others)
        ]
        if spread and bool((label > NO_UNIT).any()):
            # One unit that is spread over others is neither of them, nor can it be read as zero.
            labels.pin(label, reason)
            label = torch.full((1,) * len(shape), NO_UNIT)
        free.append(label)
    result = torch.full((1,) * len(shape), NOTHING)
    for label in free:
        result = _joined(labels, result, label, reason)
    return result.expand(shape)


def _joined(labels: Labels, one: Tensor, other: Tensor, reason: str) -> Tensor:
    for left, right in ((one, other), (other, one)):
        _pin_beside_data(labels, left, right, reason)
    shape = torch.broadcast_shapes(one.shape, other.shape)
    left, right = torch.broadcast_tensors(*compact(one, other))
    labels.unite(
        torch.where(right == NO_UNIT, NOTHING, left), torch.where(left == NO_UNIT, NOTHING, right)
    )
    return torch.where(left > NO_UNIT, left, torch.maximum(left, right)).expand(shape)


def _pin_beside_data(labels: Labels, units: Tensor, data: Tensor, reason: str) -> None:
    """Pin units where data of no unit has an element for each of them."""
    if not bool((data == NO_UNIT).any()) or not bool((units > NO_UNIT).any()):
        return
    if any(data.shape[dim] > 1 and varies(units, dim) for dim in range(units.dim())):
        left, right = torch.broadcast_tensors(*compact(units, data))
        labels.pin(torch.where(right == NO_UNIT, left, NO_UNIT), reason)
