"""
Sequences: recurrent layers and attention
=========================================

Two networks read the same sequences, one with an LSTM and one with attention. Units of the LSTM,
heads, and units of the feed-forward block are removed, and what is left is about as accurate.
"""

# %%
# Generated sequences of two noisy signals. Each has a bump somewhere; the class is which signal has
# its bump first. X has the shape (n_samples, n_steps, n_features).

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.model_selection import train_test_split
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_mabprune import MABPrunedClassifier

rng = np.random.default_rng(0)
n_samples, n_steps = 1800, 24
centres = rng.uniform(2, n_steps - 3, size=(n_samples, 1, 2))
bumps = np.exp(-0.5 * (np.arange(n_steps)[:, None] - centres) ** 2)
X = (bumps + rng.normal(0, 0.3, size=bumps.shape)).astype(np.float32)
y = np.where(centres[:, 0, 0] < centres[:, 0, 1], "first", "second")
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

# %%
# An LSTM, whose state behind the last step is read. A unit is a component of its hidden state, with
# a row in each of the four gates and a column of the recurrent weight.


class LastState(nn.Module):
    """An LSTM and an output layer."""

    def __init__(self, n_units=32):
        super().__init__()
        self.lstm, self.out = nn.LSTM(2, n_units, batch_first=True), nn.Linear(n_units, 2)

    def forward(self, x):
        hidden, _ = self.lstm(x)
        return self.out(hidden[:, -1])


def net_of(module, epochs):
    """A skorch net; Adam at a rate of .01 trains both modules well."""
    return NeuralNetClassifier(
        module,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.01,
        max_epochs=epochs,
        verbose=0,
    )


lstm = MABPrunedClassifier(net_of(LastState, 12), pruning_budget=0.75, random_state=0)
lstm.fit(X_train, y_train)
print(lstm.pruning_report_)
print(f"accuracy on unseen sequences: {lstm.score(X_test, y_test):.3f}")

# %%
# The smaller module has a plain LSTM with fewer units.

print(lstm.estimator_.module_)

# %%
# torch's transformer layer over the same steps. Its heads and the units of its feed-forward block
# are pruned; the stream that both add to is kept whole. ``layers="heads"`` would prune the heads
# alone.


class Attention(nn.Module):
    """A transformer layer between a linear layer and the mean over the steps."""

    def __init__(self, width=16, n_heads=8, hidden=32):
        super().__init__()
        self.enter = nn.Linear(2, width)
        self.places = nn.Parameter(torch.randn(n_steps, width) / 4)
        self.layer = nn.TransformerEncoderLayer(width, n_heads, hidden, 0.0, batch_first=True)
        self.out = nn.Linear(width, 2)

    def forward(self, x):
        return self.out(self.layer(self.enter(x) + self.places).mean(1))


attention = MABPrunedClassifier(net_of(Attention, 12), pruning_budget=0.75, random_state=0)
attention.fit(X_train, y_train)
report = attention.pruning_report_
for k, name in enumerate(report.groups):
    before, after = (part.hidden_layer_sizes[k] for part in (report.before, report.after))
    print(f"{name}: {before} -> {after}")
print(f"accuracy on unseen sequences: {attention.score(X_test, y_test):.3f}")

# %%
# Left: a sequence of each class. Right: the validation score along both paths, before fine-tuning.
# All sizes come from one training each; ``at_budget`` returns an estimator of any of them.

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for row, name in enumerate(["first", "second"]):
    # Bumps that are far apart are seen in spite of the noise.
    apart = np.abs(centres[:, 0, 0] - centres[:, 0, 1]) * (y == name)
    sample = X[apart.argmax()]
    for k, signal in enumerate(sample.T):
        left.plot(signal + 5 * row + 2 * k, color=f"C{k}", label=f"signal {k + 1}")
    left.text(0, 5 * row + 3.2, f'class "{name}"')
left.legend(*[part[:2] for part in left.get_legend_handles_labels()], loc="upper right")
left.set_ylim(-1.5, 11)
left.set_yticks([])
left.set_xlabel("step")
for name, model in [("LSTM", lstm), ("attention", attention)]:
    path = model.pruning_path_
    right.plot(path.n_neurons / path.n_neurons[0], path.score, marker="o", markersize=3, label=name)
right.invert_xaxis()
right.set_xlabel("fraction of units and heads left")
right.set_ylim(0.5, 1)
right.set_ylabel("accuracy on validation samples")
right.legend()
plt.show()
