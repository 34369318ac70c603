"""Top-m identification by confidence bounds at the boundary: LUCB and UGapE."""

from __future__ import annotations

from numbers import Real

import numpy as np

from ..utils.compat import Interval, StrOptions
from .base import Arms, Floats, Policy, ordered


class _Gaps(Policy):
    """What both have in common: bounds, two sides of a boundary, a stop."""

    _parameter_constraints = {
        "delta": [Interval(Real, 0, 1, closed="neither")],
        "exploration": [Interval(Real, 0, None, closed="left"), StrOptions({"noise"})],
        "tolerance": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        delta: float = 0.1,
        exploration: float | str = "noise",
        tolerance: float = 0.0,
    ):
        self.delta = delta
        self.exploration = exploration
        self.tolerance = tolerance

    def log_term(self, n_arms: int) -> float:
        """The logarithm under the root of the radius."""
        raise NotImplementedError

    def radius(self, arms: Arms) -> Floats:
        """Half the width of each arm's confidence interval; 0 for exact arms."""
        width = self.reward_range(self.exploration, 2.0)
        radius = width * np.sqrt(self.log_term(self.live_arms().size) / (2.0 * self.counts_[arms]))
        return np.where(self.settled_[arms], 0.0, radius)

    def boundary(self) -> tuple[Arms, Arms, float] | None:
        """Both sides of the boundary, the most doubtful arm first, and the gap left open.

        Returns
        -------
        tuple or None
            Arms inside the top m by increasing lower bound, the others by decreasing upper
            bound, and what must not exceed the tolerance; None when all arms go.
        """
        live = self.live_arms()
        if self.n_remove_ >= live.size:
            return None
        mean, radius = self.mean(live), self.radius(live)
        return self.sides(live, mean - radius, mean + radius)

    def sides(self, live: Arms, lower: Floats, upper: Floats) -> tuple[Arms, Arms, float]:
        """As :meth:`boundary`, from the bounds."""
        raise NotImplementedError

    def settled_sides(self) -> tuple[Arms, Arms]:
        """The open arms of both sides, or nothing when the choice is settled."""
        found = self.boundary()
        if found is None or found[2] <= self.tolerance:
            nothing = self.live_arms()[:0]
            return nothing, nothing
        inside, outside = (side[~self.settled_[side]] for side in found[:2])
        return inside, outside


class LUCB(_Gaps):
    """The weakest arm inside the top m and the strongest outside, until they part.

    J is the m arms with the best means.  The arm of J with the lowest ``mean - b`` and the
    arm outside with the highest ``mean + b`` are pulled, with
    ``b = R sqrt(ln(5 K t^4 / (4 delta)) / (2 n))`` for n pulls of the arm, t of all K live
    arms, and a range R of the noise (1 in the source).  More arms at a time: the next on
    either side.  When the two bounds are within `tolerance` the choice is settled with
    probability 1 - delta, and the round ends early.

    When to use it: to find the m safest neurons, which is the task itself, with enough
    pulls to tell neighbours apart.

    Parameters
    ----------
    delta : float, default=0.1
        Probability of a wrong choice that is accepted, in (0, 1).
    exploration : float or "noise", default="noise"
        The range R.  "noise" is twice the standard deviation of a pull, measured.
    tolerance : float, default=0.0
        Difference of reward that does not matter.

    References
    ----------
    S. Kalyanakrishnan, A. Tewari, P. Auer, P. Stone, "PAC subset selection in stochastic
    multi-armed bandits", ICML 2012.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.policies import LUCB
    >>> policy = LUCB().start(np.arange(4), rng=0)
    >>> policy.begin_round(n_remove=2, budget=10)
    >>> policy.update([0, 1, 2, 3], [0.9, 0.6, 0.5, 0.1])
    >>> policy.select(2)  # the boundary lies between 1 and 2
    array([1, 2])
    """

    def log_term(self, n_arms: int) -> float:
        """Of the source, with its constant 5 / 4."""
        t = max(self.time_, 1.0)
        return float(np.log(1.25 * n_arms / self.delta) + 4.0 * np.log(t))

    def sides(self, live: Arms, lower: Floats, upper: Floats) -> tuple[Arms, Arms, float]:
        """Split by mean."""
        best = ordered(live, self.mean(live))
        inside = np.isin(live, best[: self.n_remove_])
        weakest = ordered(live[inside], -lower[inside])
        strongest = ordered(live[~inside], upper[~inside])
        return weakest, strongest, float(upper[~inside].max() - lower[inside].min())

    def choose(self, arms: Arms, n: int) -> Arms:
        """The most doubtful arms of both sides in turn; of a single pair the wider one."""
        inside, outside = self.settled_sides()
        if n == 1 and inside.size and outside.size:
            pair = np.array([inside[0], outside[0]])
            return pair[[int(np.argmax(self.radius(pair)))]]
        both = min(inside.size, outside.size)
        turns = np.stack([inside[:both], outside[:both]], axis=1).ravel()
        return np.concatenate([turns, inside[both:], outside[both:]])[:n]


class UGapE(_Gaps):
    """Arms whose gap to the boundary might be smallest, the less certain of the two first.

    With bounds ``L, U = mean -+ b``, ``B_k = (m-th largest U of the others) - L_k`` bounds
    what is lost by choosing k; J is the m arms with the smallest B.  Of the arm of J with
    the lowest L and the arm outside with the highest U, the one with the wider interval is
    pulled, ``b = R sqrt(ln(4 K t^3 / delta) / (2 n))`` for n pulls of the arm, t of all K
    live arms, and a range R of the noise (1 in the source).  More arms at a time: the wider
    of the next pairs.  When no B in J exceeds `tolerance` the choice is settled with
    probability 1 - delta, and the round ends early.

    When to use it: like LUCB, which it resembles; one pull where LUCB makes two.

    Parameters
    ----------
    delta : float, default=0.1
        Probability of a wrong choice that is accepted, in (0, 1).
    exploration : float or "noise", default="noise"
        The range R.  "noise" is twice the standard deviation of a pull, measured.
    tolerance : float, default=0.0
        Difference of reward that does not matter.

    References
    ----------
    V. Gabillon, M. Ghavamzadeh, A. Lazaric, "Best arm identification: a unified approach to
    fixed budget and fixed confidence", NeurIPS 2012, the variant of fixed confidence.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.policies import UGapE
    >>> policy = UGapE().start(np.arange(4), rng=0)
    >>> policy.begin_round(n_remove=2, budget=10)
    >>> policy.update([0, 1, 2, 3], [0.9, 0.6, 0.5, 0.1])
    >>> policy.update([1], [0.6])
    >>> policy.select(1)  # 1 and 2 are at the boundary, 1 has been pulled more often
    array([2])
    """

    def log_term(self, n_arms: int) -> float:
        """Of the source."""
        t = max(self.time_, 1.0)
        return float(np.log(4.0 * n_arms / self.delta) + 3.0 * np.log(t))

    def losses(self, lower: Floats, upper: Floats) -> Floats:
        """The bounds B on what is lost by choosing each arm, shape (n_arms,)."""
        m = self.n_remove_
        order = np.argsort(-upper, kind="stable")
        # without an arm of the first m, the m-th largest is what was the next one
        threshold = np.full(upper.size, upper[order[m - 1]])
        threshold[order[:m]] = upper[order[m]]
        return threshold - lower

    def sides(self, live: Arms, lower: Floats, upper: Floats) -> tuple[Arms, Arms, float]:
        """Split by B."""
        losses = self.losses(lower, upper)
        chosen = ordered(live, -losses)[: self.n_remove_]
        inside = np.isin(live, chosen)
        weakest = ordered(live[inside], -lower[inside])
        strongest = ordered(live[~inside], upper[~inside])
        return weakest, strongest, float(losses[inside].max())

    def choose(self, arms: Arms, n: int) -> Arms:
        """The wider arm of each pair across the boundary, then the narrower ones."""
        inside, outside = self.settled_sides()
        both = min(inside.size, outside.size)
        pairs = np.stack([inside[:both], outside[:both]], axis=1)
        swap = self.radius(pairs[:, 1]) > self.radius(pairs[:, 0])
        pairs[swap] = pairs[swap, ::-1]
        return np.concatenate([pairs[:, 0], pairs[:, 1], inside[both:], outside[both:]])[:n]
