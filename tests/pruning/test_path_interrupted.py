"""Ctrl-C while a path is walked: the rounds finished until then are whole."""

from __future__ import annotations

import signal

import pytest
from builders import assert_consistent, example, removed, walk

from sklearn_mabprune.policies import Uniform
from sklearn_mabprune.utils.interruptions import Interruptions


class Countdown:
    """Raises KeyboardInterrupt when called for the n-th time."""

    def __init__(self, n, answer=0.0):
        self.left, self.answer = n, answer

    def __call__(self, *args):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return self.answer


class Interrupted(Uniform):
    """Ctrl-C comes while the policy works."""

    def __init__(self, *, method="select", n=1):
        self.method, self.n = method, n

    def _count(self, method):
        if method == self.method:
            self.n -= 1
            if self.n == 0:
                raise KeyboardInterrupt

    def select(self, n):
        self._count("select")
        return super().select(n)

    def update(self, arms, rewards, weights=None):
        self._count("update")
        super().update(arms, rewards, weights)

    def recommend(self, m):
        self._count("recommend")
        return super().recommend(m)

    def remove(self, arms, discount=1.0):
        self._count("remove")
        super().remove(arms, discount)


class Pressed(Uniform):
    """Ctrl-C is pressed when a method is called for the first time."""

    def __init__(self, *, method="remove"):
        self.method = method
        self.pressed = False

    def _press(self, method):
        if method == self.method and not self.pressed:
            self.pressed = True
            signal.raise_signal(signal.SIGINT)

    def confidence(self):
        self._press("confidence")
        return super().confidence()

    def remove(self, arms, discount=1.0):
        self._press("remove")
        super().remove(arms, discount)


def assert_stopped_after(found, whole, rounds):
    assert found.interrupted
    assert len(found.steps) == 1 + rounds
    assert removed(found) == removed(whole)[: len(removed(found))]
    last = found.steps[-1]
    assert last.graph is not None
    assert last.graph.sizes == last.sizes == whole.steps[rounds].sizes
    assert last.loss == whole.steps[rounds].loss


@pytest.mark.parametrize("rounds", [1, 2, 5])
def test_ctrl_c_while_a_step_is_told(rounds):
    found = walk(Uniform(), 0.75, on_step=Countdown(rounds))
    assert_stopped_after(found, walk(Uniform(), 0.75), rounds)


@pytest.mark.parametrize("rounds", [0, 1, 4])
def test_ctrl_c_while_a_score_is_taken(rounds):
    # The unpruned network is scored first.
    found = walk(Uniform(), 0.75, score=Countdown(rounds + 2))
    assert_stopped_after(found, walk(Uniform(), 0.75), rounds)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["select", "update", "recommend", "remove"])
@pytest.mark.parametrize("n", [1, 2, 5, 11])
def test_ctrl_c_while_the_policy_works(method, n):
    graph, samples = example()
    found = walk(Interrupted(method=method, n=n), "auto", graph=graph, samples=samples, step=2)
    whole = walk(Uniform(), "auto", graph=graph, samples=samples, step=2)
    assert found.interrupted
    assert_stopped_after(found, whole, len(found.steps) - 1)
    assert_consistent(found, graph)
    if method == "remove":
        # Ctrl-C after the surgery: that round is finished.
        assert len(found.steps) - 1 == n


@pytest.mark.parametrize("method", ["confidence", "remove"])
@pytest.mark.usefixtures("sigint")
def test_ctrl_c_while_a_round_is_recorded(method):
    """It waits until the step, the policy and the progress agree."""
    told = []
    with Interruptions() as interruptions:
        found = walk(Pressed(method=method), 0.75, interruptions=interruptions, on_step=told.append)
    assert_stopped_after(found, walk(Uniform(), 0.75), 1)
    assert told == found.steps[1:]
    assert found.chooser.live_.sum() == sum(found.steps[-1].sizes)


def test_other_errors_are_not_swallowed():
    def fail(step):
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        walk(Uniform(), 0.5, on_step=fail)
