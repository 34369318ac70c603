"""Files that somebody meant harm with: one error, and no code is run."""

from __future__ import annotations

import copy
import tracemalloc
from unittest.mock import Mock

import pytest
from safetensors.numpy import save_file
from saved_files import DELETED, set_in

from sklearn_mabprune import ModelFileError, load
from sklearn_mabprune.estimators import loading
from sklearn_mabprune.export.files.container import _digest, write_file


def deep(n, inner=1):
    for _ in range(n):
        inner = [inner]
    return inner


NET = ("parameters", "estimator")
LAYERS = ("net", "network", "layers")
HOSTILE = {
    "class of another module": (("class",), "os.system", "class 'os.system' is not supported"),
    "class of ours that is no estimator": (("class",), "MLP", "class 'MLP' is not supported"),
    "no class": (("class",), DELETED, "other fields"),
    "class is a list": (("class",), ["MABPrunedClassifier"], "is not supported"),
    "a field too many": (("hook",), "x", "other fields"),
    "no parameters": (("parameters",), None, "are not records"),
    "unknown parameter": (("parameters", "__class__"), "x", "no parameter '__class__'"),
    "memory of the attacker": (("parameters", "memory"), "/tmp/x", "no parameter 'memory'"),
    "parameter out of range": (("parameters", "ridge"), -1, "'ridge' parameter of"),
    "parameter of another type": (("parameters", "step"), [1], "'step' parameter of"),
    "unknown policy": (("parameters", "policy"), "evil", "policy='evil' is unknown"),
    "policy from a registry of nothing": (
        ("parameters", "policy"), {"object": "Popen", "parameters": {}}, "class 'Popen'"),
    "policy with an argument too many": (
        ("parameters", "policy"), {"object": "UCB1", "parameters": {"x": 1}}, "no parameter 'x'"),
    "policy class": (("parameters", "policy"), {"class": "UCB1"}, "is not a known value"),
    "estimator is a loss": (NET, {"class": "MSELoss"}, "estimator must be a skorch"),
    "estimator is a number": (NET, 3, "estimator must be a skorch"),
    "net with a module of torch": (
        (*NET, "parameters", "module"), {"class": "Linear"}, "is not a known value"),
    "net with a method replaced": (
        (*NET, "parameters", "initialize"), 3, "no parameter 'initialize'"),
    "net with unsafe loading": (
        (*NET, "parameters", "torch_load_kwargs"), {"dict": []}, "no parameter 'torch_load"),
    "net that is no dict": ((*NET, "parameters"), [1], "is not a known value"),
    "net with an odd optimizer": (
        (*NET, "parameters", "optimizer__betas"), "x", "cannot be loaded"),
    "net with other activations": (
        (*NET, "parameters", "module__activation"), "tanh", "not those of its net"),
    "deep parameter": (("parameters", "scoring"), deep(300), "cannot be loaded"),
    "asks for a parameter that is there": (("missing", "policy"), "x", "are not records"),
    "asks for an unknown parameter": (("missing", "__init__"), "x", "no parameter '__init__'"),
    "versions of another type": (("versions", "torch"), 3, "versions are not records"),
    "unknown layer": ((*LAYERS, 0), ["Conv2d", {}], "an unknown kind, 'Conv2d'"),
    "layer by its path": ((*LAYERS, 0), ["torch.nn.Linear", {}], "an unknown kind"),
    "layer that is no pair": ((*LAYERS, 0), ["Linear"], "is not a layer"),
    "layer with an argument too many": ((*LAYERS, 0, 1, "device"), "cuda", "not those of Linear"),
    "layer with an argument of another type": (
        (*LAYERS, 0, 1, "in_features"), [6], "not those of Linear"),
    "layer of a huge size": ((*LAYERS, 0, 1, "in_features"), 10**12, "not of the shape"),
    "layer of a negative size": ((*LAYERS, 0, 1, "out_features"), -3, "not of the shape"),
    "layer without a size": ((*LAYERS, 0, 1, "out_features"), DELETED, "not of the shape"),
    "layer without its bias": ((*LAYERS, 0, 1, "bias"), False, "has other weights"),
    "layer too few": ((*LAYERS, -1), DELETED, "cannot be loaded"),
    "another layer": ((*LAYERS, 1), ["Tanhshrink", {}], "cannot be loaded"),
    "all layers gone": (LAYERS, [], "no list of layers"),
    "layers that are no list": (LAYERS, {"0": 1}, "no list of layers"),
    "precision of no network": (("net", "network", "dtype"), "float16", "precision 'float16'"),
    "precision of another network": (("net", "network", "dtype"), "float32", "not of shape"),
    "another way to predict": (("net", "outputs"), "Sigmoid", "saved one by Sigmoid"),
    "history that is no list": (("net", "history"), 3, "history is not a list"),
    "epoch that is no record": (("net", "history", 0), 3, "cannot be loaded"),
    "epoch that holds a class": (
        ("net", "history", 0, "x"), {"class": "x"}, "is not a known value"),
    "other features": (("data", "n_features"), 5, "another number of features|names are invalid"),
    "fraction above 1": (
        ("data", "validation_fraction"), 1.5, r"validation_fraction is not in \[0, 1\]"),
    "fraction is not a number": (
        ("data", "validation_fraction"), "nan", r"validation_fraction is not in \[0, 1\]"),
    "more layers than a network has": (
        (*LAYERS[:-1], "layers"), [["ReLU", {}]] * 1001, "network has 1001 layers, more than"),
    "more layers than a path has": (
        ("path", "networks"),
        {str(k): {"layers": [["ReLU", {}]] * 1000} for k in range(101)},
        "path have 101000 layers, more than"),
    "path without a field": (("path", "arrays", "n_pulls"), DELETED, "no field 'n_pulls'"),
    "path with a field too many": (("path", "arrays", "x"), None, "unknown field 'x'"),
    "path with a number for an array": (("path", "arrays", "loss"), 3, "is not an array"),
    "path with parts of another length": (
        ("path", "arrays", "removed", 1, 0), 10**30, "cannot be loaded"),
    "path with parts too few": (
        ("path", "arrays", "removed", 1), DELETED, "another length than its shapes"),
    "path with parts of no shape": (("path", "arrays", "removed", 1), [-1], "has invalid shapes"),
    "path with odd sizes": (("path", "arrays", "layer_sizes", 0, 0), 2.5, "not of type int"),
    "path with other sizes": (
        ("path", "arrays", "layer_sizes", 0, 0), 99, "is not the sum of its layers"),
    "path with a layer too few": (
        ("path", "arrays", "layer_sizes", 1, 0), DELETED, "its networks differ in depth"),
    "path with a step too few": (("path", "arrays", "layer_sizes", -1), DELETED, "another length"),
    "network of no step": (("path", "networks", "999"), None, "no step '999'"),
    "network of a step in words": (("path", "networks", "+0"), None, "no step"),
    "network of a path on disk": (("path", "networks", "../../etc"), None, "cannot be loaded"),
    "report without a field": (("report", "n_pulls"), DELETED, "no field 'n_pulls'"),
    "report of another type": (("report", "n_pulls"), "many", "not of type int"),
    "report with a class": (("report", "before"), {"class": "x"}, "unknown field"),
    "report on another network": (
        ("report", "after", "hidden_layer_sizes", 0), 99, "report is about other networks"),
    "report that cannot be printed": (("report", "before", "n_macs"), 0, "cannot be loaded"),
    "report that is a list": (("report",), [], "report is not a JSON object"),
    "warnings that are no list": (("report", "remarks"), "x", "not a list"),
    "path that is no record": (("path",), [], "path is not a record"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_content_is_refused(name, saved, tmp_path):
    where, value, message = HOSTILE[name]
    content = copy.deepcopy(saved.content)
    set_in(content, where, value)
    write_file(tmp_path / "model", content, saved.tensors)
    with pytest.raises(ModelFileError, match=message):
        load(tmp_path / "model")


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        (("data", "classes"), None, "is not an array of labels"),
        (("data", "classes", "values"), ["a", "b"], "another number of classes or"),
        (("data", "classes", "values"), ["b", "a", "c"], "not sorted"),
        (("data", "classes", "values"), ["a", "a", "c"], "not sorted"),
        (("data", "classes", "values"), ["a", 3, "c"], "values that are not of type str"),
        (("data", "classes", "dtype"), "U1000000000", "dtype 'U1000000000'"),
        (("data", "classes", "dtype"), "O4", "dtype 'O4'"),
        (("data", "classes", "dtype"), "V8", "dtype 'V8'"),
        (("data", "classes", "dtype"), ["O"], "cannot be loaded"),
        (("data", "classes", "values"), "abc", "is not an array of labels"),
        (("data", "features", "values"), ["a"], "its feature names are invalid"),
    ],
)
def test_odd_labels_are_refused(where, value, message, saved, tmp_path):
    if not hasattr(saved.model, "classes_"):
        where, value, message = ("data", "y_ndim"), 1, "number of classes or targets"
    content = copy.deepcopy(saved.content)
    set_in(content, where, value)
    write_file(tmp_path / "model", content, saved.tensors)
    with pytest.raises(ModelFileError, match=message):
        load(tmp_path / "model")


WIDE = {"dtype": "U300000", "values": ["a" * 30_000] + ["b"] * 1500}


@pytest.mark.parametrize("where", [("data", "classes"), ("data", "features"), ("net", "labels")])
def test_strings_padded_beyond_proportion_are_refused(where, saved, tmp_path):
    """A file of 142 kB with classes like these took 11.7 GB."""
    if where == ("data", "classes") and not hasattr(saved.model, "classes_"):
        where = ("net", "labels")
    content = copy.deepcopy(saved.content)
    set_in(content, where, WIDE)
    write_file(tmp_path / "model", content, saved.tensors)
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match="of the unsupported dtype 'U300000'"):
            load(tmp_path / "model")
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_what_a_file_says_reaches_no_terminal_as_it_is(saved, tmp_path):
    content = copy.deepcopy(saved.content)
    content["missing"] = {"random_state": "\x1b[2J" + "x" * 10**6}
    del content["parameters"]["random_state"]
    write_file(tmp_path / "model", content, saved.tensors)
    with pytest.raises(TypeError, match=r"\\x1b\[2J") as asked:
        load(tmp_path / "model")
    content["class"] = "\x1b[2J" + "x" * 10**6
    write_file(tmp_path / "model", content, saved.tensors)
    with pytest.raises(ModelFileError, match=r"\\x1b\[2J") as refused:
        load(tmp_path / "model")
    for caught in (asked, refused):
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 2000


def test_out_of_memory_is_not_called_a_damaged_file(saved, tmp_path, monkeypatch):
    (tmp_path / "model").write_bytes(saved.data)
    for name in ("_estimator", "_fitted"):
        with monkeypatch.context() as patch:
            patch.setattr(loading, name, lambda *args: bytearray(2**62))
            with pytest.raises(MemoryError):
                load(tmp_path / "model")
            # What torch raises where the CPU's memory is exhausted.
            patch.setattr(loading, name, Mock(side_effect=RuntimeError("can't allocate memory")))
            with pytest.raises(RuntimeError, match="can't allocate memory"):
                load(tmp_path / "model")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "{" * 1000,
        '{"a": NaN}',
        '{"a": ' + "9" * 5000 + "}",
        "[]",
        "null",
        "",
        '{"class": "MABPrunedClassifier"',
    ],
    ids=["deep", "deep records", "nan", "long number", "list", "null", "empty", "open"],
)
def test_a_description_that_is_no_record_is_refused(text, tmp_path):
    metadata = {"format": "sklearn_mabprune", "format_version": "2", "content": text}
    save_file({}, tmp_path / "model", {**metadata, "sha256": _digest(text, {})})
    with pytest.raises(ModelFileError, match="description"):
        load(tmp_path / "model")


def test_the_other_kind_of_estimator_does_not_come_of_it(saved, tmp_path):
    other = {
        "MABPrunedClassifier": "MABPrunedRegressor",
        "MABPrunedRegressor": "MABPrunedClassifier",
    }
    content = {**saved.content, "class": other[saved.content["class"]]}
    write_file(tmp_path / "model", content, saved.tensors)
    with pytest.raises(ModelFileError, match="cannot be loaded"):
        load(tmp_path / "model")
