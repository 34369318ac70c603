"""Estimators saved without pickle, and loaded: the same in all that can be asked of them."""

from __future__ import annotations

import json
import pickle
import sys
import warnings
from dataclasses import asdict, dataclass, fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import EarlyStopping
from skorch.dataset import ValidSplit
from torch import nn
from torch.utils.data import DataLoader
from user_nets import (
    classes_table,
    classifier,
    fitted,
    labels_table,
    plain_classifier,
    plain_regressor,
    quick_start,
    regressor,
    same_state,
    small_classifier,
    small_regressor,
    state,
    strings_table,
    unit_values_table,
    values_table,
)

from sklearn_mabprune import (
    MABPrunedClassifier,
    MLPNetClassifier,
    MLPNetRegressor,
    ModelFileError,
    load,
)
from sklearn_mabprune.criteria import CRITERIA, Magnitude
from sklearn_mabprune.export.files.parameters import (
    DescriptionError,
    from_plain,
    labels_from_plain,
    labels_to_plain,
    to_plain,
)
from sklearn_mabprune.export.files.records import record_from_plain, record_to_plain
from sklearn_mabprune.policies import POLICIES, UCB1, Thompson


def column_table():
    X, y = values_table()
    return X, y[:, None]


def narrow_table():
    X, y = classes_table(n_classes=2)
    return X.astype("float32"), y > 0


MODELS = {
    "ours": (lambda: classifier(), classes_table),
    "default net": (lambda: MABPrunedClassifier(tolerance=1.0, random_state=0), classes_table),
    "strings": (lambda: classifier(), strings_table),
    "float32, two classes": (lambda: classifier(), narrow_table),
    "norm and dropout": (
        lambda: classifier(small_classifier(module__batch_norm=True, module__dropout=0.2)),
        classes_table,
    ),
    "policy object": (lambda: classifier(policy=Thompson(prior_count=0.1)), classes_table),
    "criterion": (lambda: classifier(policy=Magnitude(order=1), class_weight={0: 2.0, 1: 1, 2: 1}),
                  classes_table),
    "auto": (lambda: classifier(pruning_budget="auto", tolerance=0.1, step=np.float64(0.2)),
             classes_table),
    "no path": (lambda: classifier(keep_path=False), classes_table),
    "nothing removed": (lambda: classifier(pruning_budget=0), classes_table),
    "other optimizer": (
        lambda: classifier(
            small_classifier(
                optimizer=torch.optim.SGD,
                optimizer__momentum=0.9,
                iterator_train=DataLoader,
                iterator_valid=DataLoader,
                train_split=None,
                module__activation="gelu",
            )
        ),
        classes_table,
    ),
    "several labels": (lambda: classifier(), labels_table),
    "value": (lambda: regressor(), values_table),
    "values": (lambda: regressor(small_regressor(criterion=nn.L1Loss)),
               lambda: values_table(n_targets=3)),
    "column of values": (lambda: regressor(), column_table),
}  # fmt: skip
every_model = pytest.mark.parametrize("name", MODELS)


def outputs(model, X):
    return model.predict_proba(X) if hasattr(model, "classes_") else model.predict(X)


def there_and_back(model, folder, **how):
    path = folder / "model.safetensors"
    model.save(path, **how)
    return load(path)


def assert_same(one, other):
    """Equal in value and in kind, all the way down."""
    assert type(one) is type(other)
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    elif isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    elif hasattr(one, "__dataclass_fields__"):
        # What at_budget starts from is not in a file.
        for part in {part.name for part in fields(one)} - {"resume"}:
            assert_same(getattr(one, part), getattr(other, part))
    elif hasattr(one, "get_params"):
        assert_same(one.get_params(deep=False), other.get_params(deep=False))
    elif isinstance(one, ValidSplit):
        assert vars(one) == vars(other)
    elif isinstance(one, float):
        assert one == other or (np.isnan(one) and np.isnan(other))
    else:
        assert one == other


# ------------------------------------------------------------------------- what is the same


@every_model
def test_loaded_estimator_is_the_saved_one(name, tmp_path):
    make, table = MODELS[name]
    X, y = table()
    model = make().fit(X, y)
    loaded = there_and_back(model, tmp_path)
    assert type(loaded) is type(model)
    assert_same(outputs(loaded, X), outputs(model, X))
    assert_same(loaded.predict(X), model.predict(X))
    assert loaded.score(X, y) == model.score(X, y)
    assert str(loaded.pruning_report_) == str(model.pruning_report_)
    # Whatever fit sets is there: a new attribute has to be saved, or named here with a reason.
    assert vars(loaded).keys() == vars(model).keys()
    for attribute in set(vars(model)) - {"estimator_", "policy_"}:
        assert_same(
            np_to_python(getattr(loaded, attribute)), np_to_python(getattr(model, attribute))
        )
    assert type(loaded.policy_) is type(model.policy_)
    net, old = loaded.estimator_, model.estimator_
    assert type(net) is type(old)
    assert str(net.module_) == str(old.module_)
    assert same_state(state(net), state(old))
    assert not net.module_.training
    assert [epoch["train_loss"] for epoch in net.history] == [e["train_loss"] for e in old.history]


def np_to_python(value):
    """JSON gives a number back as Python's."""
    return value.item() if isinstance(value, np.generic) else value


@pytest.mark.parametrize(
    "name", ["ours", "strings", "values", "several labels", "norm and dropout", "criterion"]
)
def test_loaded_estimator_goes_on_as_the_saved_one_would(name, tmp_path):
    make, table = MODELS[name]
    X, y = table()
    model = make().fit(X, y)
    loaded = there_and_back(model, tmp_path)
    with torch.no_grad():
        rows = torch.as_tensor(np.array(X))
        assert torch.equal(loaded.to_torch()(rows), model.to_torch()(rows))
    assert loaded.to_onnx() == model.to_onnx()
    for one, other in zip(loaded.to_sklearn().coefs_, model.to_sklearn().coefs_, strict=True):
        assert np.array_equal(one, other)
    assert_same(outputs(pickle.loads(pickle.dumps(loaded)), X), outputs(model, X))
    assert_same(outputs(there_and_back(loaded, tmp_path), X), outputs(model, X))
    # The same steps from the same weights.
    codes = np.unique(y, return_inverse=True)[1] if hasattr(model, "classes_") else y
    codes = y if y.ndim == 2 else codes
    rows = np.asarray(X)
    for each in (model, loaded):
        torch.manual_seed(0)  # of Dropout
        each.estimator_.set_params(max_epochs=1, random_state=3).partial_fit(rows, codes)
    assert_same(outputs(loaded, X), outputs(model, X))
    again, anew = clone(loaded).fit(X, y), clone(model).fit(X, y)
    assert_same(outputs(again, X), outputs(anew, X))
    assert_same(again.neuron_ranking_, anew.neuron_ranking_)
    loaded.fit(X, y)
    assert_same(outputs(loaded, X), outputs(anew, X))


def test_loading_leaves_global_random_states_alone(tmp_path):
    model, _, _ = fitted("classifier", net=small_classifier(module__dropout=0.3))
    model.save(tmp_path / "model")
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002 - the state that must stay as it is
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    load(tmp_path / "model")
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_a_file_is_read_by_safetensors_alone(tmp_path):
    model, _, _ = fitted("classifier")
    path = tmp_path / "model.safetensors"
    model.save(str(path))
    with safe_open(path, framework="numpy") as file:
        assert file.metadata()["format"] == "sklearn_mabprune"
        content = json.loads(file.metadata()["content"])
        weight = file.get_tensor("network.0.weight")
    assert content["versions"]["torch"] == str(torch.__version__)
    assert content["parameters"]["pruning_budget"] == 0.5
    assert np.array_equal(weight, model.estimator_.module_[0].weight.detach().numpy())


def test_saving_and_exporting_leave_the_net_as_it_is(tmp_path):
    model, _, _ = fitted("classifier", net=small_classifier(module__dropout=0.3))
    model.estimator_.module_.train()
    before = state(model.estimator_)
    model.save(tmp_path / "model")
    model.to_torch(), model.to_sklearn(), model.to_onnx()
    assert all(layer.training for layer in model.estimator_.module_.modules())
    assert same_state(state(model.estimator_), before)


def test_without_networks_the_file_is_smaller_and_the_path_has_none(tmp_path):
    model, X, _ = fitted("classifier")
    model.save(tmp_path / "all")
    model.save(tmp_path / "one", networks=False)
    whole, bare = load(tmp_path / "all"), load(tmp_path / "one")
    assert whole.pruning_path_.networks.keys() == model.pruning_path_.networks.keys()
    assert len(whole.pruning_path_.networks) > 1
    assert bare.pruning_path_.networks == {}
    assert_same(bare.pruning_path_.score, model.pruning_path_.score)
    assert_same(bare.predict_proba(X), model.predict_proba(X))
    assert (tmp_path / "one").stat().st_size < (tmp_path / "all").stat().st_size / 2
    assert model.pruning_path_.networks


def test_the_network_of_a_serious_model_takes_little_more_than_its_weights(tmp_path):
    X, y = load_digits(return_X_y=True)
    net = MLPNetClassifier(max_epochs=3)
    model = make_pipeline(StandardScaler(), MABPrunedClassifier(net, tolerance=1, random_state=0))
    model.fit(X, y)
    model[-1].save(tmp_path / "model", networks=False)
    assert (tmp_path / "model").stat().st_size < 2 * model[-1].pruning_report_.after.n_bytes
    assert np.array_equal(
        load(tmp_path / "model").predict(model[:-1].transform(X)), model.predict(X)
    )


# ------------------------------------------------------------------- what data cannot describe


def my_score(y_true, y_pred):
    return accuracy_score(y_true, y_pred)


ASKED_FOR = {
    "estimator": (lambda: quick_start(), r"estimator is a NeuralNetClassifier"),
    "estimator, callbacks": (
        lambda: small_classifier(callbacks=[EarlyStopping(patience=3)]),
        r"estimator\.callbacks\[0\] is a EarlyStopping",
    ),
    "scoring": (lambda: make_scorer(my_score), r"scoring is a _Scorer"),
    "random_state": (lambda: np.random.RandomState(0), r"random_state is a RandomState"),
    "policy": (lambda: type("Mine", (UCB1,), {})(), r"policy is a Mine"),
}


@pytest.mark.parametrize("name", ASKED_FOR)
def test_what_data_cannot_describe_is_asked_for(name, tmp_path):
    make, message = ASKED_FOR[name]
    parameter = name.partition(",")[0]
    X, y = classes_table()
    model = classifier(**({} if parameter == "estimator" else {parameter: make()}))
    if parameter == "estimator":
        model.set_params(estimator=make())
    model.fit(X, y)
    path = tmp_path / "model"
    with pytest.warns(UserWarning, match=rf"{message}.*load\(path, {parameter}=\.\.\.\)"):
        model.save(path)
    with pytest.raises(TypeError, match=rf"{message}.*load\(path, {parameter}=\.\.\.\)"):
        load(path)
    given = make()
    loaded = load(path, **{parameter: given})
    assert getattr(loaded, parameter) is given
    assert_same(loaded.predict_proba(X), model.predict_proba(X))
    assert str(loaded.estimator_.module_) == str(model.estimator_.module_)
    assert type(loaded.estimator_) is type(model.estimator_)


@pytest.mark.parametrize(
    ("make", "table"),
    [
        (lambda: classifier(plain_classifier()), classes_table),
        (lambda: classifier(quick_start()), classes_table),
        (lambda: regressor(plain_regressor()), unit_values_table),
        (
            lambda: classifier(FrozenEstimator(small_classifier().fit(*classes_table()))),
            classes_table,
        ),
    ],
    ids=["classes", "quick start", "values", "frozen"],
)
def test_without_ones_own_net_predictions_are_still_the_same(make, table, tmp_path):
    X, y = table()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = make().fit(X, y)
        model.save(tmp_path / "model")
    loaded = load(tmp_path / "model", estimator=None)
    assert loaded.estimator is None
    assert np.array_equal(outputs(loaded, X), outputs(model, X))
    assert clone(loaded).set_params(tolerance=10.0).fit(X, y).predict(X).shape == y.shape


def test_a_net_that_predicts_in_another_way_is_refused(tmp_path):
    X, y = classes_table()
    model = classifier(plain_classifier()).fit(X, y)
    with pytest.warns(UserWarning, match="Saved, but"):
        model.save(tmp_path / "model")
    # The module's outputs are logits, and this net would take them for probabilities.
    with pytest.raises(ValueError, match=r"estimator= .*by no layer.*did by Softmax") as caught:
        load(tmp_path / "model", estimator=quick_start())
    assert not isinstance(caught.value, ModelFileError)
    with pytest.raises(TypeError, match="estimator must be a skorch NeuralNetClassifier"):
        load(tmp_path / "model", estimator=plain_regressor())


def test_what_the_file_holds_is_not_to_be_given(tmp_path):
    model, _, _ = fitted("classifier")
    model.save(tmp_path / "model")
    with pytest.raises(TypeError, match=r"was given policy, which .*model holds: leave it out"):
        load(tmp_path / "model", policy="ucb1")
    with pytest.raises(TypeError, match="was given colour, which is no parameter of what"):
        load(tmp_path / "model", colour="red")


def test_memory_stays_with_the_machine(tmp_path):
    X, y = classes_table()
    model = classifier(memory=str(tmp_path / "cache")).fit(X, y)
    loaded = there_and_back(model, tmp_path)
    assert loaded.memory is None
    assert str(tmp_path / "cache").encode() not in (tmp_path / "model.safetensors").read_bytes()


class Mine(MABPrunedClassifier):
    """An estimator of one's own."""


def test_a_class_of_ones_own_is_not_saved(tmp_path):
    X, y = classes_table()
    model = Mine(small_classifier(), tolerance=10.0, random_state=0).fit(X, y)
    with pytest.raises(TypeError, match="this is a Mine: a file without code cannot"):
        model.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_an_estimator_that_is_not_fitted_is_not_saved(tmp_path):
    with pytest.raises(NotFittedError):
        classifier().save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    model, _, _ = fitted("classifier")
    with torch.no_grad():
        model.estimator_.module_[0].weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"network\.0\.weight holds infinity or NaN"):
        model.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("labels", [["a", 3], [("a",), ("b",)]])
def test_labels_of_other_kinds_are_not_saved(labels, tmp_path):
    model, _, _ = fitted("classifier")
    model.classes_ = np.empty(len(labels), dtype=object)
    model.classes_[:] = labels
    with pytest.raises(TypeError, match="classes_ holds neither numbers nor strings"):
        model.save(tmp_path / "model")


def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch):
    model, _, _ = fitted("classifier")
    model.save(tmp_path / "model")
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    for act in (lambda: model.save(tmp_path / "other"), lambda: load(tmp_path / "model")):
        with pytest.raises(ImportError, match=r'needs safetensors.*mabprune\[safetensors\]"'):
            act()


# ------------------------------------------------------------------ values as plain data


def through_json(value, name="x"):
    return from_plain(json.loads(json.dumps(to_plain(value, name), allow_nan=False)), name)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(values)
def test_values_come_back_equal_and_of_their_kind(value):
    assert_same(through_json(value), value)


@pytest.mark.parametrize("make", [*POLICIES.values(), *CRITERIA.values()], ids=lambda c: c.__name__)
def test_every_policy_and_criterion_can_be_described(make):
    assert_same(through_json(make()), make())


def test_parameters_of_a_chooser_come_back():
    assert through_json(UCB1(exploration=0.25)).exploration == 0.25


@pytest.mark.parametrize("make", [MLPNetClassifier, MLPNetRegressor])
def test_parameters_of_a_net_come_back(make):
    net = make(
        criterion=nn.SmoothL1Loss,
        criterion__beta=0.5,
        optimizer=torch.optim.AdamW,
        optimizer__betas=(0.8, 0.9),
        module__hidden_layer_sizes=(7, np.int64(5)),
        lr=np.float32(0.5),
        train_split=ValidSplit(0.25, random_state=3),
        dtype="float32",
        device="cuda",
        callbacks__print_log=None,
    )
    found = through_json(net)
    assert found.get_params(deep=False).keys() == net.get_params(deep=False).keys()
    assert found.module__hidden_layer_sizes == (7, 5)
    assert found.criterion is nn.SmoothL1Loss
    assert found.optimizer__betas == (0.8, 0.9)
    assert (found.train_split.cv, found.train_split.random_state) == (0.25, 3)
    assert clone(found).device == "cuda"


class Unknown:
    """Of no registry."""


class Adam(torch.optim.Adam):
    """Called like one that is known."""


@pytest.mark.parametrize(
    "value",
    [
        Unknown, Unknown(), Adam, lambda: None, {1, 2}, b"bytes", 1j, np.zeros(2), [Unknown()],
        {"a": Unknown()}, type("UCB1", (UCB1,), {})(), small_classifier(callbacks=[Unknown()]),
        small_classifier(module=nn.Linear),
        small_classifier(torch_load_kwargs={"weights_only": False}),
        small_classifier(train_split=ValidSplit(cv=Unknown())),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_values_that_are_no_plain_data_are_refused(value):
    with pytest.raises(DescriptionError, match="value"):
        to_plain(value, "value")


@pytest.mark.parametrize(
    "labels",
    [
        np.array([1, 2], dtype="uint8"), np.array([-3, 4], dtype="int32"),
        np.array([0.0, 2.0], dtype="float32"), np.array([False, True]),
        np.array(["a", "Köln"]), np.array(["a", "b"], dtype="U40"),
        np.array(["a", "b"], dtype=object),
    ],
    ids=lambda a: str(a.dtype),
)  # fmt: skip
def test_labels_come_back_in_their_dtype(labels):
    plain = json.loads(json.dumps(labels_to_plain(labels, "labels")))
    assert_same(labels_from_plain(plain, "labels"), labels)


# ------------------------------------------------------------------------- records by type


@dataclass
class Inner:
    number: int
    share: float | None = None


@dataclass
class Record:
    flags: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    several: list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]
    pairs: tuple[tuple[int, str], ...]
    inner: Inner
    named: dict[str, float]
    small: np.ndarray[tuple[int, ...], np.dtype[np.unsignedinteger]]
    kept: dict[int, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]


def test_records_come_back_by_their_declared_types():
    record = Record(
        np.array([True, False]),
        [np.array([1.0, np.nan]), np.zeros((0, 2))],
        ((1, "a"), (2, "b")),
        Inner(3, np.inf),
        {"x": 0.5, "y": -np.inf},
        np.array([[3, 255]], dtype=np.uint8),
        {0: np.zeros(2, np.float32), 12: np.ones(2, np.float32)},
    )
    tensors = {}
    plain = json.loads(json.dumps(record_to_plain(record, Record, "r", tensors), allow_nan=False))
    assert set(tensors) == {"r.flags", "r.several", "r.small", "r.kept.0", "r.kept.12"}
    found = record_from_plain(plain, Record, "r", tensors)
    assert_same(found, record)
    assert tensors == {}
    assert asdict(found)["inner"] == {"number": 3, "share": np.inf}


def test_a_list_of_no_arrays_comes_back():
    record = Record(np.array([True]), [], (), Inner(1), {}, np.zeros(0, np.uint8), {})
    tensors = {}
    plain = record_to_plain(record, Record, "r", tensors)
    assert_same(record_from_plain(plain, Record, "r", tensors), record)


def test_a_field_that_came_later_takes_its_default():
    assert record_from_plain({"number": 3}, Inner, "r", {}) == Inner(3)


def test_a_declared_type_that_cannot_be_written_is_refused():
    @dataclass
    class Odd:
        what: set

    with pytest.raises(TypeError, match=r"r\.what is declared as"):
        record_to_plain(Odd({1}), Odd, "r", {})
