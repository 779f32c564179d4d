"""Submissions that are broken or hostile, each with what grading must make of it.

Every case starts from a well-behaved submission of the small course in ``fixtures/mini_course``
(`ridge`, 2 points; `attainable`, 3 points; `memo`, marked by hand) and spoils it. A case whose
ridge is to be `lost` carries a wrong ridge: honest grading gives it 0.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "fixtures" / "mini_course"))
import mini_course as mini

MEMO = "Fund the second fix: the loop moves 8 bytes per FLOP, so bandwidth is the limit."
SECRET = "top-secret-canary-5f1c"
OPENED = "CANARY-OPENED"  # printed by hostile code that got what it reached for
SECRET_VARIABLE = "SYSLAB_CANARY_TOKEN"
POINTS = {"ridge": 2.0, "attainable": 3.0}

FULL = "full"  # every exercise keeps its points
OTHERS = "others-unaffected"  # `lost` get 0, every other exercise its full points
PARTIAL = "partial"  # `lost` get 0, the others at most their points
NONE = "none"  # refused: nothing is run
FLAGGED = "flagged"  # `lost` get 0, or a person is asked to look
RELATIONS = (FULL, OTHERS, PARTIAL, NONE, FLAGGED)

INTAKE, RUN = "intake", "run"


@dataclass(frozen=True)
class Targets:
    """What hostile code reaches for. All of it lies outside the submission.

    `secret` is a readable file that holds `SECRET`, `outside` a writable folder, `neighbour`
    another student's submission, `port` a listening socket of this machine on 127.0.0.1.
    """

    secret: Path
    outside: Path
    neighbour: Path
    port: int = 0


@dataclass(frozen=True)
class Case:
    """One submission.

    Attributes
    ----------
    name, about
        An identifier, and what the submission does in one clause.
    build
        Spoils the well-behaved submission in the folder it is given.
    points
        One of `RELATIONS`.
    lost
        Exercises that must not earn points.
    verdicts
        Codes of which at least one must be given; none is needed where it is empty.
    stage
        ``intake`` when its verdict is reached without running anything, else ``run``.
    unsafe
        Why stock nbgrader must not be tried on it; empty where it may.
    """

    name: str
    about: str
    build: Callable[[Path, Targets], None]
    points: str
    verdicts: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    stage: str = RUN
    unsafe: str = ""

    def __str__(self) -> str:
        return self.name


CASES: dict[str, Case] = {}


def add(case: Case) -> None:
    if case.name in CASES:
        raise ValueError(f"two cases are called {case.name!r}")
    CASES[case.name] = case


def case(
    points: str, about: str, *verdicts: str, lost: str = "", stage: str = INTAKE, unsafe: str = ""
) -> Callable[[Callable[[Path, Targets], None]], Callable[[Path, Targets], None]]:
    """Register the builder below as a case; its name with dashes is the case's."""

    def register(build: Callable[[Path, Targets], None]) -> Callable[[Path, Targets], None]:
        name = build.__name__.strip("_").replace("_", "-")
        add(Case(name, about, build, points, verdicts, tuple(lost.split()), stage, unsafe))
        return build

    return register


# ------------------------------------------------------------------------------------ helpers


def well_behaved(folder: Path, release: Path) -> None:
    """A submission that earns everything, at `folder`, from the assignment's `release`."""
    shutil.copytree(release, folder)
    mini.answer(folder / mini.NOTEBOOK, mini.RIGHT, MEMO)
    (folder / "timestamp.txt").write_text("2026-01-02 03:04:05.000000 UTC", encoding="utf-8")


def answer(folder: Path, exercise: str, code: str) -> None:
    """Replace the answer to `exercise`."""
    mini.answer(folder / mini.NOTEBOOK, {exercise: code})


def wrong_ridge(folder: Path) -> None:
    answer(folder, "ridge", mini.WRONG["ridge"])


def expected() -> dict[str, set[str]]:
    """The notebook of the small course with all its grade ids."""
    ids = {"setup", "ridge", "test-ridge", "attainable", "test-attainable", "memo"}
    return {mini.NOTEBOOK: ids}


@dataclass
class Outcome:
    """What grading made of a case, in the words of this table.

    `refused` holds the refusal's code, `points` the machine's points by exercise, `codes` all
    verdicts given, `flagged` whether a person is asked to look.
    """

    refused: str = ""
    points: dict[str, float] = field(default_factory=dict)
    codes: set[str] = field(default_factory=set)
    flagged: bool = False


def complaints(case: Case, outcome: Outcome) -> list[str]:
    """Where `outcome` is not what the case demands; empty when it is."""
    wrong = []
    if case.verdicts and not outcome.codes & set(case.verdicts):
        wrong.append(f"verdicts {sorted(outcome.codes)}, expected one of {sorted(case.verdicts)}")
    if case.points == NONE:
        return wrong if outcome.refused else [*wrong, "it was not refused"]
    if outcome.refused:
        return [*wrong, f"refused: {outcome.refused}"]
    for exercise, most in POINTS.items():
        got = outcome.points.get(exercise)
        if got is None:
            wrong.append(f"{exercise} has no score")
        elif got > most:
            wrong.append(f"{exercise} has {got} of {most} points")
        elif exercise in case.lost and got > 0 and not (case.points == FLAGGED and outcome.flagged):
            wrong.append(f"{exercise} was rewarded with {got} points")
        elif exercise not in case.lost and case.points in (FULL, OTHERS) and got < most:
            wrong.append(f"{exercise} lost points: {got} of {most}")
    return wrong


def _load() -> None:
    """Fill `CASES`: the modules register their cases as they are imported."""
    import broken
    import running
    import tampering

    assert broken
    assert running
    assert tampering


if __name__ != "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    sys.modules.setdefault("corpus", sys.modules[__name__])
    _load()
