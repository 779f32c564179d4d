"""Make ``release/`` from ``source/``, and prove that what is there is what would be made."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syslab.course import assignments, scores, workbook
from syslab.course.assignments import Assignment
from syslab.course.errors import CourseError
from syslab.grading import leaks
from syslab.grading.workshop import Workshop, workshop


@dataclass(frozen=True)
class Difference:
    """A file of ``release/`` that is not what its source gives; `cell` for a notebook."""

    file: str
    cell: str
    message: str

    def __str__(self) -> str:
        where = f" [{self.cell}]" if self.cell else ""
        return f"{self.file}{where}: {self.message}"


def make(assignment: Assignment) -> None:
    """Generate, judge and put in place the released assignment.

    The present release stays as it is when anything fails.

    Raises
    ------
    CourseError
        When generation fails, something leaks or a stub earns points.
    """
    with workshop(assignment) as bench:
        fresh = bench.generate(database=False)
        _refuse(_judged(bench), "would be released")
        replace_folder(fresh, assignment.release)


def verify(assignment: Assignment) -> list[Difference]:
    """How ``release/`` differs, byte for byte, from what ``source/`` gives now.

    Raises
    ------
    CourseError
        When generation fails, something leaks or a stub earns points.
    """
    with workshop(assignment) as bench:
        fresh = bench.generate(database=False)
        _refuse(_judged(bench), "would be released")
        if assignment.release.is_dir():
            _refuse(_leaks(assignment.source, assignment.release), "is released")
        return list(differences(fresh, assignment.release, assignment.shown(assignment.release)))


def differences(wanted: Path, found: Path, shown: str) -> Iterator[Difference]:
    """Compare two folders byte for byte; `shown` is what to call `found`."""
    names = {p.as_posix() for p in assignments.files(wanted)}
    there = {p.as_posix() for p in assignments.files(found)} if found.is_dir() else set()
    for name in sorted(names - there):
        yield Difference(f"{shown}/{name}", "", "is missing")
    for name in sorted(there - names):
        yield Difference(f"{shown}/{name}", "", "is not made from the source")
    for name in sorted(names & there):
        new, old = (wanted / name).read_bytes(), (found / name).read_bytes()
        if new != old:
            cell, message = _first_difference(name, new, old)
            yield Difference(f"{shown}/{name}", cell, message)


def replace_folder(fresh: Path, target: Path) -> None:
    """Put a copy of `fresh` where `target` is; on failure `target` is what it was."""
    target.parent.mkdir(parents=True, exist_ok=True)
    coming = target.with_name(f".{target.name}.new-{os.getpid()}")
    going = target.with_name(f".{target.name}.old-{os.getpid()}")
    try:
        shutil.copytree(fresh, coming)
        if target.exists():
            target.rename(going)
        try:
            coming.rename(target)
        except BaseException:
            if going.exists():
                going.rename(target)
            raise
    except OSError as error:
        raise CourseError(
            f"could not write {target}: {error.strerror or error}.",
            "What was there is unchanged; free some space or mend the permissions, then repeat.",
        ) from error
    finally:
        shutil.rmtree(coming, ignore_errors=True)
        if target.exists():
            shutil.rmtree(going, ignore_errors=True)


def stub_findings(bench: Workshop) -> list[str]:
    """Graded cells that give points to the released notebook as it is."""
    import nbformat

    findings = []
    for path in sorted(bench.release.glob("[!.]*.ipynb")):
        stub = nbformat.read(path, as_version=4)
        notebook = workbook.execute(stub, bench.release, bench.assignment)
        for score in scores.of(notebook):
            if score.points:
                findings.append(
                    f"{path.name} [{score.grade_id}]: the stub earns {score.points:g} of "
                    f"{score.max_points:g} points"
                )
    return findings


def _judged(bench: Workshop) -> list[str]:
    source = bench.place / "source" / bench.assignment.name
    return _leaks(source, bench.release) or [*points_findings(bench), *stub_findings(bench)]


def points_findings(bench: Workshop) -> list[str]:
    """Whether the graded cells add up to the points that the manifest promises."""
    import nbformat

    paths = sorted(bench.release.glob("[!.]*.ipynb"))
    found = [s for path in paths for s in scores.of(nbformat.read(path, as_version=4))]
    total, promised = sum(s.max_points for s in found), bench.assignment.points
    if total == promised:
        return []
    return [f"{bench.assignment.name}: the cells add up to {total:g} points, not {promised:g}"]


def _leaks(source: Path, released: Path) -> list[str]:
    return [str(finding) for finding in leaks.scan(source, released)]


def _refuse(findings: list[str], what: str) -> None:
    if findings:
        listed = "\n  ".join(findings)
        raise CourseError(
            f"this {what} and must not be:\n  {listed}",
            "Mend the source notebook; the present release was left as it is.",
        )


def _first_difference(name: str, new: bytes, old: bytes) -> tuple[str, str]:
    if name.endswith(".ipynb"):
        try:
            return _first_cell(json.loads(new), json.loads(old))
        except (ValueError, KeyError, TypeError, AttributeError):
            return "", "is not a readable notebook any more"
    for number, (a, b) in enumerate(zip(new.split(b"\n"), old.split(b"\n"), strict=False), 1):
        if a != b:
            return "", f"differs from line {number} on"
    return "", f"has {len(old)} bytes instead of {len(new)}"


def _first_cell(new: Any, old: Any) -> tuple[str, str]:
    for index, (a, b) in enumerate(zip(new["cells"], old["cells"], strict=False)):
        if a != b:
            mark = a.get("metadata", {}).get("nbgrader", {}).get("grade_id")
            keys = sorted(k for k in {*a, *b} if a.get(k) != b.get(k))
            return mark or a.get("id") or f"cell {index}", f"differs in {', '.join(keys)}"
    if len(new["cells"]) != len(old["cells"]):
        return "", f"has {len(old['cells'])} cells instead of {len(new['cells'])}"
    keys = sorted(k for k in {*new, *old} if new.get(k) != old.get(k))
    return "", f"differs in {', '.join(keys)}" if keys else "differs in layout only"
