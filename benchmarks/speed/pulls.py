"""Pulls of every unit, against a loop that masks one unit at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from benchmarks.speed import naive
from benchmarks.speed.timing import Result, in_turns, milliseconds
from sklearn_mabprune.ablation.activations import Activations
from sklearn_mabprune.ablation.compensation import ABLATIONS, ZeroAblation
from sklearn_mabprune.ablation.statistics import AblationStatistics
from sklearn_mabprune.data.losses import SampleLoss
from sklearn_mabprune.data.samples import Samples
from sklearn_mabprune.graph.tracing import recover_graph


@dataclass(frozen=True)
class Case:
    """A network, and how many times faster than the loop its pulls must be.

    Parameters
    ----------
    sizes : tuple of int
        Layers, from the inputs to the outputs.
    n_samples : int
        Of the batch.
    zero, squares : float
        Bounds for zero and for least-squares ablation.
    """

    sizes: tuple[int, ...]
    n_samples: int
    zero: float
    squares: float

    @property
    def title(self) -> str:
        """The layers as text."""
        return "-".join(map(str, self.sizes))


CASES = (
    Case((50, 128, 2), 256, 60, 40),
    Case((50, 256, 128, 10), 256, 35, 22),
    Case((50, 512, 256, 10), 256, 30, 18),
    Case((784, 1024, 512, 256, 10), 128, 25, 14),
)


def pulls(repeats: int, device: str, case: Case) -> Iterator[Result]:
    """Every unit once on one batch, zero and least-squares ablation."""
    module = naive.network(case.sizes, device)
    source = torch.Generator().manual_seed(1)
    x = torch.randn(case.n_samples, case.sizes[0], generator=source).to(device)
    y = torch.randint(case.sizes[-1], (case.n_samples,), generator=source).to(device)
    weights = torch.ones(case.n_samples, dtype=torch.float64, device=device)
    rows = Samples(x, y, weights, SampleLoss(nn.CrossEntropyLoss()))
    graph = recover_graph(module, x)
    units = [torch.arange(size, device=device) for size in graph.sizes]

    def statistics(name: str) -> list[ZeroAblation]:
        return AblationStatistics(name, 1e-3).update(Activations(graph, rows))

    frozen = {name: statistics(name) for name in ABLATIONS}

    def batched(name: str) -> torch.Tensor:
        block = Activations(graph, rows).block(frozen[name])
        return torch.cat([block.loss_increase(k, each) for k, each in enumerate(units)])

    found = in_turns(
        {
            "naive": lambda: naive.mask_forward_restore(module, x, y),
            "zero": lambda: batched("zero"),
            "least_squares": lambda: batched("least_squares"),
            "statistics": lambda: statistics("least_squares"),
        },
        repeats,
        device,
    )
    difference = batched("zero") - naive.mask_forward_restore(module, x, y).double()
    sides = f"naive {milliseconds(found['naive'])}"
    yield Result(
        f"pulls, zero, {case.title}, {case.n_samples} samples",
        found["naive"] / found["zero"],
        case.zero,
        True,
        f"{sides}, {milliseconds(found['zero'])}; differ by {float(difference.abs().max()):.0e}",
    )
    yield Result(
        f"pulls, least squares, {case.title}, {case.n_samples} samples",
        found["naive"] / found["least_squares"],
        case.squares,
        True,
        f"{sides}, {milliseconds(found['least_squares'])}; mean, Gram matrix and inverse take "
        f"{milliseconds(found['statistics'])}",
    )


ROWS = {f"pulls-{case.title}": partial(pulls, case=case) for case in CASES}
