"""What the files of a package import, define and use, read from the source alone.

``read_package`` reads every file; nothing is imported.

- Imports inside functions count, those under ``if TYPE_CHECKING`` do not.
- Code lines hold code: no docstring, comment or blank line.  Those of a function start at
  ``def``, so that decorators are left out, and include the functions inside it.
- Arguments are the named ones, without ``self`` or ``cls``.
- Private names are names with a leading underscore, dunder names excepted.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

_Def = ast.FunctionDef | ast.AsyncFunctionDef

_WITHOUT_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENDMARKER,
}  # fmt: skip


@dataclass(frozen=True)
class Function:
    """A function or method; ``name`` is ``Class.method`` or ``function.inner``."""

    name: str
    line: int
    n_code_lines: int
    n_arguments: int


@dataclass(frozen=True)
class Module:
    """One file of a package.

    Attributes
    ----------
    name : str
        Relative to the package, empty for its own ``__init__``.
    path : Path
        Relative to the package's folder.
    is_face : bool
        Whether it is an ``__init__.py`` that only hands names on: nothing but imports, dunder
        names and dunder functions.
    handed_on : dict of str to (str, str)
        For names bound by imports from the package: the module that they were imported from,
        and their name there, empty for the module itself.
    taken : frozenset of (str, str)
        All imports from the package, each a module and the name in it.
    outside : frozenset of str
        Top-level packages that are imported, the standard library's too.
    exported : frozenset of str
        The names in ``__all__``.
    functions : tuple of Function
        In the order of the source.
    private_names : frozenset of str
        Dotted names of other packages (the standard library excepted) with a private part, that
        are imported or reached as attributes of something imported.
    private_attributes : frozenset of str
        Private attributes that are read from anything else, by ``getattr`` too.
    defined : frozenset of str
        Names and attributes that the file defines or assigns.
    """

    name: str
    path: Path
    is_face: bool
    handed_on: dict[str, tuple[str, str]]
    taken: frozenset[tuple[str, str]]
    outside: frozenset[str]
    exported: frozenset[str]
    functions: tuple[Function, ...]
    private_names: frozenset[str]
    private_attributes: frozenset[str]
    defined: frozenset[str]
    n_lines: int
    n_code_lines: int

    @property
    def inside(self) -> frozenset[str]:
        """Modules of the package that are imported."""
        return frozenset(target for target, _ in self.taken)

    @property
    def wing(self) -> str:
        """The folder or module directly under the package's folder, empty for ``__init__``."""
        return self.name.partition(".")[0]


def read_package(root: Path) -> list[Module]:
    """Every file of the package whose folder is ``root``, by name."""
    root = root.resolve()
    files: dict[str, Path] = {}
    for path in root.rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        files[".".join(parts[:-1] if path.stem == "__init__" else parts)] = path
    return [_read(root, name, files[name], files) for name in sorted(files)]


def _read(root: Path, name: str, path: Path, known: Collection[str]) -> Module:
    source = path.read_text("utf-8")
    tree = ast.parse(source, str(path))
    lines = code_lines(source, tree)
    here = path.relative_to(root.parent).parent.parts
    handed_on: dict[str, tuple[str, str]] = {}
    taken: set[tuple[str, str]] = set()
    outside: dict[str, str] = {}
    imported: set[str] = set()
    for bound, stands_for, target in bindings(tree, here):
        if target.partition(".")[0] == root.name:
            handed_on[bound] = _origin(stands_for, known)
            taken.add(_origin(target, known))
        else:
            outside[bound] = stands_for
            imported.add(target)
    elsewhere = {name: what for name, what in outside.items() if not _is_standard(what)}
    reached, attributes = private_uses(tree, elsewhere)
    reached |= {what for what in imported if not _is_standard(what) and _has_private_part(what)}
    return Module(
        name=name,
        path=path.relative_to(root),
        is_face=path.stem == "__init__" and all(map(_hands_on, tree.body)),
        handed_on=handed_on,
        taken=frozenset(taken),
        outside=frozenset(target.partition(".")[0] for target in imported),
        exported=frozenset(_exported(tree)),
        functions=tuple(functions(tree, lines)),
        private_names=frozenset(reached),
        private_attributes=frozenset(attributes),
        defined=frozenset(_defined(tree)),
        n_lines=len(source.splitlines()),
        n_code_lines=len(lines),
    )


def _origin(dotted: str, known: Collection[str]) -> tuple[str, str]:
    """The longest beginning that is a module of the package, and the name inside it."""
    rest = dotted.split(".")[1:]
    n = max(n for n in range(len(rest) + 1) if ".".join(rest[:n]) in known)
    return ".".join(rest[:n]), ".".join(rest[n:])


def is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def is_private(name: str) -> bool:
    return name.startswith("_") and name != "_" and not is_dunder(name)


def _has_private_part(dotted: str) -> bool:
    return any(map(is_private, dotted.split(".")))


def _is_standard(dotted: str) -> bool:
    return dotted.partition(".")[0] in sys.stdlib_module_names


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes below one, without what only type checkers run."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for other in child.orelse:
                yield other
                yield from nodes(other)
        else:
            yield child
            yield from nodes(child)


def code_lines(source: str, tree: ast.AST) -> set[int]:
    """Numbers of the lines that hold code."""
    docstrings: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | _Def) and ast.get_docstring(node):
            docstrings |= _lines(node.body[0])
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        is_docstring = token.type == tokenize.STRING and token.start[0] in docstrings
        if token.type not in _WITHOUT_CODE and not is_docstring:
            found |= set(range(token.start[0], token.end[0] + 1))
    text = source.splitlines()
    return {number for number in found if text[number - 1].strip()}


def _lines(node: ast.stmt) -> set[int]:
    return set(range(node.lineno, (node.end_lineno or node.lineno) + 1))


def functions(tree: ast.AST, lines: set[int], within: str = "") -> Iterator[Function]:
    """All functions below a node; ``lines`` are the numbers of the file's code lines."""
    for node in ast.iter_child_nodes(tree):
        inside = within
        if isinstance(node, ast.ClassDef | _Def):
            inside = f"{within}{node.name}."
        if isinstance(node, _Def):
            given = node.args
            n = len(given.posonlyargs) + len(given.args) + len(given.kwonlyargs)
            decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
            if isinstance(tree, ast.ClassDef) and "staticmethod" not in decorators:
                n -= 1
            yield Function(inside[:-1], node.lineno, len(lines & _lines(node)), n)
        yield from functions(node, lines, inside)


def bindings(tree: ast.AST, folder: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """Imports: the name bound, what it stands for, what is imported (both absolute).

    ``folder`` are the parts of the package from which relative imports start.
    """
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                yield alias.asname or first, alias.name if alias.asname else first, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = folder[: len(folder) - node.level + 1] if node.level else ()
            source = ".".join([*base, *filter(None, [node.module])])
            for alias in node.names:
                target = f"{source}.{alias.name}"
                yield alias.asname or alias.name, target, target


def private_uses(tree: ast.AST, outside: dict[str, str]) -> tuple[set[str], set[str]]:
    """Private names that are reached in other packages, and private attributes of anything else.

    ``outside`` are the names bound to something of another package, and what they stand for.
    """
    found = [node for node in nodes(tree) if isinstance(node, ast.Attribute)]
    inner = {id(node.value) for node in found}
    names: set[str] = set()
    attributes: set[str] = set()
    for node in found:
        if id(node) in inner:
            continue
        start, *parts = _chain(node)
        private = set(filter(is_private, parts))
        if start not in outside:
            attributes |= private
        elif private:
            names.add(".".join([outside[start], *parts]))
    for call in nodes(tree):
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("getattr", "hasattr"):
            constants = [name for name in call.args[1:2] if isinstance(name, ast.Constant)]
            attributes |= {str(name.value) for name in constants if is_private(str(name.value))}
    return names, attributes


def _chain(node: ast.expr) -> list[str]:
    """``a.b.c`` is a, b, c; what is no name is empty, as the first part of ``f().c``."""
    if isinstance(node, ast.Attribute):
        return [*_chain(node.value), node.attr]
    return [node.id if isinstance(node, ast.Name) else ""]


def _hands_on(node: ast.stmt) -> bool:
    """Whether a statement only imports, or defines dunder names."""
    match node:
        case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
            return True
        case ast.FunctionDef(name=name) | ast.Assign(targets=[ast.Name(id=name)]):
            return is_dunder(name)
        case ast.If():
            return all(map(_hands_on, [*node.body, *node.orelse]))
    return False


def _exported(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            for value in ast.walk(node.value):
                if isinstance(value, ast.Constant):
                    yield str(value.value)


def _defined(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | _Def):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
