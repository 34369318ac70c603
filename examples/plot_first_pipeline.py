"""
First pipeline
==============

A scaler and a pruned classifier on scikit-learn's digits: train, prune, predict, and read the
report and the path.
"""

# %%
# The budget is three quarters of the hidden units. The estimator trains its default network with
# two hidden layers, removes units in rounds, and fine-tunes the remaining network.

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mabprune import MABPrunedClassifier

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

model = make_pipeline(StandardScaler(), MABPrunedClassifier(pruning_budget=0.75, random_state=0))
model.fit(X_train, y_train)
print(f"accuracy on unseen samples: {model.score(X_test, y_test):.3f}")

# %%
# The report compares the network before and after. Its scores are on validation samples, which the
# estimator has set aside.

pruned = model[-1]
print(pruned.pruning_report_)

# %%
# ``neuron_support_`` has a boolean for each unit of the original network: True = kept.

for layer, kept in enumerate(pruned.neuron_support_):
    print(f"hidden layer {layer}: {kept.sum()} of {len(kept)} units kept")

# %%
# The path has one entry for each round, the unpruned network first. A path does not depend on the
# budget, so that of a large budget contains those of smaller ones. Its scores are those before
# fine-tuning, on few validation samples, so they change in steps.

further = make_pipeline(
    StandardScaler(), MABPrunedClassifier(pruning_budget=0.95, tolerance=1, random_state=0)
)
path = further.fit(X_train, y_train)[-1].pruning_path_

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.axhline(path.score[0], color="grey", linewidth=1, linestyle="--", label="unpruned")
ax.plot(path.n_neurons, path.score, drawstyle="steps-post", label="pruned, not fine-tuned")
n_left = sum(pruned.hidden_layer_sizes_)
ax.plot(n_left, pruned.pruning_report_.after.score, "o", label="budget of 0.75, fine-tuned")
ax.invert_xaxis()
ax.set(xlabel="remaining hidden units", ylabel="validation accuracy", ylim=(None, 1))
ax.legend(loc="lower left")
plt.show()
