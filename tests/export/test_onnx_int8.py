"""ONNX models in 8 bits predict nearly what their estimators predict."""

from __future__ import annotations

import logging

import numpy as np
import onnx
import pytest
import torch
from image_nets import images, net_of
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_onnx import mixed_table, run
from torch import nn
from torch.nn import functional as F
from user_nets import classes_table, classifier, regressor, small_classifier, values_table

from sklearn_mabprune import make_tabular_pipeline, pipeline_to_onnx
from sklearn_mabprune.export.onnx_int8 import quantised_model


def quantised_gemms(model):
    """Scales of the weights of all Gemm nodes, which must be of 8 bits."""
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    made_by = {output: node for node in model.graph.node for output in node.output}
    found = []
    for node in model.graph.node:
        if node.op_type == "Gemm":
            assert made_by[node.input[0]].op_type == "DequantizeLinear"
            weight, scale, _ = made_by[node.input[1]].input
            assert constants[weight].dtype == np.int8
            found.append(constants[scale].shape)
    return found


def test_networks_in_8_bits(tmp_path, caplog):
    X, y = classes_table()
    model = classifier().fit(X, y)
    with caplog.at_level(logging.WARNING):
        made = model.to_onnx(tmp_path / "model.onnx", quantize=X)
    assert not caplog.records
    assert (tmp_path / "model.onnx").read_bytes() == made.SerializeToString()
    # A scale for each unit.
    assert quantised_gemms(made) == [(width,) for width in (*model.hidden_layer_sizes_, 3)]
    found = run(made, X)
    assert np.mean(found["label"] == model.predict(X)) > 0.95
    assert np.abs(found["probabilities"] - model.predict_proba(X)).mean() < 0.02
    assert found["probabilities"].dtype == np.float32
    # The estimator is as it was.
    assert run(model.to_onnx(), X)["probabilities"].dtype == np.float64
    X, y = values_table(n_targets=2)
    model = regressor().fit(X, y)
    error = (run(model.to_onnx(quantize=X), X)["variable"] - model.predict(X)) / y.std(axis=0)
    assert np.sqrt(np.mean(error**2)) < 0.03


def test_pipelines_in_8_bits():
    frame, y = mixed_table()
    net = small_classifier(dtype="float64")
    model = make_tabular_pipeline(classifier(net)).fit(frame, y)
    made = pipeline_to_onnx(model, frame.head(2), quantize=frame)
    assert len(quantised_gemms(made)) == 3
    assert [put.type.tensor_type.elem_type for put in made.graph.input] == [
        put.type.tensor_type.elem_type for put in pipeline_to_onnx(model, frame).graph.input
    ]
    table = frame.assign(zone=frame["zone"].astype(float), lift=frame["lift"].astype(str))
    found = run(made, table)
    assert np.mean(found["label"] == model.predict(frame)) > 0.95
    assert np.abs(found["probabilities"] - model.predict_proba(frame)).mean() < 0.02


def test_samples_that_do_not_fit_are_refused():
    X, y = classes_table()
    model = classifier().fit(X, y)
    with pytest.raises(ValueError, match="quantize is empty"):
        model.to_onnx(quantize=X[:0])
    with pytest.raises(ValueError, match=r"X has 2 features, but .* is expecting 6"):
        model.to_onnx(quantize=X[:, :2])
    pipeline = make_pipeline(StandardScaler(), model).fit(X, y)
    with pytest.raises(RuntimeError, match=r"onnxruntime cannot quantise this model: .*Export it"):
        pipeline_to_onnx(pipeline, X, quantize=X[:, :2])


class ImagesAndCodes(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.codes = nn.Conv2d(1, 6, 3), nn.Embedding(3, 4)
        self.last = nn.Linear(6 * 9 + 4, 3)

    def forward(self, image, code):
        h = F.max_pool2d(F.relu(self.conv(image)), 2)
        return self.last(torch.cat([h.flatten(1), self.codes(code)], 1))


@pytest.mark.slow
def test_modules_that_are_no_chains_in_8_bits():
    pixels, y = images(120)
    X = {"image": pixels.astype(float), "code": (y + np.arange(len(y)) % 2) % 3}
    model = classifier(net_of(ImagesAndCodes, max_epochs=10)).fit(X, y)
    made = model.to_onnx(quantize=X)
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in made.graph.initializer}
    shapes = {
        node.input[0].removeprefix("module.0.").partition("_quantized")[0]: constants[
            node.input[1]
        ].shape
        for node in made.graph.node
        if node.op_type == "DequantizeLinear" and constants.get(node.input[0], y).dtype == np.int8
    }
    n_channels, n_codes = model.hidden_layer_sizes_
    # A scale for each channel and output; one for all codes.
    assert shapes == {"conv.weight": (n_channels,), "codes.weight": (), "last.weight": (3,)}
    assert constants["module.0.codes.weight_quantized"].shape == (3, n_codes)
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    labels, probabilities = session.run(None, {**X, "image": pixels})
    assert np.mean(labels == model.predict(X)) > 0.97
    assert np.abs(probabilities - model.predict_proba(X)).mean() < 0.02


def test_a_model_without_weights_is_refused():
    helper = onnx.helper
    puts = [helper.make_tensor_value_info(name, 1, [None, 2]) for name in "xy"]
    node = helper.make_node("Relu", ["x"], ["y"])
    graph = helper.make_graph([node], "graph", puts[:1], puts[1:])
    with pytest.raises(RuntimeError, match=r"it has no Conv or Gemm\. Export it without quantize"):
        quantised_model(helper.make_model(graph), {"x": np.ones((1, 2))}, ("Conv", "Gemm"))
