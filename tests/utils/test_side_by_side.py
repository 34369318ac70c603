"""Calls in threads: results in order, errors and Ctrl-C as if they ran one after the other."""

from __future__ import annotations

import sys
import threading
import time

import pytest
import torch
from interrupting import ctrl_c

from sklearn_mabprune.utils.interruptions import Interruptions, UserInterrupt
from sklearn_mabprune.utils.side_by_side import side_by_side

LONG = 10.0


@pytest.fixture(autouse=True)
def four_threads(torch_threads):
    torch_threads(4)


def place(turn):
    """The thread of a call, and how many of torch's it has."""
    return threading.get_ident(), torch.get_num_threads()


def waiting(turn):
    """A call that takes long, unless it is to stop."""
    for _ in range(int(LONG / 0.01)):
        turn.step()
        time.sleep(0.01)


@pytest.mark.parametrize(("n_calls", "n_threads"), [(2, 2), (4, 1), (8, 1)])
def test_calls_share_the_threads_of_torch(n_calls, n_threads):
    together = threading.Barrier(min(n_calls, 4), timeout=LONG)

    def call(turn):
        together.wait()
        return place(turn)

    found = side_by_side([call] * n_calls, Interruptions())
    idents, counts = zip(*found, strict=True)
    assert len(set(idents)) == min(n_calls, 4)
    assert threading.get_ident() not in idents
    assert set(counts) == {n_threads}
    assert torch.get_num_threads() == 4


def test_other_threads_keep_theirs():
    """Also those that begin in the meantime, such as another fit."""
    known = []

    def beginning(turn):
        thread = threading.Thread(target=lambda: known.append(torch.get_num_threads()))
        thread.start()
        thread.join()

    side_by_side([beginning, place, place], Interruptions())
    beginning(None)
    assert known == [4, 4]


@pytest.mark.parametrize(
    "given", [{"threads": False}, {"n_bytes": 2**30}], ids=("not allowed", "no memory")
)
def test_calls_one_after_the_other(given):
    own = (threading.get_ident(), 4)
    assert side_by_side([place] * 3, Interruptions(), **given) == [own] * 3


def test_calls_without_a_stdout_one_after_the_other(monkeypatch):
    # What replaces it for a training would replace it for all.
    monkeypatch.setattr(sys, "stdout", None)
    assert side_by_side([place] * 2, Interruptions()) == [(threading.get_ident(), 4)] * 2


def test_results_are_in_the_order_of_the_calls():
    def after(seconds):
        def call(turn):
            time.sleep(seconds)
            return seconds

        return call

    delays = [0.15, 0.1, 0.05, 0.0, 0.01]
    assert side_by_side([after(each) for each in delays], Interruptions()) == delays


def test_the_first_error_is_raised_and_the_others_stop():
    def failing(seconds, text):
        def call(turn):
            time.sleep(seconds)
            raise ValueError(text)

        return call

    started = time.perf_counter()
    calls = [failing(0.2, "first"), failing(0.0, "second"), waiting, waiting, waiting]
    with pytest.raises(ValueError, match="first"):
        side_by_side(calls, Interruptions())
    assert time.perf_counter() - started < LONG / 2
    assert torch.get_num_threads() == 4


@pytest.mark.usefixtures("sigint")
def test_ctrl_c_stops_all_calls():
    stopped = []

    def noting(turn):
        try:
            waiting(turn)
        except UserInterrupt:
            stopped.append(turn)
            raise

    def press():
        time.sleep(0.2)
        ctrl_c()

    threading.Thread(target=press).start()
    started = time.perf_counter()
    with pytest.raises(KeyboardInterrupt), Interruptions() as interruptions:
        side_by_side([noting] * 3, interruptions)
    assert time.perf_counter() - started < LONG / 2
    assert len(stopped) == 3
    assert torch.get_num_threads() == 4


def test_one_call_tells_at_a_time():
    inside, most = [], []

    def telling(turn):
        def tell():
            inside.append(1)
            time.sleep(0.001)
            most.append(len(inside))
            inside.pop()

        for _ in range(20):
            turn.step(tell)

    side_by_side([telling] * 4, Interruptions())
    assert len(most) == 80
    assert set(most) == {1}
