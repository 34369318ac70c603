"""
Small where it runs
===================

A pruned network in every form in which it can leave Python: a pickle, ONNX, ONNX in 8 bits, C, and
C in integers. The last ones fit a microcontroller. A C compiler is needed to run this example.
"""

# %%
# Handwritten digits; one training, one path, and the networks at four budgets.

import ctypes
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.neural_network import MLPClassifier

from sklearn_mabprune import MABPrunedClassifier

X, y = load_digits(return_X_y=True)
X = X.astype(np.float32)
X_train, X_test, y_train, y_test = X[:1200], X[1200:], y[:1200], y[1200:]
pruned = MABPrunedClassifier(pruning_budget=0.9, random_state=0).fit(X_train, y_train)
models = {budget: pruned.at_budget(budget, X_train, y_train) for budget in (0, 0.5, 0.75)}
models[0.9] = pruned

# %%
# The smallest one as a C header, in integers: weights of 8 bits, calibrated on training samples.
# With samples of a self-test, it is a program too.

folder = Path(tempfile.mkdtemp())
found = next(filter(shutil.which, (os.environ.get("CC", "cc"), "gcc", "clang")), None)
compiler = [found] if found else [sys.executable, "-m", "ziglang", "cc"]
source = pruned.to_c(folder / "digits.h", dtype="int8", calibrate=X_train, samples=X_test)
print(source[: source.index("#ifndef")])
command = [*compiler, "-std=c99", "-DDIGITS_TEST", "-x", "c", "digits.h", "-o", "test", "-lm"]
subprocess.run(command, cwd=folder, check=True)
print(subprocess.run([folder / "test"], capture_output=True, text=True, check=True).stdout)

# %%
# C functions are called from Python through a shared library: this is what a device computes.

CALL = """
#include "{name}.h"
void call(const float *x, float *out, int n)
{{
    int i;
    for (i = 0; i < n; i++)
        {name}_predict_proba(x + i * {upper}_N_FEATURES, out + i * {upper}_N_OUTPUTS);
}}
"""


def labels_of_c(name):
    (folder / f"{name}.c").write_text(CALL.format(name=name, upper=name.upper()))
    library = folder / f"{name}.so"
    command = [*compiler, "-std=c99", "-O2", "-shared", "-fPIC", f"{name}.c", "-o", library, "-lm"]
    subprocess.run(command, cwd=folder, check=True)
    samples, out = np.ascontiguousarray(X_test), np.empty((len(X_test), 10), np.float32)
    pointers = (ctypes.c_void_p(array.ctypes.data) for array in (samples, out))
    ctypes.CDLL(str(library)).call(*pointers, len(samples))
    return out.argmax(axis=1)


def flash(text):
    return int(text.split("Flash: about ")[1].split()[0].replace(",", ""))


# %%
# Bytes and accuracy of every form at every budget, and of scikit-learn's network and boosted trees.

points = {}
for budget, model in models.items():
    name = f"net{int(100 * budget)}"
    in_float = model.to_c(folder / f"{name}.h")
    in_integers = model.to_c(folder / f"{name}i.h", dtype="int8", calibrate=X_train)
    eight = model.to_onnx(quantize=X_train).SerializeToString()
    session = onnxruntime.InferenceSession(eight, providers=["CPUExecutionProvider"])
    labels = {
        "pickle": (len(pickle.dumps(model)), model.predict(X_test)),
        "ONNX": (len(model.to_onnx().SerializeToString()), model.predict(X_test)),
        "ONNX in 8 bits": (len(eight), session.run(None, {"X": X_test})[0]),
        "C (flash)": (flash(in_float), labels_of_c(name)),
        "C in integers (flash)": (flash(in_integers), labels_of_c(f"{name}i")),
    }
    for form, (n_bytes, found) in labels.items():
        points.setdefault(form, []).append((n_bytes, np.mean(found == y_test)))
for rival in (
    MLPClassifier((128, 64), random_state=0, max_iter=50, early_stopping=True),
    HistGradientBoostingClassifier(max_iter=30, random_state=0),
):
    rival.fit(X_train, y_train)
    name = f"scikit-learn's {type(rival).__name__}, pickle"
    points[name] = [(len(pickle.dumps(rival)), rival.score(X_test, y_test))]

for form, reached in points.items():
    print(f"{form:55s}", ", ".join(f"{n:,} bytes {score:.3f}" for n, score in reached))

# %%
# To the left is smaller, to the top is better.

fig, ax = plt.subplots(figsize=(7.5, 4.5), layout="constrained")
for form, reached in points.items():
    ax.plot(*zip(*reached, strict=True), "o-" if len(reached) > 1 else "s", label=form)
ax.set(xscale="log", xlabel="bytes", ylabel="accuracy on unseen samples")
ax.legend(fontsize="small")
plt.show()
shutil.rmtree(folder)
