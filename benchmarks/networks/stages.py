"""Seconds of the stages of a prune, from clocks around the functions that make them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from sklearn_mabprune.ablation.module_block import ModuleBlock
from sklearn_mabprune.ablation.reader_statistics import ReaderStatistics
from sklearn_mabprune.graph.module_network import ModuleNetwork
from sklearn_mabprune.training import initial

#: Functions of each stage; a stage inside another one counts for itself alone.
STAGES: dict[str, tuple[tuple[Any, str], ...]] = {
    "analysis": ((initial, "network_of"),),
    "Gram": ((ReaderStatistics, "_start"), (ReaderStatistics, "measure")),
    "estimates": ((ModuleBlock, "estimate"),),
    "pulls": ((ModuleBlock, "loss_increase"),),
    "surgery": (
        (ReaderStatistics, "removed"),
        (ReaderStatistics, "refitted"),
        (ModuleNetwork, "narrowed"),
    ),
}


class Stages:
    """Seconds by stage.

    Parameters
    ----------
    clock : callable
        Seconds now.
    """

    def __init__(self, clock: Callable[[], float]):
        self.clock = clock
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self._inner: list[float] = []

    @contextmanager
    def running(self) -> Iterator[Stages]:
        """Within this context the stages are timed."""
        with ExitStack() as stack:
            for stage, functions in STAGES.items():
                for owner, name in functions:
                    timed = self._timed(getattr(owner, name), stage)
                    stack.enter_context(patch.object(owner, name, timed))
            yield self

    def _timed(self, run: Callable[..., Any], stage: str) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            started = self.clock()
            self._inner.append(0.0)
            try:
                return run(*args, **kwargs)
            finally:
                taken = self.clock() - started
                self.seconds[stage] += taken - self._inner.pop()
                if self._inner:
                    self._inner[-1] += taken

        return timed
