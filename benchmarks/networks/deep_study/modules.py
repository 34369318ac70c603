"""Networks after the examples of Keras that the paper's table names, narrow enough for a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..image_modules import Cifar10CNN, MnistCNN
from .questions import N_WORDS as N_STORY_WORDS
from .samples import N_WORDS


class BagOfWords(nn.Module):
    """Keras' ``reuters_mlp``: a hidden layer over words that occur or not."""

    def __init__(self, n_units: int):
        super().__init__()
        self.dense, self.out = nn.Linear(1000, n_units), nn.Linear(n_units, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of texts, (n_samples, 1000)."""
        return self.out(F.dropout(F.relu(self.dense(x)), 0.5, self.training))


class TwoConvolutions(MnistCNN):
    """Keras' ``mnist_cnn`` for images of 14 x 14."""

    def __init__(self, width: int):
        super().__init__(width, side=5)


class FourConvolutions(Cifar10CNN):
    """Keras' ``cifar10_cnn`` for images of 16 x 16, with half of its hidden units."""

    def __init__(self, width: int):
        super().__init__(width, side=2, times=8)


class AlexNet(nn.Module):
    """Convolutions below two wide hidden layers, as AlexNet has them."""

    def __init__(self, width: int, n_units: int):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 5, stride=2, padding=2)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.dense1, self.dense2 = nn.Linear(32 * width, n_units), nn.Linear(n_units, n_units)
        self.out = nn.Linear(n_units, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images, (n_samples, 3, 16, 16)."""
        x = F.max_pool2d(F.relu(self.conv2(F.relu(self.conv1(x)))), 2).flatten(1)
        x = F.relu(self.dense1(F.dropout(x, 0.5, self.training)))
        return self.out(F.relu(self.dense2(F.dropout(x, 0.5, self.training))))


class Siamese(nn.Module):
    """Keras' ``mnist_siamese_graph``: the distance of two images behind the same layers."""

    def __init__(self, n_units: int):
        super().__init__()
        self.dense1, self.dense2 = nn.Linear(196, n_units), nn.Linear(n_units, n_units)
        self.dense3, self.margin = nn.Linear(n_units, n_units), nn.Parameter(torch.ones(1))

    def side(self, x: Tensor) -> Tensor:
        """What is compared."""
        return F.relu(self.dense3(F.relu(self.dense2(F.relu(self.dense1(x))))))

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Logits of pairs of images, (n_samples, 196) each."""
        squares = (self.side(left) - self.side(right)).square().sum(dim=1, keepdim=True)
        distance = (squares + 1e-6).sqrt()
        return torch.cat([distance - self.margin, self.margin - distance], dim=1)


class TextConvolution(nn.Module):
    """Keras' ``imdb_cnn``: a convolution over words, their largest values, a hidden layer."""

    def __init__(self, n_units: int):
        super().__init__()
        self.embedding = nn.Embedding(N_WORDS, 32, padding_idx=0)
        self.conv = nn.Conv1d(32, n_units, 3)
        self.dense, self.out = nn.Linear(n_units, n_units), nn.Linear(n_units, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of words by their numbers."""
        h = F.dropout(self.embedding(x), 0.2, self.training).transpose(1, 2)
        h = F.relu(self.conv(h)).amax(dim=2)
        return self.out(F.relu(F.dropout(self.dense(h), 0.2, self.training)))


class LastState(nn.Module):
    """Keras' ``imdb_lstm``: the state of a recurrent layer behind the last word is read."""

    def __init__(self, kind: str, n_units: int):
        super().__init__()
        self.embedding = nn.Embedding(N_WORDS, 32, padding_idx=0)
        self.recurrent = {"lstm": nn.LSTM, "gru": nn.GRU}[kind](32, n_units, batch_first=True)
        self.out = nn.Linear(n_units, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of words by their numbers; 0 is padding, at the end."""
        hidden, _ = self.recurrent(self.embedding(x))
        last = (x != 0).sum(1).clamp(min=1) - 1
        return self.out(hidden[torch.arange(x.size(0)), last])


class BothDirections(nn.Module):
    """Keras' ``imdb_bidirectional_lstm``, with the mean over the words."""

    def __init__(self, n_units: int):
        super().__init__()
        self.embedding = nn.Embedding(N_WORDS, 32, padding_idx=0)
        self.recurrent = nn.LSTM(32, n_units, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * n_units, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of words by their numbers; 0 is padding, at the end."""
        hidden, _ = self.recurrent(self.embedding(x))
        known = (x != 0).unsqueeze(-1).to(hidden.dtype)
        return self.out((hidden * known).sum(1) / known.sum(1).clamp(min=1))


class TwoLevels(nn.Module):
    """Keras' ``mnist_hierarchical_rnn``: an LSTM over the pixels of a row, one over the rows."""

    def __init__(self, n_units: int):
        super().__init__()
        self.pixels = nn.LSTM(1, n_units, batch_first=True)
        self.rows = nn.LSTM(n_units, n_units, batch_first=True)
        self.out = nn.Linear(n_units, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images, (n_samples, 14, 14)."""
        pixels = self.pixels(x.reshape(x.size(0) * 14, 14, 1))[0][:, -1]
        return self.out(self.rows(pixels.reshape(x.size(0), 14, -1))[0][:, -1])


class Memory(nn.Module):
    """An end-to-end memory: sentences that match the question answer it, through an LSTM."""

    def __init__(self, width: int, n_units: int):
        super().__init__()
        self.match, self.answer = (nn.Embedding(N_STORY_WORDS, width) for _ in range(2))
        self.asked = nn.Embedding(N_STORY_WORDS, width)
        self.times = nn.Parameter(torch.randn(6, width) / 10)
        self.lstm = nn.LSTM(width, n_units, batch_first=True)
        self.out = nn.Linear(n_units, 6)

    def forward(self, story: Tensor, question: Tensor) -> Tensor:
        """Logits of places; story (n_samples, 6, 5) and question (n_samples, 3) are words."""
        asked = self.asked(question)
        keys, values = self.match(story).sum(2) + self.times, self.answer(story).sum(2)
        found = torch.softmax(asked.sum(1, keepdim=True) @ keys.transpose(1, 2), -1) @ values
        hidden, _ = self.lstm(torch.cat([asked, found], dim=1))
        return self.out(F.dropout(hidden[:, -1], 0.3, self.training))
