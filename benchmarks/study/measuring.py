"""Rows of results: networks as each method leaves them, fine-tuned, and trained from scratch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate
from typing import Any

from skorch.callbacks import LRScheduler

from benchmarks.study.methods import MAIN, SHARES, Cell, Method
from sklearn_mabprune import MLPNetClassifier, MLPNetRegressor
from sklearn_mabprune.graph.graph import Graph
from sklearn_mabprune.training.fine_tuning import FineTuning, fine_tune
from sklearn_mabprune.training.initial import train
from sklearn_mabprune.training.rebuilding import net_around


def pruned_rows(
    cell: Cell, method: Method, unit: str, epochs: dict[float, int] | None
) -> Iterator[dict[str, Any]]:
    """Rows of one method: as pruned, and fine-tuned for these epochs, by share, if any."""
    for share in SHARES:
        graph, row = pruned_row(cell, method, share, unit)
        yield row
        if epochs is not None:
            yield tuned_row(cell, graph, share, epochs[share])


def default_rows(
    cell: Cell, method: Method, unit: str, *, scratch: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    """Rows of the default, and of the sizes that it found trained from scratch, in two ways.

    ``scratch`` is trained as the first network was, but never stopped early: the best of all
    epochs is kept.  ``scratch_cosine`` starts at the rate of fine-tuning, which falls to 0 over
    all its epochs, and keeps the best, too.  Both get the epochs of training
    and fine-tuning together, and as ``_short`` those of fine-tuning alone.
    """
    for share in SHARES:
        graph, row = pruned_row(cell, method, share, unit)
        tuned = tuned_row(cell, graph, share)
        yield row | {"method": "default"}
        yield tuned | {"method": "default"}
        for suffix, epochs in (("", cell.epochs + tuned["epochs"]), ("_short", tuned["epochs"])):
            for name in scratch:
                row = scratch_row(cell, graph.sizes, epochs, cosine=name != "scratch")
                yield row | {"method": f"{name}{suffix}", "removed": share}


def unpruned_rows(cell: Cell) -> Iterator[dict[str, Any]]:
    """The trained network, and what fine-tuning on labels does for it."""
    score = cell.score(cell.ready.net, cell.graph)
    yield cell.row(cell.graph, score, removed=0.0, tuned=0, epochs=cell.epochs, seconds=0.0)
    yield tuned_row(cell, cell.graph, 0.0, distillation=0.0)


def tuned_default_rows(
    cell: Cell, epochs: dict[float, int], **way: Any
) -> Iterator[dict[str, Any]]:
    """Rows of the default's networks, fine-tuned in another way for as long."""
    for share in SHARES:
        yield tuned_row(cell, MAIN["default"](cell, share, "neurons"), share, epochs[share], **way)


def pruned_row(cell: Cell, method: Method, share: float, unit: str) -> tuple[Graph, dict[str, Any]]:
    """A network as the method leaves it, and its row."""
    started = time.process_time()
    graph = method(cell, share, unit)
    seconds = time.process_time() - started
    score = cell.score(cell.ready.net, graph)
    return graph, cell.row(graph, score, removed=share, tuned=0, epochs=0, seconds=seconds)


def tuned_row(
    cell: Cell,
    graph: Graph,
    share: float,
    epochs: int | None = None,
    lr: float | str = "auto",
    distillation: float = 0.7,
) -> dict[str, Any]:
    """A row of a network that was fine-tuned, as the estimators do it.

    For as many epochs as validation asks for, or as another network took: then in the same
    cycles, so that no method is trained for longer than the default.
    """
    started = time.process_time()
    net, done = net_around(cell.ready.net, graph), [0]
    options = FineTuning.of("auto", cell.epochs, lr, distillation, 2.0)
    if epochs is not None:
        ends = accumulate(options.cycles)
        cycles = [n for n, end in zip(options.cycles, ends, strict=True) if end <= epochs]
        options = replace(options, cycles=tuple(cycles))
    fine_tune(
        net,
        cell.rows,
        cell.validation,
        cell.teacher,
        options,
        cell.seed,
        done.append,
        cell.losses if epochs is None else None,
    )
    seconds = time.process_time() - started
    graph = cell.graph_of(net)
    score = cell.score(net, graph)
    return cell.row(graph, score, removed=share, tuned=1, epochs=done[-1], seconds=seconds)


def scratch_row(cell: Cell, sizes: tuple[int, ...], epochs: int, *, cosine: bool) -> dict[str, Any]:
    """A row of a network that was never large."""
    kind = MLPNetClassifier if cell.ready.fitted.y.ndim == 1 else MLPNetRegressor
    net = kind(
        module__hidden_layer_sizes=sizes, max_epochs=epochs, patience=epochs, inputs=None, lr=0.001
    )
    if cosine:
        # Ten times the net's rate: the start of fine-tuning.
        falling = LRScheduler("CosineAnnealingLR", T_max=epochs)
        net.set_params(lr=10 * net.lr, callbacks=[("falling rate", falling)])
    started = time.process_time()
    net, _ = train(net, cell.ready.fitted, cell.ready.validation, 1000 + cell.seed)
    seconds = time.process_time() - started
    graph = cell.graph_of(net)
    return cell.row(graph, cell.score(net, graph), tuned=1, epochs=epochs, seconds=seconds)
