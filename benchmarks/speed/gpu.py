"""The rows of the speed table that need a GPU.

Written for ``python -m benchmarks.speed --device cuda``.  Not measured yet: no table of a card
is committed.  What they call is tested on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import nn

from benchmarks.speed import naive
from benchmarks.speed.timing import Result, in_turns, milliseconds
from sklearn_mabprune.ablation.activations import Activations
from sklearn_mabprune.ablation.statistics import AblationStatistics
from sklearn_mabprune.data.losses import SampleLoss
from sklearn_mabprune.data.samples import Samples
from sklearn_mabprune.graph.graph import Graph
from sklearn_mabprune.graph.module import module_of
from sklearn_mabprune.graph.tracing import recover_graph

#: Layers, samples, and how many times faster than the naive loop on the same card.
CASES = (((784, 1024, 512, 256, 10), 1024, 20.0), ((50, 256, 128, 10), 256, 200.0))
#: Fraction of the units on which the selections are compared.
CHOSEN = 0.25


def example(
    sizes: tuple[int, ...], n_rows: int, device: str
) -> tuple[nn.Sequential, Graph, Samples]:
    """A random network and samples on a device, the same on every device."""
    module = naive.network(sizes)
    x = torch.randn(n_rows, sizes[0], generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        y = module(x).argmax(1)
    module = module.to(device)
    weights = torch.ones(n_rows, dtype=torch.float64, device=device)
    rows = Samples(x.to(device), y.to(device), weights, SampleLoss(nn.CrossEntropyLoss()))
    return module, recover_graph(module, rows.x), rows


def every_neuron(graph: Graph, rows: Samples, ablation: str = "zero") -> torch.Tensor:
    """Loss increase of all units on a block of these samples."""
    activations = Activations(graph, rows)
    block = activations.block(AblationStatistics(ablation, 1e-3).update(activations))
    units = [torch.arange(size, device=graph.device) for size in graph.sizes]
    return torch.cat([block.loss_increase(k, each) for k, each in enumerate(units)])


def macs(sizes: tuple[int, ...], n_rows: int) -> int:
    """MACs of one pull of every unit: the layers after the rank-1 update, and the prefix once."""
    behind = [
        sum(a * b for a, b in zip(sizes[k + 1 :], sizes[k + 2 :], strict=False))
        for k in range(1, len(sizes) - 1)
    ]
    prefix = sum(a * b for a, b in pairwise(sizes))
    pulls = sum(width * macs for width, macs in zip(sizes[1:-1], behind, strict=True))
    return n_rows * (prefix + pulls)


def peak(device: str, size: int = 8192) -> float:
    """Float32 MACs per second of a large square product, TensorFloat-32 off."""
    a, b = (torch.randn(size, size, device=device) for _ in range(2))
    found = in_turns({"product": lambda: a @ b}, 5, device)
    return size**3 / found["product"]


def pulls(repeats: int, device: str) -> Iterator[Result]:
    """Pulls a second against the naive loop on this card, and against the CPU."""
    torch.backends.cuda.matmul.allow_tf32 = False
    best = peak(device)
    for sizes, n_rows, bound in CASES:
        module, graph, rows = example(sizes, n_rows, device)
        _, on_host, host_rows = example(sizes, n_rows, "cpu")
        found = in_turns(
            {
                "naive": lambda m=module, r=rows: naive.mask_forward_restore(m, r.x, r.targets),
                "ours": lambda c=graph, r=rows: every_neuron(c, r),
            },
            repeats,
            device,
        )
        host = in_turns({"cpu": lambda c=on_host, r=host_rows: every_neuron(c, r)}, 3)["cpu"]
        title, n_pulls = "-".join(map(str, sizes)), sum(sizes[1:-1])
        yield Result(
            f"GPU pulls against naive, {title}, {n_rows} samples",
            found["naive"] / found["ours"],
            bound,
            True,
            f"{n_pulls / found['ours']:,.0f} pulls/s, naive {milliseconds(found['naive'])}",
        )
        yield Result(
            f"GPU pulls against one CPU thread, {title}",
            host / found["ours"],
            None,
            True,
            f"{n_pulls / host:,.0f} pulls/s on the CPU",
        )
        share = macs(sizes, n_rows) / found["ours"] / best
        note = f"{2 * best / 1e12:.1f} TFLOP/s in a large float32 product"
        yield Result(f"fraction of the float32 peak, {title}", share, None, True, note)


@contextmanager
def tensor_float(on: bool) -> Iterator[None]:
    """Products in TensorFloat-32, as long as this lasts."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = on
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def in_bfloat16(graph: Graph, rows: Samples) -> tuple[Graph, Samples]:
    """The network and its samples in bfloat16; losses are weighted in float64."""
    layers = list(module_of(graph).to(torch.bfloat16))
    return Graph.of(layers), Samples(rows.x.bfloat16(), rows.targets, rows.weights, rows.loss)


def precision(repeats: int, device: str) -> Iterator[Result]:
    """TensorFloat-32 and bfloat16: speed, error, and whether other units would be selected."""
    for sizes, n_rows, _ in CASES:
        _, graph, rows = example(sizes, n_rows, device)
        small, small_rows = in_bfloat16(graph, rows)

        def float32(c: Graph = graph, r: Samples = rows) -> torch.Tensor:
            with tensor_float(False):
                return every_neuron(c, r)

        def tf32(c: Graph = graph, r: Samples = rows) -> torch.Tensor:
            with tensor_float(True):
                return every_neuron(c, r)

        def bfloat16(c: Graph = small, r: Samples = small_rows) -> torch.Tensor:
            return every_neuron(c, r)

        sides: dict[str, Callable[[], torch.Tensor]] = {
            "float32": float32,
            "TF32": tf32,
            "bfloat16": bfloat16,
        }
        found = in_turns(sides, repeats, device)
        exact = float32()
        n_chosen = int(CHOSEN * len(exact))
        wanted = set(exact.argsort()[:n_chosen].tolist())
        for name in ("TF32", "bfloat16"):
            measured = sides[name]()
            same = len(wanted & set(measured.argsort()[:n_chosen].tolist())) / n_chosen
            yield Result(
                f"{name} against float32, {'-'.join(map(str, sizes))}",
                found["float32"] / found[name],
                None,
                True,
                f"off by {float((measured - exact).abs().max()):.0e}, increases up to "
                f"{float(exact.abs().max()):.0e}; {same:.0%} of the safest {CHOSEN:.0%} the same",
            )


ROWS = {"gpu-pulls": pulls, "gpu-precision": precision}
