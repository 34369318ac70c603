"""Files whose arrays are not those of a network and its path: one error."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from sklearn_mabprune import ModelFileError, load
from sklearn_mabprune.export.files.container import write_file


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
    "path that ends early": ("path.score", changed(lambda a: a[1:]), "another length in score"),
    "path of another type": ("path.score", changed(lambda a: a > 0), "array of bool, not of"),
    "path that removes what is not there": ("path.removed", poisoned(999), "does not exist"),
    "path that removes twice": (
        "path.removed", changed(lambda a: np.repeat(a[:1], len(a))), "removes a unit twice"),
    "path that removes less than nothing": ("path.removed", poisoned(-1), "does not exist"),
    "path with other neurons": ("path.n_neurons", poisoned(3), "not the sum of its layers"),
    "losses in a column": (
        "path.loss", changed(lambda a: a[:, None]), r"path has loss of shape \(\d+, 1\), not"),
    "a single loss": ("path.loss", changed(lambda a: np.array(a[0])), "length in loss"),
    "flat scales of rewards": (
        "path.reward_scale", changed(lambda a: a[:, 0].copy()), "path has reward_scale of shape"),
    "pulls of another network": (
        "path.pulls_by_arm", changed(lambda a: a[:, 1:].copy()), "path has pulls_by_arm of shape"),
    "seconds in a cube": (
        "path.seconds", changed(lambda a: a[:, None, None]), "path has seconds of shape"),
}  # fmt: skip


@pytest.mark.parametrize("name", TENSORS)
def test_hostile_tensors_are_refused(name, saved, tmp_path):
    tensor, change, message = TENSORS[name]
    tensors = dict(saved.tensors)
    change(tensors, tensor)
    write_file(tmp_path / "model", saved.content, tensors)
    with pytest.raises(ModelFileError, match=message):
        load(tmp_path / "model")


OUTLINES = {
    "a step that is not there": ("rounds", lambda a: a[1:], "rounds of its path are not those"),
    "an empty round": ("rounds", lambda a: np.append(a, 0).astype(a.dtype), "rounds of its path"),
    "rounds of nothing": ("rounds", lambda a: a[:0], "rounds of its path are not those"),
    "rounds of which the sum overflows": (
        "rounds", lambda a: np.full(2, 2**64 - 1, np.uint64), "rounds of its path are not those"),
    "a unit that is not there": ("removed", lambda a: a + np.uint8(200), "does not exist"),
    "a unit removed twice": ("removed", lambda a: a * np.uint8(0), "removes a unit twice"),
    "units with a sign": ("removed", lambda a: a.astype(np.int64), "not a list of counts"),
    "units in a table": ("removed", lambda a: a[None], "not a list of counts"),
    "a step without a size": ("n_macs", lambda a: a[1:], "not a count for each step"),
    "sizes beyond integers": (
        "n_parameters", lambda a: a.astype(np.uint64) + np.uint64(2**63), "not a count for each"),
}  # fmt: skip


@pytest.mark.parametrize("name", OUTLINES)
def test_hostile_outlines_are_refused(name, outlined, tmp_path):
    tensor, change, message = OUTLINES[name]
    tensors = dict(outlined.tensors)
    tensors[f"path.{tensor}"] = change(tensors[f"path.{tensor}"])
    write_file(tmp_path / "model", outlined.content, tensors)
    with pytest.raises(ModelFileError, match=message):
        load(tmp_path / "model")


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([], "invalid sizes"),
        ([12, 0], "invalid sizes"),
        ([12, True], "invalid sizes"),
        ([12, 8.0], "invalid sizes"),
        ([10**6, 10**6], "invalid sizes"),
        ([10**30], "invalid sizes"),
        ({}, "invalid sizes"),
        ([1] * 200_000, "rounds of its path"),
        ([13, 8], "report is about other networks"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_outlines_of_other_networks_are_refused(sizes, message, outlined, tmp_path):
    content = copy.deepcopy(outlined.content)
    content["path"]["sizes"] = sizes
    write_file(tmp_path / "model", content, outlined.tensors)
    with pytest.raises(ModelFileError, match=message):
        load(tmp_path / "model")


@pytest.mark.parametrize("name", ["removed", "loss_increase", "standard_error"])
def test_parts_of_a_path_in_other_shapes_are_refused(name, saved, tmp_path):
    content = copy.deepcopy(saved.content)
    shapes = content["path"]["arrays"][name]
    assert len(shapes[1]) == 1
    for shape in ([shapes[1][0], 1], [1, shapes[1][0]]):
        shapes[1] = shape
        write_file(tmp_path / "model", content, saved.tensors)
        with pytest.raises(ModelFileError, match=rf"path has {name}\[1\] of shape"):
            load(tmp_path / "model")


def test_estimates_of_another_network_are_refused(saved, tmp_path):
    name = next(name for name in saved.tensors if name.startswith("path.estimates."))
    for change in (lambda a: a[:1].copy(), lambda a: a[:, 1:].copy(), lambda a: a.ravel()):
        write_file(
            tmp_path / "model", saved.content, {**saved.tensors, name: change(saved.tensors[name])}
        )
        with pytest.raises(ModelFileError, match="path has estimates of shape"):
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
    with pytest.raises(
        ModelFileError, match=r"tensor 'network\.0\.weight' has the unsupported dtype"
    ):
        load(tmp_path / "model")


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan])
def test_units_without_a_scale_are_refused(value, saved, tmp_path):
    tensors = {**saved.tensors, "target.mean": np.zeros(2), "target.scale": np.array([1.0, value])}
    write_file(tmp_path / "model", saved.content, tensors)
    # A classifier has no units at all.
    with pytest.raises(
        ModelFileError, match=r"scale of its targets is not positive|not finite|tensor too many"
    ):
        load(tmp_path / "model")
