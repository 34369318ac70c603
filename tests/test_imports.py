"""Who may import whom: the flow through the package has one direction.

The rules are checked on the source, without importing it, over every file of the package: one
row a wing.  Names of modules are relative to the package: ``policies.ucb`` is
``sklearn_mabprune/policies/ucb.py``; the package's own ``__init__`` is the empty name.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from benchmarks.layout.findings import (
    function_lengths,
    many_arguments,
    private_attributes,
    private_names,
)
from benchmarks.layout.source import Module, read_package

PACKAGE = "sklearn_mabprune"
ROOT = Path(__file__).resolve().parents[1] / PACKAGE

# Which wings a wing may import, from the ground to the face.  A folder is a wing, and so is a
# module that stands in the package's own folder; `graph.kinds` is a wing of its own, since kinds
# of layer know nothing of the graph around them.  Inside a wing modules import each other freely,
# but in no circle.
_GROUND = {"exceptions", "version", "utils"}
ALLOWED: dict[str, set[str]] = {
    "exceptions": set(),
    "version": set(),
    "utils": {"exceptions"},
    "policies": {"utils"},
    "criteria": {"utils"},
    "displays": {"utils"},
    "data": _GROUND,
    "graph.kinds": {*_GROUND, "data"},
    "graph": {*_GROUND, "data", "graph.kinds"},
    "training": {*_GROUND, "data", "graph", "graph.kinds"},
    "ablation": {*_GROUND, "data", "graph", "graph.kinds"},
    "pruning": {
        *_GROUND, "data", "graph", "graph.kinds", "ablation", "policies", "criteria",
    },
    "reports": {*_GROUND, "data", "graph", "pruning"},
    "export": {
        *_GROUND, "data", "graph", "graph.kinds", "training", "reports", "policies", "criteria",
    },
    "estimators": {
        *_GROUND, "data", "graph", "graph.kinds", "training", "ablation", "pruning",
        "reports", "export", "policies", "criteria",
    },
    "pipelines": {*_GROUND, "data", "estimators", "export"},
}  # fmt: skip

# Whatever these import, directly or through others, is neither torch nor skorch.
WITHOUT_TORCH = (
    "policies",
    "criteria",
    *(f"pruning.{name}" for name in ("search", "rewards", "schedules", "budget")),
)

# The one file that uses private names of other packages.
COMPAT = "utils/compat.py"

MAX_LINES, MAX_FUNCTION = 400, 60

# Below the public interface, where eight arguments are the most.
MANY_ARGUMENTS = {
    # The parameters of the two public nets, which skorch reads from a constructor's signature.
    "SelfSizing.__init__",
    # The parameters of the two public searches.
    "BudgetSearchMixin.__init__",
}

# Constructors that only store the parameters of public estimators: scikit-learn wants an
# assignment for each.
MANY_LINES = {"MABPrunedClassifier.__init__", "MABPrunedRegressor.__init__"}


# ------------------------------------------------------------------- reading the package


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {_name(path): path for path in sorted(ROOT.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text("utf-8"), str(path)) for name, path in FILES.items()}


@cache
def _package() -> list[Module]:
    """The package as the benchmark of its layout reads it, read once."""
    return read_package(ROOT)


def _only_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def _nodes(tree: ast.AST, with_types: bool) -> Iterator[ast.AST]:
    """All nodes, those inside functions too; without ``if TYPE_CHECKING:`` unless asked."""
    for child in ast.iter_child_nodes(tree):
        if with_types or not _only_for_types(child):
            yield child
            yield from _nodes(child, with_types)


def _imports(name: str, with_types: bool = False) -> tuple[set[str], set[str]]:
    """What a module imports: modules of the package, and top-level names from outside."""
    inside: set[str] = set()
    outside: set[str] = set()
    is_folder = FILES[name].name == "__init__.py"
    here = [PACKAGE, *name.split(".")] if name else [PACKAGE]
    here = here if is_folder else here[:-1]
    for node in _nodes(TREES[name], with_types):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            source = ".".join([*base, *filter(None, [node.module])])
            targets = [f"{source}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in targets:
            first, *rest = target.split(".")
            if first != PACKAGE:
                outside.add(first)
                continue
            # the longest beginning that is a module; what follows is a name inside it
            while rest and ".".join(rest) not in FILES:
                rest.pop()
            inside.add(".".join(rest))
    return inside, outside


def _reaches_no_torch(name: str) -> bool:
    return name in WITHOUT_TORCH or name.split(".")[0] in WITHOUT_TORCH


def _wing(name: str) -> str:
    """The wing that a module stands in."""
    return "graph.kinds" if name.startswith("graph.kinds") else name.split(".")[0]


# ----------------------------------------------------------------------------- the rules


@pytest.mark.parametrize("name", [name for name in FILES if name])
def test_modules_import_what_the_table_allows(name: str) -> None:
    wing = _wing(name)
    assert wing in ALLOWED, f"{wing} is new: give it a row in ALLOWED"
    inside, _ = _imports(name)
    allowed = {wing, *ALLOWED[wing]}
    wrong = sorted(target for target in inside if target and _wing(target) not in allowed)
    assert not wrong, f"{name} may not import {wrong}"
    assert "" not in inside, f"{name} imports the package's face"


def test_every_row_is_a_wing() -> None:
    assert {_wing(name) for name in FILES if name} == set(ALLOWED)


def test_the_table_has_one_direction() -> None:
    try:
        TopologicalSorter(ALLOWED).prepare()
    except CycleError as error:
        pytest.fail(f"the table allows a cycle: {' -> '.join(error.args[1])}")


def test_no_cycles() -> None:
    graph = {name: _imports(name)[0] for name in FILES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(name or PACKAGE for name in error.args[1])}")


@pytest.mark.parametrize("name", [name for name in FILES if _reaches_no_torch(name)])
def test_policies_and_their_like_never_reach_torch(name: str) -> None:
    seen: set[str] = set()
    open_ = [name]
    while open_:
        current = open_.pop()
        if current in seen:
            continue
        seen.add(current)
        inside, outside = _imports(current, with_types=True)
        assert not outside & {"torch", "skorch"}, f"{name} reaches torch through {current}"
        open_ += inside


@pytest.mark.slow
def test_private_names_of_others_stand_in_one_file() -> None:
    modules = _package()
    found = {
        (path, name)
        for by_file in (private_names(modules), private_attributes(modules))
        for path, names in by_file.items()
        for name in names
    }
    used = {name for path, name in found if path == COMPAT}
    assert used >= {"sklearn.base._fit_context", "_params_to_validate"}, "the check sees them"
    wrong = {(path, name) for path, name in found if path != COMPAT}
    assert not wrong, f"private names outside {COMPAT}: {sorted(wrong)}"


@pytest.mark.parametrize("name", list(FILES))
def test_the_library_does_not_print(name: str) -> None:
    lines = [
        node.lineno
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert not lines, f"{FILES[name].name} prints on lines {lines}"


@pytest.mark.parametrize("folder", [PACKAGE, "tests", "benchmarks", "examples", "docs"])
def test_files_stay_short(folder: str) -> None:
    files = (ROOT.parent / folder).rglob("*.py")
    long = [file.name for file in files if len(file.read_text("utf-8").splitlines()) > MAX_LINES]
    assert not long, f"more than {MAX_LINES} lines: {long}"


def test_functions_stay_short() -> None:
    long = [found for found in function_lengths(_package()) if found[0] > MAX_FUNCTION]
    wrong = [found for found in long if found[1].split()[-1] not in MANY_LINES]
    assert not wrong, f"more than {MAX_FUNCTION} lines of code: {wrong}"


def test_functions_take_few_arguments() -> None:
    found = {name.split()[-1] for _, name in many_arguments(_package(), public=False)}
    assert found == MANY_ARGUMENTS


def test_the_checks_see_the_package() -> None:
    assert {"", "policies", "policies.base"} <= set(FILES)
    assert _imports("policies")[0] >= {"policies.base"}
    assert "numpy" in _imports("policies.base")[1]


@pytest.mark.slow
def test_importing_the_package_loads_nothing_heavy() -> None:
    # pandas is not in this list: skorch imports it where it is installed.
    heavy = ["matplotlib", "onnx", "onnxruntime", "safetensors", "skl2onnx", "torch_pruning"]
    code = (
        f"import sys, {PACKAGE}\n"
        f"sys.stdout.write(' '.join(name for name in {heavy} if name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def test_dir_shows_the_public_names() -> None:
    import sklearn_mabprune

    shown = dir(sklearn_mabprune)
    assert shown == sorted(sklearn_mabprune.__all__)
    assert {"criteria", "displays", "policies"} <= set(shown)
    assert not {"estimators", "graph", "pruning", "utils"} & set(shown)
