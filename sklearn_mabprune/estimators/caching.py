"""Results that an estimator's `memory` keeps."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from sklearn.utils.validation import check_memory


def cached(memory: Any, function: Callable[..., Any], ignore: list[str]) -> Callable[..., Any]:
    """A function whose results an estimator's `memory` keeps."""
    where = os.fspath(memory) if isinstance(memory, os.PathLike) else memory
    found: Callable[..., Any] = check_memory(where).cache(function, ignore=ignore)
    return found
