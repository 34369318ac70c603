"""The compiled pass over points, against the same in plain Python, NumPy and torch."""

from __future__ import annotations

import functools
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from builders import TOLERANCE, generator, ids, linears, make_graph, make_samples
from hypothesis import given, settings
from hypothesis import strategies as st
from test_fast_paths import assert_as_plainly, every_ablation, every_dtype
from torch import nn

from sklearn_mabprune.ablation import fused


@pytest.fixture(params=[1, 3], ids=("one thread", "three threads"))
def threads(request, torch_threads):
    torch_threads(request.param)
    return request.param


@pytest.fixture
def always(monkeypatch):
    """Small calls go the compiled way too; how often they did."""
    calls, outputs = [], fused.outputs
    monkeypatch.setattr(fused, "_WORTH", 0)
    monkeypatch.setattr(fused, "outputs", lambda *args: calls.append(1) or outputs(*args))
    return calls


def points(n_units, n_samples, width, n_outputs, zeros, dtype=torch.float64, bias=True, seed=0):
    """Random points of which a share is zero."""
    source = generator(seed)
    pre = torch.randn(n_samples, width, generator=source, dtype=torch.float64)
    moves = torch.randn(n_units, width, generator=source, dtype=torch.float64)
    residual = torch.randn(n_units, n_samples, generator=source, dtype=torch.float64)
    residual[torch.rand(n_units, n_samples, generator=source) < zeros] = 0.0
    linear = nn.Linear(width, n_outputs, bias=bias)
    return [each.to(dtype) for each in (pre, moves, residual)], linear.to(dtype)


def plainly(arrays, linear):
    """All points, one dense product after the other."""
    pre, moves, residual = arrays
    where = residual.flatten().nonzero()[:, 0]
    hidden = (pre[None] - residual[..., None] * moves[:, None]).relu().flatten(0, 1)
    with torch.no_grad():
        return linear(hidden[where]).T, where


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 6), st.integers(1, 7), st.integers(1, 9), st.integers(1, 12),
    st.sampled_from([0.0, 0.5, 1.0]), st.booleans(), st.integers(0, 99),
)  # fmt: skip
def test_outputs_of_any_points(n_units, n_samples, width, n_outputs, zeros, bias, seed):
    arrays, linear = points(n_units, n_samples, width, n_outputs, zeros, bias=bias, seed=seed)
    wanted, where = plainly(arrays, linear)
    found, there = fused.outputs(*arrays, linear)
    torch.testing.assert_close(there, where)
    torch.testing.assert_close(found, wanted)
    # The loop itself, as Python runs it.
    parameters = [linear.weight, torch.zeros(n_outputs).double() if not bias else linear.bias]
    numbers = [each.detach().numpy() for each in (*arrays, *parameters)]
    out, places = (
        np.empty((n_outputs, n_units * n_samples)),
        np.empty(n_units * n_samples, np.int64),
    )
    count = fused.points(*numbers, (0, n_units), out, places)
    np.testing.assert_array_equal(places[:count], where.numpy())
    np.testing.assert_allclose(out[:, :count], wanted.numpy(), atol=1e-12)


@every_dtype
def test_threads_share_the_units(threads, dtype):
    for n_units in (1, 2, 3, 20):
        arrays, linear = points(n_units, 50, 40, 10, 0.5, dtype)
        wanted, where = plainly(arrays, linear)
        found, there = fused.outputs(*arrays, linear)
        torch.testing.assert_close(there, where)
        torch.testing.assert_close(found, wanted)
        assert found.dtype == dtype


@pytest.mark.slow
@every_dtype
@every_ablation
@pytest.mark.parametrize("around", ["plain", "dropout"])
@pytest.mark.parametrize("task", ["classes", "probabilities", "targets", "summed", "labels"])
def test_pulls_on_the_compiled_way(task, around, ablation, dtype, threads, always):
    graph = make_graph(task, (9, 8, 7), "relu", around, dtype=dtype)
    samples = make_samples(task, 31, dtype=dtype, weighted=True)
    for chunk in (None, 60):
        # Of the three layers the second is followed by a hidden layer and the outputs.
        assert_as_plainly(graph, samples, ablation, 1, chunk=chunk)
        assert_as_plainly(graph, samples, ablation, 1, ids(6, 0, 3), chunk=chunk)
    n_calls = len(always)
    assert n_calls >= 4
    assert_as_plainly(graph, samples, ablation, 0)
    assert_as_plainly(graph, samples, ablation, 2)
    assert len(always) == n_calls


@pytest.mark.parametrize("bias", [-100.0, 100.0])
def test_no_pair_and_all_pairs(bias, always):
    graph, samples = make_graph("classes", (12, 6)), make_samples("classes", weighted=True)
    with torch.no_grad():
        linears(graph)[0].bias += bias
    found = assert_as_plainly(graph, samples, "zero", 0)
    assert always
    assert (abs(found).max() < 1e-15) == (bias < 0)


@pytest.mark.parametrize(
    ("activation", "around"), [("tanh", "plain"), ("prelu", "plain"), ("relu", "norm_before")]
)
def test_what_is_more_than_a_relu_goes_other_ways(activation, around, always):
    graph, samples = make_graph("classes", (12, 6), activation, around), make_samples("classes")
    assert_as_plainly(graph, samples, "zero", 0)
    assert not always


def test_only_large_calls_with_narrow_outputs():
    assert fused.pays(256, 256, nn.Linear(128, 10))
    assert not fused.pays(100, 256, nn.Linear(128, 10))  # too small for loading the code
    assert not fused.pays(256, 256, nn.Linear(128, 33))  # a product that torch is good at


def test_without_numba(monkeypatch):
    """torch finds the same, and nothing asks for Numba before a call is large."""
    graph, samples = make_graph("classes", (64, 48)), make_samples("classes", 200)
    monkeypatch.setattr(fused, "_WORTH", 0)
    compiled = assert_as_plainly(graph, samples, "zero", 0)
    monkeypatch.setattr(fused, "compiled", lambda dtype: None)
    assert not fused.pays(256, 256, nn.Linear(128, 10))
    found = assert_as_plainly(graph, samples, "zero", 0)
    np.testing.assert_allclose(compiled, found, rtol=0, atol=TOLERANCE[torch.float64])


@pytest.mark.parametrize("writable", [True, False])
def test_compiling_where_nothing_can_be_kept(monkeypatch, writable):
    """Numba refuses to keep code where it finds no folder for it: then it is made each time."""
    asked = []

    def njit(cache=False, **options):
        asked.append(cache)
        if cache and not writable:
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr("numba.njit", njit)
    assert fused.compiled.__wrapped__(torch.float64) is fused.points
    assert asked == ([True] if writable else [True, False])


DAMAGES = {
    "full disk": OSError(28, "No space left on device"),
    "damaged index": pickle.UnpicklingError("invalid load key"),
    "empty index": EOFError(),
    "unreadable folder": PermissionError(13, "Permission denied"),
    "another version's": ModuleNotFoundError("No module named 'numba.old'"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_cache_that_fails_when_the_loop_is_called(name, monkeypatch):
    """The loop is compiled without it, once, with one warning."""
    asked = []

    def njit(cache=False, **options):
        def fail(*args):
            raise DAMAGES[name]

        asked.append(cache)
        return lambda function: fail if cache else function

    monkeypatch.setattr("numba.njit", njit)
    with pytest.warns(RuntimeWarning, match=r"Numba failed .*NUMBA_CACHE_DIR") as caught:
        assert fused.compiled.__wrapped__(torch.float32) is fused.points
    assert asked == [True, False]
    assert len(caught) == 1


def test_a_numba_that_cannot_compile_leaves_the_work_to_torch(monkeypatch):
    def njit(**options):
        def fail(*args):
            raise OSError("Could not find or load libllvmlite.so")

        return lambda function: fail

    fresh = functools.cache(fused.compiled.__wrapped__)
    monkeypatch.setattr("numba.njit", njit)
    monkeypatch.setattr(fused, "compiled", fresh)
    monkeypatch.setattr(fused, "_WORTH", 0)
    graph, samples = make_graph("classes", (64, 48)), make_samples("classes", 200)
    with pytest.warns(RuntimeWarning, match=r"libllvmlite.*torch does its work") as caught:
        assert_as_plainly(graph, samples, "zero", 0)
    assert len(caught) == 1
    # Without a second warning, which would be an error here.
    assert_as_plainly(graph, samples, "zero", 0)


_COMPILED = """
import resource, sys, torch
from sklearn_mabprune.ablation import fused
if sys.argv[1:]: resource.setrlimit(resource.RLIMIT_FSIZE, (100, -1))
loop = fused.compiled(torch.float64)
assert loop is not fused.points and callable(loop)
"""


def run_compiled(folder, *arguments):
    """A process that compiles the loop, with Numba's files in a folder."""
    return subprocess.run(
        [sys.executable, "-W", "always", "-c", _COMPILED, *arguments],
        env={**os.environ, "NUMBA_CACHE_DIR": str(folder)}, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_a_real_cache_that_is_harmed(tmp_path):
    assert run_compiled(tmp_path).returncode == 0
    (index,) = tmp_path.rglob("*.nbi")
    index.write_bytes(bytes(range(100)))
    found = run_compiled(tmp_path)
    assert found.returncode == 0, found.stderr
    assert found.stderr.count("RuntimeWarning: Numba failed") == 1


@pytest.mark.slow
def test_a_real_cache_that_cannot_be_written(tmp_path):
    found = run_compiled(tmp_path, "files of 100 bytes at most")
    assert found.returncode == 0, found.stderr
    assert found.stderr.count("RuntimeWarning: Numba failed") == 1


@pytest.mark.slow
def test_numba_is_optional():
    command = (
        "import sys, sklearn_mabprune; assert 'numba' not in sys.modules; "
        "sys.modules['numba'] = None; from sklearn_mabprune.ablation import fused; "
        "assert fused.compiled(None) is None"
    )
    subprocess.run([sys.executable, "-c", command], check=True)
