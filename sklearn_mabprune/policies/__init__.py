"""Policies: who is pulled next, and who looks safest to remove."""

from __future__ import annotations

from .base import IndexPolicy, Policy, ProbabilityPolicy
from .references import Exhaustive, Uniform
from .thompson import Thompson
from .ucb import UCB1

#: Every policy by the name that ``policy=`` takes.
POLICIES: dict[str, type[Policy]] = {
    "ucb1": UCB1,
    "thompson": Thompson,
    "uniform": Uniform,
    "exhaustive": Exhaustive,
}

__all__ = [
    "POLICIES",
    "UCB1",
    "Exhaustive",
    "IndexPolicy",
    "Policy",
    "ProbabilityPolicy",
    "Thompson",
    "Uniform",
]
