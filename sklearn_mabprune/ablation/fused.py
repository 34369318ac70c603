"""Update, ReLU and a product with few columns in one compiled pass over points.

torch goes through memory once for each of the three, and multiplies by few columns at half of
the processor's peak rate.  Numba (the extra ``fast``) compiles the loop below, which
``benchmarks/speed/`` times.  Without it, and for calls too small to be worth loading it, torch
does the work: the results agree up to rounding.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..utils.scratch import scratch

_PLACES = torch.empty(0, dtype=torch.int64)
# Columns of the product beyond which torch has its full rate.
_NARROW = 32
# Multiply-adds of a call that are worth a third of a second for loading, once a process.  It is
# the call's own size that decides, so that what ran before changes no result.
_WORTH = 2**26


def pays(n_units: int, n_samples: int, linear: nn.Linear) -> bool:
    """Whether points are so many, and the product so narrow, that the compiled loop is faster.

    Parameters
    ----------
    n_units, n_samples : int
        Their product is the number of points.
    linear : nn.Linear
        Behind the ReLU.
    """
    macs = n_units * n_samples * linear.in_features * linear.out_features
    return (
        linear.out_features <= _NARROW
        and macs >= _WORTH
        and (compiled(linear.weight.dtype) is not None)
    )


def outputs(
    pre: Tensor, moves: Tensor, residual: Tensor, linear: nn.Linear
) -> tuple[Tensor, Tensor]:
    """What a Linear behind a ReLU gives at all points whose ablated part is not zero.

    Parameters
    ----------
    pre : Tensor of shape (n_samples, width)
        Pre-activations of the ReLU.
    moves : Tensor of shape (n_units, width)
        What each unit adds to them for each part of its activation.
    residual : Tensor of shape (n_units, n_samples)
        Ablated parts.
    linear : nn.Linear

    Returns
    -------
    Tensor of shape (n_outputs, n_points)
        Overwritten by the next call, as are the places.
    Tensor of int, shape (n_points,)
        Where in `residual`, flattened, each point is; increasing.
    """
    loop = compiled(linear.weight.dtype)
    assert loop is not None
    weight = linear.weight.detach().contiguous().numpy()
    bias = np.zeros(len(weight), weight.dtype)
    if linear.bias is not None:
        bias = linear.bias.detach().contiguous().numpy()
    arrays = pre.contiguous().numpy(), moves.contiguous().numpy(), residual.contiguous().numpy()
    n_units, n_samples = residual.shape
    n_threads = min(torch.get_num_threads(), n_units)

    def some(span: tuple[int, int]) -> tuple[Tensor, Tensor]:
        n_points = (span[1] - span[0]) * n_samples
        # A thread may get two spans, and must not overwrite the first.
        memory = scratch if n_threads <= 1 else _fresh
        found = memory("outputs", (len(weight), n_points), pre)
        where = memory("where", (n_points,), _PLACES)
        count = loop(*arrays, weight, bias, span, found.numpy(), where.numpy())
        return found[:, :count], where[:count]

    if n_threads <= 1:
        return some((0, n_units))
    # The compiled loop leaves the interpreter alone.
    spans = pairwise(np.linspace(0, n_units, n_threads + 1).astype(int).tolist())
    with ThreadPoolExecutor(n_threads) as pool:
        every = list(pool.map(some, spans))
    return torch.cat([found for found, _ in every], 1), torch.cat([where for _, where in every])


def _fresh(name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
    return torch.empty(shape, dtype=like.dtype)


def points(
    pre: NDArray[Any],
    moves: NDArray[Any],
    residual: NDArray[Any],
    weight: NDArray[Any],
    bias: NDArray[Any],
    span: tuple[int, int],
    found: NDArray[Any],
    where: NDArray[np.int64],
) -> int:
    """The loop over points, in plain Python: see :func:`outputs`; units of `span` only.

    `found` and `where` are filled from the beginning; their filled length is returned.
    """
    n_samples, width = pre.shape
    n_outputs = len(weight)
    hidden = np.empty(width, pre.dtype)
    active = np.empty(n_samples + 1, np.int64)
    zero = bias[0] * 0
    count = 0
    for unit in range(span[0], span[1]):
        # Samples whose part is not zero are found without a branch, which would be mispredicted
        # half of the time.
        n_active = 0
        for sample in range(n_samples):
            active[n_active] = sample
            n_active += residual[unit, sample] != 0
        for sample in active[:n_active]:
            part = residual[unit, sample]
            for k in range(width):
                # Not max(): what it does with NaN takes longer.
                z = pre[sample, k] - part * moves[unit, k]
                hidden[k] = z if z > 0 else zero
            c = 0
            # Five sums at a time share what is loaded of the hidden layer.
            while c + 5 <= n_outputs:
                s, t, u, v, w = bias[c], bias[c + 1], bias[c + 2], bias[c + 3], bias[c + 4]
                for k in range(width):
                    h = hidden[k]
                    s += h * weight[c, k]
                    t += h * weight[c + 1, k]
                    u += h * weight[c + 2, k]
                    v += h * weight[c + 3, k]
                    w += h * weight[c + 4, k]
                found[c, count], found[c + 1, count], found[c + 2, count] = s, t, u
                found[c + 3, count], found[c + 4, count] = v, w
                c += 5
            while c < n_outputs:
                s = bias[c]
                for k in range(width):
                    s += hidden[k] * weight[c, k]
                found[c, count] = s
                c += 1
            where[count] = unit * n_samples + sample
            count += 1
    return count


@cache
def compiled(dtype: torch.dtype) -> Callable[..., int] | None:
    """The loop compiled for a dtype and kept on disk; None where Numba is missing or fails.

    Parameters
    ----------
    dtype : torch.dtype
        Precision of the network.

    Warns
    -----
    RuntimeWarning
        If Numba's cache on disk, or Numba itself, cannot be used.
    """
    try:
        from numba import njit
    except ImportError:
        return None
    # Sums may be added up in another order, which is what makes them vectors; infinities and
    # NaN stay what they are.
    make = partial(njit, nogil=True, fastmath={"reassoc", "contract", "nsz"})
    failure: Exception | None = None
    try:
        loop: Callable[..., int] = make(cache=True)(points)
    except RuntimeError:
        pass  # there is no folder to write to
    else:
        try:
            return _tried(loop, dtype)
        # A full disk, a damaged or unreadable index: whatever reading and writing can raise.
        except Exception as error:
            failure = error
    try:
        loop = _tried(make()(points), dtype)
    except Exception as error:
        _warn(error, "torch does its work, more slowly. Reinstall or remove Numba")
        return None
    if failure is not None:
        _warn(
            failure,
            "its cache on disk is not used, and each process compiles anew. Delete the files "
            f"fused.points-* of Numba's cache beside {__file__}, free space on the disk, or name "
            "another folder in the environment variable NUMBA_CACHE_DIR",
        )
    return loop


def _tried(loop: Callable[..., int], dtype: torch.dtype) -> Callable[..., int]:
    """The loop after a call with one point: what is raised here is not raised in a fit."""
    one = torch.zeros(1, 1, dtype=dtype).numpy()
    loop(one, one, one, one, one[0], (0, 1), one.copy(), np.zeros(1, np.int64))
    return loop


def _warn(error: Exception, remedy: str) -> None:
    """Warn that Numba fails, and say what is done and what the user can do."""
    what = f"{type(error).__name__}: {error}".rstrip(".")
    warnings.warn(f"Numba failed ({what}): {remedy}.", RuntimeWarning, stacklevel=2)
