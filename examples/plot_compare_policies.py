"""
Compare policies and inspect one
================================

Four ways to select units, on the same trained network: a bandit, measuring every unit in every
round, a criterion that needs no pulls, and random removal. Then figures of the pulls of the bandit.
"""

# %%
# ``memory=`` caches the initial training, so that all four prune the same network. A round removes
# two units, every layer loses the same fraction (``scope="layer"``), and nothing is fine-tuned, so
# that only the selection of units differs.

import tempfile

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mabprune import MABPrunedClassifier, MLPNetClassifier
from sklearn_mabprune.displays import (
    NeuronMapDisplay,
    PolicyComparisonDisplay,
    PruningPathDisplay,
    PullsDisplay,
)

X, y = load_digits(return_X_y=True)
models = {}
with tempfile.TemporaryDirectory() as folder:
    for policy in ("ucb1", "exhaustive", "magnitude", "random"):
        models[policy] = make_pipeline(
            StandardScaler(),
            MABPrunedClassifier(
                MLPNetClassifier(module__hidden_layer_sizes=(64, 32)),
                policy=policy,
                pruning_budget=0.85,
                step=2,
                scope="layer",
                fine_tune_epochs=0,
                tolerance=1,
                memory=folder,
                random_state=0,
            ),
        ).fit(X, y)

# %%
# Score and loss against size. The score is computed on few validation samples, so it changes in
# steps; the loss on the pruning samples (training samples) is smoother. Every removal is
# compensated by least squares, which is why even random removal keeps much of the accuracy.

fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
PolicyComparisonDisplay.from_estimators(models, ax=left)
PolicyComparisonDisplay.from_estimators(models, response="loss", ax=right)
right.set_yscale("log")
plt.show()

# %%
# Score against the number of evaluations. The criterion and random removal make no pulls.

PolicyComparisonDisplay.from_estimators(models, x="evaluations")
plt.show()

# %%
# The path of the bandit alone, against MACs per sample.

PruningPathDisplay.from_estimator(models["ucb1"], x="macs")
plt.show()

# %%
# Estimated loss increase and pulls of every unit. Units are ordered by their removal; the kept ones
# are on the right.

NeuronMapDisplay.from_estimator(models["ucb1"])
plt.show()

# %%
# Pulls of each unit in each round. UCB1 pulls mostly the units with the highest mean reward and
# occasionally the others.

PullsDisplay.from_estimator(models["ucb1"])
plt.show()

# %%
# The report, as a notebook shows it; ``to_frame()`` gives its numbers as a DataFrame.

models["ucb1"][-1].pruning_report_
