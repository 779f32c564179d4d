"""A learner's own work, graded with the hidden tests, on their own machine."""

from __future__ import annotations

from dataclasses import dataclass

from syslab.course import assignments, scores, workbook
from syslab.course.assignments import Assignment
from syslab.course.scores import CellScore
from syslab.course.workbook import Problem
from syslab.grading.workshop import fill, workshop

STUDENT = "me"


@dataclass(frozen=True)
class Graded:
    """The outcome: what was odd about the notebook, and the graded cells."""

    problems: tuple[Problem, ...]
    scores: tuple[CellScore, ...]

    @property
    def points(self) -> float:
        """Points given by the machine; written answers count nothing until a person marks them."""
        return round(sum(s.points or 0.0 for s in self.scores), 2)

    @property
    def max_points(self) -> float:
        return sum(s.max_points for s in self.scores)

    @property
    def awaiting_points(self) -> float:
        return sum(s.max_points for s in self.scores if s.points is None)


def grade(assignment: Assignment) -> Graded:
    """Autograde the learner's folder in a temporary course; nothing of theirs is changed.

    The notebook is mended first, as for `syslab check`, so that a deleted test cell or lost
    marks do not cost points here.

    Raises
    ------
    CourseError
        When there is no work, it cannot be read, or grading fails.
    """
    import nbformat

    folder = assignments.require_work(assignment)
    names = assignment.notebooks()
    pairs = [(workbook.read(assignment, n), workbook.released(assignment, n)) for n in names]
    problems = [problem for pair in pairs for problem in workbook.compare(*pair)]
    found: list[CellScore] = []
    with workshop(assignment) as bench:
        bench.generate()
        handed_in = bench.submitted(STUDENT)
        fill(handed_in, folder)
        for name, pair in zip(names, pairs, strict=True):
            nbformat.write(workbook.repaired(*pair), handed_in / name)
        graded = bench.autograde(STUDENT)
        for name in names:
            found += scores.of(nbformat.read(graded / name, as_version=4))
    return Graded(tuple(problems), tuple(found))
