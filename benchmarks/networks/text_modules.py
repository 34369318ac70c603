"""Recurrent networks for texts, as their users write them: embedding, recurrent layers, Linear.

Texts are rows of integers of one length; 0 is padding, at the end.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LastState(nn.Module):
    """One recurrent layer; the state behind the last word is read."""

    def __init__(self, kind: type[nn.RNNBase], n_words: int, n_units: int = 64):
        super().__init__()
        self.embedding = nn.Embedding(n_words, 32, padding_idx=0)
        self.recurrent = kind(32, n_units, batch_first=True)
        self.out = nn.Linear(n_units, 2)

    def forward(self, X: Tensor) -> Tensor:
        """Logits, (n_samples, n_classes)."""
        hidden, _ = self.recurrent(self.embedding(X))
        last = (X != 0).sum(1).clamp(min=1) - 1
        places = last[:, None, None].expand(-1, 1, hidden.size(2))
        return self.out(hidden.gather(1, places)[:, 0])


class BothDirections(nn.Module):
    """A recurrent layer of both directions, whose mean over the words a Linear layer reads."""

    def __init__(self, n_words: int, n_units: int = 32):
        super().__init__()
        self.embedding = nn.Embedding(n_words, 32, padding_idx=0)
        self.recurrent = nn.LSTM(32, n_units, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * n_units, 2)

    def forward(self, X: Tensor) -> Tensor:
        """Logits, (n_samples, n_classes)."""
        hidden, _ = self.recurrent(self.embedding(X))
        known = (X != 0).unsqueeze(-1).to(hidden.dtype)
        return self.out((hidden * known).sum(1) / known.sum(1).clamp(min=1))


class TwoLevels(nn.Module):
    """A GRU over the words of each part of a text, and one over the parts."""

    def __init__(self, n_words: int, n_units: int = 32, n_parts: int = 5):
        super().__init__()
        self.n_parts = n_parts
        self.embedding = nn.Embedding(n_words, 32, padding_idx=0)
        self.words = nn.GRU(32, n_units, batch_first=True)
        self.parts = nn.GRU(n_units, n_units, batch_first=True)
        self.out = nn.Linear(n_units, 2)

    def forward(self, X: Tensor) -> Tensor:
        """Logits, (n_samples, n_classes)."""
        words = self.embedding(X.reshape(X.size(0) * self.n_parts, -1))
        hidden, _ = self.words(words)
        parts, _ = self.parts(hidden.amax(1).unflatten(0, (-1, self.n_parts)))
        return self.out(torch.mean(parts, dim=1))
