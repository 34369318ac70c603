"""What runs again when the readers of one group return something else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..graph.module_network import ModuleNetwork

#: Numbers of samples that tell the dimension of the samples from others.
_FEW, _MORE = 2, 3


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
    frontier : dict of int to int or None
        Other values that these operations read, and the dimension along which their samples lie;
        None where they do not depend on the samples.
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
        self.frontier: dict[int, int | None] = {}
        self.usable = not any(
            operation.value in self.changed
            for value in self.changed
            for operation in program.downstream([value])
        )
        with torch.inference_mode():
            few, more = (
                network.run(network.known(_first(x, n)), [*others, *within]) for n in (_FEW, _MORE)
            )
            for number in others:
                if isinstance(few[number], Tensor):
                    self.frontier[number] = _dimension(few[number], more[number])
            sizes = [v.numel() for k in within if isinstance(v := more[k], Tensor)]
            self.numbers = max(sizes) // _MORE
            self.usable = self.usable and self._agrees(network, more)

    def _agrees(self, network: ModuleNetwork, values: Mapping[int, Tensor]) -> bool:
        """Whether samples that are repeated for two units give the same twice."""
        try:
            known = {number: torch.cat([values[number]] * 2) for number in self.changed}
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
        known : mapping of int to Tensor of shape (n_units * n_samples, ...)
            What the readers return, unit by unit.
        values : mapping of int to Tensor
            The frontier, on the samples.
        n_units, n_samples : int
        """
        full = dict(known)
        for number, dimension in self.frontier.items():
            value = values[number]
            if dimension is not None and n_units > 1:
                value = torch.cat([value] * n_units, dim=dimension)
            full[number] = value
        found = network.run(full, [network.logits], n_samples=n_units * n_samples)
        logits: Tensor = found[network.logits]
        return logits


def _first(x: Any, n_samples: int) -> Any:
    """So many samples, the first ones again where there are fewer."""
    return x[torch.arange(n_samples, device=x.device) % len(x)]


def _dimension(few: Tensor, more: Tensor) -> int | None:
    """The dimension that grows with the number of samples."""
    pairs = zip(few.shape, more.shape, strict=True)
    return next((k for k, (a, b) in enumerate(pairs) if a != b), None)
