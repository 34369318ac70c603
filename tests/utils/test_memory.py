"""Memory that runs out: told as such, with what was being done, and never as another fault."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from builders import features
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from torch import nn
from user_nets import classifier, regressor, values_table

from sklearn_mabprune import load, pipeline_to_onnx
from sklearn_mabprune.graph import recovery
from sklearn_mabprune.graph.decisions import answers_of
from sklearn_mabprune.graph.recovery import recover_network
from sklearn_mabprune.utils.memory import no_memory, out_of_memory

GPU = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")


class Full(RegressorMixin, BaseEstimator):
    """A regressor that finds no memory."""

    def __init__(self, error=None, when="fit"):
        self.error, self.when = error, when

    def fit(self, X, y):
        if self.when == "fit":
            raise self.error
        self.mean_ = np.mean(y)
        return self

    def predict(self, X):
        raise self.error


@pytest.mark.parametrize(
    ("error", "when", "kind", "message"),
    [
        (MemoryError(), "fit", MemoryError, r"the teacher Full was fitted in fold 1 of 5\. Pass a"),
        (MemoryError("no 8 GiB"), "predict", MemoryError, r"asked in fold 1 of 5 \(no 8 GiB\)\. P"),
        (GPU, "fit", torch.OutOfMemoryError, r"ran out while .* smaller teacher"),
        (RuntimeError("can't allocate memory"), "fit", MemoryError, "ran out while the teacher"),
    ],
)
def test_in_a_teacher(error, when, kind, message):
    X, y = values_table()
    model = regressor(teacher=Full(error, when))
    with pytest.raises(kind, match=message):
        model.fit(X, y)
    assert not [each for each in vars(model) if each.endswith("_")]


def test_of_synthetic_samples():
    X, y = values_table()
    with pytest.raises(
        MemoryError, match=r"synthetic samples were made .* Pass a lower n_synthetic"
    ):
        regressor(teacher="auto", teacher_weight=0.5, n_synthetic=1e12).fit(X, y)


def test_errors_that_it_caused():
    wrapped = ValueError("the export failed")
    wrapped.__cause__ = MemoryError()
    assert out_of_memory(wrapped)
    assert isinstance(no_memory(wrapped, "it was exported"), MemoryError)
    wrapped.__cause__ = KeyError("memory")
    assert not out_of_memory(wrapped)
    # onnxruntime's errors are of classes of their own.
    failed = type("RuntimeException", (Exception,), {"__module__": "onnxruntime.capi"})
    assert out_of_memory(failed("Failed to allocate memory for requested buffer of size 9"))
    assert not out_of_memory(failed("invalid graph"))


class Skip(nn.Module):
    """A module that is no chain."""

    def __init__(self):
        super().__init__()
        self.first, self.last, self.beside = nn.Linear(6, 8), nn.Linear(8, 3), nn.Linear(6, 3)

    def forward(self, X):
        return self.last(torch.relu(self.first(X))) + self.beside(X)


def fail(*args, **kwargs):
    raise GPU


class Filling(Skip):
    """Such a module, which finds no memory when it is told so."""

    full = False

    def __init__(self):
        super().__init__()
        if self.full:
            raise MemoryError


def table():
    return features(60, 6, torch.float32).numpy(), np.arange(60) % 3


@pytest.fixture(scope="module")
def skipping():
    net = NeuralNetClassifier(Filling, criterion=nn.CrossEntropyLoss, max_epochs=2, verbose=0)
    return classifier(net).fit(*table())


def test_in_an_export_to_onnx(skipping, monkeypatch):
    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(torch.OutOfMemoryError, match="while the module was exported to ONNX"):
        skipping.to_onnx()


def test_where_a_network_is_quantised(skipping, monkeypatch):
    monkeypatch.setattr("onnxruntime.quantization.quantize_static", fail)
    with pytest.raises(
        torch.OutOfMemoryError, match=r"model was quantised .* fewer samples as qua"
    ):
        skipping.to_onnx(quantize=table()[0])


def test_in_a_module_that_is_built_from_a_file(skipping, tmp_path, monkeypatch):
    skipping.save(tmp_path / "model.safetensors")
    monkeypatch.setattr(Filling, "full", True)
    with pytest.raises(MemoryError):
        load(tmp_path / "model.safetensors", module=Filling)


def test_where_an_onnx_model_is_compared(monkeypatch):
    X, y = table()
    model = make_pipeline(StandardScaler(), classifier()).fit(X, y)
    monkeypatch.setattr(type(model[-1]), "predict", fail)
    with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        model[-1].to_onnx()
    with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        pipeline_to_onnx(model, X)


class Length(Skip):
    """A module in which the number of samples is a number."""

    def forward(self, X):
        return super().forward(X).view(len(X), -1)


def test_while_a_module_is_read_for_two_numbers_of_samples(monkeypatch):
    read = recovery.exported_program

    def second(*args, any_number=True, **kwargs):
        return read(*args, **kwargs) if any_number else fail()

    monkeypatch.setattr(recovery, "exported_program", second)
    with pytest.raises(torch.OutOfMemoryError):
        recover_network(Length(), features(8, 6, torch.float32))


class FullInTraining(Skip):
    """A module that finds no memory in training mode."""

    def forward(self, X):
        return fail() if self.training else super().forward(X)


def test_while_gradients_of_a_smaller_module_are_compared():
    with pytest.raises(torch.OutOfMemoryError):
        recover_network(FullInTraining(), features(8, 6, torch.float32))


class FullLater(Skip):
    """A module that asks for a number, and then finds no memory."""

    def forward(self, X):
        if self.last.bias.sum() > 100:
            return X
        return fail()


def test_while_it_is_found_out_what_numbers_a_module_asks_for():
    with pytest.raises(torch.OutOfMemoryError):
        answers_of(FullLater(), features(8, 6, torch.float32))
