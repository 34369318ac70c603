"""Files that are damaged, of another version or hostile: one error, and no code is run."""

from __future__ import annotations

import copy
import json
import pickle
import struct

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from user_nets import classifier, regressor, small_classifier, strings_table, values_table

from sklearn_mabprune import ModelFileError, load
from sklearn_mabprune.export.files.container import _digest, read_file, write_file

# Files of a test are written over and over in one folder of its own.
several = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60
)
WAY_OUT = "Take another copy of the file, or save the estimator again."


@pytest.fixture(scope="module", params=["classifier", "regressor"])
def saved(request, tmp_path_factory):
    """A fitted estimator, its rows, its file and what stands in it."""
    if request.param == "classifier":
        X, y = strings_table()
        net = small_classifier(module__batch_norm=True, module__dropout=0.1)
        model = classifier(net, class_weight={"red": 2.0}).fit(X, y)
    else:
        X, y = values_table(n_targets=2)
        model = regressor().fit(X, y)
    path = tmp_path_factory.mktemp("saved") / "model.safetensors"
    model.save(path)
    return Saved(model, X, path.read_bytes(), *read_file(path))


class Saved:
    def __init__(self, model, X, data, content, tensors):
        self.model, self.X, self.data, self.tensors = model, X, data, tensors
        self.content, self.expected = content, outputs(model, X)

    def same_or_refused(self, path):
        """Either the file holds what was saved, or it is refused."""
        try:
            loaded = load(path)
        except ModelFileError:
            return
        assert np.array_equal(outputs(loaded, self.X), self.expected)
        assert loaded.get_params(deep=False).keys() == self.model.get_params(deep=False).keys()
        assert str(loaded.pruning_report_) == str(self.model.pruning_report_)
        for one, other in zip(loaded.neuron_ranking_, self.model.neuron_ranking_, strict=True):
            assert np.array_equal(one, other)


def outputs(model, X):
    return model.predict_proba(X) if hasattr(model, "classes_") else model.predict(X)


# ----------------------------------------------------------------------------------- damaged


@several
@given(data=st.data())
def test_changed_bytes_are_noticed(saved, tmp_path, data):
    changed = bytearray(saved.data)
    for _ in range(data.draw(st.integers(1, 3))):
        # The header is a part of the file that random places would seldom meet.
        last = data.draw(st.sampled_from([16, 400, len(changed)])) - 1
        changed[data.draw(st.integers(0, last))] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "model"
    path.write_bytes(changed)
    saved.same_or_refused(path)


@several
@given(data=st.data())
def test_truncated_and_lengthened_files_are_noticed(saved, tmp_path, data):
    where = data.draw(st.integers(0, len(saved.data) - 1))
    path = tmp_path / "model"
    path.write_bytes(saved.data[:where])
    with pytest.raises(ModelFileError, match="cannot be loaded"):
        load(path)
    path.write_bytes(saved.data + saved.data[:where] + b"\0")
    with pytest.raises(ModelFileError, match="cannot be loaded"):
        load(path)


def test_every_byte_of_the_weights_counts(saved, tmp_path):
    changed = bytearray(saved.data)
    changed[-1] ^= 1
    (tmp_path / "model").write_bytes(changed)
    with pytest.raises(ModelFileError, match="its checksum is wrong: it was changed or damaged"):
        load(tmp_path / "model")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"\x08\0\0\0\0\0\0\0",
        b"\xff" * 64,
        # A header of 2**60 bytes is announced.
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", 90_000_000) + b"{" * 100,
        struct.pack("<Q", 100_000) + b"[" * 100_000,
        struct.pack("<Q", 100_000) + b'{"a":' * 20_000,
        # A tensor of 2**60 bytes in a file of a few.
        *(
            struct.pack("<Q", len(header)) + header
            for header in (
                b'{"x":{"dtype":"F64","shape":[1152921504606846976],"data_offsets":[0,8]}}',
                b'{"x":{"dtype":"F64","shape":[4294967296,4294967296],"data_offsets":[0,8]}}',
                b'{"x":{"dtype":"F64","shape":[-1],"data_offsets":[0,8]}}',
                b'{"__metadata__":{"format":3}}',
                b'{"__metadata__":{"format":"pt"}}',
            )
        ),
        pickle.dumps({"a": np.zeros(3)}),
    ],
    ids=range(14),
)
def test_what_is_no_such_file_is_refused(data, tmp_path):
    (tmp_path / "model").write_bytes(data)
    with pytest.raises(
        ModelFileError, match=r"not a whole safetensors file|not written by"
    ) as caught:
        load(tmp_path / "model")
    assert str(caught.value).endswith(WAY_OUT)


def test_files_that_cannot_be_opened_are_not_called_damaged(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing")
    with pytest.raises(OSError, match="directory"):
        load(tmp_path)


def test_the_error_survives_a_pickle(tmp_path):
    (tmp_path / "model").write_bytes(b"")
    with pytest.raises(ModelFileError) as caught:
        load(tmp_path / "model")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


# ----------------------------------------------------------------------- of another version


def test_another_version_of_the_format_is_named(saved, tmp_path):
    text = json.dumps(saved.content)
    metadata = {
        "format": "sklearn_mabprune",
        "format_version": "2",
        "content": text,
        "sha256": _digest(text, saved.tensors),
    }
    save_file(saved.tensors, tmp_path / "model", metadata)
    with pytest.raises(ModelFileError, match=r"in version '2' of the format.*reads version 1") as c:
        load(tmp_path / "model")
    assert "Load it with the version of sklearn_mabprune that wrote it" in str(c.value)


def test_a_file_of_other_libraries_says_so_when_something_is_wrong(saved, tmp_path):
    content = copy.deepcopy(saved.content)
    content["versions"]["sklearn_mabprune"] = "9.1"
    write_file(tmp_path / "model", content, saved.tensors)
    assert np.array_equal(outputs(load(tmp_path / "model"), saved.X), saved.expected)
    content["parameters"]["colour"] = "red"
    write_file(tmp_path / "model", content, saved.tensors)
    with pytest.raises(ModelFileError, match=r"no parameter 'colour'.*sklearn_mabprune 9.1 "):
        load(tmp_path / "model")


def test_a_parameter_that_came_later_takes_its_default(saved, tmp_path):
    content = copy.deepcopy(saved.content)
    del content["parameters"]["max_pruning_rows"], content["report"]["warnings"]
    write_file(tmp_path / "model", content, saved.tensors)
    loaded = load(tmp_path / "model")
    assert loaded.max_pruning_rows == 4096
    assert loaded.pruning_report_.warnings == ()


def test_a_net_that_was_trained_on_a_gpu_opens_on_the_cpu(saved, tmp_path):
    content = copy.deepcopy(saved.content)
    net = content["parameters"]["estimator"]["parameters"]
    net["device"], net["compile"] = "cuda", True
    write_file(tmp_path / "model", content, saved.tensors)
    loaded = load(tmp_path / "model")
    assert loaded.estimator.device == "cuda"
    assert loaded.estimator_.device == "cpu"
    assert np.array_equal(outputs(loaded, saved.X), saved.expected)


# ----------------------------------------------------------------------------------- hostile

DELETED = object()


def set_in(content, where, value):
    *path, last = where
    for key in path:
        content = content[key]
    if value is DELETED:
        del content[last]
    else:
        content[last] = value


def deep(n, inner=1):
    for _ in range(n):
        inner = [inner]
    return inner


NET = ("parameters", "estimator")
LAYERS = ("net", "network", "layers")
HOSTILE = {
    "class of another module": (("class",), "os.system", "class 'os.system' is not one of ours"),
    "class of ours that is no estimator": (("class",), "MLP", "not one of ours"),
    "no class": (("class",), DELETED, "other fields"),
    "class is a list": (("class",), ["MABPrunedClassifier"], "not one of ours"),
    "a field too many": (("hook",), "x", "other fields"),
    "no parameters": (("parameters",), None, "no records"),
    "unknown parameter": (("parameters", "__class__"), "x", "no parameter '__class__'"),
    "memory of the attacker": (("parameters", "memory"), "/tmp/x", "no parameter 'memory'"),
    "parameter out of range": (("parameters", "ridge"), -1, "'ridge' parameter of"),
    "parameter of another type": (("parameters", "step"), [1], "'step' parameter of"),
    "unknown policy": (("parameters", "policy"), "evil", "policy='evil' is unknown"),
    "policy from a registry of nothing": (
        ("parameters", "policy"), {"object": "Popen", "parameters": {}}, "class 'Popen'"),
    "policy with an argument too many": (
        ("parameters", "policy"), {"object": "UCB1", "parameters": {"x": 1}}, "no parameter 'x'"),
    "policy class": (("parameters", "policy"), {"class": "UCB1"}, "stands for nothing"),
    "estimator is a loss": (NET, {"class": "MSELoss"}, "estimator must be a skorch"),
    "estimator is a number": (NET, 3, "estimator must be a skorch"),
    "net with a module of torch": (
        (*NET, "parameters", "module"), {"class": "Linear"}, "stands for"),
    "net with a method replaced": (
        (*NET, "parameters", "initialize"), 3, "no parameter 'initialize'"),
    "net with unsafe loading": (
        (*NET, "parameters", "torch_load_kwargs"), {"dict": []}, "no parameter 'torch_load"),
    "net that is no dict": ((*NET, "parameters"), [1], "stands for nothing"),
    "net with an odd optimizer": (
        (*NET, "parameters", "optimizer__betas"), "x", "cannot be loaded"),
    "net with other activations": (
        (*NET, "parameters", "module__activation"), "tanh", "not those of its net"),
    "deep parameter": (("parameters", "scoring"), deep(300), "cannot be loaded"),
    "asks for a parameter that is there": (("missing", "policy"), "x", "no records"),
    "asks for an unknown parameter": (("missing", "__init__"), "x", "no parameter '__init__'"),
    "versions of another type": (("versions", "torch"), 3, "versions are no records"),
    "unknown layer": ((*LAYERS, 0), ["Conv2d", {}], "no known kind"),
    "layer by its path": ((*LAYERS, 0), ["torch.nn.Linear", {}], "no known kind"),
    "layer that is no pair": ((*LAYERS, 0), ["Linear"], "is no layer"),
    "layer with an argument too many": ((*LAYERS, 0, 1, "device"), "cuda", "arguments that a"),
    "layer with an argument of another type": (
        (*LAYERS, 0, 1, "in_features"), [6], "arguments that a"),
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
    "another way to predict": (("net", "outputs"), "Sigmoid", "did by Sigmoid"),
    "history that is no list": (("net", "history"), 3, "history is not a list"),
    "epoch that is no record": (("net", "history", 0), 3, "cannot be loaded"),
    "epoch that holds a class": (("net", "history", 0, "x"), {"class": "x"}, "stands for nothing"),
    "other features": (("data", "n_features"), 5, "another number of features|no names"),
    "share above 1": (("data", "validation_share"), 1.5, "no share"),
    "share is not a number": (("data", "validation_share"), "nan", "no share"),
    "path without a field": (("path", "arrays", "n_pulls"), DELETED, "no field 'n_pulls'"),
    "path with a field too many": (("path", "arrays", "x"), None, "unknown field 'x'"),
    "path with a number for an array": (("path", "arrays", "loss"), 3, "is not an array"),
    "path with parts of another length": (
        ("path", "arrays", "removed", 1, 0), 10**30, "cannot be loaded"),
    "path with parts too few": (("path", "arrays", "removed", 1), DELETED, "length of its parts"),
    "path with parts of no shape": (("path", "arrays", "removed", 1), [-1], "shapes that are none"),
    "path with odd sizes": (("path", "arrays", "layer_sizes", 0, 0), 2.5, "not of type int"),
    "path with other sizes": (("path", "arrays", "layer_sizes", 0, 0), 99, "not those of its"),
    "path with a layer too few": (("path", "arrays", "layer_sizes", 1, 0), DELETED, "loses layers"),
    "path with a step too few": (("path", "arrays", "layer_sizes", -1), DELETED, "another length"),
    "network of no step": (("path", "networks", "999"), None, "no step '999'"),
    "network of a step in words": (("path", "networks", "+0"), None, "no step"),
    "network of a path on disk": (("path", "networks", "../../etc"), None, "cannot be loaded"),
    "report without a field": (("report", "n_pulls"), DELETED, "no field 'n_pulls'"),
    "report of another type": (("report", "n_pulls"), "many", "not of type int"),
    "report with a class": (("report", "before"), {"class": "x"}, "unknown field"),
    "report on another network": (
        ("report", "after", "hidden_layer_sizes", 0), 99, "report is on other networks"),
    "report that cannot be printed": (("report", "before", "n_macs"), 0, "cannot be loaded"),
    "report that is a list": (("report",), [], "report is not a record"),
    "warnings that are no list": (("report", "warnings"), "x", "not a list"),
    "too many rankings": (("n_ranking",), 3, "rankings"),
    "rankings without end": (("n_ranking",), 10**9, "rankings"),
}  # fmt: skip


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
        (("data", "classes"), None, "no array of labels"),
        (("data", "classes", "values"), ["a", "b"], "another number of classes or"),
        (("data", "classes", "values"), ["b", "a", "c"], "not sorted"),
        (("data", "classes", "values"), ["a", "a", "c"], "not sorted"),
        (("data", "classes", "values"), ["a", 3, "c"], "values that are not str"),
        (("data", "classes", "dtype"), "U1000000000", "dtype 'U1000000000'"),
        (("data", "classes", "dtype"), "O4", "dtype 'O4'"),
        (("data", "classes", "dtype"), "V8", "dtype 'V8'"),
        (("data", "classes", "dtype"), ["O"], "cannot be loaded"),
        (("data", "classes", "values"), "abc", "no array of labels"),
        (("data", "features", "values"), ["a"], "features are no names"),
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


def changed(change):
    def apply(tensors, name):
        tensors[name] = change(tensors[name])

    return apply


def poisoned(value):
    def poison(array):
        array = array.copy()
        array.flat[0] = value
        return array

    return changed(poison)


TENSORS = {
    "weights that are no numbers": ("network.0.weight", poisoned(np.nan), "not finite"),
    "weights without end": ("network.0.bias", poisoned(np.inf), "not finite"),
    "weights of another shape": ("network.0.weight", changed(lambda a: a[1:]), "not of the shape"),
    "flat weights": ("network.0.weight", changed(np.ravel), "not of the shape"),
    "weights of another precision": (
        "network.0.weight", changed(lambda a: a.astype("float32")), "not of shape"),
    "no weights": ("network.0.weight", dict.pop, "not of the shape"),
    "kept network that is no number": ("path.network.0.0.weight", poisoned(np.nan), "not finite"),
    "ranking of 0": ("ranking.0", poisoned(0), "rankings do not agree"),
    "ranking of another length": ("ranking.0", changed(lambda a: a[1:]), "rankings"),
    "no ranking": ("ranking.1", dict.pop, "cannot be loaded"),
    "path that ends early": ("path.score", changed(lambda a: a[1:]), "another length in score"),
    "path of another type": ("path.score", changed(lambda a: a > 0), "array of bool, not of"),
    "path that removes what is not there": ("path.removed", poisoned(999), "what is not there"),
    "path that removes twice": (
        "path.removed", changed(lambda a: np.repeat(a[:1], len(a))), "what is not there"),
    "path that removes less than nothing": ("path.removed", poisoned(-1), "what is not there"),
    "path with other neurons": ("path.n_neurons", poisoned(3), "not those of its layers"),
}  # fmt: skip


@pytest.mark.parametrize("name", TENSORS)
def test_hostile_tensors_are_refused(name, saved, tmp_path):
    tensor, change, message = TENSORS[name]
    tensors = dict(saved.tensors)
    change(tensors, tensor)
    write_file(tmp_path / "model", saved.content, tensors)
    with pytest.raises(ModelFileError, match=message):
        load(tmp_path / "model")


def test_a_tensor_too_many_is_refused(saved, tmp_path):
    for name in ("x", "network.0.hook", "../x", "network.99.weight"):
        tensors = {**saved.tensors, name: np.zeros(3)}
        write_file(tmp_path / "model", saved.content, tensors)
        with pytest.raises(ModelFileError, match=r"tensor too many|has other weights"):
            load(tmp_path / "model")


@pytest.mark.parametrize("dtype", ["float16", "int8", "int32", "complex64"])
def test_tensors_of_other_dtypes_are_refused(dtype, saved, tmp_path):
    tensors = {**saved.tensors, "network.0.weight": np.zeros((2, 2), dtype)}
    write_file(tmp_path / "model", saved.content, tensors)
    with pytest.raises(ModelFileError, match=r"tensor 'network\.0\.weight' has dtype"):
        load(tmp_path / "model")


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan])
def test_units_without_a_scale_are_refused(value, saved, tmp_path):
    tensors = {**saved.tensors, "target.mean": np.zeros(2), "target.scale": np.array([1.0, value])}
    write_file(tmp_path / "model", saved.content, tensors)
    # A classifier has no units at all.
    with pytest.raises(ModelFileError, match=r"have no scale|not finite|tensor too many"):
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
    metadata = {"format": "sklearn_mabprune", "format_version": "1", "content": text}
    save_file({}, tmp_path / "model", {**metadata, "sha256": _digest(text, {})})
    with pytest.raises(ModelFileError, match="description"):
        load(tmp_path / "model")


# ----------------------------------------------------------- anything at all, anywhere in it

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8) | st.sampled_from(["inf", "float64", "Linear", "MSELoss", 10**30, -1]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["object", "parameters", "class", "tuple", "dict", "float", "dtype"])
        | st.text(max_size=5),
        inner,
        max_size=3,
    ),
    max_leaves=5,
)  # fmt: skip


def places(content, here=()):
    """Every place in nested lists and records."""
    inner = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in inner:
        yield (*here, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*here, key))


def usable_or_refused(saved, path):
    """Either the file is refused, or what comes of it predicts: never another error."""
    try:
        loaded = load(path)
    except ModelFileError:
        return
    X = np.asarray(saved.X)
    if hasattr(loaded, "feature_names_in_"):
        X = pd.DataFrame(X, columns=loaded.feature_names_in_)
    assert len(loaded.predict(X)) == len(X)
    assert "neurons removed" in str(loaded.pruning_report_)
    loaded.to_torch()


@several
@given(data=st.data())
def test_any_description_is_refused_or_usable(saved, tmp_path, data):
    content = copy.deepcopy(saved.content)
    where = data.draw(st.sampled_from(list(places(content))))
    # A parameter that the file says it does not hold is asked for: another error, tested above.
    assume(where[0] != "missing")
    value = data.draw(st.just(DELETED) | json_values)
    set_in(content, where, value)
    write_file(tmp_path / "model", content, saved.tensors)
    usable_or_refused(saved, tmp_path / "model")


@several
@given(data=st.data())
def test_any_tensors_are_refused_or_usable(saved, tmp_path, data):
    tensors = dict(saved.tensors)
    name = data.draw(st.sampled_from(sorted(tensors)))
    array = tensors.pop(name)
    kind = data.draw(st.sampled_from(["gone", "value", "shape", "dtype", "empty", "swapped"]))
    if kind == "value" and array.size:
        array = array.copy()
        value = data.draw(st.sampled_from([0, 1, -1, 2**40, np.nan, np.inf, -1e300]))
        with np.errstate(all="ignore"):
            value = value if array.dtype.kind == "f" or abs(value) < 2**60 else 7
            # Small unsigned types wrap around.
            value = np.asarray(value).astype(array.dtype)
            array.flat[data.draw(st.integers(0, array.size - 1))] = value
    elif kind == "shape":
        array = array.reshape(data.draw(st.sampled_from([(-1,), (1, -1), (-1, 1)])))
    elif kind == "dtype":
        dtype = data.draw(st.sampled_from(["float32", "float64", "int64", "bool"]))
        with np.errstate(all="ignore"):
            array = array.astype(dtype)
    elif kind == "empty":
        array = array.ravel()[:0]
    elif kind == "swapped":
        array = tensors[data.draw(st.sampled_from(sorted(tensors)))]
    if kind != "gone":
        tensors[name] = array
    write_file(tmp_path / "model", saved.content, tensors)
    usable_or_refused(saved, tmp_path / "model")


def test_the_other_kind_of_estimator_does_not_come_of_it(saved, tmp_path):
    other = {
        "MABPrunedClassifier": "MABPrunedRegressor",
        "MABPrunedRegressor": "MABPrunedClassifier",
    }
    content = {**saved.content, "class": other[saved.content["class"]]}
    write_file(tmp_path / "model", content, saved.tensors)
    with pytest.raises(ModelFileError, match="cannot be loaded"):
        load(tmp_path / "model")
