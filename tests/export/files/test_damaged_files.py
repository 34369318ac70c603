"""Files that are damaged or of another version: one error."""

from __future__ import annotations

import copy
import json
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file
from same_values import outputs
from saved_files import WAY_OUT, several

from sklearn_mabprune import ModelFileError, load
from sklearn_mabprune.export.files.container import _digest, write_file


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
    with pytest.raises(
        ModelFileError, match="its checksum is wrong: the file was changed or damaged"
    ):
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
    ],
    ids=range(13),
)
def test_what_is_no_such_file_is_refused(data, tmp_path):
    (tmp_path / "model").write_bytes(data)
    with pytest.raises(
        ModelFileError, match=r"not a complete safetensors file|not written by"
    ) as caught:
        load(tmp_path / "model")
    assert str(caught.value).endswith(WAY_OUT)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_pickle_is_told_apart(protocol, tmp_path):
    (tmp_path / "model").write_bytes(pickle.dumps({"a": np.zeros(3)}, protocol=protocol))
    with pytest.raises(ModelFileError, match=r"it is a pickle, not a file of save.* if you trust"):
        load(tmp_path / "model")


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
        "format_version": "1",
        "content": text,
        "sha256": _digest(text, saved.tensors),
    }
    save_file(saved.tensors, tmp_path / "model", metadata)
    with pytest.raises(
        ModelFileError, match=r"has version '1' of the file format.*reads version 2"
    ) as c:
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
    del content["parameters"]["max_pruning_samples"], content["report"]["remarks"]
    write_file(tmp_path / "model", content, saved.tensors)
    loaded = load(tmp_path / "model")
    assert loaded.max_pruning_samples == 4096
    assert loaded.pruning_report_.remarks == ()


def test_a_net_that_was_trained_on_a_gpu_opens_on_the_cpu(saved, tmp_path):
    content = copy.deepcopy(saved.content)
    net = content["parameters"]["estimator"]["parameters"]
    net["device"], net["compile"] = "cuda", True
    write_file(tmp_path / "model", content, saved.tensors)
    loaded = load(tmp_path / "model")
    assert loaded.estimator.device == "cuda"
    assert loaded.estimator_.device == "cpu"
    assert np.array_equal(outputs(loaded, saved.X), saved.expected)
