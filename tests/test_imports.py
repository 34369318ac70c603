"""Who may import whom: the flow through the package has one direction.

The rules are checked on the source, without importing it, over every file of the package.
Names of modules are relative to the package: ``policies.ucb`` is
``sklearn_mabprune/policies/ucb.py``; the package's own ``__init__`` is the empty name.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = "sklearn_mabprune"
ROOT = Path(__file__).resolve().parents[1] / PACKAGE

# Which modules of the package a module may import, from the leaves to the estimators.
# "policies.*" stands for every file of that folder. A module that is not here may not exist.
ALLOWED: dict[str, set[str]] = {
    # leaves: they know nothing of the rest
    "exceptions": set(),
    "sparse_rows": set(),
    "tabular": set(),
    "randomness": set(),
    "progress": set(),
    "interruptions": set(),
    "tables": set(),
    "latency": set(),
    "batches": {"sparse_rows"},
    "losses": set(),
    "layers": set(),
    "optional": set(),
    "typed_data": set(),
    "version": set(),
    "ablation": set(),
    "neurons": set(),
    "rewards": set(),
    "schedules": set(),
    # who is pulled next: NumPy only
    "policies": {"policies.*"},
    "policies.allowed": set(),
    "policies.base": {"policies.allowed"},
    "policies.*": {"policies.allowed", "policies.base"},
    "criteria": set(),
    "search": {"policies.base", "rewards"},
    # networks and their training
    "splitting": {"exceptions"},
    "inputs": {"sparse_rows"},
    "targets": set(),
    "self_sizing": {"batches", "randomness", "sparse_rows"},
    "networks": {"losses", "self_sizing"},
    "training": {
        "batches", "chain", "losses", "networks", "randomness", "rows", "self_sizing",
        "sparse_rows",
    },
    "fine_tuning": {
        "batches", "chain", "randomness", "rows", "self_sizing", "sparse_rows", "training",
    },
    # what a removal takes away, how it is measured, how it is done
    "tracing": {"exceptions", "layers"},
    "chain": {"exceptions", "layers", "sparse_rows", "tracing"},
    "rows": {"chain", "layers", "losses", "sparse_rows"},
    "scratch": set(),
    "fused": {"scratch"},
    "suffix": {"chain", "fused", "layers", "rows", "scratch"},
    "evaluation": {"ablation", "chain", "layers", "rows", "suffix"},
    "surrogate": {"evaluation", "layers", "rows", "scratch"},
    "views": {"ablation", "chain", "criteria", "layers", "rows"},
    "pulls": {"ablation", "chain", "evaluation", "neurons", "surrogate"},
    "surgery": {"chain", "layers"},
    "shrinking": {"chain", "networks", "randomness", "training"},
    # rounds of choosing, removal and surgery
    "choosers": {
        "ablation", "chain", "criteria", "evaluation", "neurons", "policies.base", "pulls",
        "search", "views",
    },
    "path": {
        "ablation", "chain", "choosers", "criteria", "evaluation", "neurons", "policies.base",
        "resuming", "schedules", "surgery",
    },
    "forecast": {
        "chain", "criteria", "path", "policies.base", "rows", "schedules", "sparse_rows",
    },
    "resuming": {"schedules"},
    "report": {"path", "resuming", "tables"},
    "remarks": {"chain", "report", "schedules", "sparse_rows"},
    # drawn from fitted attributes alone
    "displays": {"displays.*"},
    "displays.base": set(),
    "displays.*": {"displays.base"},
    # one fit as a story, and the estimators around it
    "fitting": {
        "chain", "criteria", "exceptions", "fine_tuning", "forecast", "interruptions", "latency",
        "path", "policies.base", "predicting", "progress", "remarks", "report", "resuming", "rows",
        "schedules", "shrinking", "sparse_rows", "training",
    },
    "parameters": {"ablation", "criteria", "policies", "schedules", "surrogate"},
    "resizing": {
        "chain", "exceptions", "fitting", "latency", "neurons", "parameters", "progress",
        "randomness", "remarks", "report", "resuming", "schedules", "shrinking",
    },
    "predicting": {"batches", "chain", "losses", "sparse_rows", "targets"},
    # away with the network: other formats, and files
    "plain_layers": {"chain", "exceptions", "layers", "losses"},
    "sklearn_mlp": {"exceptions", "plain_layers"},
    "onnx_graph": {"optional", "plain_layers"},
    "plain_data": {"batches", "criteria", "networks", "policies"},
    "safe_files": {"exceptions", "optional"},
    "saving": {
        "chain", "exceptions", "networks", "plain_data", "plain_layers", "report", "safe_files",
        "typed_data", "version",
    },
    "export": {"onnx_graph", "plain_layers", "saving", "sklearn_mlp"},
    "scoring": {"chain", "predicting", "training"},
    "base": {
        "chain", "exceptions", "export", "fine_tuning", "fitting", "inputs", "losses",
        "parameters", "path", "predicting", "progress", "randomness", "resizing", "schedules",
        "scoring", "shrinking", "sparse_rows", "splitting", "training",
    },
    "estimators": {
        "base", "criteria", "fitting", "inputs", "networks", "parameters", "policies", "scoring",
        "targets", "training",
    },
    # the budget by cross-validation
    "choosing": {"report"},
    "budget_search": {"base", "choosing", "progress", "randomness"},
    "budget_cv": {"budget_search", "choosing", "estimators", "parameters"},
    # what builds estimators, or knows them by name
    "loading": {
        "chain", "estimators", "exceptions", "layers", "networks", "parameters", "plain_data",
        "report", "safe_files", "saving", "self_sizing", "shrinking", "typed_data",
    },
    "onnx_tables": {"onnx_graph", "optional", "tabular"},
    "onnx_pipelines": {
        "budget_cv", "estimators", "onnx_graph", "onnx_tables", "optional", "plain_layers",
        "tabular",
    },
}  # fmt: skip

# Whatever these import, directly or through others, is neither torch nor skorch.
WITHOUT_TORCH = ("policies", "policies.*", "criteria", "rewards", "schedules")

MAX_LINES = 400


# ------------------------------------------------------------------- reading the package


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {_name(path): path for path in sorted(ROOT.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text("utf-8"), str(path)) for name, path in FILES.items()}


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


def _allowed(name: str) -> set[str] | None:
    """The table's answer for a module, None where it has none."""
    if name in ALLOWED:
        return ALLOWED[name]
    return ALLOWED.get(f"{name.rpartition('.')[0]}.*")


def _matches(name: str, patterns: set[str] | tuple[str, ...]) -> bool:
    return name in patterns or f"{name.rpartition('.')[0]}.*" in patterns


# ----------------------------------------------------------------------------- the rules


@pytest.mark.parametrize("name", [name for name in FILES if name])
def test_modules_import_what_the_table_allows(name: str) -> None:
    allowed = _allowed(name)
    assert allowed is not None, f"{name} is new: give it a line in ALLOWED"
    inside, _ = _imports(name)
    wrong = sorted(target for target in inside if not _matches(target, allowed))
    assert not wrong, f"{name} may not import {wrong}"


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


@pytest.mark.parametrize("name", [name for name in FILES if _matches(name, WITHOUT_TORCH)])
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


@pytest.mark.parametrize("name", list(FILES))
def test_files_stay_short(name: str) -> None:
    n_lines = len(FILES[name].read_text("utf-8").splitlines())
    assert n_lines <= MAX_LINES, f"{FILES[name].name} has {n_lines} lines"


def test_the_checks_see_the_package() -> None:
    assert {"", "policies", "policies.base"} <= set(FILES)
    assert _imports("policies")[0] >= {"policies.base"}
    assert "numpy" in _imports("policies.base")[1]


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
