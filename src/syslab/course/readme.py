"""``syslab readme``: the tables of README.md, written from the manifest.

A generated block stands between two comments and is never edited by hand::

    <!-- generated: modules -->
    ...
    <!-- end of generated: modules -->
"""

from __future__ import annotations

import argparse
import difflib
import re
from pathlib import Path

from syslab.course import manifest, paths
from syslab.course.errors import CourseError
from syslab.course.home import duration
from syslab.course.manifest import Course, Module

README = "README.md"
OUT_OF_DATE = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--write", action="store_true", help="write the tables (the default)")
    mode.add_argument("--check", action="store_true", help="only say what is out of date")


def run(args: argparse.Namespace) -> int:
    course = manifest.load(check_folders=args.check)
    path = course.root / README
    old = _read(path)
    new = render(old, course)
    if old == new:
        print(f"{README} agrees with {paths.MANIFEST}.")
        return 0
    if not args.check:
        path.write_text(new, encoding="utf-8")
        print(f"{README}: tables written from {paths.MANIFEST}.")
        return 0
    changed = difflib.unified_diff(
        old.splitlines(), new.splitlines(), README, paths.MANIFEST, lineterm="", n=0
    )
    print("\n".join(changed))
    print(f"{README} is out of date: run `syslab readme`.")
    return OUT_OF_DATE


def render(text: str, course: Course) -> str:
    """`text` with every generated block replaced by what the manifest says now.

    Raises
    ------
    CourseError
        When a block has no end, or a block this module knows is missing or unknown.
    """
    blocks = {"modules": modules(course), "points": points(course)}
    found = re.findall(r"<!-- generated: (\S+) -->", text)
    for name in dict.fromkeys([*found, *blocks]):
        whole = re.findall(_block(name), text, re.DOTALL)
        if name not in blocks:
            raise CourseError(
                f"{README} has a generated block '{name}', which nothing writes.",
                f"It knows {', '.join(blocks)}.",
            )
        if len(whole) != 1 or found.count(name) != 1:
            raise CourseError(
                f"{README} must hold the block '{name}' exactly once, with its end.",
                f"Begin it with {_begin(name)} and end it with {_end(name)}.",
            )
    for name, body in blocks.items():
        shown = f"{_begin(name)}\n{body}\n{_end(name)}"
        text = re.sub(_block(name), lambda _, shown=shown: shown, text, flags=re.DOTALL)
    return text


def modules(course: Course) -> str:
    """One table a track: what the learner will be able to do, time, prerequisites, status."""
    parts = []
    for track in course.tracks:
        own = course.modules_of(track.id)
        ready = sum(m.ready for m in own)
        parts += [
            f"### {track.title}: {len(own)} modules, {ready} ready",
            "",
            track.summary,
            "",
            "| Module | You will be able to | Level | Time | After | Status |",
            "|---|---|---|---|---|---|",
            *(_module_row(module) for module in own),
            "",
        ]
    return "\n".join(parts).rstrip("\n")


def points(course: Course) -> str:
    """What the score is made of, and the gates of each certificate."""
    scored = [m for m in course.scored_parts if isinstance(m, Module)]
    rows = [
        (f"{len(scored)} module assessments", sum(m.points for m in scored), scored),
        (
            f"{len(course.projects)} projects",
            sum(p.points for p in course.projects),
            course.projects,
        ),
        *((part.title, part.points, (part,)) for part in course.portfolio),
    ]
    lines = ["| Part of the score | Points | Ready |", "|---|--:|--:|"]
    lines += [
        f"| {title} | {worth} | {sum(p.ready for p in parts)} of {len(parts)} |"
        for title, worth, parts in rows
    ]
    lines.append(f"| **Total** | **{course.total_points:,}** | |")
    for track in course.tracks:
        gates = "; ".join(g.title for g in course.gates_of(track.id))
        lines += ["", f"Certificate *{track.certificate}*: {gates}."]
    return "\n".join(lines)


def _module_row(module: Module) -> str:
    name = f"{module.id} {module.title}"
    if module.ready:
        name = f"[{name}](lessons/{module.folder}/)"
    cells = (
        name,
        module.outcome,
        module.level,
        duration(module.minutes),
        ", ".join(module.prerequisites) or "–",
        f"**{module.status}**" if module.ready else module.status,
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _begin(name: str) -> str:
    return f"<!-- generated: {name} -->"


def _end(name: str) -> str:
    return f"<!-- end of generated: {name} -->"


def _block(name: str) -> str:
    return rf"{re.escape(_begin(name))}\n(?:.*?\n)?{re.escape(_end(name))}"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CourseError(
            f"{path} does not exist.", f"Restore it: `git checkout {README}`."
        ) from None
