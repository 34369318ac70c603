"""A table with a title and notes, as text and as HTML for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

Rows = Sequence[tuple[str, ...]]

# Colours are those of the page around it, so that light and dark themes both work.  The class
# stands there twice where notebooks have rules of their own for tables, which would win.
_STYLE = """
.mabprune-report { display: inline-block; padding: 0.5em 1em; border-radius: 0.4em;
  border: 1px solid rgba(128, 128, 128, 0.5); color: inherit; }
.mabprune-report table { border-collapse: collapse; margin: 0.5em 0; background: transparent;
  color: inherit; }
.mabprune-report.mabprune-report tr { background: transparent; }
.mabprune-report.mabprune-report :is(th, td) { border: 0; padding: 0.2em 0.8em; text-align: right;
  background: transparent; font-variant-numeric: tabular-nums; }
.mabprune-report.mabprune-report tbody th { padding-left: 0; text-align: left;
  font-weight: normal; }
.mabprune-report tbody tr { border-top: 1px solid rgba(128, 128, 128, 0.3); }
.mabprune-report p { margin: 0.2em 0; max-width: 45em; }
.mabprune-report p.note { font-size: 90%; opacity: 0.75; }
.mabprune-report p.warning { border-left: 0.3em solid #e69f00; padding-left: 0.6em; }
"""


def as_text(title: str, rows: Rows, notes: Sequence[str]) -> str:
    """Columns of equal width; the first to the left, the others to the right.

    Examples
    --------
    >>> from sklearn_mabprune.reports.formatting import as_text
    >>> print(as_text("Two", [("", "before"), ("bytes", "1,000")], ["one note"]))
    Two
    <BLANKLINE>
           before
    bytes   1,000
    <BLANKLINE>
    one note
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(w) if k == 0 else cell.rjust(w)
            for k, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([title, "", *lines, "", *notes])


def as_html(title: str, rows: Rows, notes: Sequence[str], warnings: Sequence[str]) -> str:
    """One ``div`` with its own style; every text is escaped.

    Examples
    --------
    >>> from sklearn_mabprune.reports.formatting import as_html
    >>> "<th>a &amp; b</th>" in as_html("Two", [("", "a & b"), ("bytes", "1")], [], [])
    True
    """
    head, *body = rows
    parts = [
        f'<div class="mabprune-report"><style>{_STYLE}</style>',
        f"<p><strong>{escape(title)}</strong></p>",
        "<table><thead><tr>",
        *(f"<th>{escape(cell)}</th>" for cell in head),
        "</tr></thead><tbody>",
    ]
    for name, *cells in body:
        values = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        parts.append(f"<tr><th>{escape(name)}</th>{values}</tr>")
    parts.append("</tbody></table>")
    parts += [f'<p class="note">{escape(text)}</p>' for text in notes]
    parts += [f'<p class="warning">{escape(text)}</p>' for text in warnings]
    return "".join([*parts, "</div>"])
