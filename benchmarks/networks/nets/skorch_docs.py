"""Modules of the documentation of skorch and of the tutorials of torch, as printed there."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.networks.nets.entry import Entry
from benchmarks.networks.nets.public import torchvision_module


class Readme(nn.Module):
    """skorch's README."""

    def __init__(self, num_units=10, nonlin=nn.ReLU()):  # noqa: B008 - as printed
        super().__init__()
        self.dense0 = nn.Linear(20, num_units)
        self.nonlin = nonlin
        self.dropout = nn.Dropout(0.5)
        self.dense1 = nn.Linear(num_units, num_units)
        self.output = nn.Linear(num_units, 2)
        self.softmax = nn.Softmax(dim=-1)

    def forward(self, X, **kwargs):
        X = self.nonlin(self.dense0(X))
        X = self.dropout(X)
        X = self.nonlin(self.dense1(X))
        return self.softmax(self.output(X))


class Classifier(nn.Module):
    """skorch, Basic usage."""

    def __init__(self, num_units=10, nonlin=F.relu, dropout=0.5):
        super().__init__()
        self.num_units, self.nonlin = num_units, nonlin
        self.dense0 = nn.Linear(20, num_units)
        self.dropout = nn.Dropout(dropout)
        self.dense1 = nn.Linear(num_units, 10)
        self.output = nn.Linear(10, 2)

    def forward(self, X, **kwargs):
        X = self.nonlin(self.dense0(X))
        X = self.dropout(X)
        X = F.relu(self.dense1(X))
        return F.softmax(self.output(X), dim=-1)


class Regressor(nn.Module):
    """skorch, Basic usage."""

    def __init__(self, num_units=10, nonlin=F.relu):
        super().__init__()
        self.num_units, self.nonlin = num_units, nonlin
        self.dense0 = nn.Linear(20, num_units)
        self.dense1 = nn.Linear(num_units, 10)
        self.output = nn.Linear(10, 1)

    def forward(self, X, **kwargs):
        X = self.nonlin(self.dense0(X))
        X = F.relu(self.dense1(X))
        return self.output(X)


class MnistDense(nn.Module):
    """skorch, MNIST."""

    def __init__(self, input_dim=784, hidden_dim=98, output_dim=10, dropout=0.5):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Linear(input_dim, hidden_dim)
        self.output = nn.Linear(hidden_dim, output_dim)

    def forward(self, X, **kwargs):
        X = F.relu(self.hidden(X))
        X = self.dropout(X)
        return F.softmax(self.output(X), dim=-1)


class MnistCnn(nn.Module):
    """skorch, MNIST."""

    def __init__(self, dropout=0.5):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, kernel_size=3)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=3)
        self.conv2_drop = nn.Dropout2d(p=dropout)
        self.fc1 = nn.Linear(1600, 100)
        self.fc2 = nn.Linear(100, 10)
        self.fc1_drop = nn.Dropout(p=dropout)

    def forward(self, x):
        x = torch.relu(F.max_pool2d(self.conv1(x), 2))
        x = torch.relu(F.max_pool2d(self.conv2_drop(self.conv2(x)), 2))
        x = x.view(-1, x.size(1) * x.size(2) * x.size(3))
        x = torch.relu(self.fc1_drop(self.fc1(x)))
        return torch.softmax(self.fc2(x), dim=-1)


class Transfer(nn.Module):
    """skorch, Transfer learning."""

    def __init__(self, output_features=2):
        super().__init__()
        model = torchvision_module("resnet18")
        model.fc = nn.Linear(model.fc.in_features, output_features)
        self.model = model

    def forward(self, x):
        return self.model(x)


class RnnClassifier(nn.Module):
    """skorch, RNN sentiment classification."""

    def __init__(self, embedding_dim=16, rec_num_units=32, vocab_size=50):
        super().__init__()
        self.emb = nn.Embedding(vocab_size + 1, embedding_dim=embedding_dim)
        self.rec = nn.GRU(embedding_dim, rec_num_units, num_layers=1, batch_first=True)
        self.output = nn.Linear(rec_num_units, 2)

    def forward(self, X):
        embeddings = self.emb(X)
        _, rec_out = self.rec(embeddings)
        return F.softmax(self.output(rec_out[-1]), dim=-1)


def conv_relu(n_inputs, n_outputs):
    return nn.Sequential(nn.Conv2d(n_inputs, n_outputs, 3, padding=1), nn.ReLU(inplace=True))


class UNet(nn.Module):
    """skorch, Nuclei image segmentation: encoder, decoder and skips, with fewer channels."""

    def __init__(self):
        super().__init__()
        self.down1 = nn.Sequential(conv_relu(3, 16), conv_relu(16, 16))
        self.down2 = nn.Sequential(conv_relu(16, 32), conv_relu(32, 32))
        self.bottom = nn.Sequential(conv_relu(32, 64), conv_relu(64, 64))
        self.up2 = nn.ConvTranspose2d(64, 32, 2, stride=2)
        self.conv2 = nn.Sequential(conv_relu(64, 32), conv_relu(32, 32))
        self.up1 = nn.ConvTranspose2d(32, 16, 2, stride=2)
        self.conv1 = nn.Sequential(conv_relu(32, 16), conv_relu(16, 16))
        self.output = nn.Conv2d(16, 1, kernel_size=1)
        self.pool = nn.MaxPool2d(2, 2)

    def forward(self, x):
        first = self.down1(x)
        second = self.down2(self.pool(first))
        x = self.bottom(self.pool(second))
        x = self.conv2(torch.cat([self.up2(x), second], dim=1))
        x = self.conv1(torch.cat([self.up1(x), first], dim=1))
        return self.output(x)


class Quickstart(nn.Module):
    """torch, Quickstart."""

    def __init__(self):
        super().__init__()
        self.flatten = nn.Flatten()
        self.linear_relu_stack = nn.Sequential(
            nn.Linear(28 * 28, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
        )

    def forward(self, x):
        return self.linear_relu_stack(self.flatten(x))


class Cifar(nn.Module):
    """torch, Training a classifier."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


class FixedCifar(Cifar):
    """The same with the hard-coded view of earlier editions."""

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = x.view(-1, 16 * 5 * 5)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


class MnistExample(nn.Module):
    """torch's examples, MNIST."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, 1)
        self.conv2 = nn.Conv2d(32, 64, 3, 1)
        self.dropout1 = nn.Dropout(0.25)
        self.dropout2 = nn.Dropout(0.5)
        self.fc1 = nn.Linear(9216, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = self.dropout1(F.max_pool2d(x, 2))
        x = torch.flatten(x, 1)
        x = self.dropout2(F.relu(self.fc1(x)))
        return F.log_softmax(self.fc2(x), dim=1)


class SuperResolution(nn.Module):
    """torch's examples, super-resolution."""

    def __init__(self, upscale_factor=2):
        super().__init__()
        self.relu = nn.ReLU()
        self.conv1 = nn.Conv2d(1, 64, (5, 5), (1, 1), (2, 2))
        self.conv2 = nn.Conv2d(64, 64, (3, 3), (1, 1), (1, 1))
        self.conv3 = nn.Conv2d(64, 32, (3, 3), (1, 1), (1, 1))
        self.conv4 = nn.Conv2d(32, upscale_factor**2, (3, 3), (1, 1), (1, 1))
        self.pixel_shuffle = nn.PixelShuffle(upscale_factor)

    def forward(self, x):
        x = self.relu(self.conv1(x))
        x = self.relu(self.conv2(x))
        x = self.relu(self.conv3(x))
        return self.pixel_shuffle(self.conv4(x))


class TextClassification(nn.Module):
    """torch, Text classification."""

    def __init__(self, vocab_size=50, embed_dim=64, num_class=4):
        super().__init__()
        self.embedding = nn.EmbeddingBag(vocab_size, embed_dim, sparse=False)
        self.fc = nn.Linear(embed_dim, num_class)

    def forward(self, text: Tensor):
        return self.fc(self.embedding(text))


SKORCH = "skorch's documentation"
TORCH = "torch's tutorials"

ENTRIES = [
    Entry("skorch README", SKORCH, Readme, (20,)),
    Entry("skorch classifier", SKORCH, Classifier, (20,)),
    Entry("skorch regressor", SKORCH, Regressor, (20,)),
    Entry("skorch MNIST dense", SKORCH, MnistDense, (784,)),
    Entry("skorch MNIST CNN", SKORCH, MnistCnn, (1, 28, 28)),
    Entry("skorch transfer learning", SKORCH, Transfer, (3, 32, 32)),
    Entry("skorch RNN", SKORCH, RnnClassifier, (12,), codes=50),
    Entry("skorch U-Net", SKORCH, UNet, (3, 16, 16)),
    Entry("torch quickstart", TORCH, Quickstart, (1, 28, 28)),
    Entry("torch CIFAR", TORCH, Cifar, (3, 32, 32)),
    Entry("torch CIFAR, fixed view", TORCH, FixedCifar, (3, 32, 32)),
    Entry("torch MNIST", TORCH, MnistExample, (1, 28, 28)),
    Entry("torch super-resolution", TORCH, SuperResolution, (1, 16, 16)),
    Entry("torch text", TORCH, TextClassification, (9,), codes=50),
]
