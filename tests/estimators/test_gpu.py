"""On a CUDA device: the same choices as on a CPU, and pickles that open without one.

Left out where there is no such device (conftest.py).
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.frozen import FrozenEstimator
from user_nets import (
    WeightedClassifier,
    classes_table,
    classifier,
    plain_classifier,
    plain_regressor,
    quick_start,
    regressor,
    small_classifier,
    small_regressor,
    state,
    unit_values_table,
    values_table,
)

from sklearn_mabprune import PruningWarning, load

pytestmark = pytest.mark.gpu

# On both devices in float32, the only precision that nets choose on a GPU. Dropout draws from
# another generator there: nets with Dropout are other nets.
CASES = {
    "ours": (classifier, lambda **p: small_classifier(dtype="float32", **p), classes_table),
    "ours, values": (regressor, lambda **p: small_regressor(dtype="float32", **p), values_table),
    "plain": (classifier, plain_classifier, classes_table),
    "weighted": (classifier, lambda **p: plain_classifier(WeightedClassifier, **p), classes_table),
    "plain, values": (regressor, plain_regressor, unit_values_table),
}
every_case = pytest.mark.parametrize("case", CASES)


def on_both(case, **params):
    make, net, table = CASES[case]
    X, y = table()
    weights = {"sample_weight": np.linspace(0.5, 1.5, len(X))} if case == "weighted" else {}
    models = [make(net(device=device), **params).fit(X, y, **weights) for device in ("cpu", "cuda")]
    return *models, X, y


def outputs(model, X):
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)


@every_case
@pytest.mark.parametrize("ablation", ["least_squares", "zero"])
def test_choices_and_predictions(case, ablation):
    on_cpu, on_gpu, X, _ = on_both(case, ablation=ablation, fine_tune_epochs=2)
    assert {p.device.type for p in on_gpu.estimator_.module_.parameters()} == {"cuda"}
    for one, other in zip(on_cpu.neuron_support_, on_gpu.neuron_support_, strict=True):
        # Rounding may exchange two neurons that are worth the same.
        assert (one != other).sum() <= 2
    np.testing.assert_allclose(on_gpu.pruning_path_.loss, on_cpu.pruning_path_.loss, rtol=0.02)
    same = all(
        np.array_equal(one, other)
        for one, other in zip(on_cpu.neuron_support_, on_gpu.neuron_support_, strict=True)
    )
    if same:
        expected = outputs(on_cpu, X)
        np.testing.assert_allclose(
            outputs(on_gpu, X), expected, rtol=1e-2, atol=1e-2 * np.abs(expected).std()
        )


@every_case
def test_same_seed_same_network(case):
    _, first, X, _ = on_both(case)
    _, second, _, _ = on_both(case)
    for one, other in zip(first.neuron_ranking_, second.neuron_ranking_, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(outputs(first, X), outputs(second, X), rtol=1e-5)


@pytest.mark.parametrize(
    "net", [lambda: small_classifier(device="cuda", module__dropout=0.3),
            lambda: quick_start(device="cuda")],
)  # fmt: skip
def test_generators_of_the_device_are_left_alone(net):
    X, y = classes_table()
    before = torch.cuda.get_rng_state(), torch.get_rng_state()
    classifier(net()).fit(X, y).predict(X)
    assert torch.equal(torch.cuda.get_rng_state(), before[0])
    assert torch.equal(torch.get_rng_state(), before[1])


@every_case
def test_pickle_opens_on_a_cpu(case, tmp_path):
    _, model, X, _ = on_both(case)
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(model))
    np.save(tmp_path / "X.npy", X)
    code = (
        "import pickle, warnings, numpy as np, torch; assert not torch.cuda.is_available(); "
        "warnings.simplefilter('ignore'); "
        "model = pickle.load(open('model.pickle', 'rb')); X = np.load('X.npy'); "
        "f = getattr(model, 'predict_proba', model.predict); np.save('found.npy', f(X))"
    )
    tests = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "",
             "PYTHONPATH": os.pathsep.join(map(str, [tests.parent, tests / "helpers", *sys.path]))},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    expected = outputs(model, X)
    found = np.load(tmp_path / "found.npy")
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).std())


def test_frozen_net_and_partial_fit():
    X, y = classes_table()
    net = small_classifier(device="cuda").fit(X, y)
    before = state(net)
    with pytest.warns(PruningWarning, match="estimator is a trained net"):
        model = classifier(FrozenEstimator(net)).fit(X, y)
    assert all(np.array_equal(before[k], v) for k, v in state(net).items())
    model.estimator_.partial_fit(X, y)
    assert {p.device.type for p in model.estimator_.module_.parameters()} == {"cuda"}
    assert np.isfinite(model.predict_proba(X)).all()
    assert model.pruning_report_.after.ms_batch > 0


@pytest.mark.parametrize("several", [False, True])
def test_sparse_rows_and_several_labels(several):
    X, y = classes_table()
    X = sparse.csr_matrix(np.where(np.abs(X) > 1, X, 0))
    y = np.column_stack([y == 0, y == 1]).astype(int) if several else y
    one, other = (
        classifier(small_classifier(dtype="float32", device=device)).fit(X, y)
        for device in ("cpu", "cuda")
    )
    assert (
        sum((a != b).sum() for a, b in zip(one.neuron_support_, other.neuron_support_, strict=True))
        <= 2
    )
    np.testing.assert_allclose(other.pruning_path_.loss, one.pruning_path_.loss, rtol=0.02)
    assert other.predict_proba(X).shape == one.predict_proba(X).shape


@every_case
def test_exports_and_files_are_on_the_cpu(case, tmp_path):
    make, net, table = CASES[case]
    X, y = table()
    model = make(net(device="cuda")).fit(X, y)
    expected = outputs(model, X)
    module = model.to_torch()
    assert {parameter.device.type for parameter in module.parameters()} == {"cpu"}
    with torch.no_grad():
        found = module(torch.as_tensor(X, dtype=torch.float32)).numpy().reshape(expected.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert len(model.to_onnx().graph.node) > 3
    own = case.startswith("ours")
    warned = pytest.warns(UserWarning, match="saved without parameters")
    with warned if case == "weighted" else nullcontext():
        model.save(tmp_path / "model")
    loaded = load(tmp_path / "model", **({} if own else {"estimator": net(device="cuda")}))
    assert loaded.estimator_.device == "cpu"
    np.testing.assert_allclose(outputs(loaded, X), expected, rtol=1e-4, atol=1e-5)
