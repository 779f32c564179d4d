"""Is this counter formula pinned to the processor and the event file that it was written for?

An event name is not a definition.  What it counts depends on the CPU model and stepping, on the
version of the event file, and on errata; `lint` refuses a formula that leaves any of them open.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from syslab.counters.formula import Formula, parse_unit, unit_text

FOLDER = Path(__file__).parent / "events"


@dataclass(frozen=True)
class MetricDefinition:
    """A metric and everything its meaning depends on.

    Parameters
    ----------
    name, formula : str
        Such as ``"1000 * LONGEST_LAT_CACHE.MISS / INST_RETIRED.ANY"``.
    unit : str
        Of the result: ``"misses/instructions"``, or ``"1"`` for a share.
    events : mapping of str to str
        Every event in the formula, with the unit that it counts.
    document, revision : str
        Id and revision of the manual that defines it.
    cpu_model, stepping : str
        The processor that it holds for.
    event_file_version, checksum : str
        The event file that the names were taken from; ``sha256:...`` of its bytes.
    errata : tuple of str
        Errata of these events that the author has read and accepts.
    factors : mapping of str to (float, str), optional
        Named numbers in the formula with their units: ``{"WIDTH": (4, "slots/cycles")}``.  A bare
        number takes the unit of what it meets, so it cannot turn cycles into slots.
    """

    name: str
    formula: str
    unit: str
    events: Mapping[str, str]
    document: str = ""
    revision: str = ""
    cpu_model: str = ""
    stepping: str = ""
    event_file_version: str = ""
    checksum: str = ""
    errata: tuple[str, ...] = ()
    factors: Mapping[str, tuple[float, str]] = field(default_factory=dict)

    def __post_init__(self):
        both = sorted(self.factors.keys() & self.events.keys())
        if both:
            raise ValueError(f"{', '.join(both)} is in events and in factors; rename the factor")

    def value(self, readings: Mapping[str, float]) -> float:
        """The metric for these readings.  Lint the definition first."""
        factors = {name: value for name, (value, _) in self.factors.items()}
        return Formula(self.formula).value({**readings, **factors})


@dataclass(frozen=True)
class EventFile:
    """An event file in the layout of the public perfmon files, read and summed.

    ``CountUnit`` (what one count is) and the header's ``CPU`` and ``Steppings`` are additions of
    this course; a public file leaves them to its prose.
    """

    name: str
    version: str
    cpu_model: str
    steppings: tuple[str, ...]
    checksum: str
    note: str
    events: Mapping[str, Mapping] = field(repr=False)

    def errata(self, event: str) -> tuple[str, ...]:
        """Errata listed for an event."""
        listed = self.events[event].get("Errata") or ""
        return tuple(e.strip() for e in listed.split(",") if e.strip() and e.strip() != "null")

    def never_zero(self, event: str) -> bool:
        """Fixed counters (cycles, instructions) always run; any other event may not happen."""
        return "fixed" in self.events.get(event, {}).get("Counter", "").lower()


def load_event_file(name: str | Path) -> EventFile:
    """Read an event file by path, or one of this course's by name (see `event_files`)."""
    path = Path(name)
    if path.suffix != ".json":  # a name, such as coursecore_c1_v1.02
        path = FOLDER / f"{name}.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"no event file {name!r}; give a path to a .json file or one of "
            f"{', '.join(event_files())}"
        )
    raw = path.read_bytes()
    content = json.loads(raw)
    if not isinstance(content, dict) or not {"Header", "Events"} <= content.keys():
        raise ValueError(f"{path.name} has no Header and Events; it is not an event file")
    header = content["Header"]
    return EventFile(
        name=path.stem,
        version=str(header.get("Version", "")),
        cpu_model=header.get("CPU", ""),
        steppings=tuple(header.get("Steppings", ())),
        checksum="sha256:" + hashlib.sha256(raw).hexdigest(),
        note=header.get("Info", ""),
        events={event["EventName"]: event for event in content["Events"]},
    )


def event_files() -> tuple[str, ...]:
    """Names of the event files that come with this course (all made for it)."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.json")))


@dataclass(frozen=True)
class Finding:
    """One reason not to trust a definition: a code, what is wrong, what to do."""

    code: str
    message: str
    action: str

    def __str__(self) -> str:
        return f"{self.code}: {self.message} -> {self.action}"


def lint(definition: MetricDefinition, event_file: EventFile) -> list[Finding]:
    """Every reason why ``definition`` may not mean what it says.  Empty: usable.

    Codes: ``missing-document``, ``missing-revision``, ``unpinned-cpu``, ``unpinned-stepping``,
    ``cpu-mismatch``, ``stepping-mismatch``, ``missing-event-file-version``,
    ``event-file-version-mismatch``, ``missing-checksum``, ``checksum-mismatch``, ``bad-formula``,
    ``event-undeclared``, ``event-not-in-file``, ``event-unit-mismatch``,
    ``erratum-not-acknowledged``, ``incompatible-sum``, ``unit-mismatch``, ``unguarded-division``.
    """
    return [*_lint_pins(definition, event_file), *_lint_formula(definition, event_file)]


def _lint_pins(d: MetricDefinition, file: EventFile) -> list[Finding]:
    found = []

    def add(code: str, message: str, action: str) -> None:
        found.append(Finding(code, message, action))

    if not d.document:
        add("missing-document", "no document id", "name the manual that defines the events")
    if not d.revision:
        add(
            "missing-revision",
            "no revision of the document",
            "add the revision: definitions change between revisions",
        )
    if not d.cpu_model:
        add("unpinned-cpu", "no CPU model", f"pin cpu_model, for this file {file.cpu_model!r}")
    elif d.cpu_model != file.cpu_model:
        add(
            "cpu-mismatch",
            f"written for {d.cpu_model!r}, the file is of {file.cpu_model!r}",
            "use the event file of that CPU, or derive the formula again",
        )
    if not d.stepping:
        add(
            "unpinned-stepping",
            "no stepping",
            f"pin one of {', '.join(file.steppings)}: errata differ between steppings",
        )
    elif d.stepping not in file.steppings:
        add(
            "stepping-mismatch",
            f"stepping {d.stepping} is not in the file ({', '.join(file.steppings)})",
            "use the event file of that stepping",
        )
    if not d.event_file_version:
        add(
            "missing-event-file-version",
            "no event-file version",
            f"pin event_file_version, here {file.version!r}",
        )
    elif d.event_file_version != file.version:
        add(
            "event-file-version-mismatch",
            f"written for version {d.event_file_version}, the file is {file.version}",
            "read what changed between the two, then pin the new version",
        )
    if not d.checksum:
        add("missing-checksum", "no checksum of the event file", f"pin {file.checksum}")
    elif d.checksum != file.checksum:
        add(
            "checksum-mismatch",
            "the file's bytes are not those that were pinned",
            "fetch the pinned file, or review the change and pin the new checksum",
        )
    return found


def _lint_formula(d: MetricDefinition, file: EventFile) -> list[Finding]:
    try:
        formula = Formula(d.formula)
    except ValueError as error:
        return [Finding("bad-formula", str(error), "write plain arithmetic on event names")]
    found = []
    units = {**d.events, **{name: unit for name, (_, unit) in d.factors.items()}}

    def never_zero(name: str) -> bool:
        return d.factors[name][0] != 0 if name in d.factors else file.never_zero(name)

    for event in formula.events:
        if event in d.factors:
            continue
        if event not in d.events:
            found.append(
                Finding(
                    "event-undeclared",
                    f"{event} has no unit in `events`",
                    "declare what one count of it is",
                )
            )
        if event not in file.events:
            found.append(
                Finding(
                    "event-not-in-file",
                    f"{event} is not in {file.name}",
                    "it was renamed or belongs to another CPU: look it up again",
                )
            )
            continue
        counted = file.events[event].get("CountUnit")
        declared = d.events.get(event)
        if declared and counted and parse_unit(declared) != parse_unit(counted):
            found.append(
                Finding(
                    "event-unit-mismatch",
                    f"{event} is declared in {declared}, the file counts {counted}",
                    "correct the unit, then check the formula again",
                )
            )
        for erratum in file.errata(event):
            if erratum not in d.errata:
                found.append(
                    Finding(
                        "erratum-not-acknowledged",
                        f"{erratum} affects {event}",
                        "read it; add it to `errata` or choose another event",
                    )
                )
    if all(name in units for name in formula.events):
        unit, clashes = formula.unit(units)
        found += [
            Finding(
                "incompatible-sum",
                f"adds {clash}",
                "convert to one unit first, with one of `factors`",
            )
            for clash in clashes
        ]
        if not clashes and unit is not None and unit != parse_unit(d.unit):
            found.append(
                Finding(
                    "unit-mismatch",
                    f"the formula gives {unit_text(unit)}, the definition says {d.unit}",
                    "correct one of the two",
                )
            )
    found += [
        Finding(
            "unguarded-division",
            f"{event} may be 0 and is divided by",
            f"write `... if {event} else 0`, or max({event}, 1)",
        )
        for event in formula.unguarded_divisors(never_zero)
    ]
    return found
