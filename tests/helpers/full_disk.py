"""A disk that is full after some bytes."""

from __future__ import annotations

import resource
from contextlib import contextmanager


@contextmanager
def size_limit(n_bytes):
    """No file may grow beyond a size, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
