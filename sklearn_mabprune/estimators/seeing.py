"""Tables that a teacher sees, handed over by the pipeline that encodes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..data.table import Table


class SeesTables:
    """Mixin of estimators whose teacher sees the columns from which the features were encoded."""

    _table_source: Callable[[], Table] | None = None

    @contextmanager
    def seeing(self, source: Callable[[], Table] | None) -> Iterator[None]:
        """Have a teacher see a table in the fits of a ``with`` block.

        Parameters
        ----------
        source : callable or None
            Returns the samples of the fit as a table.  It is called when the steps before this
            estimator are fitted.
        """
        before = self._table_source
        self._table_source = source
        try:
            yield
        finally:
            self._table_source = before
            if before is None:
                del self._table_source

    def _table_of(self, X: Any) -> Table | None:
        """The table of the samples of a fit; None without a teacher, or where it is not known."""
        if self._table_source is None or getattr(self, "teacher", None) is None:
            return None
        table = self._table_source()
        return table if len(table.values) == X.shape[0] else None
