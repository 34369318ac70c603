"""
Text: sparse features and multilabel targets
============================================

``TfidfVectorizer`` turns texts into a sparse matrix with many thousand columns. The first layer
reads sparse samples; the matrix is never converted to dense as a whole.
"""

# %%
# A small synthetic corpus: words of three syllables, with frequencies by Zipf's law, and for each
# of six subjects some words that are more frequent in its texts. A text is about one or two
# subjects.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline

from sklearn_mabprune import MABPrunedClassifier

rng = np.random.default_rng(0)
SUBJECTS = ["sea", "bread", "stars", "music", "law", "bees"]
syllables = np.array([a + b for a in "bdfklmnprstv" for b in "aeiou"])
words = np.unique(["".join(rng.choice(syllables, 3)) for _ in range(3000)])
frequency = 1.0 / np.arange(1, len(words) + 1)
favour = rng.gamma(0.3, 4.0, size=(len(SUBJECTS), len(words)))

texts, subjects = [], []
for _ in range(1500):
    about = rng.choice(len(SUBJECTS), size=rng.integers(1, 3), replace=False)
    chance = frequency * (0.7 + favour[about].mean(axis=0))
    texts.append(" ".join(rng.choice(words, size=rng.integers(20, 60), p=chance / chance.sum())))
    subjects.append(about)
print(texts[0][:90], "...")

# %%
# One label per sample: whether the sea is among the subjects. Pairs of words are features too. A
# dense matrix would take some hundred times the memory.

about_sea = np.array(["sea" if 0 in about else "land" for about in subjects])
split = train_test_split(texts, about_sea, np.arange(len(texts)), random_state=0)
train, new, y, y_new, rows, rows_new = split

vectorizer = TfidfVectorizer(ngram_range=(1, 2), dtype=np.float32)
model = make_pipeline(vectorizer, MABPrunedClassifier(pruning_budget=0.9, random_state=0))
model.fit(train, y)

X = model[0].transform(train)
print(f"{X.shape[0]:,} texts, {X.shape[1]:,} features, {X.nnz / X.shape[0]:.0f} of them in a text")
print(f"{X.data.nbytes / 1e6:.1f} MB of numbers; dense {4 * np.prod(X.shape) / 1e6:.0f} MB")

# %%
# Nearly all parameters are weights between the features and the first hidden layer, so each removed
# unit of that layer removes thousands of them.

report = model[-1].pruning_report_
print(f"accuracy on new texts: {model.score(new, y_new):.3f}")
print("hidden layers", report.before.hidden_layer_sizes, "->", report.after.hidden_layer_sizes)
print(f"parameters {report.before.n_parameters:,} -> {report.after.n_parameters:,}")

# %%
# Multilabel: all subjects of a text, as an indicator matrix with one column per subject. One
# network learns all of them with shared hidden units; ``predict_proba`` returns one probability per
# label. Linear models are strong on word counts, so one is included for comparison.

indicator = np.array([[k in about for k in range(len(SUBJECTS))] for about in subjects]).astype(int)
several = make_pipeline(
    TfidfVectorizer(dtype=np.float32),
    MABPrunedClassifier(pruning_budget=0.9, scoring="f1_micro", random_state=0),
).fit(train, indicator[rows])

linear = MultiOutputClassifier(LogisticRegression(C=30, max_iter=500))
linear = make_pipeline(TfidfVectorizer(), linear).fit(train, indicator[rows])
for name, each in [("a tenth of a network", several), ("six linear models", linear)]:
    print(f"F1 {f1_score(indicator[rows_new], each.predict(new), average='micro'):.3f}: {name}")

# %%
# The score on validation samples along the path, before fine-tuning.

path = several[-1].pruning_path_
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.plot(path.n_neurons, path.score, marker="o", markersize=3, label="before fine-tuning")
ax.plot(path.n_neurons[-1], path.score_fine_tuned[-1], "*", markersize=12, label="fine-tuned")
ax.invert_xaxis()
ax.set_xlabel("hidden units")
ax.set_ylabel("F1 on validation samples")
ax.legend()
plt.show()
