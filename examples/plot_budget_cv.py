"""
Budget by cross-validation
==========================

``MABPrunedClassifierCV`` chooses the budget on samples that no fit has seen: in each fold it trains
once, computes one path to the largest budget, and scores a fine-tuned network for every budget. The
chosen budget is then fitted on all samples.
"""

# %%
# Six budgets and five folds take five trainings; a grid search over ``pruning_budget`` without
# ``memory`` takes 30. ``rule="one_std_error"`` chooses the smallest network whose mean score is at
# most one standard error below the best.

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from sklearn_mabprune import (
    MABPrunedClassifier,
    MABPrunedClassifierCV,
    MLPNetClassifier,
    PruningWarning,
)

X, y = load_breast_cancer(return_X_y=True)
X, X_new, y, y_new = train_test_split(X, y, stratify=y, random_state=0)
scaler = StandardScaler().fit(X)
X, X_new = scaler.transform(X), scaler.transform(X_new)

net = MLPNetClassifier(module__hidden_layer_sizes=(64, 32))
model = MABPrunedClassifierCV(
    MABPrunedClassifier(net, random_state=0),
    budgets=(0, 0.25, 0.5, 0.75, 0.85, 0.95),
    cv=5,
    rule="one_std_error",
).fit(X, y)

results = pd.DataFrame(model.cv_results_)
columns = ["param_pruning_budget", "mean_test_score", "std_test_score", "rank_test_score"]
print(results[[*columns, "mean_n_neurons", "mean_n_macs"]].round(4).to_string(index=False))

# %%
# Markers are means over the folds, error bars one standard error.

folds = results.filter(regex="^split").to_numpy()
error = folds.std(axis=1, ddof=1) / np.sqrt(folds.shape[1])
best = results.mean_test_score.idxmax()

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.axhline(
    results.mean_test_score[best] - error[best],
    color="grey",
    linestyle="--",
    linewidth=1,
    label="best minus one standard error",
)
ax.errorbar(results.mean_n_neurons, results.mean_test_score, error, marker="o", capsize=3)
chosen = model.best_index_
ax.plot(
    results.mean_n_neurons[chosen],
    results.mean_test_score[chosen],
    "s",
    markersize=14,
    markerfacecolor="none",
    color="C1",
    label=f"chosen: {model.best_budget_}",
)
ax.invert_xaxis()
ax.set(xlabel="remaining hidden units", ylabel="accuracy, 5 folds")
ax.legend(loc="lower left")
plt.show()

# %%
# The estimator predicts with the network of the chosen budget. Its report is that of the fit on
# all samples.

print(f"accuracy on unseen samples: {model.score(X_new, y_new):.3f}")
print(model.pruning_report_)

# %%
# ``at_budget`` with the data returns what a fit with another budget would return, without the
# initial training: it continues from the nearest larger network that the path has kept.

# The smallest network loses more than `tolerance`, as the table above shows.
warnings.simplefilter("ignore", PruningWarning)

for budget in (0.5, 0.9):
    other = model.at_budget(budget, X, y)
    print(
        f"{budget}: hidden layers {other.hidden_layer_sizes_}, "
        f"accuracy on unseen samples {other.score(X_new, y_new):.3f}"
    )

# %%
# Without data it returns a network that the path has kept, immediately and not fine-tuned.

path = model.pruning_path_
print("sizes of the kept networks:", [int(path.n_neurons[k]) for k in path.networks])
print(model.at_budget(0).hidden_layer_sizes_)
