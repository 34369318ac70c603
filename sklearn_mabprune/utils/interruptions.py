"""Ctrl-C, heeded without losing what is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


class Patience:
    """The first Ctrl-C makes a fit wind up, the second one ends it.

    Attributes
    ----------
    happened : bool
        Whether Ctrl-C came: what can be left out should be.

    Examples
    --------
    >>> from sklearn_mabprune.utils.interruptions import Patience
    >>> patience, presses = Patience(), [KeyboardInterrupt]
    >>> def measure():
    ...     if presses:
    ...         raise presses.pop()
    ...     return 7
    >>> patience.run(measure), patience.happened
    (7, True)
    """

    def __init__(self) -> None:
        self.happened = False

    def run(self, work: Callable[[], Result]) -> Result:
        """The result of short work that has to be done, Ctrl-C or not."""
        try:
            return work()
        except KeyboardInterrupt:
            if self.happened:
                raise
            self.happened = True
            return work()
