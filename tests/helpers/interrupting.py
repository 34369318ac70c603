"""Ctrl-C in tests: real signals, pressed where a test says."""

from __future__ import annotations

import signal


def ctrl_c():
    """What the terminal does when a person presses it."""
    signal.raise_signal(signal.SIGINT)


def press_ctrl_c(monkeypatch, module, name, call):
    """Have Ctrl-C pressed at the beginning of the `call`-th call of a function."""
    original, calls = getattr(module, name), []

    def interrupted(*args, **kwargs):
        calls.append(None)
        if len(calls) == call:
            ctrl_c()
        return original(*args, **kwargs)

    monkeypatch.setattr(module, name, interrupted)
