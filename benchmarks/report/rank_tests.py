"""Statistical tests of several methods over several data sets.

``python -m benchmarks.report --published FOLDER`` checks them against published tables.

Scores are arrays of shape (n_sets, n_methods), higher is better.  Ranks are 1 for the best
method of a set; methods with equal scores share the mean of their ranks.

References
----------
.. [1] J. Demsar, "Statistical comparisons of classifiers over multiple data sets", Journal of
       Machine Learning Research 7, 2006.
.. [2] A. Benavoli, G. Corani, F. Mangili, "Should we really use post-hoc tests based on
       mean-ranks?", Journal of Machine Learning Research 17(5), 2016.
.. [3] A. Benavoli, G. Corani, J. Demsar, M. Zaffalon, "Time for a change: a tutorial for
       comparing multiple classifiers through Bayesian analysis", Journal of Machine Learning
       Research 18(77), 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Floats = NDArray[np.float64]

#: Differences that agree to so many decimals are equal: sums of floats differ in the last bits,
#: and a tie that is missed gives another p-value on another machine.
DECIMALS = 9


@dataclass(frozen=True)
class Friedman:
    """Do the methods differ at all?

    ``chi2`` is corrected for ties, ``f`` is the less conservative statistic of Iman and
    Davenport, from the same ``chi2``.
    """

    names: tuple[str, ...]
    n_sets: int
    mean_ranks: Floats
    chi2: float
    p: float
    f: float
    f_p: float


@dataclass(frozen=True)
class Nemenyi:
    """Which methods' mean ranks differ by more than the critical difference."""

    names: tuple[str, ...]
    mean_ranks: Floats
    alpha: float
    critical_difference: float
    p: Floats  # (n_methods, n_methods), 1 on the diagonal


@dataclass(frozen=True)
class Comparison:
    """One method against another, by Wilcoxon's signed ranks.

    ``wins``, ``ties`` and ``losses`` count sets, from the first method's side;
    ``mean_difference`` is first minus second; ``rank_sums`` are of the sets it wins and loses.
    """

    first: str
    second: str
    wins: int
    ties: int
    losses: int
    mean_difference: float
    rank_sums: tuple[float, float]
    p: float
    p_holm: float

    @property
    def better(self) -> bool:
        """Whether the signed ranks speak for the first method; not whether they suffice."""
        return self.rank_sums[0] > self.rank_sums[1]


@dataclass(frozen=True)
class Bayesian:
    """Posterior probabilities for one method against another: they sum to 1."""

    better: float
    equivalent: float
    worse: float


def check_scores(
    scores: ArrayLike, names: Sequence[str], at_least: int
) -> tuple[Floats, tuple[str, ...]]:
    """The scores as an array of floats, and the names, checked.

    Raises
    ------
    ValueError
        For another shape than (n_sets, n_methods), fewer than two sets or `at_least` methods,
        values that are not finite, and names that are not one for each method.
    """
    x = np.asarray(scores, dtype=float)
    if x.ndim != 2:
        raise ValueError(f"scores has {x.ndim} dimensions; give (n_sets, n_methods).")
    n_sets, n_methods = x.shape
    if len(names) != n_methods or len(set(names)) != n_methods:
        raise ValueError(
            f"names={list(names)!r} for {n_methods} methods; give each column a name of its own."
        )
    if n_methods < at_least:
        way_out = "; compare two with wilcoxon_holm." if at_least > 2 else "; add columns."
        raise ValueError(f"scores has {n_methods} methods, and {at_least} are needed{way_out}")
    if n_sets < 2:
        raise ValueError(f"scores has {n_sets} data sets, and 2 are needed; add rows.")
    bad = np.argwhere(~np.isfinite(x))
    if len(bad):
        row, column = bad[0]
        raise ValueError(
            f"scores[{row}, {column}] of {names[column]!r} is {x[row, column]}; leave out sets "
            "that lack a score of any method."
        )
    return x, tuple(names)


def mean_ranks(scores: ArrayLike) -> Floats:
    """Mean rank of each method, 1 is best; of shape (n_methods,)."""
    ranks: Floats = stats.rankdata(-np.asarray(scores, dtype=float), axis=1)
    return ranks.mean(axis=0)


def friedman(scores: ArrayLike, names: Sequence[str]) -> Friedman:
    """Friedman's test, corrected for ties, and the form of Iman and Davenport.

    Parameters
    ----------
    scores : array-like of shape (n_sets, n_methods)
        Higher is better; two sets and three methods at least.
    names : sequence of str
        One for each method.
    """
    x, names = check_scores(scores, names, at_least=3)
    n, k = x.shape
    if (x == x[:, :1]).all():
        chi2, p = 0.0, 1.0  # nothing but ties, where the formula divides zero by zero
    else:
        found = stats.friedmanchisquare(*x.T)
        chi2, p = float(found.statistic), float(found.pvalue)
    rest = n * (k - 1) - chi2
    # All sets agree: nothing is left to divide by.
    f = (n - 1) * chi2 / rest if rest > 1e-9 else np.inf
    f_p = float(stats.f.sf(f, k - 1, (k - 1) * (n - 1)))
    return Friedman(names, n, mean_ranks(x), chi2, p, float(f), f_p)


def critical_difference(n_sets: int, n_methods: int, alpha: float = 0.05) -> float:
    """Nemenyi's least difference between two mean ranks that is significant."""
    q = stats.studentized_range.ppf(1 - alpha, n_methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(n_methods * (n_methods + 1) / (6 * n_sets)))


def nemenyi(scores: ArrayLike, names: Sequence[str], alpha: float = 0.05) -> Nemenyi:
    """Nemenyi's test of all pairs.

    Whether two methods differ depends on the others in the test [2]_: `wilcoxon_holm` does not
    have this flaw.
    """
    from scikit_posthocs import posthoc_nemenyi_friedman

    x, names = check_scores(scores, names, at_least=3)
    p = posthoc_nemenyi_friedman(x).to_numpy(dtype=float)
    return Nemenyi(names, mean_ranks(x), alpha, critical_difference(*x.shape, alpha), p)


def draw_critical_differences(result: Nemenyi, ax: Any, **properties: Any) -> None:
    """Draw mean ranks on a line; bars join methods that the test does not tell apart.

    Parameters
    ----------
    result : Nemenyi
    ax : matplotlib.axes.Axes
    **properties : dict
        For ``scikit_posthocs.critical_difference_diagram``.
    """
    import pandas as pd
    from scikit_posthocs import critical_difference_diagram

    names = list(result.names)
    critical_difference_diagram(
        dict(zip(names, result.mean_ranks, strict=True)),
        pd.DataFrame(result.p, index=names, columns=names),
        alpha=result.alpha,
        ax=ax,
        **properties,
    )


def holm(p: ArrayLike) -> Floats:
    """P-values of one family, adjusted by Holm's step-down procedure."""
    p = np.asarray(p, dtype=float)
    order = np.argsort(p, kind="stable")
    steps = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(steps))
    return adjusted


def wilcoxon(first: ArrayLike, second: ArrayLike, alternative: str = "two-sided") -> float:
    """P-value of Wilcoxon's signed-rank test of first against second.

    Sets without a difference are left out, as Wilcoxon did; SciPy decides between the exact
    and the normal distribution.

    Parameters
    ----------
    first, second : array-like of shape (n_sets,)
    alternative : {"two-sided", "greater", "less"}, default="two-sided"
        What is shown if p is small: that first is other, higher or lower than second.
    """
    difference = _differences(first, second)
    if not difference.any():
        return 1.0
    return float(stats.wilcoxon(difference, alternative=alternative).pvalue)


def wilcoxon_holm(
    scores: ArrayLike,
    names: Sequence[str],
    reference: str | None = None,
    alternative: str = "two-sided",
) -> list[Comparison]:
    """Wilcoxon's signed-rank tests, with Holm's correction over all that are returned.

    Parameters
    ----------
    scores : array-like of shape (n_sets, n_methods)
        Two sets and two methods at least.
    names : sequence of str
        One for each method.
    reference : str, default=None
        The method that is compared with each of the others; None: all pairs.
    alternative : {"two-sided", "greater", "less"}, default="two-sided"
        As in `wilcoxon`, of the reference against the other method.

    Returns
    -------
    list of Comparison
        In the order of names.
    """
    x, names = check_scores(scores, names, at_least=2)
    if reference is None:
        pairs = list(combinations(range(len(names)), 2))
    elif reference in names:
        k = names.index(reference)
        pairs = [(k, other) for other in range(len(names)) if other != k]
    else:
        raise ValueError(f"reference={reference!r} is none of names={list(names)!r}.")
    p = [wilcoxon(x[:, a], x[:, b], alternative) for a, b in pairs]
    found = []
    for (a, b), plain, adjusted in zip(pairs, p, holm(p), strict=True):
        d = _differences(x[:, a], x[:, b])
        ranks = stats.rankdata(np.abs(d[d != 0]))
        won = d[d != 0] > 0
        found.append(
            Comparison(
                first=names[a],
                second=names[b],
                wins=int((d > 0).sum()),
                ties=int((d == 0).sum()),
                losses=int((d < 0).sum()),
                mean_difference=float(d.mean()),
                rank_sums=(float(ranks[won].sum()), float(ranks[~won].sum())),
                p=plain,
                p_holm=float(adjusted),
            )
        )
    return found


def bayesian_signed_rank(
    first: ArrayLike,
    second: ArrayLike,
    rope: float,
    n_samples: int = 10_000,
    random_state: int = 0,
) -> Bayesian:
    """Bayesian signed-rank test with a region of practical equivalence [3]_.

    Parameters
    ----------
    first, second : array-like of shape (n_sets,)
        Scores, higher is better.
    rope : float
        Differences up to this count as none; in the unit of the scores, above 0.
    n_samples : int, default=10_000
        Draws from the posterior: a probability of .95 has a standard error of .002 then.
    random_state : int, default=0
        Seed of the draws.

    Returns
    -------
    Bayesian
        How likely first is better, equivalent and worse.
    """
    from baycomp import SignedRankTest

    if not rope > 0:
        raise ValueError(f"rope={rope} is not above 0; give the smallest difference that counts.")
    x, _ = check_scores(np.column_stack([first, second]), ("first", "second"), at_least=2)
    worse, equivalent, better = SignedRankTest.probs(
        x[:, 1], x[:, 0], rope=rope, nsamples=n_samples, random_state=random_state
    )
    return Bayesian(float(better), float(equivalent), float(worse))


def _differences(first: ArrayLike, second: ArrayLike) -> Floats:
    return np.round(np.asarray(first, dtype=float) - np.asarray(second, dtype=float), DECIMALS)
