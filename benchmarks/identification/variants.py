"""What is compared in whole searches: policies and options, on which networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sklearn_mabprune.policies import POLICIES, Boundary

PAPER = ("epsilon_greedy", "softmax", "ucb1", "thompson", "hedge", "exp3")

#: name: (policy, options of the path)
Variants = dict[str, tuple[Any, dict[str, Any]]]


class FixedSpread(Boundary):
    """The boundary without empirical Bayes: pulls do not teach how good estimates are."""

    def _groups_and_noise(self) -> Any:
        groups, noise = super()._groups_and_noise()
        return np.zeros_like(groups), np.zeros_like(noise)


def search_variants() -> Variants:
    """Every policy, plain; the paper's with estimates; references; other budgets."""
    found: Variants = {name: (name, {"control_variate": None}) for name in POLICIES}
    for name in (*PAPER, "lucb"):
        # hedge pulls whole blocks of all units: with fewer it would merge all rounds to one
        pulls = 10 if name == "hedge" else 1
        found[f"{name}, linear"] = (
            name,
            {"control_variate": "linear", "pulls_per_neuron": pulls},
        )
    for kind in ("linear", "fisher"):
        found[f"boundary, {kind}"] = ("boundary", {"control_variate": kind})
        nothing = {"control_variate": kind, "pulls_per_neuron": 1e-9}
        found[f"{kind} alone"] = ("uniform", nothing)
    for pulls in (2, 5, 20, 40):
        found[f"uniform, {pulls} pulls"] = (
            "uniform",
            {"control_variate": None, "pulls_per_neuron": pulls},
        )
    for name in ("random", "reconstruction"):
        found[name] = (name, {})
    return found


def few_variants() -> Variants:
    """For networks on which trying everything takes minutes."""
    every = search_variants()
    names = (
        "exhaustive", "uniform", "ucb1", "boundary, linear", "boundary, fisher", "linear alone",
        "random",
    )  # fmt: skip
    return {name: every[name] for name in names}


def closest() -> Variants:
    """Those that come close to `exhaustive`, on more networks than all could have."""
    every = search_variants()
    names = ("exhaustive", "uniform", "uniform, 40 pulls", "boundary, linear", "boundary, fisher")
    return {name: every[name] for name in names} | {
        "boundary, all estimated anew": (Boundary(refresh=1), {"control_variate": "linear"})
    }


def pieces() -> Variants:
    """Our own policy with one part changed at a time."""
    linear = {"control_variate": "linear"}
    return {
        "exhaustive": ("exhaustive", {"control_variate": None}),
        "boundary": ("boundary", linear),
        "estimates by fisher": ("boundary", {"control_variate": "fisher"}),
        "no estimates": ("boundary", {"control_variate": None}),
        "no pulls": ("uniform", {**linear, "pulls_per_neuron": 1e-9}),
        "pulls anywhere (uniform)": ("uniform", {**linear, "pulls_per_neuron": 1}),
        "no empirical Bayes": (FixedSpread(), linear),
        "no carry-over": ("boundary", {**linear, "discount": 0.0}),
        "one arm at a time": ("boundary", {**linear, "arms_per_pull": 1}),
        "no early stop": (Boundary(delta=1e-9, tolerance=0.0), linear),
        "stops later": (Boundary(delta=0.02, tolerance=0.005), linear),
        "stops earlier": (Boundary(delta=0.3, tolerance=0.05), linear),
        "all estimated anew in every round": (Boundary(refresh=1), linear),
        "blocks of 128 samples": ("boundary", {**linear, "pull_batch_size": 128}),
    }


@dataclass(frozen=True)
class Part:
    """Networks, and what is tried on each."""

    sets: tuple[str, ...]
    seeds: int
    sizes: tuple[int, ...]
    variants: Callable[[], Variants]
    test: bool = True


# Of at least 2,731 samples, three quarters of which leave 2,048 to prune with, but for those
# that the settings were chosen on.
_SETS = (
    "letter", "spambase", "waveform", "page_blocks", "california_housing", "pol", "wine_quality",
)  # fmt: skip
_DEVELOPMENT = ("phoneme", "segment", "digits", "kin8nm", "cpu_act", "splice", "electricity")
PARTS = {
    "ranking": Part(_SETS, 3, (128, 64), dict),
    "search": Part(_SETS, 3, (128, 64), search_variants),
    "closest": Part(_SETS, 10, (128, 64), closest),
    "deep": Part(_SETS, 2, (256, 256, 128, 128, 64), few_variants),
    "wide": Part(("letter", "spambase", "california_housing"), 1, (4096,), few_variants),
    "pieces": Part(_DEVELOPMENT, 3, (128, 64), pieces, test=False),
}
