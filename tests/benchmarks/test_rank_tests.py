"""Tests over data sets: published values, independent computations, and invariances.

With MABPRUNE_PUBLISHED naming a folder of published tables, their values are checked too.
"""

from __future__ import annotations

import os
from itertools import combinations, permutations, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from benchmarks.report.published import KNOWN, compute_known, in_digits_of, show
from benchmarks.report.rank_tests import (
    bayesian_signed_rank,
    check_scores,
    critical_difference,
    draw_critical_differences,
    friedman,
    holm,
    mean_ranks,
    nemenyi,
    wilcoxon,
    wilcoxon_holm,
)

#: Demsar 2006, table 6: AUC of C4.5 with m, cf, both tuned. What the paper rounds to a tie on
#: the set "voting" (.975, .975) it ranks 2 and 3, hence .9751.
DEMSAR = np.array([
    [.763, .768, .771, .798], [.599, .591, .590, .569], [.954, .971, .968, .967],
    [.628, .661, .654, .657], [.882, .888, .886, .898], [.936, .931, .916, .931],
    [.661, .668, .609, .685], [.583, .583, .563, .625], [.775, .838, .866, .875],
    [1, 1, 1, 1], [.940, .962, .965, .962], [.619, .666, .614, .669],
    [.972, .981, .9751, .975], [.957, .978, .946, .970],
])  # fmt: skip
NAMES = ("C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf")
#: Share of a Friedman statistic that the ties in it leave: two scores are equal on three sets,
#: four on one.
TIES = 1 - (3 * (2**3 - 2) + (4**3 - 4)) / (14 * (4**3 - 4))

# Whole numbers, so that ties are common and no rounding can make or break one.
tables = st.tuples(st.integers(2, 9), st.integers(3, 6)).flatmap(
    lambda shape: arrays(np.int64, shape, elements=st.integers(-9, 9)).map(
        lambda x: x.astype(float)
    )
)
columns = st.integers(2, 9).flatmap(
    lambda n: arrays(np.int64, (2, n), elements=st.integers(-9, 9)).map(lambda x: x.astype(float))
)


def published_tables() -> list[Path]:
    folder = os.environ.get("MABPRUNE_PUBLISHED")
    return [Path(folder, name) for name in KNOWN] if folder else []


def test_textbook_friedman():
    result = friedman(DEMSAR, NAMES)
    assert result.mean_ranks.round(3).tolist() == [3.143, 2.0, 2.893, 1.964]
    chi2 = result.chi2 * TIES  # the book does not correct for ties
    assert in_digits_of("9.28", chi2) == "9.28"
    assert in_digits_of("3.69", 13 * chi2 / (14 * 3 - chi2)) == "3.69"
    assert result.f == pytest.approx(13 * result.chi2 / (14 * 3 - result.chi2))
    assert result.f_p == pytest.approx(stats.f.sf(result.f, 3, 39))


def test_textbook_nemenyi():
    """At .05 nothing differs; at .10 it does, as the book says."""
    assert in_digits_of("1.25", critical_difference(14, 4)) == "1.25"
    result = nemenyi(DEMSAR, NAMES, alpha=0.1)
    assert in_digits_of("1.12", result.critical_difference) == "1.12"
    differ = np.argwhere(np.triu(result.p < 0.1)).tolist()
    assert differ == [[0, 1], [0, 3]]
    assert (result.p >= 0.05).all()


def test_textbook_wilcoxon():
    """The book halves the rank of a set without difference and gives 93 and 12.

    Left out instead, as here, its set "mushroom" no longer counts, nor does "lung-cancer":
    every other rank is lower by two.
    """
    (found,) = wilcoxon_holm(DEMSAR[:, :2], NAMES[:2], reference="C4.5+m")
    assert (found.wins, found.ties, found.losses) == (10, 2, 2)
    assert found.rank_sums == (93 - 1.5 - 10 * 2, 12 - 1.5 - 2 * 2)
    assert found.better
    assert found.p == found.p_holm < 0.05


@pytest.mark.parametrize("table", ["textbook", *published_tables()], ids=lambda x: Path(x).stem)
def test_values_that_are_known(table):
    """To the digits printed where they are known; the critical difference of the book always."""
    if table == "textbook":
        values = [("CD", "1.25", in_digits_of("1.25", critical_difference(14, 4)))]
    else:
        values = list(compute_known(table))
    assert [computed for _, _, computed in values] == [known for _, known, _ in values]


def test_published_values_are_printed_and_compared(tmp_path, capsys):
    """A table that is not the published one is seen to differ."""
    for file in KNOWN:
        rows = ["set,UCB1,NN,Model", "a,3,2,1", "b,3,1,2", "c,2,3,1"]
        (tmp_path / file).write_text("\n".join(rows))
    differ = show(tmp_path)
    printed = capsys.readouterr().out
    assert printed.count("differs") == differ
    assert "16 x 25       3 x 3  differs" in printed
    assert "author2017_dl.csv" in printed


def test_missing_published_table(tmp_path):
    with pytest.raises(SystemExit, match=r"has no author2017_cls.csv; give the folder"):
        show(tmp_path)


@given(tables)
def test_friedman_is_scipys(x):
    names = [str(k) for k in range(x.shape[1])]
    result = friedman(x, names)
    if (x == x[:, :1]).all():
        assert (result.chi2, result.p, result.f, result.f_p) == (0, 1, 0, 1)
    else:
        expected = stats.friedmanchisquare(*x.T)
        assert (result.chi2, result.p) == (expected.statistic, expected.pvalue)


@given(tables, st.randoms(use_true_random=False))
def test_ranks(x, random):
    """Counted by hand; the same after a monotone change a set, permuted with the methods."""
    better = (x[:, None, :] > x[:, :, None]).sum(axis=2)
    tied = (x[:, None, :] == x[:, :, None]).sum(axis=2)
    ranks = mean_ranks(x)
    np.testing.assert_allclose(ranks, (better + (tied + 1) / 2).mean(axis=0))
    scale = np.array([random.choice([0.5, 2.0, 8.0]) for _ in x])[:, None]
    np.testing.assert_array_equal(mean_ranks(scale * x**3 - 7), ranks)
    order = list(range(x.shape[1]))
    random.shuffle(order)
    np.testing.assert_allclose(mean_ranks(x[:, order]), ranks[order])
    assert ranks.sum() == pytest.approx(sum(range(1, x.shape[1] + 1)))


@settings(deadline=None)
@given(tables)
def test_nemenyi_is_the_studentized_range(x):
    n, k = x.shape
    result = nemenyi(x, [str(i) for i in range(k)])
    gap = np.abs(result.mean_ranks[:, None] - result.mean_ranks)
    q = gap / np.sqrt(k * (k + 1) / (12 * n))
    np.testing.assert_allclose(result.p, stats.studentized_range.sf(q, k, np.inf), atol=1e-9)
    clear = np.abs(gap - result.critical_difference) > 1e-6
    assert ((result.p < 0.05) == (gap > result.critical_difference))[clear].all()


# With ties, SciPy goes through all signs: a tenth of a second for nine sets.
@pytest.mark.slow
@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@settings(deadline=None, max_examples=25)
@given(pair=columns)
def test_wilcoxon_is_scipys(alternative, pair):
    first, second = pair
    expected = 1.0
    if (first != second).any():
        expected = stats.wilcoxon(first, second, alternative=alternative).pvalue
    assert wilcoxon(first, second, alternative) == pytest.approx(expected)


def test_exact_wilcoxon_by_all_signs():
    difference = np.array([0.4, -0.1, 0.9, 0.3, -0.2, 0.7, 1.1])
    ranks = stats.rankdata(np.abs(difference))
    seen = ranks[difference > 0].sum()
    sums = [np.dot(ranks, signs) for signs in product([0, 1], repeat=len(ranks))]
    greater = np.mean([s >= seen for s in sums])
    assert wilcoxon(difference, np.zeros(7), "greater") == pytest.approx(greater)
    assert wilcoxon(difference, np.zeros(7)) == pytest.approx(2 * greater)


def test_equal_differences_are_ties():
    """0.3 - 0.2 and 0.2 - 0.1 differ in their last bits only."""
    first, second = np.array([0.3, 0.2, 0.9]), np.array([0.2, 0.1, 0.3])
    (found,) = wilcoxon_holm(np.column_stack([first, second]), "ab")
    assert found.rank_sums == (1.5 + 1.5 + 3, 0)
    same = np.array([[0.1 + 0.2, 0.3], [0.7, 0.7]])
    (found,) = wilcoxon_holm(same, "ab")
    assert (found.ties, found.p, found.better) == (2, 1.0, False)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_by_its_definition(p):
    """The smallest adjusted value for which the step-down procedure rejects."""
    m = len(p)
    order = sorted(range(m), key=lambda i: p[i])
    adjusted = holm(p)
    for place, i in enumerate(order):
        expected = max(min(1.0, (m - j) * p[order[j]]) for j in range(place + 1))
        assert adjusted[i] == pytest.approx(expected)


def test_pairs_and_reference():
    rng = np.random.default_rng(0)
    x = rng.normal([0, 1, 2, 0], size=(12, 4))
    every = wilcoxon_holm(x, "abcd")
    assert [(c.first, c.second) for c in every] == list(combinations("abcd", 2))
    ours = wilcoxon_holm(x, "abcd", reference="c", alternative="greater")
    assert [c.second for c in ours] == ["a", "b", "d"]
    expected = [stats.wilcoxon(x[:, 2], x[:, k], alternative="greater").pvalue for k in (0, 1, 3)]
    assert [c.p for c in ours] == pytest.approx(expected)
    assert [c.p_holm for c in ours] == pytest.approx(holm(expected).tolist())
    assert ours[0].mean_difference == pytest.approx((x[:, 2] - x[:, 0]).mean())


def test_bayesian_signed_rank_against_plain_computation():
    """Draws of the Dirichlet process, each weighing all pairs of sets."""
    rng = np.random.default_rng(1)
    second = rng.normal(size=10)
    first = second + rng.normal(0.4, 1.0, size=10)
    result = bayesian_signed_rank(first, second, rope=0.5, n_samples=4000)
    z = np.append(0.0, first - second)
    weights = rng.dirichlet([0.5] + [1.0] * 10, size=4000)
    means = (z[:, None] + z) / 2
    shares = np.array(
        [
            np.einsum("si,sj,ij->s", weights, weights, region.astype(float))
            for region in (means > 0.5, np.abs(means) <= 0.5, means < -0.5)
        ]
    )
    expected = np.bincount(shares.argmax(axis=0), minlength=3) / 4000
    assert [result.better, result.equivalent, result.worse] == pytest.approx(expected, abs=0.05)
    assert result == bayesian_signed_rank(first, second, rope=0.5, n_samples=4000)
    turned = bayesian_signed_rank(second, first, rope=0.5, n_samples=4000)
    assert (turned.better, turned.worse) == pytest.approx((result.worse, result.better))


@pytest.mark.parametrize(("gap", "region"), [(3, "better"), (0.1, "equivalent"), (-3, "worse")])
def test_bayesian_signed_rank_where_it_is_plain(gap, region):
    second = np.linspace(50, 90, 20)
    result = bayesian_signed_rank(second + gap, second, rope=1.0, n_samples=500)
    assert getattr(result, region) == 1.0


def test_all_sets_agree():
    x = np.tile([3.0, 2.0, 1.0], (5, 1))
    result = friedman(x, "abc")
    assert (result.chi2, result.f, result.f_p) == (10.0, np.inf, 0.0)


def test_order_of_sets_does_not_matter():
    x = DEMSAR[:4]
    results = {round(friedman(x[list(order)], NAMES).chi2, 9) for order in permutations(range(4))}
    assert len(results) == 1


def test_diagram_names_every_method():
    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    draw_critical_differences(nemenyi(DEMSAR, NAMES), ax)
    written = " ".join(text.get_text() for text in ax.texts)
    assert all(name in written for name in NAMES)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: friedman([[1.0, 2.0]] * 3, "ab"), r"2 methods, and 3 are needed; compare two"),
        (lambda: nemenyi([[1.0, 2.0]] * 3, "ab"), r"2 methods, and 3 are needed"),
        (lambda: wilcoxon_holm([[1.0]] * 3, "a"), r"1 methods, and 2 are needed; add columns"),
        (lambda: friedman([[1.0, 2.0, 3.0]], "abc"), r"1 data sets, and 2 are needed; add rows"),
        (lambda: friedman([1.0, 2.0], "ab"), r"1 dimensions; give \(n_sets, n_methods\)"),
        (
            lambda: friedman([[1.0, 2.0, 3.0], [1.0, np.nan, 3.0]], "abc"),
            r"scores\[1, 1\] of 'b' is nan; leave out",
        ),
        (lambda: friedman([[1.0, np.inf, 3.0]] * 2, "abc"), r"scores\[0, 1\] of 'b' is inf"),
        (lambda: check_scores(DEMSAR, "abc", 2), r"names=\['a', 'b', 'c'\] for 4 methods"),
        (lambda: check_scores(DEMSAR, "abca", 2), r"a name of its own"),
        (lambda: wilcoxon_holm(DEMSAR, NAMES, "C5"), r"reference='C5' is none of names"),
        (lambda: bayesian_signed_rank([1, 2], [1, 2], rope=0), r"rope=0 is not above 0"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
