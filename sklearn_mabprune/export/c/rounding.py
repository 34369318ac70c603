"""Rounding of the weights of a layer that know of each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Ridge of the Gram matrix of inputs, as a fraction of its mean diagonal.
_RIDGE = 0.01

#: With more inputs weights are rounded one by one: the Gram matrix would take too long.
_MOST = 2048


def rounded_together(weight: Array, x: Array, largest: int) -> Array:
    """Integers near weights, so that the sums of the samples change little.

    Inputs are taken one after the other; what rounding the weights of one changes is made up for
    by those of the inputs that follow, as least squares on the samples say.

    Parameters
    ----------
    weight : ndarray of shape (n_outputs, n_inputs)
        In units of the integers.
    x : ndarray of shape (n_samples, n_inputs)
    largest : int
        Largest magnitude of the integers.

    Returns
    -------
    ndarray of shape (n_outputs, n_inputs)

    References
    ----------
    E. Frantar, S. Ashkboos, T. Hoefler, D. Alistarh, "GPTQ: Accurate post-training quantization
    for generative pre-trained transformers", ICLR 2023.
    """
    n_inputs = weight.shape[1]
    gram = x.T @ x / len(x)
    scale = np.trace(gram) / n_inputs
    if n_inputs > _MOST or scale == 0:
        return np.clip(np.rint(weight), -largest, largest)
    gram = gram / scale + _RIDGE * np.eye(n_inputs)
    # Row j: how the inputs that follow make up for input j, given all that follow it.
    upper = np.linalg.cholesky(np.linalg.inv(gram)).T
    left, found = weight.copy(), np.empty_like(weight)
    for j in range(n_inputs):
        found[:, j] = np.clip(np.rint(left[:, j]), -largest, largest)
        missing = (left[:, j] - found[:, j]) / upper[j, j]
        left[:, j + 1 :] -= missing[:, None] * upper[j, j + 1 :]
    return found
