"""Progress while a fit is at work: a bar, or a log line a round."""

from __future__ import annotations

import logging
from types import TracebackType

from tqdm.auto import tqdm

logger = logging.getLogger("sklearn_mabprune")


class Progress:
    """A bar over one stage (``verbose=1``), log lines (``verbose=2``), or nothing.

    Parameters
    ----------
    stage : str
        What is going on.
    total : int
        Of what `unit` counts.
    unit : str
    verbose : int
    """

    def __init__(self, stage: str, total: int, unit: str, verbose: int):
        self.stage, self.total, self.unit, self.verbose = stage, total, unit, verbose
        self.done = 0
        self.bar = tqdm(total=total, desc=stage, unit=unit, disable=verbose < 1, leave=False)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.close()

    def expect(self, duration: str) -> None:
        """Say at the start how long it will take, about."""
        if self.verbose >= 1:
            self.bar.set_postfix(expected=f"about {duration}")
        if self.verbose >= 2:
            logger.info("%s: about %s", self.stage, duration)

    def advance(self, n: int, **facts: object) -> None:
        """`n` more are done; facts are shown beside the bar or logged."""
        self.done += n
        if self.verbose >= 1:
            self.bar.set_postfix(facts, refresh=False)
            self.bar.update(n)
        if self.verbose >= 2:
            told = "".join(f", {name} {value}" for name, value in facts.items())
            logger.info("%s: %d of %d %s%s", self.stage, self.done, self.total, self.unit, told)
