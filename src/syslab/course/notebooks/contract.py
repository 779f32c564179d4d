"""What ``syslab nb check`` refuses. Every rule exists because it went wrong somewhere once."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syslab.course.notebooks import canonical, prose

SOLUTION = re.compile(r"^\s*### BEGIN SOLUTION\n.*?^\s*### END SOLUTION", re.MULTILINE | re.DOTALL)
CARD = re.compile(
    r"Difficulty (?P<difficulty>[1-5])/5 · Importance (?P<importance>[1-5])/5 · "
    r"at most (?P<minutes>\d+) minutes · (?P<points>\d+(?:\.\d+)?) points?"
)
ALLOWED_TAGS = ("nbval-ignore-output", "hide-input", "slider", "quick-check")
_PATHS = re.compile(r"(?<![\w.])/(?:home|Users|work|root|tmp|private|var/folders)/[\w.-]+")
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,}\b")
_TIMING = re.compile(r"(?i)\b(wall time|cpu times|per loop)\b")
_EMOJI = re.compile("[\U0001f300-\U0001faff\u2600-\u27bf]")
_UNIT = (
    r"(?:[kMGTP]i?B(?:/s)?|B/s|bytes?|[kMGTPE]?FLOP(?:/s|/B)?|[kMGTPE]?FLOPS|TOP/s|[nµumk]s|[GM]Hz|"
    r"cycles?|slots?|W|×|%|GT/s)"
)
_NUMBER_WITH_UNIT = re.compile(
    rf"(?<![\w.<=/-])\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?[\s*]{{0,3}}{_UNIT}(?![\w/])"
)


@dataclass(frozen=True)
class Finding:
    """One refusal: where, which rule, and what to do."""

    path: str
    cell: str
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.path} [{self.cell}] {self.rule}: {self.message}"


def check(path: str | Path, root: Path | None = None) -> list[Finding]:
    """All findings for one notebook; `root` shortens the paths printed.

    Notebooks under ``source/`` are also held to the graded contract.
    """
    path = Path(path)
    shown = str(path.relative_to(root)) if root and path.is_relative_to(root) else str(path)
    notebook = canonical.read(path)
    graded = "source" in Path(shown).parts
    findings: list[Finding] = []

    def say(cell: Any, rule: str, message: str) -> None:
        name = cell if isinstance(cell, str) else cell.get("id", "?")
        findings.append(Finding(shown, name, rule, message))

    rules = [_form, _execution, _leaks, _pictures, _style, _prose_numbers, _constants]
    if graded:
        rules.append(_triplets)
    for rule in rules:
        for cell, message in rule(notebook, path):
            say(cell, rule.__name__.strip("_").replace("_", "-"), message)
    return findings


def _form(notebook: Any, path: Path) -> Iterator[tuple[Any, str]]:
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
            if tag not in ALLOWED_TAGS and not tag.startswith("expected-picture:"):
                yield cell, f"unknown tag {tag!r}; legal: {', '.join(ALLOWED_TAGS)}"
    import copy

    if path.read_text(encoding="utf-8") != canonical.dumps(
        canonical.canonicalise(copy.deepcopy(notebook))
    ):
        yield "notebook", "not in canonical form: run `syslab nb fmt`"


def _execution(notebook: Any, path: Path) -> Iterator[tuple[Any, str]]:
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


def _leaks(notebook: Any, path: Path) -> Iterator[tuple[Any, str]]:
    for cell in notebook.cells:
        texts = [cell.source] + _texts(cell)
        for text in texts:
            for pattern, what in ((_PATHS, "a local path"), (_ADDRESS, "a memory address")):
                match = pattern.search(text)
                if match:
                    yield cell, f"{what} ({match.group(0)!r}) is stored: print something stable"
        if "nbval-ignore-output" not in cell.metadata.get("tags", []):
            for text in _texts(cell):
                if _TIMING.search(text):
                    yield cell, "a clock reading is stored: tag the cell nbval-ignore-output"
        if cell.cell_type == "code":
            for output in cell.outputs:
                if output.output_type == "stream" and output.name == "stderr":
                    yield cell, "stderr is stored (warnings): mend what warns"
                if canonical.WIDGET_VIEW in output.get("data", {}):
                    yield cell, "a widget's random model id is stored: run `syslab nb fmt`"


def _pictures(notebook: Any, path: Path) -> Iterator[tuple[Any, str]]:
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            for match in re.finditer(r"!\[(?P<alt>[^\]]*)\]\(", cell.source):
                if len(match["alt"].strip()) < 10:
                    yield cell, "the picture needs alt text that says what it shows"
            continue
        if cell.cell_type != "code":
            continue
        pictures = [o for o in cell.outputs if "image/png" in o.get("data", {})]
        if not pictures:
            continue
        for output in pictures:
            alt = "".join(output.data.get("text/plain", ""))
            if not alt.startswith(("Figure:", "Slider:")) or len(alt) < 20:
                yield cell, "the picture has no alt text: show it with syslab.plotting.show(fig, alt=…)"
        following = notebook.cells[index + 1 : index + 2]
        twins = [o for o in cell.outputs if o.output_type == "stream"]
        twins += [o for c in following for o in c.get("outputs", []) if o.output_type == "stream"]
        if not any(re.search(r"\d", "".join(o.text)) for o in twins):
            yield cell, "the picture has no numeric twin: print the 2-4 numbers to read off it"


def _style(notebook: Any, path: Path) -> Iterator[tuple[Any, str]]:
    tops = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = re.sub(r"```.*?```", "", cell.source, flags=re.DOTALL)
            tops += re.findall(r"^# .+", text, re.MULTILINE)
            for heading in re.findall(r"^#{1,6} .+", text, re.MULTILINE):
                if _EMOJI.search(heading):
                    yield cell, f"emoji in the heading {heading!r}"
            match = re.search(r"(?i)\b(todo|fixme|lorem ipsum|coming soon|tbd)\b", text)
            if match:
                yield cell, f"unfinished text: {match.group(0)!r}"
            words = len(re.findall(r"\w+", re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)))
            if words > 220:
                yield cell, f"{words} words in one cell: split it around code (at most 220)"
        elif cell.cell_type == "code" and "nbgrader" not in cell.metadata:
            lines = [line for line in cell.source.split("\n") if line.strip()]
            if len(lines) > 30:
                yield cell, f"{len(lines)} lines of code in one cell (at most 30): split it"
    if len(tops) != 1:
        yield "notebook", f"{len(tops)} top headings; a notebook has one"


def _prose_numbers(notebook: Any, path: Path) -> Iterator[tuple[Any, str]]:
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            continue
        text = re.sub(r"```.*?```|`[^`\n]*`|\$[^$]+\$", " ", cell.source, flags=re.DOTALL)
        text = re.sub(r"\]\([^)]*\)", "]", text)
        text = prose.TAGGED.sub(" ", text)
        text = re.sub(r"<!--.*?-->", " ", text, flags=re.DOTALL)
        for match in _NUMBER_WITH_UNIT.finditer(text):
            yield (
                cell,
                f"{match.group(0).strip()!r} is typed by hand: tie it to code with "
                "<!--= expression | format --> right behind the number",
            )


def _constants(notebook: Any, path: Path) -> Iterator[tuple[Any, str]]:
    known = _hardware_values()
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        try:
            tree = ast.parse(_without_magics(cell.source))
        except SyntaxError as error:
            yield cell, f"does not parse: {error.msg} (line {error.lineno})"
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and type(node.value) in (int, float):
                name = known.get(_digits(node.value))
                if name:
                    yield (
                        cell,
                        f"{node.value!r} is {name}, typed in: take it from syslab.facts",
                    )


def _triplets(notebook: Any, path: Path) -> Iterator[tuple[Any, str]]:
    assignment = path.stem
    seen: set[str] = set()
    cells = notebook.cells
    for index, cell in enumerate(cells):
        meta = cell.metadata.get("nbgrader", {})
        grade_id = meta.get("grade_id", "")
        if grade_id:
            if grade_id in seen:
                yield cell, f"grade id {grade_id!r} is used twice"
            seen.add(grade_id)
        if meta.get("solution") and not meta.get("grade") and cell.cell_type == "code":
            yield from _solution(cells, index, grade_id)
        if meta.get("grade") and cell.cell_type == "code" and not meta.get("solution"):
            yield from _test(cells, index, assignment)
        if meta.get("grade") and meta.get("solution"):  # a written answer
            if cell.cell_type != "markdown":
                yield cell, "a written answer is a Markdown cell"
            if not CARD.search(cells[index - 1].source if index else ""):
                yield cell, "a written answer needs a lead-in with an effort card above it"
        if not meta and cell.cell_type == "code" and "BEGIN SOLUTION" in cell.source:
            yield cell, "a solution region in a cell nbgrader does not know: it would be released"


def _solution(cells: list[Any], index: int, grade_id: str) -> Iterator[tuple[Any, str]]:
    cell = cells[index]
    if not SOLUTION.search(cell.source):
        yield cell, "no ### BEGIN SOLUTION … ### END SOLUTION region"
    above = cells[index - 1] if index else None
    if above is None or above.cell_type != "markdown" or not CARD.search(above.source):
        yield (
            cell,
            "the cell above must be the lead-in with the effort card, e.g. "
            "'Difficulty 2/5 · Importance 4/5 · at most 8 minutes · 2 points'",
        )
    try:
        tree = ast.parse(cell.source)
    except SyntaxError as error:
        yield cell, f"does not parse: {error.msg}"
        return
    functions = [n for n in tree.body if isinstance(n, ast.FunctionDef)]
    for function in functions:
        if not (ast.get_docstring(function) or ""):
            yield cell, f"`{function.name}` has no docstring"
        arguments = function.args.args + function.args.kwonlyargs
        if function.returns is None or any(a.annotation is None for a in arguments):
            yield cell, f"`{function.name}` has an untyped signature"
    if above is not None:
        names = [f.name for f in functions] or [
            t.id
            for n in tree.body
            if isinstance(n, ast.Assign)
            for t in n.targets
            if isinstance(t, ast.Name)
        ]
        if names and not any(f"`{name}" in above.source for name in names):
            yield cell, f"the lead-in must name `{names[0]}`, the exact name to define"
    below = cells[index + 1] if index + 1 < len(cells) else None
    follow = below.metadata.get("nbgrader", {}) if below is not None else {}
    if not (follow.get("grade") and not follow.get("solution")):
        yield cell, "the next cell must be its test cell"
    elif follow.get("grade_id") != f"test-{grade_id}":
        yield cell, f"the test cell's grade id must be 'test-{grade_id}'"


def _test(cells: list[Any], index: int, assignment: str) -> Iterator[tuple[Any, str]]:
    cell = cells[index]
    meta = cell.metadata["nbgrader"]
    exercise = meta["grade_id"].removeprefix("test-")
    points = meta.get("points", 0)
    call = re.search(r'Check\(\s*"(?P<key>[^"]+)",\s*points=(?P<points>[\d.]+)', cell.source)
    if not call:
        yield cell, f'no Check("{assignment}/{exercise}", points={points})'
    else:
        if call["key"] != f"{assignment}/{exercise}":
            yield cell, f"Check names {call['key']!r}, expected '{assignment}/{exercise}'"
        if float(call["points"]) != float(points):
            yield cell, f"Check has {call['points']} points, nbgrader has {points}"
    if not cell.source.rstrip().endswith("check.score()"):
        yield cell, "the last line must be check.score()"
    if "### BEGIN HIDDEN TESTS" not in cell.source or "### END HIDDEN TESTS" not in cell.source:
        yield cell, "no hidden tests region"
    if not meta.get("locked"):
        yield cell, "the test cell must be locked"
    lead = next(
        (c for c in reversed(cells[:index]) if c.cell_type == "markdown" and CARD.search(c.source)),
        None,
    )
    if lead is not None:
        promised = float(CARD.search(lead.source)["points"])
        if promised != float(points):
            yield cell, f"the effort card promises {promised:g} points, the cell has {points}"


def _texts(cell: Any) -> list[str]:
    texts = []
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            texts.append("".join(output.text))
        for mime, data in output.get("data", {}).items():
            if mime.startswith("text/"):
                texts.append("".join(data))
    return texts


def _without_magics(source: str) -> str:
    return "\n".join("pass" if re.match(r"\s*[%!]", line) else line for line in source.split("\n"))


def _digits(value: float) -> str:
    """Significant digits without the power of ten; empty when fewer than three."""
    mantissa = f"{abs(float(value)):.6e}".split("e")[0].replace(".", "").rstrip("0")
    return mantissa if len(mantissa) >= 3 else ""


def _hardware_values() -> dict[str, str]:
    from syslab import facts

    known: dict[str, str] = {}
    for name in facts.hardware_names():
        for fact in facts.hardware(name).facts():
            if isinstance(fact.value, (int, float)) and not isinstance(fact.value, bool):
                digits = _digits(fact.value)
                if digits and abs(fact.value) > 1e9:
                    known.setdefault(digits, f"a registry value of {name} ({fact.unit})")
    return known
