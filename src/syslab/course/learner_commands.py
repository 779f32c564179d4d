"""The learner's commands: start, check, submit, reveal and progress.

Each has ``add_<name>_arguments(parser)`` and ``run_<name>(args)``. None of them changes a file
the learner wrote.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from syslab.course import assignments, privacy, progress, scores, workbook
from syslab.course.assignments import Assignment
from syslab.course.errors import CourseError
from syslab.course.scores import CellScore
from syslab.course.workbook import Problem

WIDTH = 100
NOT_ALL_PASSED = 1
MOST_PLACES = 10


# -------------------------------------------------------------------------------------- start


def add_start_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("assignment", help="for example arch-02")
    parser.add_argument(
        "--fresh", action="store_true", help="a fresh copy: says how to set the present one aside"
    )


def run_start(args: argparse.Namespace) -> int:
    """Copy the released assignment into ``work/``; files that are there stay as they are."""
    assignment = assignments.find(args.assignment)
    shown = assignment.shown(assignment.work)
    if not assignment.notebooks():
        raise CourseError(
            f"{assignment.shown(assignment.release)}/ holds no notebook.",
            "Restore it (`git checkout release`), or make it with "
            f"`syslab release {assignment.name}`.",
        )
    if args.fresh and assignment.work.exists():
        raise CourseError(
            f"{shown}/ is there already, and a fresh copy never replaces it.",
            f"Set yours aside first: `mv {shown} {_free_name(assignment)}`, "
            f"then `syslab start {assignment.name}`.",
        )
    copied = assignments.copy_missing(assignment.release, assignment.work)
    if copied.added:
        progress.started(assignment.name)
    for name in copied.kept:
        print(f"kept   {shown}/{name} (yours)")
    for name in copied.added:
        print(f"added  {shown}/{name}")
    if not copied.added:
        print(f"Nothing to add: {shown}/ has everything.")
    print(
        f"\n{assignment.title}: about {assignment.minutes} minutes, {assignment.points:g} points."
    )
    print(f"Open   {shown}/{assignment.notebooks()[0]} in JupyterLab")
    print(f"Then   syslab check {assignment.name}")
    _offer_in_jupyterlab(assignment)
    return 0


def _free_name(assignment: Assignment) -> str:
    number = 1
    while (assignment.work.parent / f"{assignment.name}-old-{number}").exists():
        number += 1
    return f"{assignment.shown(assignment.work)}-old-{number}"


def _offer_in_jupyterlab(assignment: Assignment) -> None:
    """Put the assignment into the exchange, so that JupyterLab's assignment list knows it."""
    from syslab.course import exchange

    try:
        exchange.ensure_released(assignment)
    except (CourseError, OSError):
        # Working and checking need no exchange; `syslab submit` explains what is wrong with it.
        print("(JupyterLab's assignment list cannot show it: the exchange is out of reach.)")


# -------------------------------------------------------------------------------------- check


def add_check_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("assignment", nargs="?", help="for example arch-02; else the one started")


def run_check(args: argparse.Namespace) -> int:
    """Run a copy of the learner's notebook in a fresh kernel and say what passes."""
    assignment = assignments.find_started(args.assignment)
    assignments.require_work(assignment)
    checked = check(assignment)
    _record_written(assignment, checked.scores)
    print_problems(checked.problems)
    if shown := privacy.places(assignment):
        print(f"{_names_shown(shown)}\n    {_hide_names(assignment)}\n")
    print(f"Public checks of {assignment.name}, on a copy of your notebook in a fresh kernel\n")
    print_scores(checked.scores)
    automatic = [s for s in checked.scores if not s.by_hand]
    got, most = sum(s.points or 0 for s in automatic), sum(s.max_points for s in automatic)
    print(f"\n{got:g} of {most:g} points by the public checks.", end=" ")
    if all(s.full for s in automatic):
        print("Public checks passed.")
        print(f"Hidden checks run in grading: `syslab grade --mine {assignment.name}`.")
        return 0
    first = next(s for s in automatic if not s.full)
    print(f"Next: `{first.exercise}`.")
    return NOT_ALL_PASSED


@dataclass(frozen=True)
class Checked:
    """The outcome of `check`: what is odd about the notebook, and the graded cells."""

    problems: tuple[Problem, ...]
    scores: tuple[CellScore, ...]


def check(assignment: Assignment) -> Checked:
    """Run the public checks on a mended copy of the learner's folder.

    The copy lives in a temporary folder; the checks in the notebook still record the attempt.

    Raises
    ------
    CourseError
        When the notebook cannot be read, or no kernel can be started.
    """
    pairs = [
        (workbook.read(assignment, name), workbook.released(assignment, name))
        for name in assignment.notebooks()
    ]
    problems = [problem for pair in pairs for problem in workbook.compare(*pair)]
    found: list[CellScore] = []
    with tempfile.TemporaryDirectory(prefix="syslab-check-") as place:
        folder = Path(place) / assignment.name
        _copy_work(assignment, folder)
        for pair in pairs:
            found += scores.of(workbook.execute(workbook.repaired(*pair), folder, assignment))
    return Checked(tuple(problems), tuple(found))


def _copy_work(assignment: Assignment, folder: Path) -> None:
    ignored = shutil.ignore_patterns(*assignments.SKIPPED, "feedback")
    try:
        shutil.copytree(assignment.work, folder, ignore=ignored, dirs_exist_ok=True)
    except (OSError, shutil.Error) as error:
        raise CourseError(
            f"could not copy {assignment.shown(assignment.work)}/ to check it: {error}",
            f"Free some space in {folder.parent.parent} (or set TMPDIR) and run it again; "
            "your files were not touched.",
        ) from error


def _record_written(assignment: Assignment, found: Iterable[CellScore]) -> None:
    """Note that a written answer was attempted; code cells record themselves while they run."""
    known = progress.load()
    for score in found:
        key = f"{assignment.name}/{score.exercise}"
        ran_itself = bool(known.entries("check", key))
        if score.answered and (score.by_hand or not ran_itself):
            progress.record_check(
                assignment.name, score.exercise, score.points or 0.0, score.max_points
            )


# ------------------------------------------------------------------------------------- submit


def add_submit_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("assignment", nargs="?", help="for example arch-02; else the one started")
    parser.add_argument(
        "--anyway", action="store_true", help=f"although it shows a name of work/{privacy.LIST}"
    )


def run_submit(args: argparse.Namespace) -> int:
    """Hand in the learner's folder as it is; earlier submissions are kept."""
    assignment = assignments.find_started(args.assignment)
    assignments.require_work(assignment)
    problems: list[Problem] = []
    for name in assignment.notebooks():
        notebook = workbook.read(assignment, name)  # an unreadable one would be graded as nothing
        problems += workbook.compare(notebook, workbook.released(assignment, name))
    print_problems(problems)
    if shown := privacy.places(assignment):
        if not args.anyway:
            raise CourseError(
                f"nothing was handed in. {_names_shown(shown)}",
                f"{_hide_names(assignment)} If each is another word that is spelt alike: "
                f"`syslab submit {assignment.name} --anyway`.",
            )
        print(f"{_names_shown(shown)}\n    Handed in all the same, as you asked.\n")
    from syslab.course import exchange

    submission = exchange.submit(assignment)
    progress.submitted(assignment.name)
    print(f"Submitted {assignment.name} at {submission.time.astimezone():%Y-%m-%d %H:%M:%S %Z}.")
    if submission.earlier:
        count = submission.earlier
        print(f"{count} earlier submission{'s are' if count > 1 else ' is'} kept; the last counts.")
    print(f"Points with the hidden checks: `syslab grade --mine {assignment.name}`.")
    return 0


def _names_shown(shown: Sequence[privacy.Place]) -> str:
    """The places, ten at most: enough to begin with."""
    count = "1 place" if len(shown) == 1 else f"{len(shown)} places"
    lines = [f"Names of your {privacy.LIST} stand in {count}:"]
    lines += [f"  {place}" for place in shown[:MOST_PLACES]]
    if len(shown) > MOST_PLACES:
        lines.append(f"  and {len(shown) - MOST_PLACES} more")
    return "\n".join(lines)


def _hide_names(assignment: Assignment) -> str:
    if (assignment.work / privacy.LIST).exists():
        work = assignment.shown(assignment.work)
        return f"The list stays out of it: `mv {work}/{privacy.LIST} {work}/..`, then run it again."
    return "Write the pseudonym there; where it is an output, run that cell again and save."


# ------------------------------------------------------------------------------------- reveal


def add_reveal_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("assignment", help="for example arch-02")
    parser.add_argument("exercise", nargs="?", help="for example ridge; without it, a list")


def run_reveal(args: argparse.Namespace) -> int:
    """Show the reference answer of one exercise after a recorded attempt."""
    assignment = assignments.find(args.assignment)
    answers = reference_answers(assignment)
    record = progress.load()
    tried = {name for name in answers if record.attempts(f"{assignment.name}/{name}")}
    if args.exercise is None:
        for name in answers:
            print(f"  {name:<{max(map(len, answers))}}  {'open' if name in tried else 'locked'}")
        print("\nAn exercise opens when an attempt of yours has been checked.")
        return 0
    name = scores.exercise(args.exercise)
    if name not in answers:
        raise CourseError(
            f"{assignment.name} has no exercise '{name}'{_nearest(name, answers)}",
            f"Its exercises: {', '.join(answers)}.",
        )
    if name not in tried:
        raise CourseError(
            f"no attempt at `{name}` is on record yet, so its answer stays closed.",
            "Write an answer (a wrong one will do), run its test cell or "
            f"`syslab check {assignment.name}`, and ask again.",
        )
    progress.revealed(assignment.name, name)
    print(answers[name])
    return 0


def reference_answers(assignment: Assignment) -> dict[str, str]:
    """Exercise -> reference answer, from the instructor's notebooks, markers removed."""
    import nbformat

    if not assignment.source.is_dir():
        raise CourseError(
            f"{assignment.shown(assignment.source)}/ is not part of this copy of the course.",
            "Ask your instructor for the reference answer.",
        )
    answers = {}
    for name in assignment.notebooks():
        for cell in nbformat.read(assignment.source / name, as_version=4).cells:
            if workbook.is_answer(cell):
                lines = cell.source.split("\n")
                kept = [x for x in lines if "BEGIN SOLUTION" not in x and "END SOLUTION" not in x]
                answers[cell.metadata.nbgrader.grade_id] = "\n".join(kept)
    return answers


def _nearest(word: str, words: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(word, list(words), n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else "."


# ----------------------------------------------------------------------------------- progress


def add_progress_arguments(parser: argparse.ArgumentParser) -> None:
    """It takes none."""


def run_progress(args: argparse.Namespace) -> int:
    """Print the learner's home page."""
    from syslab.course import home

    print(home.text())
    return 0


# ----------------------------------------------------------------------------------- printing


def print_problems(problems: Sequence[Problem]) -> None:
    """What is odd about the notebook, each with the way out."""
    for problem in problems:
        for line in str(problem).split("\n"):
            indent = " " * (len(line) - len(line.lstrip()))
            print(textwrap.fill(line, WIDTH, subsequent_indent=indent or "  "))
    if problems:
        print()


def print_scores(found: Sequence[CellScore]) -> None:
    """The table of graded cells: exercise, points, and the first thing to mend."""
    if not found:
        print("  (no graded cell)")
        return
    name_width = max(len(s.exercise) for s in found)
    for line in _rows(found, name_width):
        print(line)


def _rows(found: Sequence[CellScore], name_width: int) -> Iterator[str]:
    for score in found:
        points = "-" if score.points is None else f"{score.points:g}"
        head = f"  {score.exercise:<{name_width}}  {points:>4} of {score.max_points:<3g}  "
        yield textwrap.fill(
            head + _remark(score), WIDTH, subsequent_indent=" " * len(head), break_on_hyphens=False
        )


def _remark(score: CellScore) -> str:
    if score.points is None:
        return "answered; awaiting a human"
    if score.full:
        return "passed"
    more = len(score.failed) - 1
    return score.reason + (f" (and {more} more)" if score.answered and more > 0 else "")
