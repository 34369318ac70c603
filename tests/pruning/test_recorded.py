"""What a path records of every unit: pulls, estimates, and how sure they are."""

from __future__ import annotations

import numpy as np
import pytest
from builders import example, walk
from user_nets import classes_table, classifier

from sklearn_mabprune.criteria import Magnitude
from sklearn_mabprune.policies import POLICIES, UCB1, Exhaustive, Uniform
from sklearn_mabprune.pruning.path import MAX_KEPT
from sklearn_mabprune.pruning.search import Search
from sklearn_mabprune.reports.path_record import PruningPath


class Given:
    """Pulls that come out as a table says: sample by sample, whatever is pulled."""

    expected = None

    def __init__(self, table):
        self.table, self.done = table, np.zeros(table.shape[1], dtype=int)

    def pull(self, arms):
        self.increase = self.table[self.done[arms], arms]
        self.weight = np.ones(len(arms))
        self.done[arms] += 1
        self.exact = np.zeros(len(arms), dtype=bool)
        return self


def test_standard_errors_as_written_down():
    rng = np.random.default_rng(0)
    table = rng.normal(1.0, rng.uniform(0.1, 2.0, 6), (30, 6))
    search, pulls = Search(UCB1(), np.arange(6), np.random.default_rng(1)), Given(table)
    search.run_round(pulls, 2, 20, np.ones(6))
    n = pulls.done
    assert 1 in n  # one pull, no spread of its own
    assert n.max() > 3
    seen = [table[: n[k], k] for k in range(6)]
    squares = np.array([((values - values.mean()) ** 2).sum() for values in seen])
    pooled = squares.sum() / (n - 1).sum()
    expected = np.sqrt((pooled + squares) / n / n)
    np.testing.assert_allclose(search.standard_errors(np.arange(6)), expected, rtol=1e-7)
    np.testing.assert_allclose(search.estimates(np.arange(6)), [v.mean() for v in seen], rtol=1e-9)


def test_standard_errors_that_nobody_knows():
    search = Search(Uniform(), np.arange(3), np.random.default_rng(0))
    assert np.isnan(search.standard_errors(np.arange(3))).all()  # nothing was pulled
    search.run_round(Given(np.ones((1, 3))), 1, 0, np.ones(3))
    assert np.isnan(search.standard_errors(np.arange(3))).all()  # nothing was pulled twice


def test_bars_hold_what_they_say():
    # Blocks of 50 of 1,000 samples, against all samples.
    graph, samples = example(hidden=(40, 30), n_samples=1000)
    same = {"graph": graph, "samples": samples, "step": 2}
    exact = walk(Exhaustive(), 2, **same).steps[1].estimates
    assert not exact[1].any()
    inside = []
    for seed in range(8):
        found = walk(Uniform(), 2, seed=seed, pull_batch_size=50, pulls_per_neuron=140, **same)
        estimate, error = found.steps[1].estimates
        inside.append(np.abs(estimate - exact[0]) < 2 * error)
    assert 0.93 < np.mean(inside) < 0.995


@pytest.mark.slow
@pytest.mark.parametrize("name", POLICIES)
def test_pulls_of_every_policy_add_up(name):
    model = classifier(policy=name, pull_batch_size=30).fit(*classes_table())
    path = model.pruning_path_
    np.testing.assert_array_equal(path.pulls_by_arm.sum(axis=1), path.n_pulls)
    gone = np.zeros(20, dtype=bool)
    for pulls, arms in zip(path.pulls_by_arm, path.removed, strict=True):
        assert not pulls[gone].any()
        gone[arms] = True


@pytest.mark.parametrize("control_variate", [None, "linear"])
def test_estimates_of_the_steps_that_are_kept(control_variate):
    walked = walk(UCB1(), "auto", step=1, pulls_per_neuron=2, control_variate=control_variate)
    assert len(walked.steps) > MAX_KEPT + 5
    path = PruningPath.of(walked.steps, {}, keep=True)
    assert set(path.estimates) == set(path.networks) - {0}
    gone = np.zeros(24, dtype=bool)
    for number in range(1, len(path)):
        arms = path.removed[number]
        if number in path.estimates:
            increase, error = path.estimates[number]
            assert np.isnan(increase[gone]).all()
            np.testing.assert_array_equal(increase[arms], path.loss_increase[number].astype("f4"))
            np.testing.assert_array_equal(error[arms], path.standard_error[number].astype("f4"))
            assert not (error < 0).any()
            if control_variate:
                # An estimate that no pull has checked has no error bar.
                assert np.isnan(error[path.pulls_by_arm[number] == 0]).all()
        gone[arms] = True
    assert gone.sum() == 22


def test_the_record_is_small():
    walked = walk(UCB1(), "auto", step=1)
    path = PruningPath.of(walked.steps, {}, keep=False)
    assert path.networks == {}
    assert path.pulls_by_arm.dtype == np.uint8
    assert path.pulls_by_arm.shape == (len(path), 24)
    assert len(path.estimates) <= MAX_KEPT
    assert all(estimates.dtype == np.float32 for estimates in path.estimates.values())


def test_criteria_pull_and_estimate_nothing():
    path = PruningPath.of(walk(Magnitude(), 0.5).steps, {}, keep=True)
    assert path.pulls_by_arm.shape == (len(path), 24)
    assert not path.pulls_by_arm.any()
    assert path.estimates == {}
    assert all(len(errors) == 0 for errors in path.standard_error)
