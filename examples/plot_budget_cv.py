"""
Budget by cross-validation
==========================

How small may the network be? ``MABPrunedClassifierCV`` asks on rows that no fit has seen: in each
fold it trains once, walks one path from large to small, and scores a fine-tuned network for every
budget. The chosen budget is then fitted on all rows.
"""

# %%
# Six budgets and five folds are five trainings, where a grid search over ``pruning_budget``
# does 30. Among budgets that are as good as each other smaller is better:
# ``rule="one_std_error"`` takes the smallest network whose mean score is at most one standard
# error below the best.

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
# The points are means over the folds, the bars one standard error of them.

folds = results.filter(regex="^split").to_numpy()
error = folds.std(axis=1, ddof=1) / np.sqrt(folds.shape[1])
best = results.mean_test_score.idxmax()

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.axhline(
    results.mean_test_score[best] - error[best],
    color="grey",
    linestyle="--",
    linewidth=1,
    label="best, less one standard error",
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
ax.set(xlabel="hidden neurons left", ylabel="accuracy, 5 folds")
ax.legend(loc="lower left")
plt.show()

# %%
# The estimator predicts with the network of the chosen budget. Its report is that of the fit on
# all rows.

print(f"accuracy on unseen rows: {model.score(X_new, y_new):.3f}")
print(model.pruning_report_)

# %%
# Another size after all? ``at_budget`` with the data gives what a fit with that budget gives,
# without the initial training: it goes on from the nearest larger network on the path that was
# kept.

# That the smallest network costs more than `tolerance` is no news here.
warnings.simplefilter("ignore", PruningWarning)

for budget in (0.5, 0.9):
    other = model.at_budget(budget, X, y)
    print(
        f"{budget}: hidden layers {other.hidden_layer_sizes_}, "
        f"accuracy on unseen rows {other.score(X_new, y_new):.3f}"
    )

# %%
# Without data it gives a network that was kept on the path, at once and not fine-tuned. Which
# were kept, the path says.

path = model.pruning_path_
print("kept, in neurons left:", [int(path.n_neurons[k]) for k in path.networks])
print(model.at_budget(0).hidden_layer_sizes_)
