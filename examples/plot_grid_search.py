"""
Grid search over policies and budgets
=====================================

Policy and budget are parameters like any other. With ``memory``, all combinations of a fold start
from the same trained network.
"""

# %%
# A dataframe with named columns.

import tempfile
import warnings

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mabprune import MABPrunedClassifier, MLPNetClassifier, PruningWarning

# Some budgets of the grid lose more than `tolerance`, each of which would warn.
warnings.simplefilter("ignore", PruningWarning)

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
print(X.iloc[:3, :4])

# %%
# A budget of 0 is the unpruned network. The initial training of each fold is cached in a folder and
# done once for all policies and budgets, which needs an integer ``random_state``.
#
# The best score alone ignores that smaller is better, so ``refit`` is a function that chooses the
# largest budget within one percentage point of the best mean accuracy.

POLICY = "mabprunedclassifier__policy"
BUDGET = "mabprunedclassifier__pruning_budget"


def smallest_within_a_point(results):
    table = pd.DataFrame(results)
    good = table[table.mean_test_score >= table.mean_test_score.max() - 0.01]
    return good.sort_values([f"param_{BUDGET}", "mean_test_score"]).index[-1]


with tempfile.TemporaryDirectory() as folder:
    net = MLPNetClassifier(module__hidden_layer_sizes=(32, 16))
    model = make_pipeline(StandardScaler(), MABPrunedClassifier(net, memory=folder, random_state=0))
    search = GridSearchCV(
        model,
        {POLICY: ["ucb1", "magnitude", "random"], BUDGET: [0, 0.5, 0.75, 0.9]},
        cv=3,
        refit=smallest_within_a_point,
    ).fit(X, y)

results = pd.DataFrame(search.cv_results_).rename(columns=lambda name: name.split("__")[-1])
table = results.pivot_table(index="pruning_budget", columns="policy", values="mean_test_score")
print(table.round(4))

# %%
# The choice, refitted on all samples.

print(search.best_params_)
print("remaining units:", search.best_estimator_[-1].hidden_layer_sizes_)

# %%
# The same table as a figure.

ax = table.plot(marker="o", figsize=(7, 4), xlabel="pruning budget", ylabel="accuracy, 3 folds")
ax.set_xticks(table.index)
ax.legend(title="policy")
ax.figure.set_layout_engine("constrained")
plt.show()
