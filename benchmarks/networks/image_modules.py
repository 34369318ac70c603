"""Networks for images, as examples of Keras and of residual networks have them."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class MnistCNN(nn.Module):
    """Keras' ``mnist_cnn``: two convolutions, a pool, a hidden layer.

    Parameters
    ----------
    width : int, default=32
    side : int, default=12
        Of the maps that the hidden layer reads: half of the images' side less 2.
    """

    def __init__(self, width: int = 32, side: int = 12):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, width, 3), nn.Conv2d(width, 2 * width, 3)
        self.dense = nn.Linear(2 * width * side**2, 4 * width)
        self.out = nn.Linear(4 * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images, (n_samples, 1, 28, 28) by default."""
        x = F.max_pool2d(F.relu(self.conv2(F.relu(self.conv1(x)))), 2)
        x = F.dropout(x, 0.25, self.training).flatten(1)
        return self.out(F.dropout(F.relu(self.dense(x)), 0.5, self.training))


class Cifar10CNN(nn.Module):
    """Keras' ``cifar10_cnn``: four convolutions, two pools, a hidden layer.

    Parameters
    ----------
    width : int, default=32
    side : int, default=6
        Of the maps that the hidden layer reads.
    times : int, default=16
        Units of the hidden layer, as a multiple of `width`.
    """

    def __init__(self, width: int = 32, side: int = 6, times: int = 16):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, width, 3)
        self.conv3 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.conv4 = nn.Conv2d(2 * width, 2 * width, 3)
        self.dense = nn.Linear(2 * width * side**2, times * width)
        self.out = nn.Linear(times * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images, (n_samples, 3, 32, 32) by default."""
        x = F.max_pool2d(F.relu(self.conv2(F.relu(self.conv1(x)))), 2)
        x = F.dropout(x, 0.25, self.training)
        x = F.max_pool2d(F.relu(self.conv4(F.relu(self.conv3(x)))), 2)
        x = F.dropout(x, 0.25, self.training).flatten(1)
        return self.out(F.dropout(F.relu(self.dense(x)), 0.5, self.training))


class Block(nn.Module):
    """Two convolutions beside a skip connection."""

    def __init__(self, n_inputs: int, n_outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(n_inputs, n_outputs, 3, stride, padding=1, bias=False)
        self.conv2 = nn.Conv2d(n_outputs, n_outputs, 3, padding=1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(n_outputs), nn.BatchNorm2d(n_outputs)
        self.skip = nn.Sequential()
        if stride > 1 or n_inputs != n_outputs:
            self.skip = nn.Sequential(
                nn.Conv2d(n_inputs, n_outputs, 1, stride, bias=False), nn.BatchNorm2d(n_outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """The sum of both ways."""
        inside = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(inside + self.skip(x))


class SmallResNet(nn.Module):
    """Three residual blocks."""

    def __init__(self, n_channels: int = 1, width: int = 16):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(n_channels, width, 3, padding=1), nn.BatchNorm2d(width)
        self.block1 = Block(width, width, 1)
        self.block2 = Block(width, 2 * width, 2)
        self.block3 = Block(2 * width, 4 * width, 2)
        self.out = nn.Linear(4 * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images."""
        x = F.relu(self.norm(self.stem(x)))
        x = self.block3(self.block2(self.block1(x)))
        return self.out(x.mean(dim=(2, 3)))


class DigitsCNN(nn.Module):
    """Three small convolutions, for scikit-learn's digits."""

    def __init__(self, width: int = 16):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, width, 3, padding=1), nn.Conv2d(width, width, 3)
        self.conv3 = nn.Conv2d(width, 2 * width, 3)
        self.dense, self.out = nn.Linear(8 * width, 2 * width), nn.Linear(2 * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images, (n_samples, 1, 8, 8)."""
        x = F.relu(self.conv3(F.relu(self.conv2(F.relu(self.conv1(x))))))
        return self.out(F.relu(self.dense(F.max_pool2d(x, 2).flatten(1))))
