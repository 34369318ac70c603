"""Lengths, arguments, private names and wings of a package."""

from __future__ import annotations

from benchmarks.layout.imports import levels, wing_graph
from benchmarks.layout.source import Function, Module

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_ARGUMENTS = 8

PUBLIC_WINGS = ("policies", "criteria", "displays")


def located_functions(modules: list[Module]) -> list[tuple[Module, Function, str]]:
    """Every function with its module and the place where it stands."""
    return [
        (module, function, f"{module.path}:{function.line} {function.name}")
        for module in modules
        for function in module.functions
    ]


def function_lengths(modules: list[Module]) -> list[tuple[int, str]]:
    """Code lines of every function and where it stands, the longest first."""
    found = [(function.n_code_lines, place) for _, function, place in located_functions(modules)]
    return sorted(found, reverse=True)


def file_lengths(modules: list[Module]) -> list[tuple[int, str]]:
    """Lines of every file, the longest first."""
    return sorted(((module.n_lines, str(module.path)) for module in modules), reverse=True)


def many_arguments(modules: list[Module], public: bool) -> list[tuple[int, str]]:
    """Functions of more than ``MAX_ARGUMENTS`` arguments, of the public interface or below it."""
    exported = set().union(*(module.exported for module in modules if not module.name))

    def is_public(module: Module, function: Function) -> bool:
        owner, _, name = function.name.rpartition(".")
        if not owner:
            return name in exported
        constructs = name == "__init__" or name.startswith("from_")
        return constructs and (owner in exported or module.wing in PUBLIC_WINGS)

    found = [
        (function.n_arguments, place)
        for module, function, place in located_functions(modules)
        if function.n_arguments > MAX_ARGUMENTS and is_public(module, function) == public
    ]
    return sorted(found, reverse=True)


def private_names(modules: list[Module]) -> dict[str, list[str]]:
    """Private names of other packages that the package uses, by file."""
    found = {str(module.path): sorted(module.private_names) for module in modules}
    return {path: names for path, names in found.items() if names}


def private_attributes(modules: list[Module]) -> dict[str, list[str]]:
    """Private attributes that the package reads but nowhere defines, by file."""
    defined = set().union(*(module.defined for module in modules))
    found = {str(module.path): sorted(module.private_attributes - defined) for module in modules}
    return {path: names for path, names in found.items() if names}


def wing_sizes(modules: list[Module]) -> list[tuple[str, int, int]]:
    """Files and code lines of the folders from the top down, then of the modules beside them."""
    level = levels(wing_graph(modules))
    folders = {module.wing for module in modules if len(module.path.parts) > 1}
    found = []
    for wing in [*sorted(folders, key=lambda wing: (-level[wing], wing)), ""]:
        files = [m for m in modules if wing == (m.wing if m.wing in folders else "")]
        name = wing or "(modules beside them)"
        found.append((name, len(files), sum(module.n_code_lines for module in files)))
    return found
