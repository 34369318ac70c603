"""
Compare policies, and look inside one
=====================================

Four ways to choose which neurons go, on the same trained network: a bandit, the measuring of every
neuron in every round, a criterion that needs no pulls, and chance. Then pictures of what the bandit
did.
"""

# %%
# ``memory=`` keeps the initial training, so that all four prune the same network. A round removes
# two neurons, every layer loses the same share (``scope="layer"``), and nothing is fine-tuned, so
# that only the choice of neurons differs.

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
# Against size. The scores are on few validation rows, each of which counts visibly; the loss on the
# pruning rows (training rows) is smoother. The other neurons of a layer take over what a removed
# one did, whoever chose it: that is why even chance goes a long way.

fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
PolicyComparisonDisplay.from_estimators(models, ax=left)
PolicyComparisonDisplay.from_estimators(models, response="loss", ax=right)
right.set_yscale("log")
plt.show()

# %%
# Against what the measuring cost. A criterion and chance make no pulls.

PolicyComparisonDisplay.from_estimators(models, x="evaluations")
plt.show()

# %%
# The path of the bandit alone, in multiply-adds a row.

PruningPathDisplay.from_estimator(models["ucb1"], x="macs")
plt.show()

# %%
# Which neurons went when, how often each was pulled, and what removing it was estimated to add to
# the loss. The neurons stand in the order of their removal, so the kept ones are on the right.

NeuronMapDisplay.from_estimator(models["ucb1"])
plt.show()

# %%
# Pulls of each neuron in each round. UCB1 comes back to the neurons that look safest, and now and
# then looks at the others.

PullsDisplay.from_estimator(models["ucb1"])
plt.show()

# %%
# The report, as a notebook shows it; ``to_frame()`` gives its numbers as a DataFrame.

models["ucb1"][-1].pruning_report_
