"""Methods that the benchmark of image networks compares."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from sklearn_mabprune.ablation.module_activations import ModuleActivations

from .channel_gram import channel_gram


@contextmanager
def pulls_on_all_samples() -> Iterator[None]:
    """Within this context pulls and estimates use as many samples as least squares does."""
    with patch.object(ModuleActivations, "for_pulls", lambda activations, seed: activations):
        yield


#: Parameters of the estimator.
METHODS: dict[str, dict[str, Any]] = {
    "default": {},
    "channel Gram": {},
    "mean": {"ablation": "mean"},
    "zero": {"ablation": "zero"},
    "magnitude": {"policy": "magnitude"},
    "random": {"policy": "random"},
    "taylor": {"policy": "taylor"},
    "taylor, zero": {"policy": "taylor", "ablation": "zero"},
    "magnitude, zero": {"policy": "magnitude", "ablation": "zero"},
    "random, zero": {"policy": "random", "ablation": "zero"},
    "UCB1, zero": {"policy": "ucb1", "ablation": "zero"},
    "Torch-Pruning's Taylor": {},
    "pulls on all samples": {},
}

#: The method that is not the package's, and what budgets count.
PEER, MEASURES = "Torch-Pruning's Taylor", {"units": "neurons", "MACs": "macs"}

#: What takes the place of the package's own parts in some methods.
CONTEXTS = {"channel Gram": channel_gram, "pulls on all samples": pulls_on_all_samples}
