"""
Export and serve
================

A pipeline is exported to ONNX and runs without scikit-learn, torch or this library; the network
alone is converted to scikit-learn's MLP; and the estimator is saved in a file without code.
"""

# %%
# A synthetic table of numbers and strings: flats, and whether they were let within a week. The
# ColumnTransformer scales the numbers and encodes the strings.

import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_mabprune import MABPrunedClassifier, load, pipeline_to_onnx

rng = np.random.default_rng(0)
n = 2000
flats = pd.DataFrame(
    {
        "rooms": rng.integers(1, 6, n),
        "area": rng.normal(70, 20, n),
        "rent": rng.normal(900, 200, n),
        "district": rng.choice(["north", "south", "centre"], n),
        "heating": rng.choice(["gas", "district", "pump"], n),
    }
)
worth = 9 * flats["area"] + 250 * (flats["district"] == "centre") + 40 * flats["rooms"]
let = np.where(worth + rng.normal(0, 80, n) > flats["rent"], "quickly", "slowly")
X_train, X_test, y_train, y_test = train_test_split(flats, let, random_state=0)

columns = make_column_transformer(
    (StandardScaler(), ["rooms", "area", "rent"]),
    (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["district", "heating"]),
)
model = make_pipeline(columns, MABPrunedClassifier(pruning_budget=0.8, random_state=0))
model.fit(X_train, y_train)
pruned = model[-1]
print(f"accuracy on unseen samples: {model.score(X_test, y_test):.3f}")
print("remaining units:", pruned.hidden_layer_sizes_)

# %%
# The whole pipeline in the ONNX format
# -------------------------------------
# ``X_train`` defines the inputs: one for each column of a dataframe. The outputs are named as
# skl2onnx names them.

temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)
pipeline_to_onnx(model, X_train, folder / "flats.onnx")

# %%
# The following code needs only onnxruntime and NumPy.

session = onnxruntime.InferenceSession(folder / "flats.onnx", providers=["CPUExecutionProvider"])
for put in session.get_inputs():
    print(f"input {put.name}: {put.type}")


def feed(frame):
    kinds = {"tensor(string)": object, "tensor(double)": np.float64}
    return {
        put.name: frame[[put.name]].to_numpy(dtype=kinds[put.type]) for put in session.get_inputs()
    }


label, probabilities = session.run(None, feed(X_test))
print("the same labels:", np.array_equal(label, model.predict(X_test)))
print(f"largest difference: {np.abs(probabilities - model.predict_proba(X_test)).max():.1e}")

# %%
# Milliseconds for a single sample. The pipeline in Python spends most of them outside the network.


def milliseconds(answer, n_times=40):
    answer()
    times = []
    for _ in range(n_times):
        started = time.perf_counter()
        answer()
        times.append(1000 * (time.perf_counter() - started))
    return np.median(times)


row, fed = X_test[:1], feed(X_test[:1])
measured = {
    "onnxruntime": milliseconds(lambda: session.run(None, fed)),
    "pipeline": milliseconds(lambda: model.predict_proba(row)),
}
fig, ax = plt.subplots(figsize=(7, 2), layout="constrained")
bars = ax.barh(list(measured), list(measured.values()))
ax.bar_label(bars, fmt="%.2f", padding=3)
ax.set(xlabel="milliseconds per sample", xscale="log")
ax.margins(x=0.2)
plt.show()

# %%
# The network as scikit-learn's MLP, and as plain torch
# -----------------------------------------------------
# ``to_sklearn`` returns a fitted ``MLPClassifier``, ``to_torch`` an ``nn.Sequential`` that ends in
# a Softmax.

mlp = pruned.to_sklearn()
features = model[:-1].transform(X_test)
print(mlp)
print(f"largest difference: {np.abs(mlp.predict_proba(features) - probabilities).max():.1e}")
print(pruned.to_torch())

# %%
# A file without code
# -------------------
# A pickle can execute code. ``save`` writes safetensors instead: arrays, and a description in JSON.
# ``load`` checks everything and executes nothing from the file.

pruned.save(folder / "flats.safetensors")
loaded = load(folder / "flats.safetensors")
same = np.array_equal(loaded.predict_proba(features), pruned.predict_proba(features))
print("bit-identical:", same)

# %%
# A damaged file is a ``ModelFileError``, whatever the damage.

damaged = bytearray((folder / "flats.safetensors").read_bytes())
damaged[-100] ^= 1
(folder / "damaged.safetensors").write_bytes(damaged)
try:
    load(folder / "damaged.safetensors")
except ValueError as error:
    print(f"{type(error).__name__}: {str(error).removeprefix(f'{folder}/')}")
temporary.cleanup()
