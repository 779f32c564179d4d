"""The first thing on a feedback page: points for each exercise, and what to mend first.

nbgrader's page begins with a list of "Test cell" and numbers. ``Summarise`` puts a table in its
place: the exercise by its title, its points, and the reason of the first check that failed, as it
was printed (a hidden check's reason is shown, its test is not).
"""

from __future__ import annotations

import html
import re
from typing import Any

from nbformat.v4 import new_markdown_cell
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import List

from syslab.course import scores
from syslab.course.errors import CourseError
from syslab.course.scores import CellScore

_HEADING = re.compile(r"^#{1,4}\s+(.*?)\s*#*$", re.MULTILINE)
_STYLE = """\
<style>
#toc { display: none }
table.result { border-collapse: collapse; margin: 0.5em 0 1em; width: 100%; table-layout: auto }
table.result th, table.result td {
  border-bottom: 1px solid #ccc; padding: 0.35em 0.6em; text-align: left; vertical-align: top;
  white-space: normal; max-width: none }
table.result td.points { text-align: right; white-space: nowrap }
table.result tr.full td.points { color: #1a6b2f }
table.result tr.open td.points { color: #7a4b00 }
p.verdict { border-left: 4px solid #7a4b00; padding: 0.3em 0.8em; margin: 0.4em 0 }
</style>
"""


class Summarise(NbGraderPreprocessor):
    """Put the table of results at the top of a notebook that is about to become a page."""

    # Set by the HTML exporter for every preprocessor; without the trait each page logs a warning.
    display_data_priority = List(config=True)

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        marks = resources["nbgrader"]
        said = verdicts(marks["assignment"], marks["student"], f"{marks['notebook']}.ipynb")
        nb.cells.insert(0, new_markdown_cell(summary(nb, marks.get("late_penalty", 0), said)))
        return nb, resources


def verdicts(assignment: str, student: str, notebook: str) -> list[str]:
    """What a grading run noted about the submission, in sentences for the learner."""
    from syslab.course import assignments
    from syslab.grading import spool

    try:
        found = spool.Spool(assignments.find(assignment)).record_of(student)
    except CourseError:
        return []
    messages = [] if found is None else [verdict.message for verdict in found.verdicts]
    return [message.removeprefix(f"{notebook}: ") for message in messages]


def summary(notebook: Any, late_penalty: float = 0.0, said: list[str] | None = None) -> str:
    """The table, as HTML that a Markdown cell may hold.

    Parameters
    ----------
    notebook
        Executed, with the points and comments that nbgrader's GetGrades put into its cells.
    late_penalty
        Points that lateness costs.
    said
        Sentences to stand above the table.
    """
    titles = _titles(notebook)
    given = {
        cell.metadata.nbgrader["grade_id"]: cell.metadata.nbgrader
        for cell in notebook.cells
        if cell.metadata.get("nbgrader", {}).get("grade_id")
    }
    rows = [
        _row(score, titles.get(score.grade_id, score.exercise), given[score.grade_id])
        for score in scores.of(notebook)
    ]
    if late_penalty:
        rows.append(
            f'<tr class="open"><td>late submission</td><td class="points">-{late_penalty:g}</td>'
            "<td>by the course's late policy</td></tr>"
        )
    notes = "".join(f'<p class="verdict">{html.escape(text)}</p>\n' for text in said or [])
    head = "<tr><th>exercise</th><th>points</th><th>what to look at</th></tr>"
    return f'{_STYLE}{notes}<table class="result">\n{head}\n' + "\n".join(rows) + "\n</table>"


def _row(score: CellScore, title: str, marks: Any) -> str:
    got = marks.get("score")
    points = f"{0.0 if got is None else got:g} of {score.max_points:g}"
    full = got is not None and got >= score.max_points
    what = _what(score, marks, full)
    link = f'<a href="#{html.escape(score.grade_id, quote=True)}">{html.escape(title)}</a>'
    kind = "full" if full else "open"
    return f'<tr class="{kind}"><td>{link}</td><td class="points">{points}</td><td>{what}</td></tr>'


def _what(score: CellScore, marks: Any, full: bool) -> str:
    comment = marks.get("comment")
    if comment and comment != "No response.":
        return html.escape(comment)
    if score.by_hand:
        if not score.answered:
            return "not answered"
        return "marked by a person" if marks.get("score") else "waits for a person to mark it"
    if full:
        return f"all {len(score.passed)} checks passed" if score.passed else "passed"
    said = html.escape(score.reason)
    if len(score.failed) > 1:
        more = len(score.failed) - 1
        said += f" <em>and {more} more check{'s' if more > 1 else ''}, below</em>"
    return said


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
