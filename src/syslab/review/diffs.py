"""The difference between two files, numbered like the new one, as text and as HTML."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from html import escape

MARKS = {"add": "+", "remove": "-", "keep": " "}
_SPOKEN = {"add": "added", "remove": "removed", "keep": ""}
_STYLE = {
    "add": "background:rgba(60,160,90,.16);border-left:4px solid #2f7d4f",
    "remove": "background:rgba(200,80,70,.14);border-left:4px dashed #a8483e",
    "keep": "border-left:4px solid transparent",
}
_HIDDEN = "position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)"


@dataclass(frozen=True)
class Row:
    """A line of a difference: "add", "remove" or "keep", its number in the new file, its text."""

    kind: str
    number: int | None
    text: str


@dataclass(frozen=True)
class Diff:
    """A difference that shows itself: as text in a terminal, as a table in a notebook."""

    text: str
    html: str = field(repr=False)

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.html


def rows(before: str, after: str, context: int | None = None) -> Iterator[Row | None]:
    """Yield the rows of the difference; None stands for unchanged lines that are left out."""
    everything = list(_all_rows(before, after))
    if context is None:
        yield from everything
        return
    near = set()
    for at, row in enumerate(everything):
        if row.kind != "keep":
            near.update(range(at - context, at + context + 1))
    skipped = False
    for at, row in enumerate(everything):
        if at in near:
            if skipped:
                yield None
            yield row
        skipped = at not in near
    if skipped:
        yield None


def _all_rows(before: str, after: str) -> Iterator[Row]:
    old, new = before.splitlines(), after.splitlines()
    for kind, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            yield from (Row("keep", j + 1, new[j]) for j in range(j1, j2))
        else:
            yield from (Row("remove", None, old[i]) for i in range(i1, i2))
            yield from (Row("add", j + 1, new[j]) for j in range(j1, j2))


def changed(before: str, after: str) -> frozenset[int]:
    """Lines of `after` that are new, or that stand beside something removed."""
    old, new = before.splitlines(), after.splitlines()
    found: set[int] = set()
    for kind, _, _, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "delete":
            found |= {j1, j1 + 1} & set(range(1, len(new) + 1))
        elif kind != "equal":
            found |= set(range(j1 + 1, j2 + 1))
    return frozenset(found)


def size(before: str, after: str) -> int:
    """Lines added plus lines removed."""
    return sum(row.kind != "keep" for row in _all_rows(before, after))


def render(pull, context: int | None) -> Diff:
    """Title, description and all files of `pull`, see :meth:`Pull.show`."""
    text = [pull.title, "", pull.description]
    html = [f"<h4>{escape(pull.title)}</h4><p>{_paragraphs(pull.description)}</p>"]
    for each in pull.files:
        new = "" if each.before else " (new file)"
        shown = list(rows(each.before, each.after, context))
        text += ["", f"--- {each.path}{new}", *map(_as_text, shown)]
        html.append(_as_table(each.path + new, shown))
    return Diff("\n".join(text), "\n".join(html))


def _paragraphs(text: str) -> str:
    return escape(text).replace("\n\n", "</p><p>")


def _as_text(row: Row | None) -> str:
    if row is None:
        return "   ⋮"
    return f"{row.number or '':>4} {MARKS[row.kind]} {row.text}".rstrip()


def _as_table(caption: str, shown: list[Row | None]) -> str:
    """A table whose rows say "added" and "removed" to a screen reader, and +, - to the eye."""
    body = []
    for row in shown:
        if row is None:
            body.append('<tr><td colspan="3" style="text-align:left">⋮ unchanged lines</td></tr>')
            continue
        spoken = _SPOKEN[row.kind]
        mark = MARKS[row.kind].replace("-", "−").strip() or "&nbsp;"
        if spoken:
            mark = f'<span aria-hidden="true">{mark}</span><span style="{_HIDDEN}">{spoken}</span>'
        body.append(
            f'<tr style="background:none"><th scope="row" style="text-align:right;'
            f'font-weight:normal;padding:0 8px">{row.number or ""}</th>'
            f'<td style="padding:0 6px;text-align:center">{mark}</td>'
            f'<td style="text-align:left;padding:0 8px;white-space:pre;{_STYLE[row.kind]}">'
            f"{escape(row.text) or ' '}</td></tr>"
        )
    return (
        '<table style="font-family:monospace;font-size:13px;line-height:1.35;border-collapse:'
        f'collapse"><caption style="text-align:left;font-weight:bold">{escape(caption)}</caption>'
        '<thead><tr><th scope="col">line</th><th scope="col">change</th>'
        '<th scope="col" style="text-align:left">code</th></tr></thead><tbody>'
        + "".join(body)
        + "</tbody></table>"
    )
