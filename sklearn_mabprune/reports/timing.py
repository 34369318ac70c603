"""How long two networks take, measured in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

_REPEATS = 15
_SECONDS = 0.25


def milliseconds(networks: Sequence[Callable[[Any], Any]], x: Any) -> list[float]:
    """Best time of each network on these samples, in milliseconds.

    The networks take turns, so that a slow moment of the machine hits all of them; the
    best of up to fifteen turns is what the network needs when nothing disturbs it.  Networks that
    need more than a quarter of a second are timed once.
    """
    best = [float("inf")] * len(networks)
    stop = time.perf_counter() + _SECONDS
    with torch.inference_mode():
        for turn in range(_REPEATS):
            first = time.perf_counter()
            for k, network in enumerate(networks):
                started = time.perf_counter()
                network(x)
                if x.device.type == "cuda":  # pragma: no cuda cover
                    torch.cuda.synchronize(x.device)
                best[k] = min(best[k], 1000 * (time.perf_counter() - started))
            now = time.perf_counter()
            if now > stop and (turn >= 2 or now - first > _SECONDS):
                break
    return best
