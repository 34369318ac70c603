"""Top-m identification with confidence bounds: LUCB and UGapE."""

from __future__ import annotations

from numbers import Real

import numpy as np

from ..utils.compat import Interval, StrOptions
from .base import Arms, Floats, Policy, ordered


class _Gaps(Policy):
    """Base class of top-m policies: confidence bounds, sides of the boundary, stopping rule."""

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
        """Logarithm in the confidence radius."""
        raise NotImplementedError

    def radius(self, arms: Arms) -> Floats:
        """Half width of each arm's confidence interval; 0 for exact arms."""
        width = self.reward_range(self.exploration, 2.0)
        radius = width * np.sqrt(self.log_term(self.live_arms().size) / (2.0 * self.counts_[arms]))
        return np.where(self.settled_[arms], 0.0, radius)

    def boundary(self) -> tuple[Arms, Arms, float] | None:
        """Both sides of the boundary, closest bound first, and the remaining uncertainty.

        Returns
        -------
        tuple or None
            Arms inside the top m by increasing lower bound, the others by decreasing upper
            bound, and the largest possible loss of reward, to be compared with `tolerance`;
            None if all arms will be removed.
        """
        live = self.live_arms()
        if self.n_remove_ >= live.size:
            return None
        mean, radius = self.mean(live), self.radius(live)
        return self.sides(live, mean - radius, mean + radius)

    def sides(self, live: Arms, lower: Floats, upper: Floats) -> tuple[Arms, Arms, float]:
        """The result of :meth:`boundary`, from confidence bounds of the remaining arms."""
        raise NotImplementedError

    def settled_sides(self) -> tuple[Arms, Arms]:
        """Open arms of both sides; none if the uncertainty is at most `tolerance`."""
        found = self.boundary()
        if found is None or found[2] <= self.tolerance:
            nothing = self.live_arms()[:0]
            return nothing, nothing
        inside, outside = (side[~self.settled_[side]] for side in found[:2])
        return inside, outside


class LUCB(_Gaps):
    """LUCB: pulls the weakest arm in the top m and the strongest outside.

    J is the m arms with the highest means.  The arm of J with the lowest ``mean - b`` and the
    arm outside with the highest ``mean + b`` are pulled, with
    ``b = R sqrt(ln(5 K t^4 / (4 delta)) / (2 n))`` for n pulls of the arm, t pulls of all K
    remaining arms, and a range R of the noise (1 in the source).  A larger batch takes the
    next arms on either side.  When the two bounds differ by at most `tolerance`, the top m are
    correct with probability 1 - delta, and the round ends early.

    When to use it: to identify the m safest units, which is the task of a round, with enough
    pulls to distinguish similar ones.

    Parameters
    ----------
    delta : float, default=0.1
        Acceptable probability of a wrong choice, in (0, 1).
    exploration : float or "noise", default="noise"
        The range R.  "noise" is twice the estimated standard deviation of a pull.
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
        """Logarithm in the confidence radius: ``ln(5 K t^4 / (4 delta))``."""
        t = max(self.time_, 1.0)
        return float(np.log(1.25 * n_arms / self.delta) + 4.0 * np.log(t))

    def sides(self, live: Arms, lower: Floats, upper: Floats) -> tuple[Arms, Arms, float]:
        """Sides of the boundary: the m arms with the highest means, and the others."""
        best = ordered(live, self.mean(live))
        inside = np.isin(live, best[: self.n_remove_])
        weakest = ordered(live[inside], -lower[inside])
        strongest = ordered(live[~inside], upper[~inside])
        return weakest, strongest, float(upper[~inside].max() - lower[inside].min())

    def choose(self, arms: Arms, n: int) -> Arms:
        """Arms of both sides in turn; of a single pair the one with the wider interval."""
        inside, outside = self.settled_sides()
        if n == 1 and inside.size and outside.size:
            pair = np.array([inside[0], outside[0]])
            return pair[[int(np.argmax(self.radius(pair)))]]
        both = min(inside.size, outside.size)
        turns = np.stack([inside[:both], outside[:both]], axis=1).ravel()
        return np.concatenate([turns, inside[both:], outside[both:]])[:n]


class UGapE(_Gaps):
    """Unified gap-based exploration: of two arms at the boundary, the less certain one.

    With bounds ``L, U = mean -+ b``, ``B_k = (m-th largest U of the others) - L_k`` is an
    upper bound on the regret of choosing k; J is the m arms with the smallest B.  Of the arm
    of J with the lowest L and the arm outside with the highest U, the one with the wider
    interval is pulled, with ``b = R sqrt(ln(4 K t^3 / delta) / (2 n))`` for n pulls of the
    arm, t pulls of all K remaining arms, and a range R of the noise (1 in the source).  A
    larger batch takes the wider arm of the next pairs.  When no B in J exceeds `tolerance`, J
    is correct with probability 1 - delta, and the round ends early.

    When to use it: in place of LUCB, to which it is similar; one pull where LUCB makes two.

    Parameters
    ----------
    delta : float, default=0.1
        Acceptable probability of a wrong choice, in (0, 1).
    exploration : float or "noise", default="noise"
        The range R.  "noise" is twice the estimated standard deviation of a pull.
    tolerance : float, default=0.0
        Difference of reward that does not matter.

    References
    ----------
    V. Gabillon, M. Ghavamzadeh, A. Lazaric, "Best arm identification: a unified approach to
    fixed budget and fixed confidence", NeurIPS 2012, the fixed-confidence variant.

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
        """Logarithm in the confidence radius: ``ln(4 K t^3 / delta)``."""
        t = max(self.time_, 1.0)
        return float(np.log(4.0 * n_arms / self.delta) + 3.0 * np.log(t))

    def losses(self, lower: Floats, upper: Floats) -> Floats:
        """Upper bound B on the regret of choosing each arm, shape (n_arms,)."""
        m = self.n_remove_
        order = np.argsort(-upper, kind="stable")
        # for an arm of the first m, the m-th largest of the others is the (m + 1)-th of all
        threshold = np.full(upper.size, upper[order[m - 1]])
        threshold[order[:m]] = upper[order[m]]
        return threshold - lower

    def sides(self, live: Arms, lower: Floats, upper: Floats) -> tuple[Arms, Arms, float]:
        """Sides of the boundary: the m arms with the smallest B, and the others."""
        losses = self.losses(lower, upper)
        chosen = ordered(live, -losses)[: self.n_remove_]
        inside = np.isin(live, chosen)
        weakest = ordered(live[inside], -lower[inside])
        strongest = ordered(live[~inside], upper[~inside])
        return weakest, strongest, float(losses[inside].max())

    def choose(self, arms: Arms, n: int) -> Arms:
        """The arm with the wider interval of each pair across the boundary, then the others."""
        inside, outside = self.settled_sides()
        both = min(inside.size, outside.size)
        pairs = np.stack([inside[:both], outside[:both]], axis=1)
        swap = self.radius(pairs[:, 1]) > self.radius(pairs[:, 0])
        pairs[swap] = pairs[swap, ::-1]
        return np.concatenate([pairs[:, 0], pairs[:, 1], inside[both:], outside[both:]])[:n]
