"""The first thing on a feedback page: points for each exercise, and what to mend first.

nbgrader's page begins with a list of "Test cell" and numbers. ``Summarise`` puts a table in its
place: the exercise by its title, its points, the reason of the first check that failed, and folded
below it every check with what it is worth. Reasons stand as they were printed (a hidden check's
reason is shown, its test is not).
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from nbformat.v4 import new_markdown_cell
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import List

from syslab.course import scores
from syslab.course.errors import CourseError
from syslab.course.scores import CellScore, CheckLine
from syslab.grading.verdicts import LOOKS, NOTE

WEIGHTS = Mapping[str, Sequence[tuple[float, bool]]]

_HEADING = re.compile(r"^#{1,4}\s+(.*?)\s*#*$", re.MULTILINE)
_IN_CELL = re.compile(r" \(\d+\.py, line (\d+)\)")  # IPython names a cell by a number
_STYLE = """\
<style>
#toc { display: none }
#notebook img { max-width: 100%; height: auto }
.highlight, div.output_area pre, div.rendered_html pre { overflow-x: auto }
p.total { font-size: 1.25em; margin: 0.2em 0 0.6em }
table.result {  /* JupyterLab shows a page in quirks mode, where a table inherits no size */
  border-collapse: collapse; font-size: 14px; line-height: 1.43; margin: 0.5em 0 1.5em;
  width: 100%; table-layout: auto }
table.result th, table.result td {
  border: 0; border-bottom: 1px solid #ccc; padding: 0.4em 0.6em; text-align: left;
  vertical-align: top; white-space: normal; max-width: none; overflow-wrap: anywhere }
table.result tr { background: none }
table.result td:first-child { min-width: 9em; width: 24% }
table.result td.points, table.result th.points {
  text-align: right; white-space: nowrap; overflow-wrap: normal; width: 6.5em }
table.result tr.full td.points { color: #1a6b2f }
table.result tr.open td.points { color: #7a4b00 }
summary { cursor: pointer; display: list-item }
table.result summary { color: #555; margin-top: 0.2em }
table.result ul { list-style: none; margin: 0.3em 0 0; padding: 0 }
table.result li { padding-left: 5.6em; text-indent: -5.6em; margin: 0.15em 0 }
table.result li b { display: inline-block; width: 5.6em; text-indent: 0; font-weight: normal }
table.result li.passed { color: #1a6b2f }
table.result .comment { border-left: 3px solid #bbb; padding-left: 0.6em; width: auto }
p.verdict { border-left: 4px solid #7a4b00; padding: 0.3em 0.8em; margin: 0.4em 0 }
</style>
"""


class Summarise(NbGraderPreprocessor):
    """Put the table of results at the top of a notebook that is about to become a page."""

    # Set by the HTML exporter for every preprocessor; without the trait each page logs a warning.
    display_data_priority = List(config=True)

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        marks = resources["nbgrader"]
        notebook = f"{marks['notebook']}.ipynb"
        said = verdicts(marks["assignment"], marks["student"], notebook)
        doubted = any(sentence.flagged for sentence in said)
        waiting = awaiting(marks)
        sentences = [sentence.text for sentence in said]
        if doubted and not waiting:
            sentences = [text.replace(LOOKS, "a person has looked") for text in sentences]
        text = summary(
            nb,
            marks.get("late_penalty", 0),
            sentences,
            awaiting=waiting,
            weights=weights(marks["assignment"], notebook),
            doubted=doubted,
        )
        nb.cells.insert(0, new_markdown_cell(text))
        return nb, resources


# -------------------------------------------------------------------------- what else is known


class Said(NamedTuple):
    """A sentence for the learner, and whether a person is to look because of it."""

    text: str
    flagged: bool


def verdicts(assignment: str, student: str, notebook: str) -> list[Said]:
    """What a grading run noted about the submission."""
    from syslab.course import assignments
    from syslab.grading import spool

    try:
        found = spool.Spool(assignments.find(assignment)).record_of(student)
    except CourseError:
        return []
    said = [] if found is None else sorted(found.verdicts, key=lambda v: v.kind.sort == NOTE)
    return [Said(v.message.removeprefix(f"{notebook}: "), v.flagged) for v in said]


def awaiting(marks: Mapping[str, Any]) -> set[str]:
    """Grade ids of the cells that a person has not settled yet.

    Parameters
    ----------
    marks
        What nbgrader tells its preprocessors: the gradebook's URL, assignment, student, notebook.
    """
    from nbgrader.api import Gradebook, MissingEntry

    try:
        with Gradebook(marks["db_url"]) as gradebook:
            found = gradebook.find_submission_notebook(
                marks["notebook"], marks["assignment"], marks["student"]
            )
            return {grade.name for grade in found.grades if grade.needs_manual_grade}
    except MissingEntry:
        return set()


def weights(assignment: str, notebook: str) -> dict[str, list[tuple[float, bool]]]:
    """Test cell -> weight of each of its checks in order, and whether that is a hidden one.

    They are those of the reference run that grading keeps; empty where there was none.
    """
    from syslab.course import assignments
    from syslab.grading import spool

    try:
        folder = spool.Spool(assignments.find(assignment)).folder
        kept = json.loads((folder / "reference.json").read_text(encoding="utf-8"))
        cells = kept["executed"]["evidence"].get(notebook, {})
        return {
            grade_id: [(float(e[2]), bool(e[3])) for e in events if e[0] == "check"]
            for grade_id, events in cells.items()
        }
    except (CourseError, OSError, ValueError, TypeError, LookupError, AttributeError):
        return {}


# ------------------------------------------------------------------------------------ the table


def summary(
    notebook: Any,
    late_penalty: float = 0.0,
    said: Sequence[str] = (),
    awaiting: Collection[str] | None = None,
    weights: WEIGHTS | None = None,
    doubted: bool = False,
) -> str:
    """The table, as HTML that a Markdown cell may hold.

    Parameters
    ----------
    notebook
        Executed, with the points and comments that nbgrader's GetGrades put into its cells.
    late_penalty
        Points that lateness costs.
    said
        Sentences to stand above the table.
    awaiting
        Grade ids that wait for a person; by default written answers without points.
    weights
        As `weights` gives them; without, checks stand without what they are worth.
    doubted
        The submission was flagged: what its test cells printed may be its own words, and is left
        out of the table.
    """
    titles = _titles(notebook)
    cells = {
        cell.metadata.nbgrader["grade_id"]: cell
        for cell in notebook.cells
        if cell.metadata.get("nbgrader", {}).get("grade_id")
    }
    graded = [_Row(score, cells, awaiting, weights or {}, doubted) for score in scores.of(notebook)]
    rows = [row.to_html(titles.get(row.score.grade_id, row.score.exercise)) for row in graded]
    if late_penalty:
        rows.append(
            f'<tr class="open"><td>late submission</td><td class="points">-{late_penalty:g}</td>'
            "<td>by the course's late policy</td></tr>"
        )
    notes = "".join(f'<p class="verdict">{prose(text)}</p>\n' for text in said)
    head = '<tr><th>exercise</th><th class="points">points</th><th>what to look at</th></tr>'
    table = f'<table class="result">\n{head}\n' + "\n".join(rows) + "\n</table>"
    return f"{_STYLE}{_total(graded, late_penalty)}\n{notes}{table}"


def _total(graded: Sequence[_Row], late_penalty: float) -> str:
    """The first sentence: points, what waits, how many exercises want another look."""
    got = max(0.0, sum(row.points for row in graded if not row.waits) - late_penalty)
    most = sum(row.score.max_points for row in graded)
    waiting = sum(row.score.max_points for row in graded if row.waits)
    settled = [row for row in graded if not row.waits]
    full = sum(row.full for row in settled)
    empty = sum(not row.score.answered for row in settled)
    parts = [f"{full} of {len(graded)} exercises with full points"]
    if len(settled) - full - empty:
        parts.append(f"{len(settled) - full - empty} with something to mend")
    if empty:
        parts.append(f"{empty} not answered")
    so_far = f" so far; {_number(waiting)} more wait for a person" if waiting else ""
    return (
        f'<p class="total"><strong>{_number(got)} of {_number(most)} points</strong>{so_far}.</p>\n'
        f"<p>{', '.join(parts)}.</p>"
    )


class _Row:
    """One exercise: its score, its cells, and what the gradebook says."""

    def __init__(
        self,
        score: CellScore,
        cells: Mapping[str, Any],
        awaiting: Collection[str] | None,
        weights: WEIGHTS,
        doubted: bool = False,
    ) -> None:
        self.score = score
        self.doubted = doubted
        self.cell = cells[score.grade_id]
        marks = self.cell.metadata.nbgrader
        self.points = float(marks.get("score") or 0.0)
        self.full = marks.get("score") is not None and self.points >= score.max_points
        unmarked = not self.points if awaiting is None else score.grade_id in awaiting
        self.waits = (score.by_hand or doubted) and score.answered and unmarked
        answer = cells.get(score.exercise, self.cell)
        said = marks.get("comment") or answer.metadata.nbgrader.get("comment") or ""
        self.comment = "" if said == "No response." else said
        self.checks = [] if score.by_hand or doubted else scores.checks(self.cell)
        self.worth = _worth(self.checks, weights.get(score.grade_id, ()), score.max_points)

    def to_html(self, title: str) -> str:
        link = f'<a href="#{html.escape(self.score.grade_id, quote=True)}">{html.escape(title)}</a>'
        got = "–" if self.waits else _number(self.points)
        points = f"{got} of {_number(self.score.max_points)}"
        what = self._what() + self._list()
        if self.comment:
            lines = [prose(line) for line in self.comment.splitlines() if line.strip()]
            what += f'<div class="comment">{"<br>".join(lines)}</div>'
        kind = "full" if self.full else "open"
        cells = f'<td>{link}</td><td class="points">{points}</td><td>{what}</td>'
        return f'<tr class="{kind}">{cells}</tr>'

    def _what(self) -> str:
        score = self.score
        if score.by_hand:
            if not score.answered:
                return "not answered"
            if self.waits:
                return "waits for a person to mark it"
            return "" if self.comment else "marked by a person"
        if self.doubted and score.answered:
            return LOOKS if self.waits else "" if self.comment else "settled by a person"
        if self.full:
            return f"all {len(score.passed)} checks passed" if score.passed else "passed"
        if not score.answered:
            return "not answered"
        first = next((check for check in self.checks if not check.passed), None)
        if first is not None and (score.passed or not score.answer_error):
            return ("hidden check: " if first.hidden else "") + prose(first.text)
        if score.answer_error.startswith("KeyboardInterrupt"):
            return "the answer was stopped: it ran past its time"
        never_run = self.cell.get("execution_count") is None and not self.checks
        if never_run and not score.answer_error and not score.error:
            return "not run: the notebook ended in a cell above"
        return prose(_IN_CELL.sub(r" in line \1 of the cell", score.reason))

    def _list(self) -> str:
        """Every check of the exercise, folded; nothing where there is nothing to tell apart."""
        stopped = self.score.answer_error and not self.score.passed
        if len(self.checks) < 2 or self.full or stopped or not self.score.answered:
            return ""
        items = []
        for check, worth in zip(self.checks, self.worth, strict=True):
            sign, kind = ("✓", "passed") if check.passed else ("✗", "failed")
            if worth is not None:
                sign += f" {_number(worth)}" if check.passed else f" −{_number(worth)}"
            hidden = "<em>hidden</em> " if check.hidden else ""
            items.append(f'<li class="{kind}"><b>{sign}</b>{hidden}{prose(check.text)}</li>')
        passed = sum(check.passed for check in self.checks)
        heading = f"{passed} of {len(self.checks)} checks passed"
        if None not in self.worth:
            heading += ", with their points"
        return f"<details><summary>{heading}</summary><ul>{''.join(items)}</ul></details>"


def _worth(
    checks: Sequence[CheckLine], weights: Sequence[tuple[float, bool]], most: float
) -> list[float | None]:
    """Points of each check; None where the checks are not those the weights belong to."""
    total = sum(weight for weight, _ in weights)
    if not total or [check.hidden for check in checks] != [hidden for _, hidden in weights]:
        return [None] * len(checks)
    return [most * weight / total for weight, _ in weights]


def _number(points: float) -> str:
    return f"{round(points, 2):g}"


def prose(text: str) -> str:
    """A sentence as HTML: what stands in backticks is code, and nothing else is markup."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _titles(notebook: Any) -> dict[str, str]:
    """Grade id -> the nearest heading above the cell, in words."""
    titles, last = {}, ""
    for cell in notebook.cells:
        marks = cell.metadata.get("nbgrader") or {}
        if cell.cell_type == "markdown" and not marks.get("solution"):
            found = _HEADING.findall(cell.source)
            last = re.sub(r"[*`_]", "", found[-1]) if found else last
        if marks.get("grade") and last:
            titles[marks["grade_id"]] = last
    return titles
