"""One self-contained HTML page: sections, tables that sort by a tap on a heading, charts; readable on a phone."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

STYLE = """
:root { color-scheme: light dark; --line: #d8dde3; --soft: #f3f5f7; --text: #1d2733; --faint: #5b6672; --good: #0a7a3f;
  --bad: #b3261e; --page: #fff; }
@media (prefers-color-scheme: dark) { :root { --line: #3a434d; --soft: #20272e; --text: #e4e8ec; --faint: #9aa5b1;
  --good: #56c98a; --bad: #ff8a80; --page: #14191e; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: .5rem 0; } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
p { max-width: 46rem; margin: .5rem 0; overflow-wrap: anywhere; } .faint { color: var(--faint); font-size: .9rem; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; }
a { color: inherit; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: .5rem; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: var(--page); }
tbody tr:last-child td { border-bottom: 0; }
thead th, thead th:first-child { background: var(--soft); cursor: pointer; user-select: none; }
th[aria-sort=ascending]::after { content: " \\2191"; } th[aria-sort=descending]::after { content: " \\2193"; }
td.good { color: var(--good); } td.bad { color: var(--bad); font-weight: 600; }
figure { margin: 1rem 0; padding: .5rem; background: #fff; border: 1px solid var(--line); border-radius: .5rem; }
figure svg { display: block; width: 100%; height: auto; }
@media (max-width: 40rem) { body { padding: .6rem; } th, td { padding: .3rem .4rem; } table { font-size: .8rem; }
  th:first-child, td:first-child { min-width: 36vw; max-width: 36vw; white-space: normal; overflow-wrap: anywhere; } }
"""

SORT = """
for (const th of document.querySelectorAll("thead th")) {
  th.tabIndex = 0;
  const sort = () => {
    const body = th.closest("table").tBodies[0], i = th.cellIndex;
    const down = th.getAttribute("aria-sort") !== "descending";
    for (const other of th.parentNode.children) other.removeAttribute("aria-sort");
    th.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = row => row.cells[i].dataset.v ?? row.cells[i].textContent;
    const rows = [...body.rows].sort((a, b) => {
      const x = key(a), y = key(b);
      if (x === "" || y === "") return (x === "") - (y === "");
      const order = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
      return down ? -order : order;
    });
    body.append(...rows);
  };
  th.onclick = sort;
  th.onkeydown = e => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); sort(); } };
}
"""


class Cell:
    """A number as it is shown, and as it sorts; `kind` is "good", "bad" or nothing."""

    def __init__(self, value: float | None, text: str = "", kind: str = "") -> None:
        self.value, self.text, self.kind = value, text, kind

    def html(self) -> str:
        kind = f' class="{self.kind}"' if self.kind else ""
        value = "" if self.value is None else repr(float(self.value))
        return f'<td{kind} data-v="{value}">{escape(self.text)}</td>'


def table(headings: Sequence[str], rows: Iterable[Sequence[Cell | str]]) -> str:
    """Return a sortable table, the first column being names; it scrolls sideways where the screen is narrow."""
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in headings)
    body = "\n".join("<tr>" + "".join(cell.html() if isinstance(cell, Cell) else f"<td>{escape(cell)}</td>"
                                      for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>'


def paragraph(text: str, faint: bool = False) -> str:
    return f'<p{" class=faint" if faint else ""}>{escape(text)}</p>'


def figure(svg: str, description: str) -> str:
    """Return a chart with what it shows for those who do not see it."""
    return f'<figure role="img" aria-label="{escape(description)}">{svg[svg.index("<svg"):]}</figure>'


def page(title: str, sections: Sequence[tuple[str, str]], introduction: str = "") -> str:
    """Return the page; `sections` are (heading, HTML), `introduction` is HTML."""
    parts, links = [], []
    for i, (heading, content) in enumerate(sections):
        links.append(f'<a href="#s{i}">{escape(heading)}</a>')
        parts.append(f'<section id="s{i}"><h2>{escape(heading)}</h2>\n{content}</section>')
    return "\n".join([
        "<!doctype html>", '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>", introduction, f"<nav>{''.join(links)}</nav>", *parts,
        f"<script>{SORT}</script></body></html>", ""])
