"""Compensation by the Gram matrix of channels, as published methods have it, as a rival."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from torch import Tensor

from sklearn_mabprune.ablation import reader_statistics
from sklearn_mabprune.ablation.channel_fit import ChannelFit
from sklearn_mabprune.ablation.reader_statistics import ReaderStatistics


class OwnChannelFit(ChannelFit):
    """A removal is fitted to what was there before it, and the kept channels stay as they are."""

    def refitted(self, matrix: Tensor) -> tuple[Tensor, Tensor | None]:
        """The weights as they are."""
        return matrix, None


@contextmanager
def channel_gram(dense_target: bool = False) -> Iterator[None]:
    """Within this context removed channels are predicted from the others of their layer.

    The numbers are the same at all taps of a kernel and all positions behind a flattening.  Units
    with one column each are predicted as the package does.  No layer makes up for others.

    Parameters
    ----------
    dense_target : bool, default=False
        Fit the kept channels to those of the unpruned network after each removal, as the package
        does for readers above its cap.
    """
    fit_of, fit = ReaderStatistics._fit, ChannelFit if dense_target else OwnChannelFit

    def chosen(self, network, read, matrix, families):
        if all(family.shape[1] == 1 for family in families):
            return fit_of(self, network, read, matrix, families)
        with patch.object(reader_statistics, "MOST_COLUMNS", max(map(len, families))):
            return fit_of(self, network, read, matrix, families)

    with (
        patch.object(ReaderStatistics, "_fit", chosen),
        patch.object(reader_statistics, "ChannelFit", fit),
        patch.object(reader_statistics, "added_to", lambda *_: None),
    ):
        yield
