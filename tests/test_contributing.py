"""The steps of CONTRIBUTING.md, followed literally in a copy of the package."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SECTION = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
# A fenced block whose first line is a comment with the path of the file that it is.
FILE = re.compile(r"^ *```python\n *# (\S+\.py)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
# "In `path`, add: `line`", an import, or "In `path`, add to `NAME`: `line`".
EDIT = re.compile(r"In `(\S+?)`, add(?: to `(\w+)`)?: `(.+)`$", re.MULTILINE)


def section(title: str) -> str:
    found = dict(SECTION.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")))
    return found[title]


def line_after(source: str, name: str) -> int:
    """Number of lines before the place where a line is added.

    Of a collection that is assigned to `name`, its closing bracket; without a name, what
    follows the last import.
    """
    body = ast.parse(source).body
    if not name:
        return max(n.end_lineno for n in body if isinstance(n, ast.Import | ast.ImportFrom))
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return node.end_lineno - 1
    raise AssertionError(f"nothing is called {name}")


def follow(text: str, root: Path) -> int:
    """Write the files and make the edits of a section; returns how many there were."""
    files, edits = FILE.findall(text), EDIT.findall(text)
    for path, code in files:
        assert not (root / path).exists(), f"{path} is there already"
        (root / path).write_text(textwrap.dedent(code), encoding="utf-8")
    for path, name, line in edits:
        lines = (root / path).read_text(encoding="utf-8").splitlines()
        place = line_after("\n".join(lines), name)
        lines.insert(place, ("    " if name else "") + line)
        (root / path).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(files) + len(edits)


@pytest.mark.slow
def test_what_the_steps_add_keeps_the_contract(tmp_path):
    for folder in ("sklearn_mabprune", "tests"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "setup.cfg", tmp_path)
    for title, n_steps in (("Add a policy", 4), ("Add a kind of layer", 3)):
        assert follow(section(title), tmp_path) == n_steps
    files = [
        "tests/policies/test_policies.py",
        "tests/policies/test_policies_parameters.py",
        "sklearn_mabprune/policies/variance.py",  # its example
        "tests/graph/test_kinds.py",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider",
         "-k", "largest_variance or LargestVariance or Snake", *files],
        cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    passed = [line for line in done.stdout.splitlines() if " PASSED " in line]
    for file in files:
        assert any(line.startswith(file) for line in passed), done.stdout
    assert len(passed) >= 10
    assert "skipped" not in done.stdout
