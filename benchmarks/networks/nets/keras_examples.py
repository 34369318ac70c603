"""Networks of Keras' examples of 2017, rewritten in torch with their widths."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.networks.nets.entry import Entry


def reuters_mlp():
    return nn.Sequential(nn.Linear(1000, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, 46))


def mnist_mlp():
    return nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Dropout(0.2), nn.Linear(512, 512), nn.ReLU(),
        nn.Dropout(0.2), nn.Linear(512, 10),
    )  # fmt: skip


def mnist_cnn():
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Dropout(0.25), nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(128, 10),
    )  # fmt: skip


def cifar10_cnn():
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding="same"), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.ReLU(),
        nn.MaxPool2d(2), nn.Dropout(0.25), nn.Conv2d(32, 64, 3, padding="same"), nn.ReLU(),
        nn.Conv2d(64, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25), nn.Flatten(),
        nn.Linear(2304, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, 10),
    )  # fmt: skip


class ImdbCnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.conv = nn.Embedding(100, 50), nn.Conv1d(50, 250, 3)
        self.hidden, self.output = nn.Linear(250, 250), nn.Linear(250, 1)

    def forward(self, x):
        x = F.dropout(self.embedding(x), 0.2, self.training)
        x = F.relu(self.conv(x.transpose(1, 2))).max(dim=2).values
        x = F.relu(F.dropout(self.hidden(x), 0.2, self.training))
        return torch.sigmoid(self.output(x))


class ImdbLstm(nn.Module):
    def __init__(self, n_units=128, bidirectional=False):
        super().__init__()
        self.embedding = nn.Embedding(100, 128)
        self.lstm = nn.LSTM(128, n_units, batch_first=True, bidirectional=bidirectional)
        self.output = nn.Linear(n_units * (1 + bidirectional), 1)

    def forward(self, x):
        return torch.sigmoid(self.output(self.lstm(self.embedding(x))[0][:, -1]))


class ImdbFastText(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.output = nn.Embedding(100, 50), nn.Linear(50, 1)

    def forward(self, x):
        return torch.sigmoid(self.output(self.embedding(x).mean(dim=1)))


class HierarchicalRnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.row = nn.LSTM(1, 128, batch_first=True)
        self.column = nn.LSTM(128, 128, batch_first=True)
        self.output = nn.Linear(128, 10)

    def forward(self, x):
        n_samples, n_rows, n_columns = x.shape
        rows = self.row(x.reshape(n_samples * n_rows, n_columns, 1))[0][:, -1]
        rows = rows.reshape(n_samples, n_rows, -1)
        return self.output(self.column(rows)[0][:, -1])


class Siamese(nn.Module):
    def __init__(self):
        super().__init__()
        self.base = nn.Sequential(
            nn.Linear(784, 128), nn.ReLU(), nn.Dropout(0.1), nn.Linear(128, 128), nn.ReLU(),
            nn.Dropout(0.1), nn.Linear(128, 128), nn.ReLU(),
        )  # fmt: skip

    def forward(self, left, right):
        return (self.base(left) - self.base(right)).square().sum(dim=1).add(1e-7).sqrt()


class MemoryNetwork(nn.Module):
    def __init__(self, n_words=30, story=20, question=4):
        super().__init__()
        self.story_match, self.story_answer = nn.Embedding(n_words, 64), nn.Embedding(n_words, 4)
        self.question = nn.Embedding(n_words, 64)
        self.lstm = nn.LSTM(story + 64, 32, batch_first=True)
        self.output = nn.Linear(32, n_words)

    def forward(self, story, question):
        asked = self.question(question)
        match = torch.einsum("btd,bqd->btq", self.story_match(story), asked).softmax(-1)
        response = (match + self.story_answer(story)).permute(0, 2, 1)
        h = self.lstm(torch.cat([response, asked], dim=-1))[0][:, -1]
        return F.softmax(self.output(F.dropout(h, 0.3, self.training)), dim=-1)


def alexnet_dense():
    return nn.Sequential(
        nn.Linear(256, 4096), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4096, 4096), nn.ReLU(),
        nn.Dropout(0.5), nn.Linear(4096, 10),
    )  # fmt: skip


KERAS = "Keras' examples"

ENTRIES = [
    Entry("keras reuters_mlp", KERAS, reuters_mlp, (1000,)),
    Entry("keras mnist_mlp", KERAS, mnist_mlp, (784,)),
    Entry("keras mnist_cnn", KERAS, mnist_cnn, (1, 28, 28)),
    Entry("keras cifar10_cnn", KERAS, cifar10_cnn, (3, 32, 32)),
    Entry("keras imdb_cnn", KERAS, ImdbCnn, (20,), codes=100),
    Entry("keras imdb_fasttext", KERAS, ImdbFastText, (20,), codes=100),
    Entry("keras imdb_lstm", KERAS, ImdbLstm, (10,), codes=100),
    Entry("keras imdb_bidirectional_lstm", KERAS, lambda: ImdbLstm(64, True), (10,), codes=100),
    Entry("keras mnist_hierarchical_rnn", KERAS, HierarchicalRnn, (28, 28)),
    Entry("keras mnist_siamese", KERAS, Siamese, {"left": (784,), "right": (784,)}),
    Entry("keras babi_memnn", KERAS, MemoryNetwork, {"story": (20,), "question": (4,)}, codes=30),
    Entry("keras AlexNet dense layers", KERAS, alexnet_dense, (256,)),
]
