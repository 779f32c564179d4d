"""The command line of what comes after grading: items, transcript and export."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from syslab.course import assignments, manifest, paths
from syslab.course.errors import CourseError

FORMATS = ("html", "csv", "json", "text")


# -------------------------------------------------------------------------------------- items


def add_items_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "How each graded cell of an assignment behaved in the class: difficulty, discrimination, "
        "full marks, zeros, unanswered, and the check that failed most often."
    )
    parser.add_argument("assignment", help="for example arch-02")
    parser.add_argument("--csv", metavar="FILE", help="write the table there instead")


def run_items(args: argparse.Namespace) -> int:
    from syslab.grading import book, items, sheets

    assignment = assignments.find(args.assignment)
    with book.reading(assignment.root) as gradebook:
        analysis = items.analyse(gradebook, assignment)
    if args.csv:
        print(f"{sheets.write(args.csv, items.to_csv(analysis))}: {len(analysis.items)} cells")
    else:
        print(items.to_text(analysis))
    return 0


# --------------------------------------------------------------------------------- transcript


def add_transcript_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "The 1,000-point score, every gate of both certificates, what is missing and what it would "
        "take, of one student or of everybody in the gradebook."
    )
    parser.add_argument("--student", help="one student id (default: everybody)")
    parser.add_argument("--format", choices=FORMATS, help="default: by the name of --out, or text")
    parser.add_argument("--out", metavar="FILE", help="a file; for everybody's html a folder")
    parser.add_argument(
        "--evidence", metavar="CSV", help="records for the gates (default: .syslab/evidence.csv)"
    )


def run_transcript(args: argparse.Namespace) -> int:
    from syslab.grading import book, evidence, sheets, transcript

    course = manifest.load(paths.root() / paths.MANIFEST, check_folders=False)
    kind = args.format or _kind_of(args.out)
    one_page = not args.out or Path(args.out).suffix.lower() in (".html", ".htm")
    if kind == "html" and args.student is None and one_page:
        raise CourseError(
            "everybody's transcripts are one page each: name a folder.",
            "`syslab transcript --format html --out transcripts`, or one `--student`.",
        )
    with book.reading(course.root) as gradebook:
        everybody = [s.id for s in book.students(gradebook)]
        if not everybody:
            raise CourseError(
                "the gradebook holds no student yet.",
                "`nbgrader db student import class.csv`, or grade what was handed in.",
            )
        records = evidence.load(course, everybody, Path(args.evidence) if args.evidence else None)
        made = transcript.build(gradebook, course, args.student, records)
        _warn_of_stale_penalties(course, book.handed(gradebook, student=args.student))
    if kind == "html":
        return _html(made, args.out, alone=args.student is not None)
    text = {
        "csv": transcript.to_csv,
        "json": transcript.to_json,
        "text": transcript.to_text,
    }[kind](made)
    if args.out:
        print(f"{sheets.write(args.out, text)}: {_counted(len(made), 'student')}")
    else:
        print(text)
    return 0


def _kind_of(out: str | None) -> str:
    """The format the name of `out` asks for; a name without a suffix is a folder of pages."""
    if not out:
        return "text"
    suffix = Path(out).suffix.lower().lstrip(".")
    return {"": "html", "htm": "html"}.get(suffix, suffix if suffix in FORMATS else "text")


def _html(made: list[Any], out: str | None, alone: bool) -> int:
    from syslab.grading import sheets, transcript_page

    if alone:
        text = transcript_page.page(made[0])
        print(sheets.write(out, text) if out else text)
        return 0
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CourseError(
            f"{folder} cannot be made: {error.strerror or error}.", "Name another folder."
        ) from error
    names = transcript_page.file_names(made)
    for name, one in zip(names, made, strict=True):
        sheets.write(folder / name, transcript_page.page(one))
    page = transcript_page.index(list(zip(names, made, strict=True)))
    print(f"{sheets.write(folder / 'index.html', page)}: {_counted(len(made), 'student')}")
    return 0


# ------------------------------------------------------------------------------------- export


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Grades as the CSV file that Canvas or Moodle imports."
    parser.add_argument("assignment", help="for example arch-02, or all")
    parser.add_argument("--lms", required=True, choices=("canvas", "moodle"))
    parser.add_argument("--out", metavar="FILE", help="default: standard output")
    parser.add_argument(
        "--provisional",
        action="store_true",
        help="also grades that await a human's mark, with the points so far",
    )


def run_export(args: argparse.Namespace) -> int:
    from syslab.grading import book, lms, sheets

    course = manifest.load(paths.root() / paths.MANIFEST, check_folders=False)
    names = None if args.assignment == "all" else [course.graded_part(args.assignment).id]
    with book.reading(course.root) as gradebook:
        made = lms.export(gradebook, args.lms, names, args.provisional)
        _warn_of_stale_penalties(course, book.handed(gradebook, names[0] if names else None))
    if args.out:
        print(
            f"{sheets.write(args.out, made.text)}: {_counted(made.grades, 'grade')} of "
            f"{_counted(made.students, 'student')}"
        )
    else:
        print(made.text)
    if made.awaiting:
        given = "given with the points so far" if args.provisional else "left out"
        _say(
            f"{_counted(len(made.awaiting), 'grade')} still awaiting a human's mark: {given} "
            f"({_some(made.awaiting)})."
        )
    if made.guarded:
        _say(
            "An id that begins with = + - or @ would run as a formula and got an apostrophe in "
            f"front; correct it before the import: {_some(made.guarded)}."
        )
    return 0


# -------------------------------------------------------------------------------------- shared


def _warn_of_stale_penalties(course: manifest.Course, handed: Iterable[Any]) -> None:
    """Say so when marks came after the late penalty was taken: it is a share of the points."""
    stale: dict[str, int] = {}
    for one in handed:
        due = max(0.0, one.score) * course.late.percent(one.late_s) / 100
        if abs(due - one.penalty) > 0.005:
            stale[one.assignment] = stale.get(one.assignment, 0) + 1
    for name, count in stale.items():
        _say(
            f"{_counted(count, 'late penalty', 'late penalties')} of {name} not up to date with "
            "the marks or with [late] in course.toml. Run "
            f"`nbgrader generate_feedback {name} --force`, then this again."
        )


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _some(names: tuple[str, ...], most: int = 5) -> str:
    from syslab.grading import sheets

    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(sheets.one_line(n) for n in names[:most]) + more


def _counted(count: int, noun: str, several: str = "") -> str:
    return f"{count} {noun if count == 1 else several or noun + 's'}"
