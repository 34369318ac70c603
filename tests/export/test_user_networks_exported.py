"""Exports of modules that are no chains."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from image_nets import SmallConv, SmallResidual, Words, images, net_of, texts
from module_kinds import CodesAndNumbers
from sklearn.pipeline import make_pipeline
from skorch import NeuralNetRegressor
from torch import nn
from user_nets import classes_table, unit_values_table

from benchmarks.shared.compiling import Library
from sklearn_mabprune import (
    MABPrunedClassifier,
    MABPrunedRegressor,
    UnsupportedModuleError,
    pipeline_to_c,
)

QUICK = {"step": 0.5, "tolerance": 10.0, "random_state": 0, "fine_tune_epochs": 1}


@pytest.fixture(scope="module")
def fitted():
    """Fitted estimators and their samples, by kind."""
    X, y = images(80)
    table, codes = classes_table(80)
    names = np.array([*"abc"])
    words, labels = texts(80)
    values, targets = unit_values_table(80)
    net = net_of(SmallResidual, NeuralNetRegressor, module__n_outputs=1, max_epochs=15)
    return {
        "images": (MABPrunedClassifier(net_of(SmallConv), **QUICK).fit(X, y), X),
        "strings": (
            MABPrunedClassifier(net_of(SmallResidual), **QUICK).fit(table, names[codes]),
            table,
        ),
        "texts": (MABPrunedClassifier(net_of(Words), **QUICK).fit(words, labels), words),
        "values": (MABPrunedRegressor(net, **QUICK).fit(values, targets.reshape(-1, 1)), values),
    }


def predictions(model, X):
    return model.predict_proba(X) if hasattr(model, "classes_") else model.predict(X)


def as_input(model, X):
    integers = getattr(model.estimator_, "reads_integers_", False)
    return X.astype(np.int64 if integers else np.float32)


@pytest.mark.parametrize("kind", ["images", "strings", "texts", "values"])
def test_to_torch_is_the_users_module_and_what_makes_predictions(kind, fitted):
    model, X = fitted[kind]
    module = model.to_torch()
    assert type(module[0]) is type(model.estimator_.module_)
    assert module[0] is not model.estimator_.module_
    with torch.no_grad():
        found = module(torch.tensor(as_input(model, X))).numpy()
    np.testing.assert_allclose(found, predictions(model, X), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["images", "strings", "texts", "values"])
def test_to_onnx_runs_in_onnxruntime(kind, fitted):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    model, X = fitted[kind]
    content = model.to_onnx().SerializeToString()
    # What torch notes of the origin of each node would be most of the file.
    assert len(content) < model.pruning_report_.after.n_bytes + 3500
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    found = session.run(None, {"X": as_input(model, X)[:7]})
    names = [output.name for output in session.get_outputs()]
    assert names == (["variable"] if kind == "values" else ["label", "probabilities"])
    np.testing.assert_allclose(found[-1], predictions(model, X)[:7], rtol=1e-4, atol=1e-5)
    if kind != "values":
        np.testing.assert_array_equal(found[0], model.predict(X)[:7])


def test_pickles_are_little_more_than_the_weights(fitted):
    for kind, (model, _) in fitted.items():
        assert len(pickle.dumps(model)) <= model.pruning_report_.after.n_bytes + 8192, kind


def test_to_c_predicts_what_the_estimator_predicts(fitted, tmp_path):
    sources = {}
    for kind, (model, X) in fitted.items():
        sources[kind] = model.to_c(name=kind)
        sources[f"{kind}8"] = model.to_c(name=f"{kind}8", dtype="int8", calibrate=X, samples=X[:3])
        assert f"per sample: {model.pruning_path_.n_macs[-1]:,}." in sources[kind]
    library = Library(tmp_path, sources, ("-O0",))
    for kind, (model, X) in fitted.items():
        expected = predictions(model, X)
        flat = as_input(model, X).reshape(len(X), -1)
        unit = np.ones(1) if kind != "values" else expected.std(axis=0)
        error = np.abs(library.outputs(kind, flat) - expected) / np.maximum(unit, np.abs(expected))
        assert error.max() <= 1e-5, kind
        assert np.abs(library.outputs(f"{kind}8", flat) - expected).mean() < 0.02 * unit, kind
    model, X = fitted["images"]
    assert "_N_FEATURES 64\n" in sources["images"]
    assert pipeline_to_c(make_pipeline(model), name="images") == sources["images"]
    with pytest.raises(ValueError, match=r"sample of X has shape \(64,\)"):
        model.to_c(samples=X.reshape(len(X), -1))


def test_to_c_reads_several_inputs_side_by_side(tmp_path):
    rng = np.random.default_rng(0)
    X = {"code": rng.integers(0, 7, 80), "number": 9 * rng.normal(size=(80, 3))}
    y = (X["code"] + X["number"][:, 0] > 3).astype(int)
    model = MABPrunedClassifier(net_of(CodesAndNumbers), **QUICK).fit(X, y)
    sources = {
        "plain": model.to_c(name="plain", samples=X),
        "int8": model.to_c(name="int8", dtype="int8", calibrate=X),
        "pipeline": pipeline_to_c(make_pipeline(model), name="pipeline"),
    }
    assert " * x[0]: input code, of shape ()\n * x[1] to x[3]: input number" in sources["plain"]
    library = Library(tmp_path, sources, ("-O0",))
    side_by_side, expected = np.column_stack([X["code"], X["number"]]), model.predict_proba(X)
    for name, allowed in (("plain", 1e-5), ("int8", 5e-3), ("pipeline", 1e-5)):
        found = library.outputs(name, side_by_side)
        np.testing.assert_allclose(found, expected, atol=allowed, err_msg=name)
    with pytest.raises(ValueError, match=r"Input X\[.number.\] contains NaN"):
        model.to_c(dtype="int8", calibrate=X | {"number": np.full((80, 3), np.nan)})


def test_other_forms_are_refused_by_name(fitted):
    model, _ = fitted["images"]
    with pytest.raises(UnsupportedModuleError, match=r"to_torch\(\), to_onnx\(\) or to_c\(\)"):
        model.to_sklearn()


class TwoParts(nn.Module):
    """Two inputs, named like operators."""

    def __init__(self):
        super().__init__()
        self.one, self.other, self.last = nn.Linear(4, 8), nn.Linear(2, 6), nn.Linear(14, 3)

    def forward(self, cat, relu):
        return self.last(torch.cat([self.one(cat).relu(), self.other(relu).relu()], 1))


class Labelled(TwoParts):
    def forward(self, cat, label):
        return super().forward(cat, label)


def fitted_by_name(module, second):
    """A model whose inputs are named as in `forward`, and its samples."""
    X, y = classes_table(60)
    X = {"cat": X[:, :4].astype(np.float32), second: X[:, 4:].astype(np.float32)}
    return MABPrunedClassifier(net_of(module, max_epochs=2), **QUICK).fit(X, y), X


@pytest.mark.slow
def test_inputs_in_onnx_may_have_names_that_torch_gives_to_values():
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    model, X = fitted_by_name(TwoParts, "relu")
    for content, allowed in ((model.to_onnx(), 1e-5), (model.to_onnx(quantize=X), 0.02)):
        session = runtime.InferenceSession(content.SerializeToString())
        assert [part.name for part in session.get_inputs()] == ["cat", "relu"]
        found = session.run(None, X)[1]
        np.testing.assert_allclose(found, model.predict_proba(X), atol=allowed)


class Masked(nn.Module):
    """Words whose mask is an input: a text that is masked as a whole has no output."""

    def __init__(self):
        super().__init__()
        self.words, self.scores = nn.Embedding(7, 5, padding_idx=0), nn.Linear(5, 1)
        self.hidden, self.last = nn.Linear(5, 8), nn.Linear(8, 3)

    def forward(self, tokens, mask):
        h = self.words(tokens)
        weights = self.scores(h).squeeze(-1).masked_fill(~mask, float("-inf")).softmax(-1)
        return self.last(torch.relu(self.hidden((weights[..., None] * h).sum(1))))


def test_samples_that_compare_onnx_are_not_masked_as_a_whole():
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    tokens = np.random.default_rng(0).integers(1, 7, (60, 3))
    X = {"tokens": tokens, "mask": tokens > tokens.min(1, keepdims=True) - 1}
    model = MABPrunedClassifier(net_of(Masked, max_epochs=2), **QUICK).fit(X, tokens[:, 0] % 3)
    assert [part.name for part in model.to_onnx().graph.input] == ["tokens", "mask"]


def test_inputs_in_onnx_that_are_named_like_an_output_are_refused():
    pytest.importorskip("onnxscript")
    model, _ = fitted_by_name(Labelled, "label")
    with pytest.raises(UnsupportedModuleError, match="has an output named 'label', and so is a"):
        model.to_onnx()
