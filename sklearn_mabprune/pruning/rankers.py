"""Who goes next: a policy that pulls, or a criterion that does not, behind one face."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..ablation.block import Rows
from ..ablation.compensation import ZeroAblation
from ..criteria import Criterion
from ..graph.graph import Chain
from ..graph.units import NeuronTable
from ..policies.base import Policy
from .layer_views import layer_views
from .pulls import RoundPulls
from .search import Search

Arms = NDArray[np.intp]
Floats = NDArray[np.float64]

# Small data is exact: one block of all rows.
_AUTO_BLOCK = 512


@dataclass(frozen=True)
class ChooserOptions:
    """What a chooser has to know; see the estimators for what each option means."""

    pulls_per_neuron: float = 10
    pull_batch_size: int | str = "auto"
    arms_per_pull: int | str = "auto"
    discount: float = 0.9
    rank_by: str = "loss"
    control_variate: str | None = "auto"
    ridge: float = 1e-3
    chunk: int | None = None


class PolicyChooser:
    """Rounds of pulls.

    Parameters
    ----------
    policy : Policy
        Started here.
    table : NeuronTable
        Of the whole network.
    rows : Rows
        Pruning rows.
    options : ChooserOptions
    seed : int
        Of the blocks' rows and of the policy's draws, apart from each other.
    """

    def __init__(
        self, policy: Policy, table: NeuronTable, rows: Rows, options: ChooserOptions, seed: int
    ):
        blocks, draws = np.random.SeedSequence(seed).spawn(2)
        self.block_rng = np.random.default_rng(blocks)
        self.rows, self.options = rows, options
        size = options.pull_batch_size
        self.block_rows = min(len(rows), _AUTO_BLOCK if isinstance(size, str) else size)
        arms = np.arange(len(table))
        self.search = Search(
            policy, arms, np.random.default_rng(draws), options.arms_per_pull, table.layer(arms)
        )
        self.control_variate = options.control_variate
        if self.control_variate == "auto":
            self.control_variate = "linear" if policy.uses_estimates else None
        self._pulls: RoundPulls | None = None

    def round_size(self, step: int) -> int:
        """Neurons a round: more than `step` where its pulls would be too few for the policy."""
        needed = self.search.policy.min_round_budget()
        return max(step, int(np.ceil(needed / self.options.pulls_per_neuron)))

    def order(
        self,
        chain: Chain,
        table: NeuronTable,
        ablations: list[ZeroAblation],
        n_remove: int,
        step: int,
    ) -> Arms:
        """Spend the pulls of a round that removes `step`; live arms, safest first."""
        self._pulls = RoundPulls(
            chain,
            table,
            self.rows,
            ablations,
            self.block_rows,
            self.block_rng,
            self.options.chunk,
            self.control_variate,
            self.search.policy.to_estimate(n_remove),
            self.search.policy.finalists(n_remove),
        )
        budget = int(self.options.pulls_per_neuron * step)
        factors = worth(chain, table, self.options.rank_by)
        return self.search.run_round(self._pulls, n_remove, budget, factors)

    def record(self, arms: Arms) -> dict[str, Any]:
        """What the round spent, and what it thought of the arms that go."""
        pulls, scale = self._pulls, self.search.scale
        assert pulls is not None
        everyone = np.arange(len(pulls.by_arm))
        estimates = np.stack([self.search.estimates(everyone), self._errors(pulls)])
        # Arms that are gone, or may not go, are not measured any more.
        estimates[:, ~self.search.policy.live_] = np.nan
        return {
            "n_pulls": pulls.n_pulls,
            "n_evaluations": pulls.n_evaluations,
            "n_backward": pulls.n_backward,
            "confidence": self.search.policy.confidence(),
            "pulls_by_arm": pulls.by_arm,
            "loss_increase": estimates[0, arms],
            "standard_error": estimates[1, arms],
            "estimates": estimates.astype(np.float32),
            "reward_scale": (np.nan, np.nan) if scale is None else (scale.safest, scale.doubtful),
        }

    def _errors(self, pulls: RoundPulls) -> Floats:
        """Standard errors of every arm id; none for what was estimated but never pulled."""
        errors = self.search.standard_errors(np.arange(len(pulls.by_arm)))
        return errors if pulls.expected is None else np.where(pulls.by_arm > 0, errors, np.nan)

    def gone(self, arms: Arms) -> None:
        """Arms were removed, or may not be: the others' statistics get older."""
        self.search.policy.remove(arms, self.options.discount)

    def state(self) -> dict[str, Any]:
        """What a later walk needs to go on from here: copies, and no rows."""
        policy, scale = vars(self.search.policy), self.search.scale
        return copy.deepcopy({"chooser": policy, "scale": scale, "rng": self.block_rng})

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state` gave; the policy stays the same object."""
        state = copy.deepcopy(state)
        self.search.policy.__dict__ = state["chooser"]
        self.search.scale, self.block_rng = state["scale"], state["rng"]


class CriterionChooser:
    """Scores from weights: nothing is pulled.  Parameters as for :class:`PolicyChooser`."""

    def __init__(
        self,
        criterion: Criterion,
        table: NeuronTable,
        rows: Rows,
        options: ChooserOptions,
        seed: int,
    ):
        self.criterion, self.rows, self.options = criterion, rows, options
        self.rng = np.random.default_rng(seed)

    def round_size(self, step: int) -> int:
        """Any step will do."""
        return step

    def order(
        self,
        chain: Chain,
        table: NeuronTable,
        ablations: list[ZeroAblation],
        n_remove: int,
        step: int,
    ) -> Arms:
        """Live arms, least important first; ties go to the lower id."""
        views = layer_views(chain, self.rows, self.criterion.needs, self.options.ridge)
        importance = np.concatenate([self.criterion.importance(view, self.rng) for view in views])
        arms = table.live_arms()
        order = np.argsort(
            importance * worth(chain, table, self.options.rank_by)[arms], kind="stable"
        )
        return arms[order]

    def record(self, arms: Arms) -> dict[str, Any]:
        """Nothing was pulled."""
        return {}

    def gone(self, arms: Arms) -> None:
        """Scores are made anew in every round."""

    def state(self) -> dict[str, Any]:
        """What a later walk needs to go on from here."""
        return copy.deepcopy({"chooser": vars(self.criterion), "rng": self.rng})

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state` gave."""
        state = copy.deepcopy(state)
        self.criterion.__dict__ = state["chooser"]
        self.rng = state["rng"]


def worth(chain: Chain, table: NeuronTable, rank_by: str) -> Floats:
    """Factor on every arm's loss increase, (n_ids,).

    1 for "loss".  For "loss_per_mac" the mean number of multiply-adds that removing a
    live neuron saves, over those that removing this one saves.
    """
    if rank_by == "loss":
        return np.ones(len(table))
    saved = np.array(
        [
            before.linear.in_features + after.linear.out_features
            for before, after in zip(chain.stages[:-1], chain.stages[1:], strict=True)
        ],
        dtype=np.float64,
    )
    mean = np.average(saved, weights=table.sizes)
    return (mean / saved)[table.layer(np.arange(len(table)))]
