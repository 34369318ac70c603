"""Methods that the benchmark of image networks compares."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from sklearn_mabprune.ablation.module_activations import ModuleActivations
from sklearn_mabprune.training import fine_tuning

from .channel_gram import channel_gram


@contextmanager
def cold_fine_tuning() -> Iterator[None]:
    """Within this context fine-tuning is at its largest rate from the first step on."""
    with patch.object(fine_tuning, "_WARM", 0.0):
        yield


@contextmanager
def pulls_on_all_samples() -> Iterator[None]:
    """Within this context pulls and estimates use as many samples as least squares does."""
    with patch.object(ModuleActivations, "for_pulls", lambda activations, seed: activations):
        yield


def with_batch_norms_anew(model: Any, X: Any) -> Any:
    """A copy of a fitted estimator whose batch norms have the statistics of the smaller network.

    Parameters
    ----------
    model : MABPrunedClassifier
    X : ndarray
        Training samples, in batches of 256.
    """
    model = copy.deepcopy(model)
    module = model.estimator_.module_
    for part in module.modules():
        if isinstance(part, _BatchNorm):
            part.reset_running_stats()
            part.momentum = None  # the mean over all batches
    device = next(module.parameters()).device
    with torch.no_grad():
        module.train()
        for part in torch.as_tensor(X, device=device).split(256):
            module(part)
    module.eval()
    return model


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
    "batch norms anew": {},
    "no warm-up": {},
}

#: What is done to the fitted estimators of some methods.
AFTERWARDS = {"batch norms anew": with_batch_norms_anew}

#: The method that is not the package's, and what budgets count.
PEER, MEASURES = "Torch-Pruning's Taylor", {"units": "neurons", "MACs": "macs"}

#: What takes the place of the package's own parts in some methods.
CONTEXTS = {"channel Gram": channel_gram, "pulls on all samples": pulls_on_all_samples,
            "no warm-up": cold_fine_tuning}  # fmt: skip
