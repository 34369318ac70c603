"""Readers with too many columns for a Gram matrix: their channels are predicted as wholes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from user_modules import made

from sklearn_mabprune.ablation import reader_statistics
from sklearn_mabprune.ablation.channel_fit import ChannelFit
from sklearn_mabprune.ablation.measured import activations_of
from sklearn_mabprune.data.losses import SampleLoss
from sklearn_mabprune.data.samples import Samples
from sklearn_mabprune.graph.recovery import recover_network

RIDGE = 1e-12


@pytest.fixture(scope="module")
def whole():
    """A network of convolutions, as its readers of channels take over above a small cap."""
    module, x = made("convolutions", n_samples=40)
    labels = torch.randint(3, (40,), generator=torch.Generator().manual_seed(1))
    weights = torch.rand(40, generator=torch.Generator().manual_seed(2), dtype=torch.float64) + 0.1
    samples = Samples(x, labels, weights, SampleLoss(torch.nn.CrossEntropyLoss()))
    return activations_of(recover_network(module, x), samples)


@pytest.fixture
def statistics(whole, monkeypatch):
    """Conv2 (6 channels, 9 taps) and fc1 (8 channels, 9 positions) are above the cap."""
    monkeypatch.setattr(reader_statistics, "MOST_COLUMNS", 10)

    def get(ridge=RIDGE):
        return whole.statistics("least_squares", ridge, 1e-9).update(whole)

    return get


def test_which_readers_predict_channels_and_what_is_said(statistics):
    found = statistics()
    kinds = {name: type(fit) for name, fit in found.fits.items()}
    assert kinds["conv2.weight"] is kinds["fc1.weight"] is ChannelFit
    assert kinds["fc2.weight"] is not ChannelFit
    assert set(found.remarks) == {"conv2", "fc1"}


def test_a_pull_is_the_loss_of_the_smaller_network(whole, statistics):
    found = statistics(1e-3)
    block = whole.block(found)
    for number, size in enumerate(whole.graph.sizes):
        units = torch.arange(size)
        increase = block.loss_increase(number, units)
        for unit in (0, size - 1):
            going = [None] * 3
            going[number] = torch.tensor([unit])
            smaller = whole.of(statistics(1e-3).removed(whole.graph, going))
            wanted = smaller.mean_loss() - whole.mean_loss()
            assert float(increase[unit]) == pytest.approx(wanted, abs=1e-9)
        moved = block.estimate("linear", torch.Generator(), units=_only(number, units))
        assert torch.isfinite(moved).all()


def test_predictions_are_least_squares_over_all_places(whole, statistics):
    """Channels of what the readers read, at each sample, position and place, by NumPy."""
    fit = statistics().fits["fc1.weight"]
    (read,) = whole.graph.groups[1].readers
    value = whole.graph.run(whole.graph.program.known(whole.samples.x), [read.reads])[read.reads]
    channels = value.view(40, 8, 9).transpose(1, 2).reshape(-1, 8).numpy()
    roots = np.sqrt(whole.samples.weights.repeat_interleave(9).numpy())[:, None]
    wanted, *_ = np.linalg.lstsq(roots * channels[:, 1:], roots * channels[:, :1], rcond=None)
    columns = torch.as_tensor(read.columns[:1])
    residual = fit.residuals(columns, value.dtype)(value[None])[0, :, 0]
    expected = channels[:, 0] - channels[:, 1:] @ wanted[:, 0]
    assert np.allclose(residual.numpy().ravel(), expected, atol=1e-6)


def test_two_removals_and_a_fit_reach_what_one_fit_reaches(whole, statistics):
    """The weights are fitted to the channels of the unpruned network, however they went."""
    units = [None, torch.tensor([0, 3]), None]
    once = whole.without(units, statistics())
    first = statistics()
    twice = whole.without([None, torch.tensor([3]), None], first)
    twice = twice.without([None, torch.tensor([0]), None], first)
    for name in ("conv2.weight", "fc1.weight", "fc2.weight"):
        assert torch.allclose(once.graph.weights[name], twice.graph.weights[name], atol=1e-6)


def _only(number, units):
    found = [torch.arange(0)] * 3
    found[number] = units
    return found
