"""How long a path is going to take, said before it starts."""

from __future__ import annotations

import time

import numpy as np
import torch
from sklearn.base import clone
from torch import Tensor

from ..criteria import Criterion
from ..data.rows import Rows
from ..data.sparse import SparseRows, few
from ..graph.graph import Chain
from ..policies.base import Policy
from .path import PathOptions
from .schedules import Budget, round_sizes

_ROWS, _TIMED = 512, 128
# What is not a product, in multiply-adds that take as long: moving, activating and weighing
# a number; the loss of a point; a number of a matrix that is copied in float64.
_NUMBER, _POINT, _COPIED = 6, 60, 30
# Calls of a round, in seconds.
_ROUND = 0.006
# Of the network's own rate, what small products reach.
_SHARE = 0.7
# Products in float64 take twice as long.
_DOUBLE = 2
# Pulls for each neuron that goes, where estimates leave little to doubt.
_DOUBTS = 0.5
# Of the blocks, and of the rounds with estimates, how many all neurons are estimated on.
_ALL = 1 / 32


def forecast(
    chain: Chain, rows: Rows, options: PathOptions, budget: Budget, chooser: Policy | Criterion
) -> float:
    """Seconds that a path will take, about: within a factor of three.

    Counts multiply-adds, and times the network as it stands on some rows.

    Parameters
    ----------
    chain : Chain
    rows : Rows
        Pruning rows.
    options : PathOptions
    budget : Budget
    chooser : Policy or Criterion
        Whether it pulls, and what it has estimated.
    """
    sizes = np.array(chain.hidden_sizes, dtype=float)
    n = int(sizes.sum())
    going = round_sizes(options.step, n, budget.target if budget.unit == "neurons" else n)
    if not going.size:
        return 0.0
    # Layers shrink alike, so products shrink with the square: in each round, and added up.
    left = 1 - (np.cumsum(going) - going) / n
    rounds, removals = float((left**2).sum()), float(going @ left**2)
    share = float((going / (left * n)).mean())
    total = 0.0
    if isinstance(chooser, Policy):
        kind = options.control_variate
        if kind == "auto":
            kind = "linear" if chooser.uses_estimates else None
        few_pulls = chooser.uses_estimates and kind is not None
        pulls = _DOUBTS if few_pulls else options.pulls_per_neuron
        total += removals * pulls * _pull(chain, rows, options)
        if kind is None:
            total += n * _pull(chain, rows, options)
        else:
            step = max(1, int(share * n))
            total += rounds * _estimates(chain, rows, options, chooser, kind, step)
    if options.ablation == "least_squares":
        narrow = np.minimum(sizes, len(rows))
        made = narrow * sizes * len(rows) / 2 + np.where(
            sizes > len(rows), sizes**2 * narrow / 2, narrow**3
        )
        # The first layer's once, the others' five times, while they shrink.
        total += _DOUBLE * (made[0] + (1 + 4 * rounds / len(going)) * made[1:].sum())
        down = share * sizes**3 * _DOUBLE + _COPIED * sizes**2
        total += rounds * down.sum()
    row = _seconds(chain, rows.x[:_TIMED])
    # Sparse rows are quicker through the first layer than products that are dense.
    dense = _seconds(chain, few(rows.x)) if isinstance(rows.x, SparseRows) else row
    through = len(rows) * rounds * row
    return float((through + total * dense / chain.cost()[1]) / _SHARE + len(going) * _ROUND)


def _pull(chain: Chain, rows: Rows, options: PathOptions) -> float:
    """Multiply-adds of a pull, the mean over all neurons."""
    sizes = np.array(chain.hidden_sizes, dtype=float)
    widths = np.array([*sizes, chain.n_outputs])
    size = options.pull_batch_size
    block = min(len(rows), _ROWS if isinstance(size, str) else size)
    behind = np.cumsum((widths[:-1] * widths[1:])[::-1])[::-1]
    behind = np.append(behind[1:], 0.0) + sizes + _NUMBER * widths[1:] + _POINT
    return float(block * (sizes @ behind) / sizes.sum())


def _estimates(
    chain: Chain, rows: Rows, options: PathOptions, policy: Policy, kind: str, step: int
) -> float:
    """Multiply-adds of a round's estimates."""
    sizes = np.array(chain.hidden_sizes, dtype=float)
    n_arms = int(sizes.sum())
    passes = 2 if kind == "fisher" else min(chain.n_outputs, 3)
    asked = clone(policy).start(np.arange(n_arms)).finalists(step) or n_arms
    share = min(1.0, asked / n_arms) + (_ALL if asked < n_arms else 0.0)
    reached = passes * (np.append(sizes[1:], 0.0) + _POINT)
    if options.ablation == "least_squares":
        reached += sizes
    back = passes * (sizes[1:] @ np.append(sizes[2:], chain.n_outputs)) if len(sizes) > 1 else 0.0
    return float(len(rows) * (share * (sizes @ reached) + back))


def in_words(seconds: float) -> str:
    """A time as people say it.

    Examples
    --------
    >>> from sklearn_mabprune.pruning.forecast import in_words
    >>> in_words(0.3), in_words(42.0), in_words(400.0), in_words(9000.0)
    ('a second', '42 seconds', '7 minutes', '2.5 hours')
    """
    if seconds < 1.5:
        return "a second"
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _seconds(chain: Chain, x: Tensor | SparseRows) -> float:
    """What a row takes through the network as it stands, the best of five runs."""
    best = float("inf")
    # Processor time: what else the machine is doing now says little about later.
    now = time.thread_time if x.device.type == "cpu" else time.perf_counter
    with torch.inference_mode():
        for _ in range(5):
            started = now()
            chain.activations_across(x)
            if x.device.type == "cuda":  # pragma: no cuda cover
                torch.cuda.synchronize(x.device)
            best = min(best, now() - started)
    return best / len(x)
