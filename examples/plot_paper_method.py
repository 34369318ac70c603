"""
The paper's one-shot method
===========================

Ameen and Vadera (`arXiv 2606.07615 <https://arxiv.org/abs/2606.07615>`_) mask units with zero,
measure the change of the loss on mini-batches, and remove all units after a single search.
Parameters alone select this method. It is compared with the default, which removes a few units at a
time, measures again, and compensates each removal.
"""

# %%
# The setting: one round that removes the whole budget (``step=1.0``), zero ablation, mini-batches
# of 32 samples, and no fine-tuning. The default is also shown without fine-tuning, to compare the
# removal alone.

import tempfile
import warnings

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mabprune import MABPrunedClassifier, PruningWarning

# Fits whose validation score falls by more than `tolerance` would warn; the table below shows them.
warnings.simplefilter("ignore", PruningWarning)

METHODS = {
    "the paper's": {
        "policy": "ucb1",
        "step": 1.0,
        "ablation": "zero",
        "pull_batch_size": 32,
        "fine_tune_epochs": 0,
    },
    "default, not fine-tuned": {"fine_tune_epochs": 0},
    "default": {},
}
BUDGETS = [0, 0.25, 0.5, 0.75]

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

# %%
# All methods and budgets prune the same network: ``memory`` caches the initial training.

scores = {name: [] for name in METHODS}
with tempfile.TemporaryDirectory() as folder:
    for name, parameters in METHODS.items():
        for budget in BUDGETS:
            model = make_pipeline(
                StandardScaler(),
                MABPrunedClassifier(
                    pruning_budget=budget, memory=folder, random_state=0, **parameters
                ),
            )
            scores[name].append(model.fit(X_train, y_train).score(X_test, y_test))

# %%
# Accuracy on samples that no fit has seen, by the fraction of units removed.

print("removed".ljust(24), *(f"{budget:>6.0%}" for budget in BUDGETS))
for name, values in scores.items():
    print(name.ljust(24), *(f"{value:>6.3f}" for value in values))

# %%
# The same as a figure.

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, values in scores.items():
    ax.plot(BUDGETS, values, marker="o", label=name)
ax.set(xlabel="fraction of units removed", ylabel="accuracy on unseen samples", xticks=BUDGETS)
ax.legend()
plt.show()
