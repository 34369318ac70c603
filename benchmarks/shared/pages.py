"""Pages of the documentation with parts that scripts write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

#: The folder of the documentation.
DOCS = Path(__file__).parents[2] / "docs"


def with_part(text: str, mark: str, lines: Sequence[str]) -> str:
    """The text with these lines between the comments ``mark`` and ``end of mark``."""
    start, end = f"<!-- {mark} -->\n", f"<!-- end of {mark} -->"
    before, found, rest = text.partition(start)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise ValueError(f"The page has no comments {start.strip()} and {end}.")
    return before + start + "\n".join(["", *lines, "", ""]) + end + after


def write_part(file: Path, mark: str, lines: Sequence[str]) -> None:
    """Put lines into a page."""
    file.write_text(with_part(file.read_text(encoding="utf-8"), mark, lines), encoding="utf-8")
