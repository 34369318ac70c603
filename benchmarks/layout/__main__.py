"""Numbers on the shape of the package: imports, lengths, arguments, private names it uses.

    python -m benchmarks.layout
    python -m benchmarks.layout --root FOLDER    # the package of another checkout

The source is read, never imported; ``benchmarks.layout.source`` says what counts as an import, a
line of code and an argument.  Beyond that:

- A face is an ``__init__.py`` that only hands names on.  For levels, an import through a face is
  an import of the module that the name comes from, and of all modules behind the face where the
  face itself is imported.  For cycles and wings, imports count as written, faces included.
- A module's level is one above the highest module that it imports; a cycle is on one level.
- A wing is a folder or a module directly under the package's folder.  Where no wing reaches
  itself, their imports have an order and none runs against it; otherwise every import between
  two wings of the same cycle counts as one that does.
- The public interface are the functions and the constructors of classes in the package's
  ``__all__``, and the constructors of policies, criteria and displays, ``from_...`` included.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmarks.layout.source import Function, Module, read_package

ROOT = Path(__file__).resolve().parents[2] / "sklearn_mabprune"

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_ARGUMENTS = 8

PUBLIC_WINGS = ("policies", "criteria", "displays")

Graph = Mapping[str, Iterable[str]]


# ------------------------------------------------------------------------------- graphs


def reachable(graph: Graph) -> dict[str, set[str]]:
    """What each node reaches by one edge or more."""
    found: dict[str, set[str]] = {}
    for node in graph:
        open_, seen = list(graph[node]), set()
        while open_:
            current = open_.pop()
            if current not in seen:
                seen.add(current)
                open_ += graph[current]
        found[node] = seen
    return found


def cycles(graph: Graph) -> list[list[str]]:
    """Strongly connected components of more than one node."""
    below = reachable(graph)
    found = {
        tuple(sorted({node} | {other for other in below[node] if node in below[other]}))
        for node in graph
    }
    return sorted(list(component) for component in found if len(component) > 1)


def levels(graph: Graph) -> dict[str, int]:
    """The level of each node, from 1: one above the highest that it reaches outside a cycle."""
    below = reachable(graph)
    found: dict[str, int] = {}
    # whatever is below a node, with itself, reaches fewer nodes, or is in a cycle with it
    for node in sorted(graph, key=lambda node: len(below[node] | {node})):
        under = (found[other] for other in below[node] if node not in below[other])
        found[node] = 1 + max(under, default=0)
    return found


def imports(modules: list[Module]) -> dict[str, set[str]]:
    """The import graph as written."""
    return {module.name: set(module.inside) - {module.name} for module in modules}


def imports_without_faces(modules: list[Module]) -> dict[str, set[str]]:
    """The import graph of the modules that are not faces, seen through the faces."""
    named = {module.name: module for module in modules}

    def behind(target: tuple[str, str], seen: frozenset[tuple[str, str]]) -> set[str]:
        module, name = named[target[0]], target[1]
        if not module.is_face:
            return {module.name}
        if target in seen:
            return set()
        ways = [module.handed_on[name]] if name in module.handed_on else module.taken
        return set().union(*(behind(way, seen | {target}) for way in ways))

    return {
        module.name: set().union(*(behind(target, frozenset()) for target in module.taken))
        - {module.name}
        for module in modules
        if not module.is_face
    }


def wing_graph(modules: list[Module]) -> dict[str, set[str]]:
    """Wings, and the other wings that each imports."""
    graph: dict[str, set[str]] = {module.wing: set() for module in modules}
    for module in modules:
        graph[module.wing] |= {name.partition(".")[0] for name in module.inside} - {module.wing}
    return graph


def upward_imports(modules: list[Module]) -> list[tuple[str, str]]:
    """Imports between wings that reach each other: module, imported module."""
    below = reachable(wing_graph(modules))
    wings = {module.name: module.wing for module in modules}
    return [
        (module.name, name)
        for module in modules
        for name in sorted(module.inside)
        if wings[name] != module.wing and module.wing in below[wings[name]]
    ]


# ------------------------------------------------------------------------------ findings


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


# ----------------------------------------------------------------------------- the table


def findings(modules: list[Module]) -> list[tuple[str, object, list[str]]]:
    """The rows of the table: name, number, and what the number consists of."""
    circles = [" <-> ".join(cycle) for cycle in cycles(imports(modules))]
    upward = [f"{name} -> {other}" for name, other in upward_imports(modules)]
    wings = {wing: level for wing, level in levels(wing_graph(modules)).items() if wing}
    files, lengths = file_lengths(modules), function_lengths(modules)
    long_files = [f"{n:4d}  {path}" for n, path in files if n > MAX_FILE_LINES]
    long_functions = [f"{n:4d}  {place}" for n, place in lengths if n > MAX_FUNCTION_LINES]
    wide, public = (
        [f"{n:4d}  {place}" for n, place in many_arguments(modules, side)] for side in (False, True)
    )
    names, attributes = private_names(modules), private_attributes(modules)

    def distinct(found: dict[str, list[str]]) -> str:
        return f"{len(set().union(*found.values()))} in {len(found)} files"

    def by_file(found: dict[str, list[str]]) -> list[str]:
        return [f"{path}: {', '.join(used)}" for path, used in found.items()]

    return [
        ("modules", len(modules), []),
        ("of them faces", sum(module.is_face for module in modules), []),
        ("code lines", sum(module.n_code_lines for module in modules), []),
        ("levels of the import graph", max(levels(imports_without_faces(modules)).values()), []),
        ("import cycles", len(circles), circles),
        ("wings", len(wings), []),
        ("levels of wings", max(wings.values()), []),
        ("upward imports", len(upward), upward),
        ("longest file, lines", "{}  {}".format(*files[0]), []),
        (f"files above {MAX_FILE_LINES} lines", len(long_files), long_files),
        ("longest function, code lines", "{}  {}".format(*lengths[0]), []),
        (f"functions above {MAX_FUNCTION_LINES}", len(long_functions), long_functions),
        (f"more than {MAX_ARGUMENTS} arguments", len(wide), wide),
        ("the same, public interface", len(public), public),
        ("private names of others", distinct(names), by_file(names)),
        ("private attributes of others", distinct(attributes), by_file(attributes)),
    ]


def show(modules: list[Module]) -> None:
    """Print the table, the wings, and what the numbers consist of."""
    rows = findings(modules)
    for name, number, _ in rows:
        print(f"{name:30} {number}")
    print(f"\n{'wing':30} files  code lines")
    for wing, n_files, n_code_lines in wing_sizes(modules):
        print(f"{wing:30} {n_files:5d} {n_code_lines:11d}")
    for name, _, details in rows:
        if details:
            print(f"\n{name}")
            for line in details:
                print(f"  {line}")


def main() -> None:
    """Read the package, print its numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of the package")
    show(read_package(parser.parse_args().root))


if __name__ == "__main__":
    main()
