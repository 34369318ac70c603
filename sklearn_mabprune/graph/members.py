"""Members of ensembles inside a module, as units: which of the networks that are averaged can go.

The members of a batch ensemble, as TabM's, lie along a dimension of values, (n_samples, n_members,
n_features), and along the first axis of the weights that are their own; a mean over that
dimension is what reads them.  A member that is removed is left out of the mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from .layouts import layouts
from .module_network import ModuleNetwork
from .operators.step import Source
from .program import OWN, Operation, Program, Samples, Value, Weight, needed
from .readers import MeanReader
from .structure import Structure, Width
from .unit_groups import UnitGroup, shared_path

#: Kind and last part of the name of these groups.
MEMBERS = "members"
#: Operators that read the first axis of a weight as something else than members.
_LAYERS = (
    "linear", "addmm", "mm", "t", "embedding", "embedding_bag", "layer_norm", "batch_norm",
    "recurrent", "convolution", "conv1d", "conv2d", "conv3d",
)  # fmt: skip
#: Names of attributes that count members.
_COUNTS = ("k", "n_members", "num_members", "ensemble_size", "n_ensembles", "num_ensembles")


@dataclass(frozen=True)
class _Ensemble:
    """A mean over members, and the operations whose weights have them.

    Parameters
    ----------
    mean : Operation
    dim, size : int
        The dimension of the members, and how many there are.
    own : list of (Operation, str)
        Operations and weights with a slice for each member.
    inside : set of str
        Weights of all operations between these and the mean.
    """

    mean: Operation
    dim: int
    size: int
    own: list[tuple[Operation, str]]
    inside: set[str]


def means_members(names: Iterable[str]) -> bool:
    """Whether some of the names that `layers` has mean members of ensembles."""
    return any(name == MEMBERS or name.endswith(f".{MEMBERS}") for name in names)


def with_members(network: ModuleNetwork, x: Samples) -> ModuleNetwork:
    """The network with a group of the members of each ensemble inside it.

    Whether a smaller module returns the mean of the members that stay is left to the comparison
    with the masked network.

    Parameters
    ----------
    network : ModuleNetwork
    x : samples
        A few.
    """
    for ensemble in _ensembles(network, x):
        network = _added(network, ensemble)
    return network


def _ensembles(network: ModuleNetwork, x: Samples) -> Iterator[_Ensemble]:
    program = network.program
    means = [operation for operation in program.operations if _dim(operation) is not None]
    if not means:
        return
    reads = {operation.args[0].number for operation in means}
    with torch.inference_mode():
        values = network.run(network.known(x), reads)
        held = layouts(lambda some: network.run(network.known(some), reads), x, reads)
    for mean in means:
        number, dim = mean.args[0].number, _dim(mean)
        assert dim is not None
        value, layout = values[number], held[number]
        dim %= value.dim()
        before = needed(program.operations, frozenset(), mean.reads)
        size = value.shape[dim]
        own = [
            (operation, name)
            for operation in before
            if operation.packet not in _LAYERS
            for name in operation.weights
            if name in network.weights
            and network.weights[name].dim() > 1
            and len(network.weights[name]) == size
            and not any((name, 0) in group.members for group in network.groups)
        ]
        # The other one of the first two dimensions has the samples.
        if size > 1 and layout is not None and {dim, layout.axis} == {0, 1} and own:
            after = {
                o.value
                for operation, _ in own
                for o in (operation, *program.downstream([operation.value]))
            }
            yield _Ensemble(mean, dim, size, own, _inside(before, after))


def _dim(operation: Operation) -> int | None:
    """The dimension that a mean of one dimension is over."""
    if operation.packet != "mean" or not isinstance(operation.args[0], Value):
        return None
    dims = operation.args[1] if len(operation.args) > 1 else operation.kwargs.get("dim")
    dims = [dims] if isinstance(dims, int) else dims
    return dims[0] if isinstance(dims, list | tuple) and len(dims) == 1 else None


def _inside(before: list[Operation], after: set[int]) -> set[str]:
    """Weights of operations with these numbers, also where they are transposed first."""
    found, turned = set[str](), dict[int, set[str]]()
    for operation in before:
        names = set(operation.weights).union(*(turned.get(v, ()) for v in operation.reads))
        if operation.value in after:
            found |= names
        elif operation.reads <= turned.keys():
            turned[operation.value] = names
    return found


def _added(network: ModuleNetwork, ensemble: _Ensemble) -> ModuleNetwork:
    """The network with one more group, whose mean is over the members that stay."""
    mean, size = ensemble.mean, ensemble.size
    modules = [operation.module for operation, _ in ensemble.own]
    path = shared_path(modules)
    name = f"{path}.{MEMBERS}" if path else MEMBERS
    if any(group.name == name for group in network.groups):
        return network
    names = list(dict.fromkeys(weight for _, weight in ensemble.own))
    value = mean.args[0].number
    reader = MeanReader(
        value=mean.value, reads=value, module=mean.module, weight=name, bias="", inputs=0,
        outputs_axis=-1, columns=np.arange(size)[:, None], runs=mean.value, gradient=mean.value,
    )  # fmt: skip
    group = UnitGroup(
        name,
        size,
        {(weight, 0): np.arange(size)[:, None] for weight in names},
        tuple(Source(o.value, o.module, weight, "", 0) for o, weight in ensemble.own),
        (reader,),
        "member",
        MEMBERS,
    )
    keepdim = mean.args[2] if len(mean.args) > 2 else mean.kwargs.get("keepdim", False)
    averaged = replace(
        mean,
        name=f"{OWN}.member_mean",
        args=(mean.args[0], Weight(name), ensemble.dim, bool(keepdim)),
        kwargs={},
    )
    old = network.program
    program = Program(
        [averaged if o is mean else o for o in old.operations], old.inputs, old.output,
        old.constants,
    )  # fmt: skip
    structure = _widened(network, group, ensemble)
    return ModuleNetwork(network.module, program, structure, network.weights)


def _widened(network: ModuleNetwork, group: UnitGroup, ensemble: _Ensemble) -> Structure:
    structure, number = network.structure, len(network.groups)
    groups = (*structure.groups, group)
    width = Width(group.size, {number: 1}, tuple(each.size for each in groups))
    shapes = {
        name: (width, *shape[1:]) if (name, 0) in group.members else shape
        for name, shape in structure.shapes.items()
    }
    times = dict(structure.positions)
    together = {
        name: number
        for name in ensemble.inside
        if (name, 0) not in group.members and name in times and times[name] % group.size == 0
    }
    return replace(
        structure,
        groups=groups,
        shapes=shapes,
        widths=(*structure.widths, *((key, width) for key in _counts(network.module, group.size))),
        of_members={**structure.of_members, **together},
    )


def _counts(module: nn.Module, size: int) -> Iterator[tuple[str, str]]:
    """Attributes that count members, by module."""
    for path, part in module.named_modules():
        for attribute, value in vars(part).items():
            if type(value) is int and value == size and attribute.strip("_").lower() in _COUNTS:
                yield path, attribute
