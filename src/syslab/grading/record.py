"""The one writer of a grading run: from submission to job, and from executed job to gradebook.

nbgrader's own preprocessors do both halves, those the configuration names: the sanitising ones
before a submission is run, and after it all of the autograding ones but the execution. So the
gradebook holds what ``nbgrader autograde`` would have written, in one transaction for each
notebook instead of one for each cell.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from syslab.course.assignments import Assignment
from syslab.grading.verdicts import Verdict


class Recorder:
    """Prepares and records submissions of one assignment. Use as a context manager.

    Parameters
    ----------
    assignment
        What is graded; its tests must be in the gradebook.
    config
        From `nbgrader_apps.configuration`.
    """

    def __init__(self, assignment: Assignment, config: Any) -> None:
        from nbconvert.exporters import NotebookExporter
        from nbgrader.api import Gradebook
        from nbgrader.converters import Autograde
        from nbgrader.coursedir import CourseDirectory

        self.assignment = assignment
        self.course = CourseDirectory(config=config)
        self.course.assignment_id = assignment.name
        self.app = Autograde(coursedir=self.course, config=config)
        self.app.exporter = NotebookExporter(parent=self.app, config=config)
        self.gradebook = Gradebook(self.course.db_url, self.course.course_id)
        self.known = {
            f"{notebook.name}.ipynb": {cell.name for cell in notebook.source_cells}
            for notebook in self.gradebook.find_assignment(assignment.name).notebooks
        }
        self._before = self._chain(sanitizing=True)
        self._after = self._chain(sanitizing=False)
        self.helpers = self._read_helpers()
        self.own_files = set(self.app.exclude_overwriting.get(assignment.name, []))

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.gradebook.close()

    # -- before ----------------------------------------------------------------------------------

    def sanitised(self, student: str, notebooks: Mapping[str, Any]) -> dict[str, str]:
        """The notebooks as they are to be run: test cells restored, outputs and marks cleared."""
        import nbformat

        clean = {}
        for name, notebook in notebooks.items():
            ready, _ = self._through(self._before, notebook, student, name)
            clean[name] = nbformat.writes(ready, version=4)
        return clean

    def beside(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """What lies beside the notebooks: the learner's files, the course's own on top.

        Of those that learners replace with their own, the course's is taken where they did not.
        """
        ours = {n: data for n, data in self.helpers.items() if n not in self.own_files}
        return {**self.helpers, **files, **ours}

    # -- after -----------------------------------------------------------------------------------

    def record(
        self,
        student: str,
        notebooks: Mapping[str, str],
        files: Mapping[str, bytes],
        timestamp: datetime | None,
        verdicts: list[Verdict],
    ) -> None:
        """Write executed notebooks into the gradebook and to ``autograded/``.

        Doing it again changes nothing: a run that was cut short repeats it.
        """
        import nbformat

        self._enter(student, timestamp)
        settled = {name: self._settled(student, name) for name in notebooks}
        for name in self.known.keys() - notebooks.keys():
            self._nothing_for(student, name)
        made = {}
        for name, text in notebooks.items():
            notebook = nbformat.reads(text, as_version=4)
            made[name], _ = self._through(self._after, notebook, student, name)
        flagged = any(verdict.flagged for verdict in verdicts)
        self._flag(student, flagged)
        if flagged:
            self._ask_for_a_look(student)
        for name, notebook in made.items():
            self._keep_settled(student, name, settled[name], _answers(notebook))
        texts = {n: nbformat.writes(notebook, version=4) + "\n" for n, notebook in made.items()}
        self._place(student, texts, files, timestamp)

    def refuse(self, student: str, timestamp: datetime | None) -> None:
        """Enter a submission that cannot be run: no points, and a person is asked to look.

        Points of an earlier submission stay, and so does its time; they are only marked for a look.
        """
        from nbgrader.api import MissingEntry

        try:
            found = self.gradebook.find_submission(self.assignment.name, student)
            fresh = all(g.auto_score is None for n in found.notebooks for g in n.grades)
        except MissingEntry:
            fresh = True
        self._enter(student, timestamp if fresh else None)
        if fresh:
            for name in self.known:
                self._nothing_for(student, name)
        self._ask_for_a_look(student)

    # -- parts -----------------------------------------------------------------------------------

    def _chain(self, sanitizing: bool) -> list[Callable[[Any, Any], tuple[Any, Any]]]:
        from nbgrader.preprocessors import Execute

        self.app._sanitizing = sanitizing
        self.app._init_preprocessors()
        chain = self.app.exporter._preprocessors
        return [step for step in chain if not isinstance(step, Execute)]

    def _through(
        self, chain: list[Any], notebook: Any, student: str, name: str
    ) -> tuple[Any, dict[str, Any]]:
        stem = Path(name).stem
        resources: dict[str, Any] = {
            "unique_key": stem,
            "output_files_dir": f"{stem}_files",
            "metadata": {"name": stem},
            "nbgrader": {
                "student": student,
                "assignment": self.assignment.name,
                "notebook": stem,
                "db_url": self.course.db_url,
            },
        }
        with _one_connection(self.gradebook):
            for step in chain:
                notebook, resources = step(notebook, resources)
        return notebook, resources

    def _enter(self, student: str, timestamp: datetime | None) -> None:
        given = {"timestamp": timestamp} if timestamp else {}
        with self.gradebook.db.no_autoflush:
            self.gradebook.update_or_create_student(student)
            self.gradebook.update_or_create_submission(self.assignment.name, student, **given)

    def _nothing_for(self, student: str, name: str) -> None:
        """No notebook, no points, as nbgrader does it."""
        found = self.gradebook.find_submission_notebook(
            Path(name).stem, self.assignment.name, student
        )
        for grade in found.grades:
            grade.auto_score = 0
            grade.needs_manual_grade = False
        self.gradebook.db.commit()

    def _settled(self, student: str, name: str) -> tuple[dict[str, _Mark], dict[str, str]]:
        """The marks that a person gave and nobody is asked about, and the answers they are for."""
        import nbformat

        found = self.gradebook.find_submission_notebook(
            Path(name).stem, self.assignment.name, student
        )
        marks = {
            grade.name: (grade.auto_score, grade.manual_score)
            for grade in found.grades
            if grade.manual_score is not None and not grade.needs_manual_grade
        }
        if not marks:
            return {}, {}
        try:
            return marks, _answers(nbformat.read(self.folder(student) / name, as_version=4))
        except (OSError, ValueError):
            return {}, {}

    def _keep_settled(
        self,
        student: str,
        name: str,
        settled: tuple[dict[str, _Mark], dict[str, str]],
        answers: dict[str, str],
    ) -> None:
        """Ask nobody to mark again what was marked and is the same: answers, points and tests.

        A written answer stands alone; what the machine scored rests on all answers.
        """
        marks, before = settled
        if not marks:
            return
        found = self.gradebook.find_submission_notebook(
            Path(name).stem, self.assignment.name, student
        )
        for grade in found.grades:
            mark = (grade.auto_score, grade.manual_score)
            if marks.get(grade.name) != mark or grade.manual_score > grade.max_score:
                continue
            written = grade.auto_score is None
            rests_on = {grade.name} if written else answers.keys() | before.keys()
            if all(answers.get(cell) == before.get(cell) for cell in rests_on):
                grade.needs_manual_grade = False
        self.gradebook.db.commit()

    def _flag(self, student: str, flagged: bool) -> None:
        """Set the flag in Formgrader's list of submissions."""
        for notebook in self.gradebook.find_submission(self.assignment.name, student).notebooks:
            notebook.flagged = flagged
        self.gradebook.db.commit()

    def _ask_for_a_look(self, student: str) -> None:
        """Put the submission on Formgrader's list of what a person has to grade."""
        found = self.gradebook.find_submission(self.assignment.name, student)
        for notebook in found.notebooks:
            for grade in notebook.grades:
                grade.needs_manual_grade = True
        self.gradebook.db.commit()

    def _place(
        self,
        student: str,
        texts: Mapping[str, str],
        files: Mapping[str, bytes],
        timestamp: datetime | None,
    ) -> None:
        """Put the executed submission into ``autograded/`` in one move."""
        target = self.folder(student)
        stage = target.with_name(f".{target.name}.new")
        old = target.with_name(f".{target.name}.old")
        for left in (stage, old):
            shutil.rmtree(left, ignore_errors=True)
        stage.mkdir(parents=True)
        for path, content in files.items():
            place = stage / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        for name, text in texts.items():
            (stage / name).write_text(text, encoding="utf-8")
        if timestamp is not None:
            (stage / "timestamp.txt").write_text(
                f"{timestamp:%Y-%m-%d %H:%M:%S.%f} UTC", encoding="utf-8"
            )
        mode = int(str(self.app.permissions), 8)
        for path in stage.rglob("*"):
            if path.is_file():
                path.chmod(mode)
        if target.exists():
            os.replace(target, old)
        os.replace(stage, target)
        shutil.rmtree(old, ignore_errors=True)

    def folder(self, student: str) -> Path:
        """Where nbgrader keeps the autograded submission of `student`."""
        return Path(
            self.course.format_path(self.course.autograded_directory, student, self.assignment.name)
        )

    def submitted(self, student: str) -> Path:
        """Where nbgrader keeps what `student` handed in."""
        return Path(
            self.course.format_path(self.course.submitted_directory, student, self.assignment.name)
        )

    def _read_helpers(self) -> dict[str, bytes]:
        from nbgrader.utils import find_all_files

        source = self.course.format_path(self.course.source_directory, ".", self.assignment.name)
        found = find_all_files(source, [*self.course.ignore, "*.ipynb"])
        return {
            Path(path).relative_to(source).as_posix(): Path(path).read_bytes()
            for path in sorted(found)
        }


_Mark = tuple[float | None, float | None]  # the machine's points and the hand's


def _answers(notebook: Any) -> dict[str, str]:
    """What the learner wrote, by grade id."""
    found = {}
    for cell in notebook.cells:
        marks = cell.metadata.get("nbgrader") or {}
        if marks.get("solution") or marks.get("task"):
            found[marks["grade_id"]] = cell.source
    return found


@contextlib.contextmanager
def _one_connection(gradebook: Any) -> Iterator[None]:
    """Let nbgrader's preprocessors share this gradebook, and commit once at the end.

    Each of them opens the database anew and commits after every cell; with a file that is a
    disk flush for each cell.
    """
    from nbgrader.preprocessors import latesubmissions, overwritecells, saveautogrades

    session = gradebook.db
    places = (overwritecells, saveautogrades, latesubmissions)
    kept = [place.Gradebook for place in places]
    session.registry().commit = session.registry().flush
    for place in places:
        place.Gradebook = lambda *_, **__: _Unclosed(gradebook)
    try:
        try:
            yield
        finally:
            del session.registry().commit
            for place, original in zip(places, kept, strict=True):
                place.Gradebook = original
    except BaseException:
        session.rollback()
        raise
    session.commit()


class _Unclosed:
    """A gradebook whose ``with`` block does not close it."""

    def __init__(self, gradebook: Any) -> None:
        self._gradebook = gradebook

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gradebook, name)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def close(self) -> None:
        """Closed by its owner."""
