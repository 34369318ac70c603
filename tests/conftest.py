"""What all tests share: the environment, one thread, and which tests can run here."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

# What test files share is imported by its file name, in worker processes too.
sys.path.insert(0, str(Path(__file__).resolve().parent / "helpers"))

# Before anything imports SciPy: without it scikit-learn leaves out its array API check.
os.environ["SCIPY_ARRAY_API"] = "1"

import pytest
import torch

# Results depend on the number of threads: processes of a test must agree on it, and workers
# of the test run share the cores.
torch.set_num_threads(1)

# There is no doctest in them, and as modules they would all have one name.
collect_ignore_glob = ["*conftest.py"]


def pytest_collection_modifyitems(config, items):
    """Tests marked `gpu` are left out, not skipped, where there is no CUDA device."""
    if torch.cuda.is_available():
        return
    left_out = [item for item in items if item.get_closest_marker("gpu")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """A test of Ctrl-C that lets it through fails; others would end the whole test run."""
    try:
        return (yield)
    except KeyboardInterrupt as error:
        if "sigint" not in pyfuncitem.fixturenames:
            raise
        raise AssertionError("Ctrl-C has left the test.") from error


@pytest.fixture
def torch_threads():
    """Sets the number of torch's threads for one test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture
def two_threads(torch_threads):
    torch_threads(2)


@pytest.fixture
def sigint():
    """A shell starts background jobs, which a test run may be, with the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
