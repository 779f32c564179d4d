"""Form: what is stored, in which order, how much of it."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from syslab.course.notebooks import canonical

ALLOWED_TAGS = (canonical.MEASURES, "hide-input", "slider", "quick-check")
MAX_WORDS, MAX_LINES = 220, 30
_HOME = re.compile(r"(?<![\w.])/(?:home|Users|root)/[\w.-]+|\b[A-Z]:\\Users\\\w+")
_LOCAL = re.compile(
    r"(?<![\w.])/(?:home|Users|work|root|tmp|opt|private|mnt|var/folders)/[\w.-]+"
    r"|(?<![\w.])/[\w./-]*/site-packages/|\b[A-Z]:\\\w+"
)
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,}\b")
_TIMING = re.compile(r"(?i)\b(wall time|cpu times|per loop)\b")
_EMOJI = re.compile("[\U0001f300-\U0001faff\u2600-\u27bf]")
_UNFINISHED = re.compile(r"(?i)\b(todo|fixme|lorem ipsum|coming soon|tbd)\b")
_MARK = re.compile(r"^# %%", re.MULTILINE)

Rule = Iterator[tuple[Any, str]]


def form(notebook: Any, path: Path) -> Rule:
    """Fixed ids, few metadata, canonical JSON."""
    expected = canonical.cell_ids(notebook.cells)
    for cell, cell_id in zip(notebook.cells, expected, strict=True):
        if cell.get("id") != cell_id:
            yield cell, f"the id should be {cell_id!r}: run `syslab nb fmt`"
            break
    extra = set(notebook.metadata) - {"kernelspec", "language_info"}
    if extra:
        yield "notebook", f"stray metadata {sorted(extra)}: run `syslab nb fmt`"
    for cell in notebook.cells:
        stray = set(cell.metadata) - set(canonical.CELL_METADATA)
        if stray:
            yield cell, f"stray metadata {sorted(stray)}: run `syslab nb fmt`"
        for tag in cell.metadata.get("tags", []):
            if tag not in ALLOWED_TAGS and not tag.startswith(canonical.EXPECTED):
                yield cell, f"unknown tag {tag!r}; legal: {', '.join(ALLOWED_TAGS)}"
        if cell.cell_type == "code" and _MARK.search(cell.source):
            yield cell, "a line begins with `# %%`: the cell cannot be edited as text"
    tidy = canonical.canonicalise(copy.deepcopy(notebook))
    if path.read_text(encoding="utf-8") != canonical.dumps(tidy):
        yield "notebook", "not in canonical form: run `syslab nb fmt`"


def execution(notebook: Any, path: Path) -> Rule:
    """Every code cell was run, in order, without an error."""
    count = 0
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        if not cell.source.strip():
            yield cell, "empty code cell: delete it"
        count += 1
        if cell.get("execution_count") is None:
            yield cell, "never executed (strict nbval would skip it): run `syslab nb run`"
        elif cell.execution_count != count:
            yield cell, f"executed as {cell.execution_count}, expected {count}: run it in order"
        for output in cell.outputs:
            if output.output_type == "error":
                yield cell, f"stored error {output.ename}: mend the cell and run again"


def leaks(notebook: Any, path: Path) -> Rule:
    """Nothing of this machine or this run: paths, addresses, clock readings, stderr, widget ids."""
    for cell in notebook.cells:
        yield from ((cell, said) for said in _local(cell.source, _HOME))
        outputs = texts(cell)
        for text in outputs:
            yield from ((cell, said) for said in _local(text, _LOCAL))
            measures = canonical.MEASURES in cell.metadata.get("tags", [])
            if not measures and _TIMING.search(text):
                yield cell, "a clock reading is stored: tag the cell nbval-ignore-output"
        for output in cell.get("outputs", []):
            if output.output_type == "stream" and output.name == "stderr":
                yield cell, "stderr is stored (warnings): mend what warns"
            if canonical.WIDGET_VIEW in output.get("data", {}):
                yield cell, "a widget's random model id is stored: run `syslab nb fmt`"


def style(notebook: Any, path: Path) -> Rule:
    """One title, short cells, nothing unfinished."""
    tops = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = re.sub(r"```.*?```", "", cell.source, flags=re.DOTALL)
            tops += re.findall(r"^# .+", text, re.MULTILINE)
            for heading in re.findall(r"^#{1,6} .+", text, re.MULTILINE):
                if _EMOJI.search(heading):
                    yield cell, f"emoji in the heading {heading!r}"
            match = _UNFINISHED.search(text)
            if match:
                yield cell, f"unfinished text: {match.group(0)!r}"
            words = len(re.findall(r"\w+", re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)))
            if words > MAX_WORDS:
                yield cell, f"{words} words in one cell (at most {MAX_WORDS}): split it around code"
        elif cell.cell_type == "code" and "nbgrader" not in cell.metadata:
            lines = [line for line in cell.source.split("\n") if line.strip()]
            if len(lines) > MAX_LINES:
                yield (
                    cell,
                    f"{len(lines)} lines of code in one cell (at most {MAX_LINES}): split it",
                )
    if len(tops) != 1:
        yield "notebook", f"{len(tops)} top headings; a notebook has one"


def texts(cell: Any) -> list[str]:
    """The text of a cell's outputs, one entry per output and kind."""
    found = []
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            found.append("".join(output.text))
        for mime, data in output.get("data", {}).items():
            if mime.startswith("text/"):
                found.append("".join(data))
    return found


def _local(text: str, paths: re.Pattern[str]) -> Iterator[str]:
    for pattern, what in ((paths, "a local path"), (_ADDRESS, "a memory address")):
        match = pattern.search(text)
        if match:
            yield f"{what} ({match.group(0)!r}) is stored: print something stable"
