"""Which inputs a table wants: those of a net's default, or more functions of each feature."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from ..data.samples import Data
from ..data.splitting import are_so_many
from .auto_size import SelfSizing
from .inputs import (
    LEAST_TRIED,
    LEAST_TRIED_FOR_EACH,
    MOST_FEATURES,
    N_TRIED,
    InputStage,
    embedding_of,
)

#: Training samples on which inputs are compared, at most.
MOST_SAMPLES = 6000


def inputs_to_try(net: Any, data: Data) -> dict[str, Any] | None:
    """Parameters of a net with other inputs than the default, where these are left to the fit.

    Parameters
    ----------
    net : skorch net
        Untrained.
    data : Data
        Training samples.

    Returns
    -------
    dict or None
        None for a net that is not one of ours, for inputs that the user gave, and for samples
        that are sparse, or too few to tell.
    """
    if not (isinstance(net, SelfSizing) and isinstance(data.x, np.ndarray)):
        return None
    parameters = net.get_params()
    given = parameters["inputs"] is None or parameters["n_functions"] != "auto"
    if given or "module__inputs" in parameters or not are_so_many(data.x, data.y, LEAST_TRIED):
        return None
    if "inputs" not in inspect.signature(parameters["module"]).parameters:
        return None
    if data.x.ndim != 2 or (parameters["inputs"] == "auto" and data.x.shape[1] > MOST_FEATURES):
        return None
    stage = embedding_of(data.x, data.weights)
    if stage is None:
        return None
    if not are_so_many(data.x, data.y, LEAST_TRIED_FOR_EACH * stage.n_embedded):
        return None
    return {"inputs": "piecewise_linear", "n_functions": N_TRIED}


def of_all_samples(net: Any, data: Data) -> dict[str, Any]:
    """Parameters of a net with the default inputs for all samples, to be trained on some of them.

    Of some "auto" may make no functions where it makes them of all.
    """
    stage = InputStage.of(data.x, data.y, data.weights, net.inputs)
    return {"inputs": None if stage is None else "piecewise_linear"}


def samples_to_compare(data: Data, seed: int) -> Data:
    """The training samples, or some of them where they are many."""
    if len(data) <= MOST_SAMPLES:
        return data
    index = np.random.default_rng(seed).permutation(len(data))[:MOST_SAMPLES]
    return data.at(np.sort(index))
