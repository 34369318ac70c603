"""
Images and a network of your own
================================

A small residual network with convolutions is trained on images of digits and loses channels. Its
own ``forward`` goes on computing.
"""

# %%
# Images of 8 x 8 pixels with one channel: X has the shape (n_samples, n_channels, height, width).

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from skorch import NeuralNetClassifier
from torch import nn
from torch.nn import functional as F

from sklearn_mabprune import MABPrunedClassifier
from sklearn_mabprune.displays import NeuronMapDisplay, PruningPathDisplay

X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32).reshape(-1, 1, 8, 8)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

# %%
# The network: a convolution, a residual block, a pool, and an output layer.


class SmallResNet(nn.Module):
    """A stem, a block with a skip connection, and an output layer."""

    def __init__(self, width=12, inside=24):
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.conv1, self.norm1 = nn.Conv2d(width, inside, 3, padding=1), nn.BatchNorm2d(inside)
        self.conv2, self.norm2 = nn.Conv2d(inside, width, 3, padding=1), nn.BatchNorm2d(width)
        self.dense, self.out = nn.Linear(4 * width, 32), nn.Linear(32, 10)

    def forward(self, x):
        x = F.relu(self.stem(x))
        x = F.relu(x + self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x))))))
        x = F.max_pool2d(x, 4).flatten(1)
        return self.out(F.relu(self.dense(x)))


net = NeuralNetClassifier(
    SmallResNet,
    criterion=nn.CrossEntropyLoss,
    optimizer=torch.optim.Adam,
    lr=0.003,
    max_epochs=8,
    batch_size=64,
    verbose=0,
)

# %%
# The report names the groups of units as the module does. The channels that the residual block
# adds to are kept whole; the width inside the block and the hidden layer are pruned.

model = MABPrunedClassifier(net, pruning_budget=0.5, random_state=0, tolerance=0.05)
model.fit(X_train, y_train)
print(model.pruning_report_)
print(f"accuracy on unseen images: {model.score(X_test, y_test):.3f}")

# %%
# The module is one of the same class.

print(model.estimator_.module_)

# %%
# Score and size along the path, and the estimated loss increase of each channel.

PruningPathDisplay.from_estimator(model)
NeuronMapDisplay.from_estimator(model)
plt.show()
