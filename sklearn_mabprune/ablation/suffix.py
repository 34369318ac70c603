"""What runs again when the readers of one group return something else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..graph.layouts import PLAIN, layouts
from ..graph.module_network import ModuleNetwork

#: Samples of the last run that says how values hold them.
_MORE = 3


class Suffix:
    """The operations between what a group's readers return and the network's logits.

    Parameters
    ----------
    network : ModuleNetwork
        Any network of its program.
    changed : collection of int
        Values that the readers return.
    x : Tensor or other samples
        A few samples.

    Attributes
    ----------
    frontier : dict of int to Layout or None
        Other values that these operations read, and how they hold the samples; None where they do
        not depend on them.
    usable : bool
        Whether many units can run at once: no reader reads what another one returns, and the
        operations treat each sample by itself.
    numbers : int
        Numbers of the largest value on the way, for one sample.
    """

    def __init__(self, network: ModuleNetwork, changed: Iterable[int], x: Any):
        self.changed = sorted(set(changed))
        program = network.program
        after = {operation.value for operation in program.downstream(self.changed)}
        needed: set[int] = {network.logits}
        reads: set[int] = set()
        for operation in reversed(program.operations):
            if operation.value in needed and operation.value in after:
                needed |= operation.reads
                reads |= operation.reads
        others = sorted(reads - after - set(self.changed))
        within = sorted((needed & after) | set(self.changed))
        self.usable = not any(
            operation.value in self.changed
            for value in self.changed
            for operation in program.downstream([value])
        )
        with torch.inference_mode():
            values: dict[int, Any] = {}

            def run(some: Any) -> Any:
                values.update(network.run(network.known(some), [*others, *within]))
                return dict(values)

            found = layouts(run, x, [*others, *self.changed])
            self.frontier = {k: found[k] for k in others if isinstance(values[k], Tensor)}
            self._layouts = {k: found[k] or PLAIN for k in self.changed}
            sizes = [v.numel() for k in within if isinstance(v := values[k], Tensor)]
            self.numbers = max(sizes) // _MORE
            self.usable = self.usable and self._agrees(network, values)

    def _agrees(self, network: ModuleNetwork, values: Mapping[int, Tensor]) -> bool:
        """Whether samples that are repeated for two units give the same twice."""
        try:
            known = {k: held.repeated(values[k], 2) for k, held in self._layouts.items()}
            found = self.logits(network, known, values, 2, _MORE)
        except (RuntimeError, IndexError, KeyError):
            return False
        wanted = torch.cat([values[network.logits]] * 2)
        return found.shape == wanted.shape and torch.allclose(found, wanted, rtol=1e-4, atol=1e-5)

    def logits(
        self,
        network: ModuleNetwork,
        known: Mapping[int, Tensor],
        values: Mapping[int, Tensor],
        n_units: int,
        n_samples: int,
    ) -> Tensor:
        """Logits from changed values, (n_units * n_samples, n_outputs).

        Parameters
        ----------
        network : ModuleNetwork
        known : mapping of int to Tensor
            What the readers return, unit by unit, laid out as for so many samples.
        values : mapping of int to Tensor
            The frontier, on the samples.
        n_units, n_samples : int
        """
        full = dict(known)
        for number, held in self.frontier.items():
            value = values[number]
            full[number] = held.repeated(value, n_units) if held and n_units > 1 else value
        found = network.run(full, [network.logits], n_samples=n_units * n_samples)
        logits: Tensor = found[network.logits]
        return logits
