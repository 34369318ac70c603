"""Ctrl-C deferred while a fit does short work, raised while it does long work."""

from __future__ import annotations

import _thread
import inspect
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import CodeType, FrameType, TracebackType
from typing import Any

import torch

# Seconds until Ctrl-C that came where nothing may raise is tried again.
_SOON = 0.001


@contextmanager
def _nothing() -> Iterator[None]:
    yield


# Code that makes a state or takes it back: an exception there would leave it as it is.
_STATE_CHANGES: set[CodeType] = {
    made.__code__
    for made in (
        type(_nothing()).__enter__,
        type(_nothing()).__exit__,
        ExitStack.enter_context,
        ExitStack.__exit__,
        torch.inference_mode.__enter__,
        torch.inference_mode.__exit__,
    )
}


def changes_state(function: Callable[..., Any]) -> Any:
    """Declare a function, such as ``__enter__``, that Ctrl-C during a fit must not break off."""
    _STATE_CHANGES.add(function.__code__)
    return function


class UserInterrupt(KeyboardInterrupt):
    """Ctrl-C, told apart from a KeyboardInterrupt that a callback of skorch raises."""


class Interruptions:
    """Handler of SIGINT for one fit.

    Inside the ``with`` statement the first Ctrl-C is noted and breaks nothing, except in
    :meth:`raised` blocks.  A second Ctrl-C raises at once, wherever it comes.  What the handler
    raises is a :class:`UserInterrupt`, and what leaves the outermost block a plain
    KeyboardInterrupt.

    Nothing is raised while a context manager is entered or left, which would leave a random state
    or a logger as it should not be: a moment later it is.  Torch's gradient mode is put back as it
    was: Ctrl-C may come at the end of a ``torch.no_grad()`` block, before torch does it.

    Python runs signal handlers in the main thread alone.  The handler is installed there, in
    place of Python's own or of that of a fit around this one, which is told as well.  In other
    threads, and where a program handles SIGINT itself, nothing is installed: every
    KeyboardInterrupt is then a plain one, raised where it is raised, and nothing is deferred.

    Attributes
    ----------
    happened : bool
        Whether Ctrl-C was pressed: long work that can be left out should be.

    Examples
    --------
    >>> import signal
    >>> from sklearn_mabprune.utils.interruptions import Interruptions
    >>> before = signal.signal(signal.SIGINT, signal.default_int_handler)
    >>> with Interruptions() as interruptions:
    ...     signal.raise_signal(signal.SIGINT)  # what Ctrl-C does
    ...     print("finished", interruptions.happened)
    finished True
    >>> _ = signal.signal(signal.SIGINT, before)
    """

    def __init__(self) -> None:
        self.happened = False
        self._again = False
        # From the start, so that SIGINT cannot leave `__enter__` or `__exit__` half done.
        self._deferring = True
        self._previous: Any = None
        self._outer: Interruptions | None = None
        self._gradients = torch.is_grad_enabled()
        self._frame: FrameType | None = None
        # Whether Ctrl-C waits for the end of a change of state, and whether the signal that is
        # pending is that one once more, and none of the user's.
        self._postponed = self._repeated = False

    @changes_state
    def __enter__(self) -> Interruptions:
        here = inspect.currentframe()
        self._frame = here and here.f_back
        if threading.current_thread() is threading.main_thread():
            present = signal.getsignal(signal.SIGINT)
            owner = getattr(present, "__self__", None)
            if present is signal.default_int_handler or isinstance(owner, Interruptions):
                self._outer = owner if isinstance(owner, Interruptions) else None
                self._previous = present
                signal.signal(signal.SIGINT, self._handle)
        return self

    @changes_state
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._frame = None
        torch.set_grad_enabled(self._gradients)
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
        late, self._postponed = self._postponed and error is None, False
        if late or isinstance(error, UserInterrupt):
            if self._outer is None:
                # Python's own type: a script that does not catch it ends as by SIGINT.
                raise KeyboardInterrupt().with_traceback(trace) from None
            if late:
                raise UserInterrupt

    def deferred(self) -> AbstractContextManager[None]:
        """A block inside :meth:`raised` that must not be left half done.

        Returns
        -------
        context manager
        """
        return _Mode(self, deferring=True)

    def raised(self) -> AbstractContextManager[None]:
        """A block of long work: Ctrl-C raises :class:`UserInterrupt`.

        If Ctrl-C was noted before, the block is not entered and it is raised at once.

        Returns
        -------
        context manager
        """
        return _Mode(self, deferring=False)

    def caught(self) -> AbstractContextManager[None]:
        """A block that Ctrl-C ends, without going any further.

        Stands around :meth:`raised`, where what was done before is a result.  A plain
        KeyboardInterrupt counts as Ctrl-C; a second one, of either kind, is not caught.

        Returns
        -------
        context manager
        """
        return _Caught(self)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        fits: list[Interruptions] = []
        fit: Interruptions | None = self
        while fit is not None:
            fits.append(fit)
            fit = fit._outer
        if not fits[-1]._repeated:
            again = any(fit.happened for fit in fits)
            for fit in fits:
                fit.happened, fit._again = True, again
        fits[-1]._postponed = fits[-1]._repeated = False
        if self._again or not any(fit._deferring for fit in fits):
            if not self._changes_state(frame):
                raise UserInterrupt
            fits[-1]._postponed = True
            # Without the locks of `threading`, which the code that was stopped may hold.
            _thread.start_new_thread(fits[-1]._press_again, ())

    def _press_again(self) -> None:
        time.sleep(_SOON)
        if self._postponed:
            self._repeated = True
            _thread.interrupt_main()

    def _changes_state(self, frame: FrameType | None) -> bool:
        """Whether code of the fit was stopped in a change of state."""
        while frame is not None and frame is not self._frame:
            if frame.f_code in _STATE_CHANGES:
                return True
            frame = frame.f_back
        return False


# Classes and no generators: Ctrl-C between the `yield` of a generator and the block that it is
# for would pass the generator by.


class _Mode:
    """Whether Ctrl-C is deferred in a block."""

    def __init__(self, owner: Interruptions, deferring: bool):
        self._owner, self._deferring = owner, deferring

    def __enter__(self) -> None:
        owner = self._owner
        self._before = owner._deferring
        owner._deferring = self._deferring
        if owner.happened and not self._deferring:
            owner._deferring = self._before
            raise UserInterrupt

    def __exit__(self, *error: object) -> None:
        self._owner._deferring = self._before


class _Caught:
    """Ends the first KeyboardInterrupt that leaves a block."""

    def __init__(self, owner: Interruptions):
        self._owner = owner

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        owner = self._owner
        if not isinstance(error, KeyboardInterrupt):
            return False
        torch.set_grad_enabled(owner._gradients)
        again = owner._again if isinstance(error, UserInterrupt) else owner.happened
        owner.happened = True
        return not again
