"""Rows of readers: at chosen positions, and of all samples where few are pulled on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from user_modules import made

from sklearn_mabprune.ablation import module_activations
from sklearn_mabprune.ablation.measured import activations_of
from sklearn_mabprune.ablation.reader_rows import ChannelSample, RowSample
from sklearn_mabprune.data.losses import SampleLoss
from sklearn_mabprune.data.samples import Samples
from sklearn_mabprune.graph.readers import ConvReader, TransposedReader
from sklearn_mabprune.graph.recovery import recover_network

NAMES = {"value": 1, "reads": 0, "module": "", "weight": "w", "bias": "", "inputs": 1}
NAMES |= {"runs": 1, "gradient": 1}
FORM = {"kernel": (2, 3), "stride": (2, 1), "dilation": (1, 2), "padding": ((1, 1), (2, 2))}


def reader(kind=ConvReader, **form):
    form = {**FORM, **form}
    return kind(**NAMES, outputs_axis=0, columns=np.zeros((1, 1), int), blocks=2, taps=6, **form)


def values(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_convolution_is_patches_times_a_matrix(channels_last):
    conv, x, w = reader(), values(3, 4, 5, 6), values(6, 2, 2, 3)
    wanted = F.conv2d(x, w, None, (2, 1), (1, 2), (1, 2), groups=2)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    rows = [conv.patches(x, block) @ conv.matrix(w, block).T for block in range(2)]
    assert torch.allclose(conv.outputs(rows, wanted.shape), wanted)
    assert torch.allclose(conv.rows(wanted)[:, 1], rows[1])
    assert torch.equal(conv.with_matrix(torch.zeros_like(w), conv.matrix(w, 1), 1)[3:], w[3:])


def test_a_transposed_convolution_is_patches_times_a_matrix():
    conv = reader(TransposedReader, stride=(2, 2), dilation=(1, 1), padding=((1, 1), (2, 2)))
    x, w = values(3, 4, 5, 6), values(4, 3, 2, 3)
    wanted = F.conv_transpose2d(x, w, None, (2, 2), groups=2)
    rows = [conv.patches(x, block) @ conv.matrix(w, block).T for block in range(2)]
    assert torch.allclose(conv.outputs(rows, wanted.shape), wanted)
    assert torch.equal(conv.with_matrix(torch.zeros_like(w), conv.matrix(w, 1), 1)[2:], w[2:])


def test_patches_at_some_positions_are_some_of_all_patches():
    conv, x = reader(), values(3, 4, 5, 6)
    every = conv.patches(x, 1)
    positions = torch.randint(every.shape[1], (3, 4), generator=torch.Generator().manual_seed(0))
    wanted = torch.stack([rows[some] for rows, some in zip(every, positions, strict=True)])
    assert torch.equal(conv.patches_at(x, positions, 1), wanted)


def test_rows_are_drawn_by_sample_and_channels_by_place(monkeypatch):
    monkeypatch.setattr("sklearn_mabprune.ablation.reader_rows._LEAST_ROWS", 6)
    monkeypatch.setattr("sklearn_mabprune.ablation.reader_rows._ROWS_PER_COLUMN", 0)
    conv, x, part = reader(), values(3, 4, 5, 6), slice(1, 3)
    sample = RowSample((conv,), 12, [18], 3, seed=0)
    rows = sample.inputs(0, x[part], part, torch.arange(12), torch.arange(12))
    assert rows.shape == (2, 2, 2, 12)
    wanted = conv.patches(x, 1)[2, sample.positions[0][2]]
    assert torch.equal(rows[1, 1], wanted)
    channels = ChannelSample((conv,), torch.arange(12).view(6, 2).T, [18], 3, seed=0)
    rows = channels.inputs(0, x[part], part, torch.arange(2), torch.arange(12))
    patch = conv.patches(x, 1)[2, channels.positions[0][2]].view(2, 6, 2)
    places = channels.places[0][2][:, 0]
    assert torch.equal(rows[1, 1], torch.stack([patch[k, place] for k, place in enumerate(places)]))


def test_few_samples_are_pulled_on_and_all_fit_the_readers(monkeypatch):
    monkeypatch.setattr(module_activations, "_LEAST_PULLED", 16)
    monkeypatch.setattr(module_activations, "_PULLED_MACS", 0)
    # Sums over rows are added in parts.
    monkeypatch.setattr("sklearn_mabprune.ablation.chunks.AT_ONCE", 2**14)
    monkeypatch.setattr("sklearn_mabprune.ablation.reader_rows._WAITING", 2**12)
    module, x = made("convolutions", n_samples=40)
    weights = torch.ones(40, dtype=torch.float64)
    samples = Samples(x, torch.arange(40) % 3, weights, SampleLoss(torch.nn.CrossEntropyLoss()))
    whole = activations_of(recover_network(module, x), samples)
    few, other = whole.for_pulls(0), whole.for_pulls(1)
    assert len(few.samples) == 16
    assert not torch.equal(few.samples.x, other.samples.x)
    going = [torch.tensor([0]), None, None]
    statistics, wanted = (
        each.statistics("least_squares", 1e-3, 1e-9).update(each) for each in (few, whole)
    )
    smaller, expected = few.without(going, statistics), whole.without(going, wanted)
    assert torch.equal(smaller.samples.x, few.samples.x)
    assert torch.equal(
        smaller.graph.weights["conv2.weight"], expected.graph.weights["conv2.weight"]
    )
    assert torch.equal(few.hidden(0), whole.hidden(0))
    late = few.statistics("least_squares", 1e-3, 0.2).update(few)
    smaller = few.without([torch.arange(4), None, None], late)
    assert late.n_factorisations == [1, 1, 1]
    smaller.without([None, torch.tensor([0]), None], late)
    assert late.n_factorisations == [2, 2, 2]
