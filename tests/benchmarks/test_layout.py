"""``python -m benchmarks.layout`` counts what it says, on packages of a few lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.layout import __main__ as layout
from benchmarks.layout.findings import (
    MAX_FILE_LINES,
    MAX_FUNCTION_LINES,
    file_lengths,
    function_lengths,
    many_arguments,
    private_attributes,
    private_names,
)
from benchmarks.layout.imports import (
    cycles,
    imports,
    imports_without_faces,
    levels,
    upward_imports,
)
from benchmarks.layout.source import Module, read_package

Write = Callable[[dict[str, str]], list[Module]]


@pytest.fixture
def package(tmp_path: Path) -> Write:
    """Write the files of a package named ``pkg`` (an empty ``__init__`` is added), read it."""

    def write(files: dict[str, str]) -> list[Module]:
        for name, text in {"__init__.py": "", **files}.items():
            path = tmp_path / "pkg" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        return read_package(tmp_path / "pkg")

    return write


def by_name(modules: list[Module]) -> dict[str, Module]:
    return {module.name: module for module in modules}


# ------------------------------------------------------------------------------- imports


def test_imports_of_every_form_are_found_and_those_for_types_are_not(package: Write) -> None:
    modules = package({
        "a.py": "",
        "folder/__init__.py": "x = 1",
        "folder/b.py": "from ..a import thing\nfrom . import x, c\nimport numpy.random",
        "folder/c.py": "import pkg.a\ndef f():\n    from pkg.folder.b import y",
        "d.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .a import A\n"
        "else:\n    from .folder import c",
    })  # fmt: skip
    inside = {module.name: set(module.inside) for module in modules}
    assert inside == {
        "": set(),
        "a": set(),
        "folder": set(),
        "folder.b": {"a", "folder", "folder.c"},
        "folder.c": {"a", "folder.b"},
        "d": {"folder.c"},
    }
    assert by_name(modules)["folder.b"].outside == {"numpy"}


def test_a_cycle_is_found_also_where_it_goes_through_a_face(package: Write) -> None:
    files = {
        "a.py": "from .b import x",
        "b.py": "def f():\n    from .c import x",
        "c.py": "from . import a",
        "folder/__init__.py": "from .inner import y",
        "folder/inner.py": "from pkg.folder import z",
    }
    found = cycles(imports(package(files)))
    assert found == [["a", "b", "c"], ["folder", "folder.inner"]]
    assert cycles(imports(package({**files, "c.py": "", "folder/inner.py": ""}))) == []


def test_levels_see_through_faces_and_count_a_cycle_once(package: Write) -> None:
    modules = package({
        "__init__.py": '"""Words."""\nfrom .top import t\n__all__ = ["t"]',
        "folder/__init__.py": "from .low import x\nfrom .high import y",
        "folder/low.py": "",
        "folder/high.py": "from .low import x",
        "takes_low.py": "from .folder import x",
        "takes_high.py": "from pkg.folder import y as z",
        "takes_all.py": "from . import folder",
        "one.py": "from . import two, takes_low",
        "two.py": "from . import one",
        "top.py": "from . import one",
    })  # fmt: skip
    assert levels(imports_without_faces(modules)) == {
        "folder.low": 1,
        "folder.high": 2,
        "takes_low": 2,
        "takes_high": 3,
        "takes_all": 3,
        "one": 3,
        "two": 3,
        "top": 4,
    }


@pytest.mark.parametrize(
    ("text", "is_face"),
    [
        ("", True),
        (
            '"""Words."""\nfrom .a import x\n__all__ = ["x"]\ndef __dir__():\n    return __all__',
            True,
        ),
        ("from .a import x\nNAMES = {'x': x}", False),
        ("from .a import x\ndef f():\n    return x", False),
        ("import warnings\nwarnings.warn('x')", False),
    ],
)
def test_a_face_only_hands_names_on(package: Write, text: str, is_face: bool) -> None:
    modules = package({"folder/__init__.py": text, "a.py": text})
    assert by_name(modules)["folder"].is_face == is_face
    assert not by_name(modules)["a"].is_face


def test_upward_imports_are_those_between_wings_that_reach_each_other(package: Write) -> None:
    files = {
        "high/__init__.py": "",
        "high/a.py": "from ..low import c\nfrom ..ground import g",
        "low/__init__.py": "",
        "low/c.py": "from . import d\nfrom ..ground import g",
        "low/d.py": "",
        "ground.py": "",
    }
    assert upward_imports(package(files)) == []
    found = upward_imports(package({**files, "low/d.py": "from ..high.a import x"}))
    assert found == [("high.a", "low.c"), ("low.d", "high.a")]


# ------------------------------------------------------------------- lengths and arguments

FUNCTION = '''"""A docstring
of two lines."""

@decorated
def outer(
    x,
):  # a comment beside code
    """A docstring
    of two lines.
    """
    # a comment

    text = """one

    three"""

    def inner():
        "A docstring."
        return text

    return inner


class Kind:
    """A docstring."""

    async def method(self): return 1
'''


def test_code_lines_are_without_docstrings_comments_and_blank_lines(package: Write) -> None:
    module = by_name(package({"a.py": FUNCTION}))["a"]
    lines = {function.name: function.n_code_lines for function in module.functions}
    assert lines == {"outer": 8, "outer.inner": 2, "Kind.method": 1}
    assert module.n_code_lines == 1 + 8 + 2
    assert module.n_lines == len(FUNCTION.splitlines())


def test_a_long_function_is_counted_without_its_docstring_and_comments(package: Write) -> None:
    def of(n: int) -> str:
        words = '    """' + "Words.\n" * 50 + '    """\n'
        return "def f():\n" + words + "    # why\n    x = 1\n\n" * (n - 1)

    limit = MAX_FUNCTION_LINES
    modules = package({"at.py": of(limit), "above.py": of(limit + 1)})
    assert function_lengths(modules) == [(limit + 1, "above.py:1 f"), (limit, "at.py:1 f")]
    rows = {name: (number, details) for name, number, details in layout.findings(modules)}
    assert rows[f"functions above {limit}"] == (1, [f"{limit + 1:4d}  above.py:1 f"])


def test_arguments_are_counted_without_self_and_apart_for_the_public(package: Write) -> None:
    eight = ", ".join("abcdefgh")
    modules = package({
        "__init__.py": "from .a import Shown, shown\n__all__ = ['Shown', 'shown']",
        "a.py": f"class Shown:\n    def __init__(self, {eight}, *, i): ...\n"
        f"    def method(self, {eight}, *, i): ...\n    def fits(self, {eight}): ...\n"
        f"    @staticmethod\n    def static({eight}, /, i): ...\n"
        f"def shown({eight}, i, j): ...\ndef hidden({eight}, i, *rest, **others): ...\n"
        f"def fits({eight}, *rest, **others): ...\n"
        f"class Hidden:\n    def __init__(self, {eight}, i, j, k): ...",
        "policies/p.py": f"class P:\n    def __init__(self, {eight}, i): ...",
    })  # fmt: skip
    assert many_arguments(modules, public=False) == [
        (11, "a.py:11 Hidden.__init__"),
        (9, "a.py:8 hidden"),
        (9, "a.py:6 Shown.static"),
        (9, "a.py:3 Shown.method"),
    ]
    assert many_arguments(modules, public=True) == [
        (10, "a.py:7 shown"),
        (9, "policies/p.py:2 P.__init__"),
        (9, "a.py:2 Shown.__init__"),
    ]


# --------------------------------------------------------------------------- private names


def test_private_names_are_those_of_other_packages(package: Write) -> None:
    modules = package({
        "a.py": "import sys\nimport torch\nfrom torch import nn\nfrom torch.nn import Module as M\n"
        "from sklearn.base import _fit_context, clone\n"
        "from sklearn.utils._param_validation import Interval\n"
        "from pkg.b import _ours\nfrom . import __version__\n"
        "x = nn.modules.dropout._DropoutNd, torch.__version__, sys._getframe()\n"
        "y = M._load(1), torch._C._log, Interval.closed, _ours._more, clone(nn)._private",
        "b.py": "_ours = 1",
    })  # fmt: skip
    assert private_names(modules) == {
        "a.py": [
            "sklearn.base._fit_context",
            "sklearn.utils._param_validation.Interval",
            "torch._C._log",
            "torch.nn.Module._load",
            "torch.nn.modules.dropout._DropoutNd",
        ]
    }


def test_private_attributes_are_those_that_the_package_does_not_define(package: Write) -> None:
    modules = package({
        "a.py": "class A:\n    def _method(self): self._kept = other._field\n    _field: int = 0",
        "b.py": "def f(a, net):\n    a._method(), a._kept, net._theirs.x, getattr(*net)\n"
        "    getattr(net, '_by_name'), hasattr(net, name), getattr(net, name, '_default')\n"
        "    return net.__class__",
    })  # fmt: skip
    assert private_attributes(modules) == {"b.py": ["_by_name", "_theirs"]}


# ------------------------------------------------------------------------------- the table


def test_the_table_counts_wings_from_the_top(
    package: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    package({
        "__init__.py": "from .high.a import f",
        "high/a.py": "from ..low.b import x\ndef f():\n    return x",
        "low/b.py": "x = 1",
        "low/c.py": "",
        "ground.py": "import numpy",
    })  # fmt: skip
    monkeypatch.setattr("sys.argv", ["layout", "--root", str(tmp_path / "pkg")])
    layout.main()
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert {"modules 5", "of them faces 1", "code lines 6", "import cycles 0", "wings 3"} <= {
        *lines
    }
    assert "levels of the import graph 2" in lines
    assert "longest function, code lines 2 high/a.py:2 f" in lines
    start = lines.index("wing files code lines")
    assert lines[start + 1 : start + 4] == ["high 1 3", "low 2 1", "(modules beside them) 2 2"]


@pytest.mark.slow
def test_the_repository_s_own_package_is_read() -> None:
    modules = by_name(read_package(layout.ROOT))
    assert modules[""].is_face
    assert "policies.base" in modules["policies"].inside
    assert "numpy" in modules["policies.base"].outside
    assert "MABPrunedClassifier" in modules[""].exported


def test_benchmarks_keep_the_limits_of_the_package() -> None:
    modules = read_package(layout.ROOT.parent / "benchmarks")
    assert [place for n, place in file_lengths(modules) if n > MAX_FILE_LINES] == []
    assert [place for n, place in function_lengths(modules) if n > MAX_FUNCTION_LINES] == []
    assert many_arguments(modules, public=False) == []
