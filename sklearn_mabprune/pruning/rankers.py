"""The order in which units may go: by a policy that pulls, by a criterion, or as it was before."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..ablation.activations import Activations
from ..ablation.compensation import ZeroAblation
from ..criteria import Criterion
from ..graph.units import UnitTable, worth
from ..policies.base import Policy
from .layer_views import layer_views
from .pulls import Estimates, RoundPulls
from .search import Search

Arms = NDArray[np.intp]
Floats = NDArray[np.float64]

# Small data is exact: one block of all samples.
_AUTO_BLOCK = 512


@dataclass(frozen=True)
class RankerOptions:
    """Options of rankers; see the estimators for what each one means."""

    pulls_per_neuron: float = 10
    pull_batch_size: int | str = "auto"
    arms_per_pull: int | str = "auto"
    discount: float = 0.9
    rank_by: str = "loss"
    control_variate: str | None = "auto"
    ridge: float = 1e-3
    chunk: int | None = None


@dataclass(frozen=True)
class Round:
    """What a ranker sees of a round.

    Parameters
    ----------
    activations : Activations
        The network as it stands, on the pruning samples.
    table : UnitTable
        Which arm is which of its units.
    ablations : sequence of ZeroAblation
        One for each group, frozen for the round.
    n_remove : int
        Units that will go.
    step : int
        Units that a round of this path removes: its pulls are in proportion.
    """

    activations: Activations
    table: UnitTable
    ablations: Sequence[ZeroAblation]
    n_remove: int
    step: int


class Ranker(Protocol):
    """Ranks the live units of a network, round after round."""

    @property
    def chooser(self) -> Policy | Criterion:
        """The policy or criterion as it is now."""
        ...

    def round_size(self, step: int) -> int:
        """Units a round: more than `step` where its pulls would be too few."""
        ...

    def rank(self, here: Round) -> Arms:
        """Arms in the order in which they may go, safest first."""
        ...

    def record(self, arms: Arms) -> dict[str, Any]:
        """What the last round spent, and the estimates of the arms that go; fields of a step."""
        ...

    def removed(self, arms: Arms) -> None:
        """These arms were removed, or may not be."""
        ...

    def state(self) -> dict[str, Any]:
        """What a later walk needs to go on from here: copies, and no samples."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state` returned."""
        ...


class PolicyRanker:
    """Ranks by rounds of pulls.

    Parameters
    ----------
    policy : Policy
        Started here.
    table : UnitTable
        Of the whole network.
    n_samples : int
        Pruning samples.
    options : RankerOptions
    seed : int
        Of the blocks' samples and of the policy's draws, which are independent.
    """

    def __init__(
        self, policy: Policy, table: UnitTable, n_samples: int, options: RankerOptions, seed: int
    ):
        blocks, draws = np.random.SeedSequence(seed).spawn(2)
        self.block_rng = np.random.default_rng(blocks)
        self.options = options
        size = options.pull_batch_size
        self.block_size = min(n_samples, _AUTO_BLOCK if isinstance(size, str) else size)
        arms = np.arange(len(table))
        self.search = Search(
            policy, arms, np.random.default_rng(draws), options.arms_per_pull, table.group(arms)
        )
        self.control_variate = options.control_variate
        if self.control_variate == "auto":
            self.control_variate = "linear" if policy.uses_estimates else None
        self._pulls: RoundPulls | None = None

    @property
    def chooser(self) -> Policy:
        """The policy as it is now."""
        return self.search.policy

    def round_size(self, step: int) -> int:
        """Units a round: more than `step` where its pulls would be too few for the policy."""
        needed = self.search.policy.min_round_budget()
        return max(step, int(np.ceil(needed / self.options.pulls_per_neuron)))

    def rank(self, here: Round) -> Arms:
        """Spend the pulls of a round; live arms, safest first."""
        policy, estimates = self.search.policy, None
        if self.control_variate is not None:
            estimates = Estimates(
                self.control_variate,
                policy.to_estimate(here.n_remove),
                policy.finalists(here.n_remove),
            )
        self._pulls = RoundPulls(
            here.activations,
            here.table,
            here.ablations,
            self.block_size,
            self.block_rng,
            self.options.chunk,
            estimates,
        )
        budget = int(self.options.pulls_per_neuron * here.step)
        factors = worth(here.activations.graph, here.table, self.options.rank_by)
        return self.search.run_round(self._pulls, here.n_remove, budget, factors)

    def record(self, arms: Arms) -> dict[str, Any]:
        """What the last round spent, and the estimates of the arms that go."""
        pulls, scale = self._pulls, self.search.scale
        assert pulls is not None
        everyone = np.arange(len(pulls.by_arm))
        estimates = np.stack([self.search.estimates(everyone), self._errors(pulls)])
        # Arms that are gone, or may not go, are not measured any more.
        estimates[:, ~self.search.policy.live_] = np.nan
        with np.errstate(over="ignore"):
            kept = estimates.astype(np.float32)
        return {
            "n_pulls": pulls.n_pulls,
            "n_evaluations": pulls.n_evaluations,
            "n_backward": pulls.n_backward,
            "confidence": self.search.policy.confidence(),
            "pulls_by_arm": pulls.by_arm,
            "loss_increase": estimates[0, arms],
            "standard_error": estimates[1, arms],
            "estimates": kept,
            "reward_scale": (np.nan, np.nan) if scale is None else (scale.safest, scale.doubtful),
        }

    def _errors(self, pulls: RoundPulls) -> Floats:
        """Standard errors of every arm id; none for what was estimated but never pulled."""
        errors = self.search.standard_errors(np.arange(len(pulls.by_arm)))
        return errors if pulls.expected is None else np.where(pulls.by_arm > 0, errors, np.nan)

    def removed(self, arms: Arms) -> None:
        """These arms were removed, or may not be: the statistics of the others age."""
        self.search.policy.remove(arms, self.options.discount)

    def state(self) -> dict[str, Any]:
        """What a later walk needs to go on from here: copies, and no samples."""
        found = {"chooser": self.chooser, "scale": self.search.scale, "rng": self.block_rng}
        return copy.deepcopy(found)

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state` returned."""
        state = copy.deepcopy(state)
        self.search.policy, self.search.scale = state["chooser"], state["scale"]
        self.block_rng = state["rng"]


class CriterionRanker:
    """Ranks by scores: nothing is pulled.

    Parameters
    ----------
    criterion : Criterion
    options : RankerOptions
    seed : int
        Of the criterion's draws.
    """

    def __init__(self, criterion: Criterion, options: RankerOptions, seed: int):
        self.chooser, self.options = criterion, options
        self.rng = np.random.default_rng(seed)

    def round_size(self, step: int) -> int:
        """Any step will do."""
        return step

    def rank(self, here: Round) -> Arms:
        """Live arms, least important first; ties go to the lower id."""
        views = layer_views(here.activations, self.chooser.needs, self.options.ridge)
        importance = np.concatenate([self.chooser.importance(view, self.rng) for view in views])
        arms = here.table.live_arms()
        factors = worth(here.activations.graph, here.table, self.options.rank_by)[arms]
        return arms[np.argsort(importance * factors, kind="stable")]

    def record(self, arms: Arms) -> dict[str, Any]:
        """Nothing was pulled."""
        return {}

    def removed(self, arms: Arms) -> None:
        """Scores are computed anew in every round."""

    def state(self) -> dict[str, Any]:
        """What a later walk needs to go on from here."""
        return copy.deepcopy({"chooser": self.chooser, "rng": self.rng})

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state` returned."""
        state = copy.deepcopy(state)
        self.chooser, self.rng = state["chooser"], state["rng"]


def make_ranker(
    chooser: Policy | Criterion,
    table: UnitTable,
    n_samples: int,
    options: RankerOptions,
    seed: int,
) -> Ranker:
    """The ranker of a policy or a criterion; parameters as for :class:`PolicyRanker`."""
    if isinstance(chooser, Policy):
        return PolicyRanker(chooser, table, n_samples, options, seed)
    return CriterionRanker(chooser, options, seed)
