"""Saved and exported files are replaced as a whole, and read once."""

from __future__ import annotations

import os
import struct

import numpy as np
import pytest
from full_disk import size_limit
from saved_files import WAY_OUT
from user_nets import classes_table, classifier, small_classifier

from sklearn_mabprune import ModelFileError, load, pipeline_to_onnx
from sklearn_mabprune.export.files import container

EXPORTS = {
    "save": lambda model, X, path: model.save(path),
    "to_onnx": lambda model, X, path: model.to_onnx(path),
    "pipeline_to_onnx": lambda model, X, path: pipeline_to_onnx(model, X, path),
}


@pytest.mark.parametrize("name", EXPORTS)
def test_a_full_disk_leaves_the_file_that_was_there(name, tmp_path):
    X, y = classes_table()
    model = classifier(small_classifier(max_epochs=2)).fit(X, y)
    path = tmp_path / "model"
    path.write_bytes(b"old")
    with size_limit(500), pytest.raises(OSError, match="file that was there is unchanged"):
        EXPORTS[name](model, X, path)
    assert path.read_bytes() == b"old"
    EXPORTS[name](model, X, path)
    assert len(path.read_bytes()) > 500
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_content_is_written_as_the_same_bytes(either, tmp_path):
    for _ in range(8):
        container.write_file(tmp_path / "model", either.content, either.tensors)
        assert (tmp_path / "model").read_bytes() == either.data


@pytest.mark.parametrize("change", [-1, -5000, 1, 5000])
def test_a_file_that_changes_while_it_is_read(change, saved, tmp_path, monkeypatch):
    """Another process makes it shorter: an error of Python's, where a mapped file ends it."""
    path = tmp_path / "model"
    path.write_bytes(saved.data)
    read_header = container._read_header

    def meanwhile(*args):
        found = read_header(*args)
        os.truncate(path, len(saved.data) + change)
        return found

    monkeypatch.setattr(container, "_read_header", meanwhile)
    if change > 0:
        # What was read is what was announced.
        saved.same_or_refused(path)
        return
    with pytest.raises(ModelFileError, match="not a complete safetensors file") as caught:
        load(path)
    assert str(caught.value).endswith(WAY_OUT)


@pytest.mark.parametrize("header", [0, 100, 90_000_000, 2**40])
def test_holes_are_not_read(header, tmp_path):
    """A file of 50 GB without content is refused before memory is taken for it."""
    path = tmp_path / "model"
    path.write_bytes(struct.pack("<Q", header))
    os.truncate(path, 50 * 10**9)
    with pytest.raises(ModelFileError, match="not a complete safetensors file"):
        load(path)


def test_announced_and_actual_length(saved, tmp_path):
    for data in (saved.data[:-1], saved.data + b"x", saved.data[:9], saved.data[:4]):
        (tmp_path / "model").write_bytes(data)
        with pytest.raises(ModelFileError, match=r"it has \d+ bytes, and (should|announces)"):
            load(tmp_path / "model")


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path, kind in [(tmp_path / "fifo", "a FIFO"), (os.devnull, "a character device")]:
        with pytest.raises(ModelFileError, match=f"it is {kind}.* Pass the path of a file that"):
            load(path)


def test_loaded_arrays_can_be_written_to(saved, tmp_path):
    (tmp_path / "model").write_bytes(saved.data)
    loaded = load(tmp_path / "model")
    loaded.pruning_path_.loss[0] = 3.0
    assert all(ranking.flags.writeable for ranking in loaded.neuron_ranking_)
    assert np.array_equal(loaded.pruning_path_.loss[1:], saved.model.pruning_path_.loss[1:])
