"""When Ctrl-C waits, when it is raised, and who else handles SIGINT."""

from __future__ import annotations

import _thread
import signal
import threading
import time
from contextlib import AbstractContextManager

import pytest
import torch

from sklearn_mabprune.utils.interruptions import Interruptions, UserInterrupt, changes_state

pytestmark = pytest.mark.usefixtures("sigint")


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("press", [ctrl_c, _thread.interrupt_main])
def test_it_waits_for_the_end(press):
    done = []
    with Interruptions() as interruptions:
        assert not interruptions.happened
        press()
        done.append(1)
    assert done
    assert interruptions.happened


def test_a_second_one_is_raised_at_once():
    with Interruptions():
        ctrl_c()
        with pytest.raises(UserInterrupt):
            ctrl_c()


def test_the_handler_is_put_back_when_it_passes():
    def fit():
        with Interruptions() as interruptions, interruptions.raised():
            ctrl_c()

    # Python's own type, by which a script that does not catch it ends as by SIGINT.
    with pytest.raises(KeyboardInterrupt) as caught:
        fit()
    assert caught.type is KeyboardInterrupt
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_it_is_raised_in_long_work():
    with Interruptions() as interruptions, interruptions.raised():
        with pytest.raises(UserInterrupt):
            ctrl_c()
        assert interruptions.happened


def test_long_work_does_not_begin_after_it():
    with Interruptions() as interruptions:
        ctrl_c()
        work = interruptions.raised()
        with pytest.raises(UserInterrupt):
            work.__enter__()


def test_it_waits_for_a_part_of_long_work():
    done = []
    with Interruptions() as interruptions:
        with interruptions.caught(), interruptions.raised():
            for number in range(9):
                with interruptions.deferred():
                    if number == 3:
                        ctrl_c()
                    done.append(number)
                if interruptions.happened:
                    break
        assert done == [0, 1, 2, 3]
        with pytest.raises(UserInterrupt):
            ctrl_c()


def test_what_is_caught_goes_no_further():
    with Interruptions() as interruptions:
        with interruptions.caught(), interruptions.raised():
            ctrl_c()
        assert interruptions.happened
        with interruptions.caught(), interruptions.raised():
            raise AssertionError("entered after Ctrl-C")


def raise_plain():
    raise KeyboardInterrupt


@pytest.mark.parametrize("press", [ctrl_c, raise_plain])
def test_a_second_one_is_not_caught(press):
    with Interruptions() as interruptions:
        with interruptions.caught(), interruptions.raised():
            press()

        def again():
            with interruptions.caught():
                press()

        with pytest.raises(KeyboardInterrupt):
            again()


def test_a_second_one_while_the_first_unwinds():
    def work():
        with interruptions.caught(), interruptions.raised():
            try:
                ctrl_c()
            finally:
                ctrl_c()

    with Interruptions() as interruptions, pytest.raises(UserInterrupt):
        work()


def test_two_in_one_change_of_state():
    class Twice(AbstractContextManager):
        @changes_state
        def __exit__(self, *error):
            ctrl_c()
            ctrl_c()
            done.append("left")

    def work():
        with interruptions.caught(), interruptions.raised():
            with Twice():
                pass
            for _ in range(5000):
                time.sleep(0.001)

    done = []
    with Interruptions() as interruptions, pytest.raises(UserInterrupt):
        work()
    assert done == ["left"]


def test_other_errors_pass():
    def fit():
        with Interruptions() as interruptions, interruptions.caught(), interruptions.raised():
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fit()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_gradients_are_put_back():
    with Interruptions() as interruptions:
        with interruptions.caught(), interruptions.raised():
            torch.no_grad().__enter__()
            ctrl_c()
        assert torch.is_grad_enabled()
        torch.no_grad().__enter__()
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda signum, frame: None])
def test_handlers_of_others_stay(handler):
    signal.signal(signal.SIGINT, handler)
    with Interruptions() as interruptions:
        assert signal.getsignal(signal.SIGINT) is handler
        ctrl_c()
        assert not interruptions.happened
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_plain_interrupt_counts_where_nothing_is_installed():
    def interrupt(signum, frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    with Interruptions() as interruptions:
        with interruptions.caught(), interruptions.raised():
            ctrl_c()
        assert interruptions.happened
        with pytest.raises(KeyboardInterrupt), interruptions.caught():
            ctrl_c()


def test_in_other_threads_nothing_is_installed():
    found = []

    def fit():
        with Interruptions() as interruptions:
            found.append(signal.getsignal(signal.SIGINT))
            with interruptions.caught(), interruptions.raised():
                raise KeyboardInterrupt
            found.append(interruptions.happened)

    thread = threading.Thread(target=fit)
    thread.start()
    thread.join(10)
    assert found == [signal.default_int_handler, True]


def test_a_fit_inside_a_fit():
    done = []
    with Interruptions() as outer:
        with outer.caught(), outer.raised():
            with Interruptions() as inner:
                ctrl_c()  # the inner one waits
                done.append(1)
            assert inner.happened
            assert outer.happened
        handler = signal.getsignal(signal.SIGINT)
        assert handler.__self__ is outer
    assert done
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_waits_outside_waits_inside():
    done = []
    with Interruptions() as outer:
        with Interruptions() as inner, inner.raised():
            ctrl_c()
            done.append(1)
        assert outer.happened
        with pytest.raises(UserInterrupt), Interruptions():
            ctrl_c()  # the second one
    assert done
