"""What the study compares: parameters of the estimator, and a peer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...study.methods import BY_LAYER, MINI_BATCHES, ONE_SHOT
from .settings import Network

DEFAULT, PEER, UNPRUNED = "default", "Torch-Pruning", "unpruned"

#: Of 1,024 samples as many mini-batches as the study of tables has of 4,096.
PULLS = MINI_BATCHES | {"pull_batch_size": 32}

#: The paper's method, with the policies of its abstract: one shot, zero ablation, mini-batches.
POLICIES = {
    "paper, UCB1": "ucb1",
    "paper, Thompson": "thompson",
    "paper, epsilon-greedy": "epsilon_greedy",
    "paper, softmax": "softmax",
    "paper, Hedge": "hedge",
    "paper, EXP3": "exp3",
}

METHODS: dict[str, dict[str, Any]] = {
    DEFAULT: {},
    **{name: {"policy": policy, **PULLS} for name, policy in POLICIES.items()},
    "magnitude": {"policy": "magnitude", **BY_LAYER},
    "activation variation": {"policy": "activation_variation", **BY_LAYER},
    "Taylor": {"policy": "taylor", **ONE_SHOT},
    "random": {"policy": "random", **BY_LAYER},
    PEER: {},
}

#: Methods that are fine-tuned as well.
TUNED = (DEFAULT, "paper, UCB1", "magnitude", "Taylor", "random")

#: Published methods that the default is compared with.
PUBLISHED = ("paper, UCB1", "magnitude", "activation variation", "Taylor", "random")

#: What the quick form measures.
QUICK = (DEFAULT, "paper, UCB1", "magnitude", "Taylor", "random")


def methods_of(network: Network, methods: Iterable[str]) -> list[str]:
    """Those of some methods that are measured on a network.

    The paper's other policies are measured where the tests use them, and the peer where it may
    remove any unit, as it cannot be told which.
    """
    left_out = {*POLICIES} - {"paper, UCB1"} if network.trained_as != network.name else set()
    return [
        method
        for method in methods
        if method not in left_out and not (method == PEER and network.layers is not None)
    ]
