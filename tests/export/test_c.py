"""Networks as C headers: compiled by a C compiler, they compute what Python computes."""

from __future__ import annotations

import ast
import ctypes
import re
import subprocess
from functools import partial

import numpy as np
import pytest
import torch
from builders import batch_norm
from hypothesis import given
from hypothesis import strategies as st
from kind_cases import CASES as LAYER_CASES
from kind_cases import WIDTH, made
from sklearn.exceptions import NotFittedError
from skorch import NeuralNetClassifier
from torch import nn
from user_nets import (
    classes_table,
    classifier,
    labels_table,
    plain_classifier,
    plain_regressor,
    quick_start,
    regressor,
    small_classifier,
    small_regressor,
    unit_values_table,
    values_table,
)

from benchmarks.shared.compiling import STRICT, Library, compiler
from sklearn_mabprune import (
    MABPrunedClassifier,
    PiecewiseLinearEmbedding,
    UnsupportedModuleError,
)
from sklearn_mabprune.export.c.embeddings import of_two_values
from sklearn_mabprune.export.c.header import Interface, header
from sklearn_mabprune.export.c.layers import LAYERS, write
from sklearn_mabprune.export.c.literals import comment, identifier, number, string
from sklearn_mabprune.export.c.network import network_size
from sklearn_mabprune.export.c.program import Program
from sklearn_mabprune.export.c.quantised import quantised, run
from sklearn_mabprune.export.chain import folded
from sklearn_mabprune.graph.kinds.registry import BY_NAME, KINDS


def source_of(layers, name, n_inputs=WIDTH):
    """The header of layers, as that of a regressor."""
    program = Program(n_inputs)
    program.output = write(program, folded(layers), program.input)
    return header(program, Interface(name, "layers", program.output.size))


# ----------------------------------------------------------------------------------- layers


@pytest.fixture(scope="module")
def layers(tmp_path_factory):
    """All layers, and their C forms in one library."""
    makes = [make for kind, _, make in LAYER_CASES if not (kind.silent or kind.flattens)]
    found = {f"layer{k}": made(make) for k, make in enumerate(makes)}
    sources = {name: source_of([layer], name) for name, layer in found.items()}
    return found, Library(tmp_path_factory.mktemp("layers"), sources)


def test_every_layer_is_what_torch_computes(layers):
    found, library = layers
    X = torch.linspace(-6, 6, 66 * WIDTH).reshape(-1, WIDTH)
    extremes = [0.0, -0.3, 0.3, 1.0, 6.0, -0.0], [np.nan] * WIDTH
    X = torch.cat([X, X * 100, torch.tensor(extremes)])
    for name, layer in found.items():
        with torch.no_grad():
            expected = layer(X.double()).numpy()
        np.testing.assert_allclose(
            library.outputs(name, X), expected, rtol=1e-5, atol=1e-5, err_msg=str(layer)
        )


def test_every_layer_that_can_be_pruned_around_has_a_form():
    idle = {module for kind in KINDS if kind.silent or kind.flattens for module in kind.modules}
    missing = set(BY_NAME.values()) - idle - set(LAYERS) - {nn.Linear, nn.BatchNorm1d}
    assert not missing


def test_norms_are_folded_into_weights():
    norms = [batch_norm(WIDTH, seed) for seed in range(4)]
    linear = nn.Linear(WIDTH, WIDTH)
    layers = [norms[0], linear, norms[1], nn.ReLU(), norms[2], norms[3], nn.Linear(WIDTH, 2)]
    source = source_of([layer.eval() for layer in layers], "net")
    assert "_scale" not in source
    assert source_of([norms[0].eval(), nn.ReLU()], "net").count("net_scale(") == 2


@pytest.mark.parametrize("marks", [[4, 5, 6], [1, 6]])
def test_features_of_two_values_are_scaled_by_the_weights_after_them(marks, tmp_path):
    layer = PiecewiseLinearEmbedding(7, 7, 2, 3, 2, 3).double()
    torch.manual_seed(0)
    for name in ("center", "scale", "bend", "start", "slope", "weight"):
        getattr(layer, name).data.uniform_(0.3, 0.9)
    linear = nn.Linear(10, 3, dtype=torch.float64)
    binary = np.isin(np.arange(7), marks)
    parts = of_two_values(folded([layer, linear]), binary)
    X = np.random.default_rng(0).normal(size=(20, 7))
    X[:, marks] = X[:, marks] > 0
    with torch.no_grad():
        expected = linear(layer(torch.tensor(X))).numpy()
    program = Program(7)
    program.output = write(program, parts, program.input)
    source = header(program, Interface("two", "layers", 3))
    assert re.search(rf"two_center\d+\[{7 - len(marks)}\]", source)
    stages, program = quantised(parts, X), Program(7)
    program.output = program.input
    for stage in stages:
        program.output = stage.write(program, program.output)
    whole = header(program, Interface("whole", "layers", 3))
    library = Library(tmp_path, {"two": source, "whole": whole})
    np.testing.assert_allclose(library.outputs("two", X), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(run(stages, X), expected, atol=0.02)
    np.testing.assert_allclose(library.outputs("whole", X), run(stages, X), atol=1e-4)
    # The functions' weights, 3 bins each, are of 8 bits too.
    assert re.search(r"int8_t whole_weights\d+\[9\]", whole)
    assert of_two_values(folded([linear]), binary)[0].weight is not None
    assert of_two_values(folded([layer, linear]), binary & False)[0] is layer


def test_layers_without_a_form_are_refused_by_name():
    with pytest.raises(UnsupportedModuleError, match=r"Bilinear\(.* has no C form\. Replace"):
        write(Program(2), folded([nn.Bilinear(2, 2, 2)]), Program(2).input)


class Residual(nn.Module):
    """A module that is no chain: its layers one after the other are another network."""

    def __init__(self):
        super().__init__()
        self.first, self.inner = nn.Linear(6, 8), nn.Linear(8, 8)
        self.back, self.last = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, X):
        h = torch.relu(self.first(X))
        return self.last(h + self.back(torch.relu(self.inner(h))))


def test_networks_that_are_no_chains_are_refused_by_to_sklearn():
    X, y = classes_table()
    net = NeuralNetClassifier(Residual, criterion=nn.CrossEntropyLoss, max_epochs=1, verbose=0)
    model = classifier(net).fit(X.astype("float32"), y)
    with pytest.raises(UnsupportedModuleError, match="Residual is not a chain of layers, and"):
        model.to_sklearn()


# ------------------------------------------------------------------------------- estimators

POINTER = ctypes.c_void_p

CASES = {
    "classes": (classifier, classes_table),
    "single": (lambda: classifier(small_classifier(dtype="float32")), classes_table),
    "two": (classifier, partial(classes_table, n_classes=2)),
    "several": (classifier, labels_table),
    "value": (regressor, values_table),
    "values": (
        lambda: regressor(small_regressor(module__batch_norm=True)),
        partial(values_table, n_targets=3),
    ),
    "quick": (lambda: classifier(quick_start()), classes_table),
    "plain": (lambda: classifier(plain_classifier()), classes_table),
    "plain_values": (lambda: regressor(plain_regressor()), unit_values_table),
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Fitted estimators with their samples, and their C forms in one library."""
    models = {}
    for name, (make, table) in CASES.items():
        X, y = table()
        X = X.astype(np.float32).astype(X.dtype)
        models[name] = make().fit(X, y), X
    folder = tmp_path_factory.mktemp("estimators")
    sources = {
        name: model.to_c(folder / f"{name}.h", samples=X[:5]) for name, (model, X) in models.items()
    }
    return models, sources, Library(folder, sources), folder


@pytest.mark.parametrize("name", CASES)
def test_c_computes_what_python_computes(compiled, name):
    models, _, library, _ = compiled
    model, X = models[name]
    found = library.outputs(name, X)
    if hasattr(model, "predict_proba"):
        expected = model.predict_proba(X)
        allowed = 1e-5
    else:
        expected = model.predict(X).reshape(found.shape)
        # A value may be near 0; the scale of rounding is that of the targets.
        allowed = 1e-5 * np.maximum(np.abs(expected), expected.std(axis=0))
    assert (np.abs(found - expected) <= allowed).all()


@pytest.mark.parametrize("name", ["classes", "two", "several"])
def test_c_predicts_labels(compiled, name):
    models, _, library, _ = compiled
    model, X = models[name]
    X = np.ascontiguousarray(X, dtype=np.float32)
    predict = library.function(name, "predict", int)
    if model.multilabel_:
        found = np.empty((len(X), len(model.classes_)), np.uint8)
        for x, out in zip(X, found, strict=True):
            predict(POINTER(x.ctypes.data), POINTER(out.ctypes.data))
        assert found.tolist() == model.predict(X.astype(float)).tolist()
        return
    label = library.function(name, "label", ctypes.c_longlong)
    found = [label(predict(POINTER(x.ctypes.data))) for x in X]
    assert found == model.predict(X.astype(float)).tolist()


def test_self_test_passes_and_finds_a_wrong_weight(compiled):
    _, sources, _, folder = compiled
    for name, wrong in (("classes", False), ("value", False), ("values", True)):
        source = sources[name]
        assert (folder / f"{name}.h").read_text() == source
        if wrong:
            first = re.search(rf"{name}_weights0\[\d+\] = {{\s+([-\d.e]+)f", source)
            source = source.replace(first.group(1), "-3.25", 1)
        file, program = folder / f"{name}_test.h", folder / f"{name}_test"
        file.write_text(source)
        flags = [f"-D{name.upper()}_TEST", "-x", "c", file, "-o", program, "-lm"]
        subprocess.run([*compiler(), *STRICT, *flags], check=True)
        done = subprocess.run([program], capture_output=True, text=True)
        assert done.returncode == int(wrong)
        found = re.fullmatch(
            r"5 samples, \d outputs each: (\d+) wrong, largest difference \S+\n", done.stdout
        )
        assert (found.group(1) == "0") == (not wrong)


def test_what_is_not_fitted_or_not_finite_is_refused():
    with pytest.raises(NotFittedError, match="Call fit"):
        MABPrunedClassifier().to_c()
    X, y = classes_table()
    model = classifier().fit(X, y)
    with pytest.raises(ValueError, match=r"X has 2 features, but .* is expecting 6"):
        model.to_c(samples=X[:, :2])
    with pytest.raises(ValueError, match="name='__' holds neither letters nor digits"):
        model.to_c(name="__")
    with torch.no_grad():
        next(model.estimator_.module_.parameters())[0, 0] = 1e39
    with pytest.raises(ValueError, match=r"1e\+39 is not a finite float32, .* Scale the features"):
        model.to_c()


HOSTILE = [
    '"; system("true"); /*',
    "*/ int main(void) { return 1; } /*",
    "??/",
    "\\",
    "a\nb\\\n#error",
    "%s%n @",
    "K\u00f6ln \U0001f600 \u202e",
    "",
]


def test_hostile_names_stay_names(tmp_path):
    X, _ = classes_table(n_rows=400, n_classes=3)
    X = np.tile(X, (1, 2))
    y = np.array(HOSTILE)[np.arange(len(X)) % len(HOSTILE)]
    model = classifier().fit(X, y)
    model.feature_names_in_ = np.array([*HOSTILE, "x/", "/*", "*//*/", "'"], dtype=object)
    name = '9 */ "evil".h'
    source = model.to_c(name=name)
    assert source.isascii()
    # Every comment ends where it should: what is left has no end of one.
    without_strings = re.sub(r'"[^"\n]*"', "", source)
    assert "*/" not in re.sub(r"/\*.*?\*/", "", without_strings, flags=re.DOTALL)
    library = Library(tmp_path, {identifier(name): source})
    label = library.function(identifier(name), "label", ctypes.c_char_p)
    assert [label(k).decode() for k in range(len(HOSTILE))] == model.classes_.tolist()


def test_labels_of_all_kinds(tmp_path):
    X, codes = classes_table(n_classes=2)
    tables = {"numbers": [-(2**63), 2**63 - 1], "booleans": [False, True], "floats": [0.0, 2.0]}
    models = {name: classifier().fit(X, np.array(y)[codes]) for name, y in tables.items()}
    library = Library(tmp_path, {name: model.to_c(name=name) for name, model in models.items()})
    for name, labels in tables.items():
        label = library.function(name, "label", ctypes.c_longlong)
        assert [label(0), label(1)] == labels
    model = models["numbers"]
    model.classes_ = np.array(["a\0b", "a"], dtype=object)
    with pytest.raises(ValueError, match=r"'a\\x00b' contains NUL, .* Rename"):
        model.to_c()
    model.classes_ = np.array(["a", "b" * 5000], dtype=object)
    with pytest.raises(ValueError, match=r"has 5,000 bytes"):
        model.to_c()


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_numbers_are_read_as_they_were(value):
    text = number(value)
    assert re.fullmatch(r"-?\d+(\.\d+)?(e[-+]\d+)?f", text)
    assert ("." in text) or ("e" in text)
    assert np.float32(text[:-1]).tobytes() == np.float32(value).tobytes()


@given(st.text(st.characters(exclude_characters="\0"), max_size=20))
def test_strings_and_comments_cannot_end(text):
    quoted = string(text)
    assert quoted.isascii()
    assert "??" not in quoted
    # Octal escapes are the same in Python.
    assert ast.literal_eval(f"b{quoted}") == text.encode("utf-8", "surrogatepass")
    shown = f"/* x[0]  {comment(text)} */"
    assert shown.isascii()
    assert shown.isprintable()
    assert shown.count("*/") == shown.count("/*") == 1
    assert "\\" not in shown


def test_headers_are_the_same_where_numpy_raises(compiled):
    """Of distant samples probabilities are hardly a float32; some packages make NumPy raise."""
    models, _, _, _ = compiled
    model, X = models["classes"]
    samples = np.concatenate([k * X[:20] for k in range(10, 300, 10)])
    expected = model.to_c(samples=samples)
    assert re.search(r"\de-4\df", expected)
    with np.errstate(all="raise"):
        assert model.to_c(samples=samples) == expected


def test_sizes_are_those_of_the_program(compiled):
    models, sources, _, _ = compiled
    for name in ("classes", "values"):
        model, _ = models[name]
        size = network_size(model)
        assert size.macs == model.pruning_path_.n_macs[-1]
        assert f"Flash: about {size.flash:,} bytes" in sources[name]
