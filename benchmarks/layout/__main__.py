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
from pathlib import Path

from benchmarks.layout.findings import (
    MAX_ARGUMENTS,
    MAX_FILE_LINES,
    MAX_FUNCTION_LINES,
    file_lengths,
    function_lengths,
    many_arguments,
    private_attributes,
    private_names,
    wing_sizes,
)
from benchmarks.layout.imports import (
    cycles,
    imports,
    imports_without_faces,
    levels,
    upward_imports,
    wing_graph,
)
from benchmarks.layout.source import Module, read_package

ROOT = Path(__file__).resolve().parents[2] / "sklearn_mabprune"


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
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.layout", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of the package")
    show(read_package(parser.parse_args().root))


if __name__ == "__main__":
    main()
