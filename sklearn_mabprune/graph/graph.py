"""A network as a graph: layers, the values between them, and the only loops through both."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..data.sparse import SparseRows
from .frozen import frozen_names
from .groups import Group, Node, find_groups
from .kinds.base import Description
from .kinds.registry import describe


class Graph:
    """Layers in the order in which they run, and the values that they read and return.

    Value 0 is the network's input.  All of it is in evaluation mode.

    Parameters
    ----------
    nodes : sequence of Node

    Attributes
    ----------
    groups : tuple of Group
        Units that can be removed; of a chain of layers one group for each hidden layer.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from sklearn_mabprune.graph.graph import Graph
    >>> graph = Graph.of([nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)])
    >>> [(group.name, group.size) for group in graph.groups], graph.cost()
    ([('0', 8)], (67, 56))
    >>> graph.forward(torch.zeros(2, 4)).shape
    torch.Size([2, 3])
    """

    #: Why layers keep all their units: those of a chain can all be removed.
    kept_whole: ClassVar[dict[str, str]] = {}

    def __init__(self, nodes: Sequence[Node]):
        self.nodes = tuple(nodes)
        self._plans: dict[tuple[Any, Any], list[tuple[Node, list[int]]]] = {}

    @classmethod
    def of(cls, layers: Sequence[nn.Module], names: Sequence[str] | None = None) -> Graph:
        """The graph of layers that run one after the other; they are put into evaluation mode."""
        for layer in layers:
            layer.eval()
            if hasattr(layer, "inplace"):
                # Values are kept and used again.
                setattr(layer, "inplace", False)  # noqa: B010 - not an attribute of Module
        names = [str(k) for k in range(len(layers))] if names is None else names
        return cls(
            [
                Node(name, layer, k, k + 1)
                for k, (name, layer) in enumerate(zip(names, layers, strict=True))
            ]
        )

    # ---------------------------------------------------------------------- structure

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Units that can be removed, in the order of the layers that produce them."""
        return find_groups(self.nodes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of each group."""
        return tuple(group.size for group in self.groups)

    @cached_property
    def _producing(self) -> list[Node]:
        return [node for node in self.nodes if node.kind.produces]

    @property
    def output(self) -> int:
        """The value that the network returns."""
        return self.nodes[-1].value

    @property
    def logits(self) -> int:
        """The value that the last layer with units of its own returns."""
        return self._producing[-1].value

    @property
    def has_tail(self) -> bool:
        """Whether layers follow the last one with units of its own."""
        return self.logits != self.output

    @property
    def n_inputs(self) -> int:
        """Input features."""
        first = next(node for node in self.nodes if node.kind.produces or node.kind.encodes)
        return int(first.kind.n_inputs(first.layer))

    @property
    def n_outputs(self) -> int:
        """Units of the last layer that has units of its own."""
        last = self._producing[-1]
        return int(last.kind.n_outputs(last.layer))

    @cached_property
    def _tensor(self) -> Tensor:
        return next(self._producing[0].layer.parameters())

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self._tensor.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights."""
        return self._tensor.dtype

    def input_weights(self) -> Tensor | None:
        """Weights of the features, (n_outputs, n_features); None if they are transformed first."""
        first = self._producing[0]
        if first.reads != 0:
            return None
        weight: Tensor = first.kind.weights(first.layer)[0]
        return weight

    def unread_features(self) -> list[int]:
        """Features that the layer that encodes them does not read."""
        layers = [(node.kind, node.layer) for node in self.nodes if node.kind.encodes]
        if not layers:
            return []
        kind, layer = layers[0]
        return sorted({*range(self.n_inputs)} - {*kind.sources(layer).tolist()})

    def encoder(self) -> Description | None:
        """The layer that encodes the features, as plain data; None: there is none."""
        layers = [node.layer for node in self.nodes if node.kind.encodes]
        return describe(layers[0]) if layers else None

    def producer(self, group: Group) -> Node:
        """The node whose output units a group is."""
        return self.nodes[group.producers[0]]

    def reader(self, group: Group) -> Node:
        """The node that reads a group."""
        return self.nodes[group.readers[0]]

    def downstream(self, value: int) -> tuple[Node, ...]:
        """The nodes that must run again when a value changes."""
        changed, found = {value}, []
        for node in self.nodes:
            if node.reads in changed:
                changed.add(node.value)
                found.append(node)
        return tuple(found)

    # ------------------------------------------------------------------------ running

    def run(
        self,
        known: Mapping[int, Any],
        wanted: Collection[int] | None = None,
        *,
        feature_major: bool = False,
        overwrite: bool = False,
    ) -> dict[int, Tensor]:
        """Values computed from known values: the only forward loop.

        Parameters
        ----------
        known : mapping of int to Tensor
            Values by number, (n_samples, n_units).  Value 0, the input, may be sparse.
        wanted : collection of int, optional
            Numbers of the values to return; the network's output when not given.
        feature_major : bool, default=False
            Known and returned values have shape (n_units, n_samples), which is several times
            faster for narrow layers; the input has a sample in each row all the same.
        overwrite : bool, default=False
            The known values may be overwritten where nothing else reads them.

        Returns
        -------
        dict of int to Tensor
        """
        wanted = (self.output,) if wanted is None else tuple(wanted)
        values = dict(known)
        if 0 in values:
            values |= self._entered(values.pop(0), feature_major)
        for node, done in self._plan(frozenset(values), wanted):
            x = values[node.reads]
            if overwrite and node.kind.rectifies and node.reads in done:
                values[node.value] = x.relu_()
            else:
                values[node.value] = node.kind.run(node.layer, x, feature_major)
            for value in done:
                del values[value]
        return {value: values[value] for value in wanted}

    def _entered(self, x: Any, feature_major: bool) -> dict[int, Tensor]:
        """The first values that are known once the input is."""
        if not isinstance(x, SparseRows):
            return {0: x.T if feature_major else x}
        first = self._producing[0]
        if first.reads == 0:
            return {0: x}  # type: ignore[dict-item]
        # Something else than a sum of features comes first: some samples at a time are dense.
        parts = [self.run({0: part.dense()}, [first.value])[first.value] for part in x.pieces()]
        z = torch.cat(parts)
        return {first.value: z.T.contiguous() if feature_major else z}

    def _plan(self, known: frozenset[int], wanted: tuple[int, ...]) -> list[tuple[Node, list[int]]]:
        """The nodes to run, in order, and the values that nothing reads after each of them."""
        key = known, wanted
        if key not in self._plans:
            needed, chosen = set(wanted) - known, []
            for node in reversed(self.nodes):
                if node.value in needed:
                    chosen.append(node)
                    needed |= {node.reads} - known
            kept, plan = set(wanted), []
            for node in chosen:  # from the last to the first: the last reader comes first
                plan.append((node, [] if node.reads in kept else [node.reads]))
                kept.add(node.reads)
            self._plans[key] = plan[::-1]
        return self._plans[key]

    def pullback(
        self, gradient: Tensor, source: int, target: int, values: Mapping[int, Tensor]
    ) -> Tensor:
        """Gradients with respect to one value from those to a later one: the only backward loop.

        Parameters
        ----------
        gradient : Tensor of shape (n_units, k, n_samples or 1)
            Of k functions with respect to value `source`.
        source, target : int
            `target` is upstream of `source`.
        values : mapping of int to Tensor of shape (n_units, n_samples)
            Value `target`, and others between the two, which are computed where they are missing.

        Returns
        -------
        Tensor of shape (n_units, k, n_samples or 1)
            Overwritten by the next call but one.
        """
        between = [n for n in self.downstream(target) if n.value <= source]
        needed = {v for n in between if n.kind.elementwise for v in (n.reads, n.value)}
        missing = sorted(needed - set(values))
        if missing:
            # The input alone has a sample in each row for `run`.
            known = {number: z if number else z.T for number, z in values.items()}
            values = {**values, **self.run(known, missing, feature_major=True)}
        for node in reversed(between):
            x, y = values.get(node.reads), values.get(node.value)
            gradient = node.kind.pullback(node.layer, gradient, x, y)
        return gradient

    def forward(self, x: Tensor | SparseRows) -> Tensor:
        """The network's outputs, (n_samples, n_outputs)."""
        return self.run({0: x})[self.output]

    # --------------------------------------------------------------------------- cost

    def cost(self, sizes: Sequence[int] | None = None) -> tuple[int, int]:
        """Parameters and MACs per sample, with these numbers of units in the groups.

        Parameters
        ----------
        sizes : sequence of int, optional
            Units of each group; the present ones when not given.  A layer that reads a group
            which has shrunk is counted with a bias: most ablations leave it one.
        """
        widths = {0: self.n_inputs}
        sized = {
            number: size
            for group, size in zip(self.groups, self.sizes if sizes is None else sizes, strict=True)
            for number in group.producers
        }
        parameters = macs = 0
        for number, node in enumerate(self.nodes):
            n_inputs = n_outputs = widths[node.reads]
            if node.kind.produces or node.kind.encodes:
                n_outputs = sized.get(number, node.kind.n_outputs(node.layer))
            widths[node.value] = n_outputs
            each = node.kind.cost(node.layer, n_inputs, n_outputs)
            parameters, macs = parameters + each[0], macs + each[1]
        return parameters, macs

    @property
    def n_bytes(self) -> int:
        """Bytes of all parameters and buffers."""
        return sum(v.nbytes for node in self.nodes for v in node.layer.state_dict().values())

    # ------------------------------------------------------------------------- copies

    def replaced(self, layers: Mapping[int, nn.Module]) -> Graph:
        """A graph with other layers at some nodes and copies of the layers at the others."""
        nodes = []
        for number, node in enumerate(self.nodes):
            layer = layers.get(number)
            if layer is None:
                layer = copy.deepcopy(node.layer)
            else:
                _keep_frozen(node.layer, layer)
            nodes.append(replace(node, layer=layer))
        return Graph(nodes)

    def with_layers(self, layers: Sequence[nn.Module]) -> Graph:
        """The same graph over copies of other layers, one for each node."""
        others = Graph.of([copy.deepcopy(layer) for layer in layers]).layers()
        pairs = zip(self.nodes, others, strict=True)
        return Graph([replace(node, layer=layer) for node, layer in pairs])

    def with_layers_of(self, module: nn.Module) -> Graph:
        """The same graph over copies of the layers of these names in a module."""
        return self.with_layers([module.get_submodule(node.name) for node in self.nodes])

    def layers(self) -> list[nn.Module]:
        """All layers in order."""
        return [node.layer for node in self.nodes]

    def descriptions(self) -> tuple[Description, ...]:
        """The layers as plain data, without their weights."""
        return tuple(describe(layer) for layer in self.layers())

    def copy_to(self, module: nn.Sequential) -> None:
        """Copy the weights into a module of the same layers."""
        for new, old in zip(module, self.layers(), strict=True):
            new.load_state_dict(old.state_dict())
            _keep_frozen(old, new)

    def to_arrays(self) -> dict[str, Any]:
        """Layers, dtype and weights as plain data and NumPy arrays."""
        return {
            "layers": self.descriptions(),
            "dtype": str(self.dtype).removeprefix("torch."),
            "names": tuple(node.name for node in self.nodes),
            "frozen": tuple(frozen_names(layer) for layer in self.layers()),
            "state": [
                {name: value.cpu().numpy().copy() for name, value in layer.state_dict().items()}
                for layer in self.layers()
            ],
        }


def _keep_frozen(old: nn.Module, new: nn.Module) -> None:
    """Train no parameter of a layer in place of another one that was not trained there.

    A bias that only the new one has is trained as the weights are.
    """
    trained = {name: value.requires_grad for name, value in old.named_parameters()}
    for name, value in new.named_parameters():
        value.requires_grad_(trained.get(name, any(trained.values())))
