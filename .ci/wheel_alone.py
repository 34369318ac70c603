"""Install a wheel into a fresh environment, and run README's first pipeline in an empty folder.

Usage: python .ci/wheel_alone.py dist/sklearn_mabprune-*.whl
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# What a plain install has to do besides: keep a model without pickle.
SAVED = """
from sklearn_mabprune import load

model[-1].save("model.safetensors")
found = load("model.safetensors").predict(model[:-1].transform(X_new))
assert (found == model.predict(X_new)).all()
"""


def first_pipeline() -> tuple[str, str]:
    """README's first program, and the first line of what it says that the program prints."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    program = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    printed = re.search(r"```text\n(.*?)\n", readme)
    if program is None or printed is None:
        raise SystemExit("README.md has no first pipeline.")
    return program[1], printed[1]


def main(wheel: str) -> None:
    """Run it; a SystemExit says what went wrong."""
    program, line = first_pipeline()
    with tempfile.TemporaryDirectory() as folder:
        venv.create(Path(folder, "venv"), with_pip=True)
        python = str(Path(folder, "venv", "bin", "python"))
        options = ["-q", "--disable-pip-version-check", "-c", str(ROOT / "constraints.txt")]
        options += os.environ.get("PIP_ARGS", "").split()
        install = [python, "-m", "pip", "install", *options, str(Path(wheel).resolve())]
        # On that path this checkout would count as installed.
        alone = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        subprocess.run(install, check=True, env=alone)
        empty = Path(folder, "empty")
        empty.mkdir()
        done = subprocess.run(
            [python, "-W", "error::DeprecationWarning:sklearn_mabprune", "-c", program + SAVED],
            cwd=empty,
            env=alone,
            capture_output=True,
            text=True,
            check=False,
        )
    sys.stdout.write(done.stdout)
    if done.returncode or line not in done.stdout:
        raise SystemExit(f"README's first pipeline failed with the wheel alone:\n{done.stderr}")


if __name__ == "__main__":
    main(*sys.argv[1:])
