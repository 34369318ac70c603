"""ONNX models in 8 bits predict nearly what their estimators predict."""

from __future__ import annotations

import logging

import numpy as np
import onnx
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_onnx import mixed_table, run
from user_nets import classes_table, classifier, regressor, small_classifier, values_table

from sklearn_mabprune import make_tabular_pipeline, pipeline_to_onnx


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
