"""Bandit policies: which arms are pulled next, and which are recommended for removal."""

from __future__ import annotations

from .base import IndexPolicy, Policy, ProbabilityPolicy
from .boundary import Boundary
from .bounds import KLUCB, MOSS, BayesUCB
from .exponential import Exp3, Exp3IX, Hedge
from .gaps import LUCB, UGapE
from .greedy import EpsilonGreedy, Softmax
from .halving import SAR, SequentialHalving
from .references import Exhaustive, Uniform
from .thompson import Thompson, ThompsonBeta, TopTwoThompson
from .ucb import UCB1, UCB1Tuned

#: Every policy by the name that ``policy=`` takes.
POLICIES: dict[str, type[Policy]] = {
    # the paper's
    "epsilon_greedy": EpsilonGreedy,
    "softmax": Softmax,
    "ucb1": UCB1,
    "thompson": Thompson,
    "thompson_beta": ThompsonBeta,
    "hedge": Hedge,
    "exp3": Exp3,
    # sharper bounds and estimates
    "ucb1_tuned": UCB1Tuned,
    "kl_ucb": KLUCB,
    "bayes_ucb": BayesUCB,
    "moss": MOSS,
    "exp3_ix": Exp3IX,
    # top-m identification
    "sequential_halving": SequentialHalving,
    "sar": SAR,
    "lucb": LUCB,
    "ugape": UGapE,
    "top_two_thompson": TopTwoThompson,
    # for pruning
    "boundary": Boundary,
    # references
    "uniform": Uniform,
    "exhaustive": Exhaustive,
}

__all__ = [
    "KLUCB",
    "LUCB",
    "MOSS",
    "POLICIES",
    "SAR",
    "UCB1",
    "BayesUCB",
    "Boundary",
    "EpsilonGreedy",
    "Exhaustive",
    "Exp3",
    "Exp3IX",
    "Hedge",
    "IndexPolicy",
    "Policy",
    "ProbabilityPolicy",
    "SequentialHalving",
    "Softmax",
    "Thompson",
    "ThompsonBeta",
    "TopTwoThompson",
    "UCB1Tuned",
    "UGapE",
    "Uniform",
]
