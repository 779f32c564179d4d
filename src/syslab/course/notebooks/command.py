"""``syslab nb``: view, apply, run, fmt, check, minutes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from syslab.course import paths
from syslab.course.errors import CourseError

TREES = ("lessons", "labs", "source", "projects", "START.ipynb")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    view = actions.add_parser("view", help="print a notebook as percent text")
    view.add_argument("notebook", type=Path)
    view.add_argument("--outputs", action="store_true", help="text outputs as comments")
    apply = actions.add_parser("apply", help="write edited percent text back, then execute")
    apply.add_argument("notebook", type=Path, help="created when it does not exist")
    apply.add_argument("--text", type=Path, help="the edited text (default: standard input)")
    apply.add_argument("--no-run", action="store_true", help="do not execute afterwards")
    apply.add_argument("--remeasure", action="store_true", help="renew stored clock readings")
    run = actions.add_parser("run", help="execute in a fresh kernel and store the outputs")
    run.add_argument("notebook", type=Path, nargs="*", help="default: every notebook")
    run.add_argument("--remeasure", action="store_true", help="renew stored clock readings")
    for name, text in (
        ("fmt", "rewrite in canonical form"),
        ("check", "refuse what breaks the contract"),
        ("minutes", "how long a reader needs, by rule"),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument("notebook", type=Path, nargs="*", help="default: every notebook")


def run(args: argparse.Namespace) -> int:
    actions = {
        "view": _view,
        "apply": _apply,
        "run": _run,
        "fmt": _fmt,
        "check": _check,
        "minutes": _minutes,
    }
    return actions[args.action](args)


def notebooks(given: list[Path] | None = None) -> list[Path]:
    """The notebooks named, or every notebook an author owns; folders are searched."""
    root = paths.root()
    starts = given or [root / tree for tree in TREES]
    found: list[Path] = []
    for start in starts:
        if start.is_dir():
            found += [p for p in start.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts]
        elif start.exists() or given:
            found.append(start)
    return sorted(found)


def _view(args: argparse.Namespace) -> int:
    from syslab.course.notebooks import canonical, text

    print(text.view(canonical.read(args.notebook), outputs=args.outputs), end="")
    return 0


def _apply(args: argparse.Namespace) -> int:
    from syslab.course.notebooks import canonical, execute, text

    edited = _edited(args.text)
    old = canonical.read(args.notebook) if args.notebook.exists() else None
    merged = canonical.canonicalise(text.apply(edited, old))
    args.notebook.parent.mkdir(parents=True, exist_ok=True)
    if args.no_run:
        canonical.write(merged, args.notebook)
        return 0
    execute.run(args.notebook, remeasure=args.remeasure, notebook=merged)
    print(f"{args.notebook}: applied and executed")
    return _report([args.notebook])


def _edited(file: Path | None) -> str:
    if file is None:
        return sys.stdin.read()
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CourseError(f"{file} cannot be read ({error})", "check the path") from None


def _run(args: argparse.Namespace) -> int:
    from syslab.course.notebooks import execute

    found = notebooks(args.notebook)
    for path in found:
        execute.run(path, remeasure=args.remeasure)
        print(f"{path}: executed")
    return _report(found)


def _fmt(args: argparse.Namespace) -> int:
    from syslab.course.notebooks import canonical

    for path in notebooks(args.notebook):
        before = path.read_text(encoding="utf-8")
        notebook = canonical.canonicalise(canonical.read(path))
        if canonical.dumps(notebook) != before:
            canonical.write(notebook, path)
            print(f"{path}: rewritten")
    return 0


def _check(args: argparse.Namespace) -> int:
    found = notebooks(args.notebook)
    code = _report(found)
    if code == 0:
        print(f"{len(found)} notebooks: nothing to refuse")
    return code


def _minutes(args: argparse.Namespace) -> int:
    from syslab.course import minutes
    from syslab.course.notebooks import canonical

    for path in notebooks(args.notebook):
        print(f"{minutes.minutes(canonical.read(path)):4d}  {path}")
    return 0


def _report(found: list[Path]) -> int:
    from syslab.course.notebooks import contract

    findings: list[Any] = []
    for path in found:
        try:
            findings += contract.check(path.resolve(), paths.root())
        except CourseError as unreadable:  # says which notebook; the others are still looked at
            findings.append(unreadable)
    for finding in findings:
        print(finding)
    return 1 if findings else 0
