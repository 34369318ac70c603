"""The code on the documentation's pages runs, in order: each page is a session of its own."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pytest

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = [
    page
    for page in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/guide/*.md")])
    # Snippets of CONTRIBUTING are files, which test_contributing.py writes.
    if page.name != "CONTRIBUTING.md" and BLOCK.search(page.read_text(encoding="utf-8"))
]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
# What the guide announces beside the call.
@pytest.mark.filterwarnings("ignore:The file was saved without parameters:UserWarning")
def test_the_blocks_of_a_page_are_one_session(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    text = page.read_text(encoding="utf-8")
    session = {"__name__": page.stem}
    for block in BLOCK.finditer(text):
        # With the page's own line numbers, for tracebacks.
        code = "\n" * (text[: block.start()].count("\n") + 1) + block[1]
        exec(compile(code, str(page), "exec"), session)
    plt.close("all")
    if page.name == "README.md":
        check_report(text, capsys.readouterr().out.splitlines())


def check_report(text, printed):
    """The first line of README's report and its rows; times and scores depend on the machine."""
    shown = re.search(r"^```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[1].splitlines()
    assert printed[0] == shown[0]

    def labels(lines):
        return [re.split(r" {2,}", line)[0] for line in lines[3:]]

    found = labels(printed)
    assert [label for label in found if label in labels(shown)] == labels(shown)


def test_pages_with_code_are_found():
    found = {page.relative_to(ROOT).as_posix() for page in PAGES}
    assert {"README.md", "docs/faq.md", "docs/guide/first_pipeline.md"} <= found
