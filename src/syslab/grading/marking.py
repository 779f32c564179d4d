"""The rubric beside each hand-marked cell in nbgrader's Formgrader.

``nbgrader_config.py`` calls `configure`: Formgrader's exporter then finds our page before
nbgrader's own, which ours extends, and asks `Marking` what stands beside a cell. Score and comment
are written into Formgrader's own boxes by ``templates/rubric.js``, so that Formgrader saves them.
The feedback page has another template, which shows none of this and runs no script.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from traitlets.config import LoggingConfigurable

from syslab.grading import rubric as rubrics
from syslab.grading.rubric import Dimension, Mark, RubricError

TEMPLATES = Path(__file__).parent / "templates"


def configure(c: Any) -> None:
    """Set what nbgrader's configuration `c` needs to show rubrics in Formgrader."""
    found = importlib.util.find_spec("nbgrader")  # found, not imported: every command reads this
    if found is None or not found.submodule_search_locations:
        return
    package = Path(found.submodule_search_locations[0])
    stock = str(package / "server_extensions" / "formgrader" / "templates")
    c.HTMLExporter.extra_template_basedirs = [str(TEMPLATES), stock]
    c.HTMLExporter.extra_template_paths = [stock, str(TEMPLATES)]
    c.HTMLExporter.filters = {
        "marking": "syslab.grading.marking.Marking",
        "guarded": "syslab.grading.guard.guarded",
        "reasons": "syslab.grading.marking.reasons",
    }


def reasons(resources: Any) -> list[str]:
    """What a grading run noted about the submission on the page, as HTML; nothing elsewhere."""
    from syslab.grading import feedback_summary

    if not resources.get("submission_id"):
        return []
    said = feedback_summary.verdicts(
        resources["assignment_id"], resources["student"], resources["notebook_id"]
    )
    return [feedback_summary.prose(sentence.text) for sentence in said]


@dataclass(frozen=True)
class Shown:
    """One sample as far as it concerns the cell."""

    name: str
    text: str
    note: str
    points: float
    marks: tuple[tuple[Mark, float], ...]  # with the points of its level


@dataclass(frozen=True)
class Desk:
    """What stands beside one hand-marked cell; `problems` are sentences for the marker."""

    cell: str
    points: float = 0.0
    dimensions: tuple[Dimension, ...] = ()
    comments: tuple[tuple[str, str], ...] = ()
    samples: tuple[Shown, ...] = ()
    words: int = 0
    words_at_most: int | None = None
    problem_in: str = ""
    problems: tuple[str, ...] = ()


class Marking(LoggingConfigurable):
    """A filter for the page's template: from a cell to its `Desk`, or None."""

    def __call__(self, cell: Any, resources: Any) -> Desk | None:
        marks = cell.metadata.get("nbgrader") or {}
        if not (marks.get("task") or (marks.get("grade") and marks.get("solution"))):
            return None
        folder = self._source(resources)
        if folder is None or not (folder / rubrics.RUBRIC).is_file():
            return None
        resources["syslab_marking"] = True  # the page then carries our style and script
        words = len(cell.source.split())
        return desk(folder, str(marks.get("grade_id")), float(marks.get("points", 0)), words)

    def _source(self, resources: Any) -> Path | None:
        """The assignment's source folder; None outside Formgrader and in other courses."""
        from nbgrader.coursedir import CourseDirectory

        if not resources.get("submission_id") or not resources.get("assignment_id"):
            return None
        course = CourseDirectory(parent=self)
        place = Path(resources.get("metadata", {}).get("path") or ".").resolve()
        if not place.is_relative_to(Path(course.root).resolve()):
            return None
        return Path(
            course.format_path(course.source_directory, ".", resources["assignment_id"])
        ).resolve()


def desk(folder: Path, cell: str, points: float, words: int = 0) -> Desk:
    """What a marker sees beside a cell.

    Parameters
    ----------
    folder
        The assignment's source folder, which holds the rubric.
    cell
        Grade id of the cell.
    points
        Points of the cell in the notebook.
    words
        Length of the answer.

    Returns
    -------
    Desk
        A mistake in the rubric leaves nothing but `problems`; one in the samples leaves out those.
    """
    try:
        rubric = rubrics.load(folder / rubrics.RUBRIC)
        _fits(rubric, cell, points)
    except RubricError as error:
        return Desk(cell, points, words=words, problem_in=error.name, problems=error.mistakes)
    samples: tuple[Shown, ...] = ()
    problem_in, problems = "", ()
    if (folder / rubrics.SAMPLES).is_file():
        try:
            read = rubrics.load_samples(folder / rubrics.SAMPLES, rubric)
            samples = tuple(_shown(sample, rubric.of(cell), cell) for sample in read)
        except RubricError as error:
            problem_in, problems = error.name, error.mistakes
    return Desk(
        cell,
        points,
        rubric.of(cell),
        tuple(rubric.comments.items()),
        samples,
        words,
        rubric.words_at_most.get(cell),
        problem_in,
        problems,
    )


def _fits(rubric: rubrics.Rubric, cell: str, points: float) -> None:
    if not rubric.of(cell):
        known = ", ".join(rubric.cells)
        raise RubricError(
            rubrics.RUBRIC, [f"It has no dimension for the cell `{cell}`, only for {known}."]
        )
    if abs(rubric.points(cell) - points) > 1e-6:
        raise RubricError(
            rubrics.RUBRIC,
            [
                f"The dimensions of `{cell}` add up to {rubric.points(cell):g} points; "
                f"the notebook gives the cell {points:g}."
            ],
        )


def _shown(sample: rubrics.Sample, dimensions: tuple[Dimension, ...], cell: str) -> Shown:
    worth = {d.name: d.worth for d in dimensions}
    marks = tuple((m, worth[m.dimension][m.level]) for m in sample.marks if m.dimension in worth)
    total = round(sum(points for _, points in marks), 4)
    return Shown(sample.name, sample.texts[cell], sample.note, total, marks)
