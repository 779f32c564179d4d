"""``syslab grade ASSIGNMENT``: grade a class, and say what happened while it happens."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from syslab.course.assignments import Assignment
from syslab.course.errors import CourseError

DIFFERS = 1
ENGINES = ("local", "ray")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of grading a class."""
    parser.add_argument("--student", default="*", help="one student of the class (default: all)")
    parser.add_argument("--workers", type=int, metavar="N", help="submissions at a time")
    parser.add_argument(
        "--engine", choices=ENGINES, default="local", help="where they run (default: here)"
    )
    parser.add_argument("--address", default="", help="of a Ray cluster; default: the one here")
    parser.add_argument(
        "--resume", action="store_true", help="finish a run that was interrupted; collect nothing"
    )
    parser.add_argument(
        "--force", action="store_true", help="run again what was graded and did not change"
    )
    parser.add_argument(
        "--regrade",
        action="store_true",
        help="after the assignment was corrected: run all again and show whose points change",
    )
    parser.add_argument("--csv", metavar="FILE", help="with --regrade: write the changes there")
    parser.add_argument("--no-feedback", action="store_true", help="leave feedback pages for later")
    parser.add_argument(
        "--no-sandbox",
        action="store_true",
        help="run submissions with your own rights; only for code that you trust",
    )


def run(assignment: Assignment, args: argparse.Namespace) -> int:
    """Grade the class, print one line for each student, return the exit status."""
    from syslab.grading import batch, feedback_pages

    _refuse_contradictions(args)
    if args.no_sandbox:
        print("without a sandbox: submissions run with your rights", file=sys.stderr)
    options = batch.Options(
        student=args.student,
        force=args.force or args.regrade,
        resume=args.resume,
        sandboxed=not args.no_sandbox,
    )
    before = _Before.of(assignment, args.regrade)
    watch = _Watch()
    try:
        rows = batch.grade(assignment, _engine(assignment, args), options, watch.row, watch.planned)
        if not rows:
            raise _nothing(assignment, args.student)
    except KeyboardInterrupt:
        watch.close()
        raise CourseError(
            "interrupted: what was graded is in the gradebook.",
            f"Finish with `syslab grade {assignment.name} --resume`.",
        ) from None
    except CourseError:
        if before is not None:
            with contextlib.suppress(CourseError):  # the first one says what to do
                before.changes(assignment)
        raise
    finally:
        watch.close()
    if not args.no_feedback:
        for problem in feedback_pages.make(assignment, rows, args.workers):
            print(f"no feedback page for {problem}", file=sys.stderr)
    _print_rows(rows)
    if before is not None:
        before.show(assignment, args.csv)
    return DIFFERS if any(row.state in ("refused", "failed") for row in rows) else 0


def _refuse_contradictions(args: argparse.Namespace) -> None:
    if args.resume and (args.force or args.regrade):
        raise CourseError(
            "--resume finishes what a run began and runs nothing twice.",
            "Resume first, then run it again with --force or --regrade.",
        )
    if args.resume and args.student != "*":
        raise CourseError(
            "--resume finishes the whole run that was interrupted.", "Leave --student out."
        )
    if args.csv and not args.regrade:
        raise CourseError("--csv writes what a regrade changed.", "Add `--regrade`.")
    if args.address and args.engine != "ray":
        raise CourseError("--address names a Ray cluster.", "Add `--engine ray`.")


def _engine(assignment: Assignment, args: argparse.Namespace) -> Callable[[], Any]:
    def make() -> Any:
        if args.engine == "ray":
            from syslab.grading import on_ray

            return on_ray.Ray(address=args.address or None, workers=args.workers)
        from syslab.grading import engines

        return engines.Local(args.workers, engines.imported_by(assignment))

    return make


class _Watch:
    """The progress bar, and a line above it for each submission a person should know about."""

    def __init__(self) -> None:
        self._bar: Any = None

    def planned(self, count: int) -> None:
        from tqdm import tqdm

        self._bar = tqdm(total=count, unit="submission", disable=None, file=sys.stderr)

    def row(self, row: Any) -> None:
        self._bar.update()
        if row.state in ("refused", "failed"):
            said = row.verdicts[0]
            self._bar.write(f"  {row.student}: {said.code}: {said.message}", file=sys.stderr)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def _print_rows(rows: list[Any]) -> None:
    width = max(len("student"), *(len(row.student) for row in rows))
    print(f"  {'student':<{width}}  {'points':>14}  handed in (UTC)")
    for row in rows:
        points = f"{row.points:g} of {row.max_points:g}"
        when = f"{row.submitted:%Y-%m-%d %H:%M:%S}" if row.submitted else "-"
        tail = "  awaiting a human" if row.needs_human and row.state != "refused" else ""
        tail += f"  {row.state}" if row.state in ("refused", "unchanged") else ""
        print(f"  {row.student:<{width}}  {points:>14}  {when}{tail}")
        for verdict in row.verdicts:
            print(f"  {'':<{width}}  {verdict.code}: {verdict.message}")
    states = Counter(row.state for row in rows)
    flagged = [row.student for row in rows if row.flagged and row.needs_human]
    parts = [f"{count} {state}" for state, count in sorted(states.items())]
    if flagged:
        parts.append(f"{len(flagged)} to look at before their points are returned")
    noun = "submission" if len(rows) == 1 else "submissions"
    print(f"\n{len(rows)} {noun}: {', '.join(parts)}.")
    if flagged:
        print(f"To look at in Formgrader: {', '.join(flagged)}.")
    failed = [row.student for row in rows if row.state in ("refused", "failed")]
    if failed:
        print(f"Not graded: {', '.join(failed)}.", file=sys.stderr)


def _nothing(assignment: Assignment, student: str) -> CourseError:
    """What to tell somebody whose run found no submission."""
    if student == "*":
        return CourseError(
            f"nothing was handed in for {assignment.name}.",
            f"Submissions arrive through `syslab submit {assignment.name}` or JupyterLab.",
        )
    import difflib

    handed_in = (assignment.root / "submitted").glob(f"*/{assignment.name}")
    near = difflib.get_close_matches(student, [path.parent.name for path in handed_in], n=1)
    meant = f" Did you mean '{near[0]}'?" if near else ""
    return CourseError(
        f"nothing was handed in for {assignment.name} by '{student}'.{meant}",
        "`ls submitted` lists who handed something in.",
    )


@dataclass
class _Before:
    """The scores before a run, on disk until it is known that none of them was changed by it.

    `asked`: they are wanted whatever comes out.
    """

    scores: Any
    times: Mapping[str, datetime | None]
    file: Path
    asked: bool

    @classmethod
    def of(cls, assignment: Assignment, asked: bool) -> _Before | None:
        """The scores as they stand; None before the first submission of an assignment."""
        from syslab.grading import book, regrade

        try:
            taken, times = _scores(assignment)
        except book.NotYet:
            if asked:
                raise
            return None
        if not taken.scores and not asked:
            return None
        made = cls(taken, times, regrade.save(taken, assignment.root), asked)
        if asked:
            print(f"scores before: {assignment.shown(made.file)}")
        return made

    def changes(self, assignment: Assignment) -> Any:
        """What the run changed; without being asked to, only of work not handed in again.

        None, and nothing is kept, where nothing was asked and nothing changed.
        """
        from syslab.grading import regrade

        after, times = _scores(assignment)
        if self.asked:
            return regrade.diff(self.scores, after)
        same = {s for s in self.scores.scores if times.get(s) == self.times.get(s)}
        found = regrade.diff(regrade.only(self.scores, same), regrade.only(after, same))
        if found.changes or found.moved:
            return found
        self.file.unlink(missing_ok=True)
        return None

    def show(self, assignment: Assignment, csv: str | None) -> None:
        """Print what the run changed."""
        from syslab.grading import regrade, sheets

        diff = self.changes(assignment)
        if diff is None:
            return
        if not self.asked:
            print("\nScores changed of work that was not handed in again: the assignment, its")
            print("tests or the grader are not what they were. Scores before:")
            print(assignment.shown(self.file))
        print()
        if csv:
            print(f"{sheets.write(csv, regrade.to_csv(diff))}: {len(diff.changes)} changes")
        else:
            print(regrade.to_text(diff))


def _scores(assignment: Assignment) -> tuple[Any, dict[str, datetime | None]]:
    """Every score of an assignment, and when each student handed it in."""
    from syslab.grading import book, regrade

    with book.reading(assignment.root) as session:
        handed = book.handed(session, assignment.name)
        return regrade.snapshot(session, assignment.name), {h.student: h.submitted for h in handed}
