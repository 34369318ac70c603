"""Randomness from ``random_state`` alone; the global states are left as they were found."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.random import SeedSequence
from sklearn.utils import check_random_state

# Dropout and users' modules draw from torch's global generator, which all threads share:
# only one fit at a time may have it.
_GLOBAL_GENERATOR = threading.RLock()


def _renew_lock() -> None:
    """Replace the lock in a forked process: a thread that held it does not exist there."""
    global _GLOBAL_GENERATOR
    _GLOBAL_GENERATOR = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)

RandomState = int | np.random.RandomState | None


def draw_seeds(random_state: RandomState, n: int) -> list[int]:
    """Independent seeds below 2**31.

    None draws fresh entropy and leaves NumPy's global state alone.
    """
    if random_state is None:
        entropy: int | None = None
    else:
        entropy = int(check_random_state(random_state).randint(2**31 - 1))
    words = SeedSequence(entropy).generate_state(n)
    return [int(word) & 0x7FFFFFFF for word in words]


@contextmanager
def global_generators(seed: int, device: str | torch.device = "cpu") -> Iterator[None]:
    """Have torch's and NumPy's global generators for oneself, seeded; then put them back."""
    device = torch.device(device)
    devices = []
    if device.type == "cuda":  # pragma: no cuda cover
        devices = [torch.cuda.current_device() if device.index is None else device.index]
    with _GLOBAL_GENERATOR, torch.random.fork_rng(devices=devices):
        state = np.random.get_state()  # noqa: NPY002 - users' modules may draw from it
        try:
            _seed(seed, device, devices)
            np.random.seed(seed)  # noqa: NPY002
            yield
        finally:
            np.random.set_state(state)  # noqa: NPY002


def _seed(seed: int, device: torch.device, devices: list[int]) -> None:
    """Seed the generators that are put back afterwards, and those of no other device."""
    if device.type not in ("cpu", "cuda"):
        torch.manual_seed(seed)
        return
    # `torch.manual_seed` seeds every CUDA device too, or asks for it at the first use of CUDA.
    torch.default_generator.manual_seed(seed)
    for number in devices:  # pragma: no cuda cover
        with torch.cuda.device(number):
            torch.cuda.manual_seed(seed)
