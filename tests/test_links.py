"""Links between the repository's own pages lead somewhere."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/guide/*.md")])
# Pages of the repository as an index of packages shows them, where relative links lead nowhere.
ADDRESS = "https://github.com/sklearn-mabprune/sklearn-mabprune/blob/main/"
LINK = re.compile(r"\]\(([^)\s]+)\)")
# Made when the documentation is built.
BUILT = ("auto_examples/", "../auto_examples/", "generated/", "../generated/")


def links(page):
    """Targets on this machine's disk, without anchors."""
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if target.startswith(ADDRESS):
            yield os.path.relpath(ROOT / target.removeprefix(ADDRESS).split("#")[0], page.parent)
        if not target.startswith(("http://", "https://", "mailto:", "#", *BUILT)):
            yield target.split("#")[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_relative_links_exist(page):
    missing = [target for target in links(page) if not (page.parent / target).exists()]
    assert not missing


def anchors(page):
    """Anchors of a page's headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_anchors_of_links_exist(page):
    missing = []
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        path, _, anchor = target.removeprefix(ADDRESS).partition("#")
        base = ROOT if target.startswith(ADDRESS) else page.parent
        file = base / path if path else page
        if anchor and file.suffix == ".md" and anchor not in anchors(file):
            missing.append(target)
    assert not missing


def test_programs_that_pages_name_exist():
    missing = []
    for page in PAGES:
        for name in re.findall(r"python -m (benchmarks[\w.]*)", page.read_text(encoding="utf-8")):
            program = ROOT / name.rstrip(".").replace(".", "/")
            if not (program.with_suffix(".py").exists() or (program / "__main__.py").exists()):
                missing.append((page.name, name))
    assert not missing


def test_links_are_found():
    assert sum(len(list(links(page))) for page in PAGES) > 5


def test_links_of_the_readme_are_whole_addresses():
    targets = LINK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert targets
    assert [t for t in targets if not t.startswith("https://")] == []
    assert sum(t.startswith(ADDRESS) for t in targets) > 5
