"""What torch needs before and after a process is forked, so that the child does not hang."""

from __future__ import annotations

import importlib
import os
import sys

import torch

from .compat import COMPILER

_used_threads = False


def note_threads() -> None:
    """Remember that torch is about to compute, if it may do so in several threads.

    They do not exist in a process that is forked later, where torch would wait for them for ever.
    Torch has one thread there.
    """
    global _used_threads
    _used_threads = _used_threads or torch.get_num_threads() > 1


def _finish_import() -> None:
    """Wait for an import that another thread is in: the child would inherit its lock for ever."""
    if COMPILER in sys.modules:
        importlib.import_module(COMPILER)


def _use_one_thread() -> None:
    if _used_threads:
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_finish_import, after_in_child=_use_one_thread)
