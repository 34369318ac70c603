"""
Tables with text, missing values and categories
===============================================

A network takes numbers. ``make_tabular_pipeline`` returns a pipeline of scikit-learn's
transformers and the estimator that converts columns of several types.
"""

# %%
# A synthetic table: numbers of different scales, missing values, categories as strings, one column
# with many rare values, one constant column.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance
from sklearn.model_selection import train_test_split

from sklearn_mabprune import MABPrunedClassifier, make_tabular_pipeline

rng = np.random.default_rng(0)
n = 1500
town = rng.zipf(1.6, n) % 300
X = pd.DataFrame(
    {
        "age": rng.integers(18, 80, n),
        "income": np.where(rng.random(n) < 0.2, np.nan, rng.lognormal(10, 0.6, n)),
        "job": rng.choice(["cook", "nurse", "pilot", None], n, p=[0.4, 0.3, 0.2, 0.1]),
        "town": [f"town {k}" for k in town],
        "member": rng.random(n) < 0.5,
        "country": "here",
    }
)
signal = (
    (X["age"] - 50) / 20
    + 1.5 * (X["job"] == "pilot")
    - 1.5 * ((X["job"] == "cook") & X["member"])
    + 0.8 * X["income"].isna()
    + (town == 1)
)
y = np.where(signal + rng.logistic(size=n) / 3 > 0, "buys", "leaves")
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
print(X_train.head())

# %%
# Numbers: missing values become the median, an indicator column marks them, and all are scaled.
# Everything else: one column per category; rare categories share one.

model = make_tabular_pipeline(MABPrunedClassifier(pruning_budget=0.75, random_state=0))
model.fit(X_train, y_train)
print(f"accuracy on unseen samples: {model.score(X_test, y_test):.3f}")
print(model[-1].n_features_in_, "features, hidden layers", model[-1].hidden_layer_sizes_)

# %%
# Categories that ``fit`` has not seen are not an error: they count as rare.

stranger = pd.DataFrame(
    {"age": [33], "income": [np.nan], "job": ["diver"], "town": ["town -1"], "member": [True],
     "country": ["elsewhere"]}
)  # fmt: skip
for label, chance in zip(model.classes_, model.predict_proba(stranger)[0], strict=True):
    print(f"{label}: {chance:.2f}")

# %%
# The result is a pipeline of scikit-learn, so its tools work with the columns of the table: the
# accuracy loss when a column is shuffled.

found = permutation_importance(model, X_test, y_test, n_repeats=10, random_state=0)
order = np.argsort(found.importances_mean)
fig, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
ax.barh(X.columns[order], found.importances_mean[order], xerr=found.importances_std[order])
ax.set_xlabel("accuracy loss when the column is shuffled")
plt.show()
