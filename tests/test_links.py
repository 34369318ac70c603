"""Links between the repository's own pages lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/guide/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
# Made when the documentation is built.
BUILT = ("auto_examples/", "../auto_examples/", "generated/", "../generated/")


def links(page):
    """Targets on this machine's disk, without anchors."""
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://", "mailto:", "#", *BUILT)):
            yield target.split("#")[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_relative_links_exist(page):
    missing = [target for target in links(page) if not (page.parent / target).exists()]
    assert not missing


def test_links_are_found():
    assert sum(len(list(links(page))) for page in PAGES) > 5
