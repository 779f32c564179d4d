"""The command line of grading: grade, release and demo."""

from __future__ import annotations

import argparse

from syslab.course import assignments, learner_commands, manifest, paths, progress
from syslab.course.assignments import Assignment
from syslab.course.errors import CourseError
from syslab.grading import class_command

DIFFERS = 1


# -------------------------------------------------------------------------------------- grade


def add_grade_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "With --mine: grade your own work with the hidden checks, in a temporary course. Without: "
        "collect, run and record what a class handed in, each submission in a sandbox, and return "
        "feedback."
    )
    parser.add_argument("assignment", nargs="?", help="for example arch-02; else the one started")
    parser.add_argument("--mine", action="store_true", help="grade work/<assignment> only")
    class_command.add_arguments(parser)


def run_grade(args: argparse.Namespace) -> int:
    if args.mine:
        return _grade_mine(assignments.find_started(args.assignment))
    if not args.assignment:
        raise CourseError(
            "name the assignment to grade for a class.",
            "For your own work: `syslab grade --mine`.",
        )
    return class_command.run(assignments.find(args.assignment), args)


def _grade_mine(assignment: Assignment) -> int:
    from syslab.grading import selfgrade

    graded = selfgrade.grade(assignment)
    learner_commands.print_problems(graded.problems)
    print(f"{assignment.name}, graded with the hidden checks on a copy of your work\n")
    learner_commands.print_scores(graded.scores)
    print(f"\n{graded.points:g} of {graded.max_points:g} points.", end=" ")
    if graded.awaiting_points:
        print(f"{graded.awaiting_points:g} more await a human.", end=" ")
    gate = assignment.gate_points
    if gate is not None:
        missing = gate - graded.points
        print(f"The gate is {gate:g}: " + ("passed." if missing <= 0 else f"{missing:g} to go."))
    else:
        print()
    empty = [s.exercise for s in graded.scores if not s.answered]
    if empty:
        print(f"Not answered yet: {', '.join(empty)}.")
    progress.record_grade(
        assignment.name,
        graded.points,
        graded.max_points,
        {s.grade_id: s.points for s in graded.scores},
    )
    return 0


# ------------------------------------------------------------------------------------ release


def add_release_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("assignment", nargs="?", help="default: every assignment that is ready")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; name what differs from source/"
    )


def run_release(args: argparse.Namespace) -> int:
    from syslab.grading import release

    differing = 0
    for assignment in _chosen(args.assignment):
        shown = assignment.shown(assignment.release)
        if not args.check:
            release.make(assignment)
            print(f"{shown}/ made from source/{assignment.name}/: no leak, stubs earn 0")
            continue
        found = release.verify(assignment)
        differing += len(found)
        _print_differences(found, shown, f"syslab release {assignment.name}")
    return DIFFERS if differing else 0


# --------------------------------------------------------------------------------------- demo


def add_demo_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("assignment", nargs="?", help="default: every assignment that has one")
    parser.add_argument("--check", action="store_true", help="write nothing; name what differs")


def run_demo(args: argparse.Namespace) -> int:
    from syslab.grading import demo

    chosen = _chosen(args.assignment)
    if args.assignment is None:
        chosen = [a for a in chosen if demo.answers_file(a.name).is_file()]
    differing = 0
    for assignment in chosen:
        shown = assignment.shown(demo.target(assignment))
        if args.check:
            found = demo.verify(assignment)
            differing += len(found)
            _print_differences(found, shown, f"syslab demo {assignment.name}")
            continue
        print(f"{shown}/")
        learner_commands.print_scores(demo.make(assignment))
    return DIFFERS if differing else 0


def _chosen(name: str | None) -> list[Assignment]:
    if name:
        return [assignments.find(name)]
    root = paths.root()
    course = manifest.load(root / paths.MANIFEST, check_folders=False)
    return [assignments.find(part.id, root) for part in course.ready_parts]


def _print_differences(found: list, shown: str, command: str) -> None:
    for difference in found:
        print(difference)
    print(f"{shown}/: out of date, run `{command}`" if found else f"{shown}/: as made from source/")
