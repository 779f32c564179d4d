"""The manifest of the course, ``course.toml``, read and judged.

``load`` returns a ``Course``: plain frozen values from which the README tables, START, the
gradebook and the tests derive. Everything wrong with the file is found in one pass and reported
together; each finding names its line.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from syslab.course import paths, toml_lines
from syslab.course.errors import CourseError

LEVELS = ("intermediate", "advanced", "expert")
READY, PLANNED = "ready", "planned"
STATUSES = (READY, PLANNED)
GATE_KINDS = ("total-points", "each-project", "each-module", "evidence")
DAY_S = 86_400
SCORED_TRACK = "principal"  # its modules, the projects and the portfolio make up total_points


# ------------------------------------------------------------------------------------- values


@dataclass(frozen=True)
class Notebook:
    """One notebook a learner opens.

    `key` is its name in the progress record (``arch-02/01-top-down``), `path` is relative to the
    course folder, `minutes` what a reader needs for it.
    """

    key: str
    path: str
    title: str
    minutes: int


@dataclass(frozen=True)
class Module:
    """One module: lessons, a bench and a graded assignment whose id is the module's own."""

    id: str
    track: str
    folder: str
    title: str
    outcome: str
    phase: str
    level: str
    budget_minutes: int
    points: int
    prerequisites: tuple[str, ...]
    status: str
    bench_folder: str
    lessons: tuple[Notebook, ...] = ()
    bench: Notebook | None = None
    assignment: Notebook | None = None

    @property
    def ready(self) -> bool:
        return self.status == READY

    @property
    def notebooks(self) -> tuple[Notebook, ...]:
        """Everything there is to open, in the order of work."""
        return self.lessons + tuple(n for n in (self.bench, self.assignment) if n is not None)

    @property
    def minutes(self) -> int:
        """What the notebooks take when the module is ready, the syllabus's budget until then."""
        return sum(n.minutes for n in self.notebooks) if self.ready else self.budget_minutes

    @property
    def source(self) -> str:
        return f"source/{self.id}/{self.id}.ipynb"

    @property
    def release(self) -> str:
        return f"release/{self.id}/{self.id}.ipynb"


@dataclass(frozen=True)
class Project:
    """A project. `weights` are the rubric's dimensions in percent."""

    id: str
    folder: str
    title: str
    minutes: int
    points: int
    prerequisites: tuple[str, ...]
    status: str
    weights: Mapping[str, int]
    track: str = SCORED_TRACK

    @property
    def ready(self) -> bool:
        return self.status == READY

    @property
    def path(self) -> str:
        return f"projects/{self.folder}"


@dataclass(frozen=True)
class Portfolio:
    """Scored work beside the modules: reviews, mentoring, writing. Its id is its assignment's."""

    id: str
    title: str
    points: int
    prerequisites: tuple[str, ...]
    status: str
    assignment: Notebook | None = None
    track: str = SCORED_TRACK

    @property
    def ready(self) -> bool:
        return self.status == READY

    @property
    def minutes(self) -> int:
        return self.assignment.minutes if self.assignment else 0

    @property
    def source(self) -> str:
        return f"source/{self.id}/{self.id}.ipynb"

    @property
    def release(self) -> str:
        return f"release/{self.id}/{self.id}.ipynb"


@dataclass(frozen=True)
class Capstone:
    """The architect's design document; it carries no points, its gates are evidence."""

    id: str
    track: str
    folder: str
    title: str
    prerequisites: tuple[str, ...]
    status: str

    @property
    def ready(self) -> bool:
        return self.status == READY

    @property
    def path(self) -> str:
        return f"projects/{self.folder}"


@dataclass(frozen=True)
class Track:
    """A path through the course that ends in a certificate."""

    id: str
    title: str
    summary: str
    certificate: str
    module_points: int


@dataclass(frozen=True)
class Gate:
    """One condition of a certificate. `threshold` is in points, None for evidence."""

    id: str
    certificate: str
    kind: str
    title: str
    threshold: int | None = None


@dataclass(frozen=True)
class Late:
    """What a late submission costs: nothing, unless the manifest has a table ``[late]``.

    Each day begun after the due date costs `percent_per_day` of the points earned, `cap_percent`
    at most; within `grace_minutes` of the due date nothing is lost.
    """

    grace_minutes: int = 0
    percent_per_day: float = 0.0
    cap_percent: float = 100.0

    def percent(self, late_s: float) -> float:
        """Percent of the points earned that a submission `late_s` seconds after its due date loses.

        An extension is part of the due date, not of this rule.
        """
        if late_s <= 60 * self.grace_minutes or late_s <= 0:
            return 0.0
        return float(min(self.cap_percent, self.percent_per_day * math.ceil(late_s / DAY_S)))


@dataclass(frozen=True)
class Course:
    """The whole manifest. `root` is the folder it stands in."""

    root: Path
    id: str
    title: str
    summary: str
    total_points: int
    tracks: tuple[Track, ...]
    modules: tuple[Module, ...]
    projects: tuple[Project, ...]
    portfolio: tuple[Portfolio, ...]
    capstone: Capstone
    gates: tuple[Gate, ...]
    late: Late = Late()

    def graded_part(self, id: str) -> Module | Portfolio:
        """The module or portfolio part whose assignment is `id`; CourseError names the nearest."""
        parts = (*self.modules, *self.portfolio)
        for part in parts:
            if id in (part.id, getattr(part, "folder", part.id)):
                return part
        raise CourseError(
            f"there is no module or assignment {id!r}{_nearest(id, [p.id for p in parts])}",
            f"Ready now: {', '.join(p.id for p in self.ready_parts) or 'none'}.",
        )

    def modules_of(self, track: str) -> tuple[Module, ...]:
        return tuple(m for m in self.modules if m.track == track)

    @property
    def ready_modules(self) -> tuple[Module, ...]:
        return tuple(m for m in self.modules if m.ready)

    @property
    def ready_parts(self) -> tuple[Module | Portfolio, ...]:
        """Everything with an assignment to hand in that is ready, modules first."""
        return (*self.ready_modules, *(p for p in self.portfolio if p.ready))

    @property
    def scored_parts(self) -> tuple[Module | Project | Portfolio, ...]:
        """What ``total_points`` is made of."""
        return (*self.modules_of(SCORED_TRACK), *self.projects, *self.portfolio)

    def gates_of(self, track: str) -> tuple[Gate, ...]:
        return tuple(g for g in self.gates if g.certificate == track)


# ----------------------------------------------------------------------------------- findings


@dataclass(frozen=True, order=True)
class Finding:
    """One thing wrong with the manifest, and its line there."""

    line: int
    message: str


class ManifestError(CourseError):
    """Everything wrong with ``course.toml``, one finding a line."""

    def __init__(self, file: str, findings: Iterable[Finding]) -> None:
        self.findings = tuple(sorted(set(findings)))
        super().__init__(
            "\n".join(f"{file} line {f.line}: {f.message}" for f in self.findings),
            f"Mend {file} and try again.",
        )


# --------------------------------------------------------------------------------------- load


def load(path: Path | str | None = None, *, check_folders: bool = True) -> Course:
    """Read and judge the manifest.

    Parameters
    ----------
    path : path, optional
        A manifest file; without it, ``course.toml`` of the course this runs in. The folders are
        looked for beside it.
    check_folders : bool
        Whether every part called ready must be on disk. A learner's page does without, so that
        a deleted lesson does not take the whole page with it.

    Raises
    ------
    ManifestError
        With all findings, sorted by line.
    CourseError
        When the file is missing or not text.
    """
    path = Path(path) if path is not None else paths.root() / paths.MANIFEST
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CourseError(
            f"{path} does not exist.", "Restore it: `git checkout course.toml`."
        ) from None
    except UnicodeDecodeError as error:
        raise CourseError(
            f"{path} is not UTF-8 text (byte {error.start}).", "Save it as UTF-8."
        ) from None
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ManifestError(path.name, [_syntax(error, text)]) from None
    reader = _Reader(data, toml_lines.index(text))
    course = reader.course(path.resolve().parent)
    if check_folders and course is not None:
        reader.folders(course)
    if reader.findings or course is None:
        raise ManifestError(path.name, reader.findings)
    return course


def _syntax(error: tomllib.TOMLDecodeError, text: str) -> Finding:
    where = re.search(r" \(at line (\d+), column (\d+)\)$", str(error))
    if where is None:  # "(at end of document)"
        message = str(error).removesuffix(" (at end of document)")
        return Finding(
            text.count("\n") + 1, f"not valid TOML: {message} before the end of the file"
        )
    message = str(error)[: where.start()]
    return Finding(int(where[1]), f"not valid TOML at column {where[2]}: {message}")


# ------------------------------------------------------------------------------------- schema


@dataclass(frozen=True)
class _Kind:
    """What a key may hold: how to say it, and how to tell."""

    says: str
    holds: Callable[[Any], bool]
    choices: tuple[str, ...] = ()


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _choice(*choices: str) -> _Kind:
    return _Kind("one of " + ", ".join(choices), lambda v: v in choices, choices)


_TEXT = _Kind("text", _is_text)
_COUNT = _Kind("a whole number above 0", _is_count)
_WHOLE = _Kind(
    "a whole number, 0 or more",
    lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= 0,
)
_PERCENT = _Kind(
    "a percent from 0 to 100",
    lambda v: isinstance(v, (int, float)) and not isinstance(v, bool) and 0 <= v <= 100,
)
_IDS = _Kind("a list of ids", lambda v: isinstance(v, list) and all(map(_is_text, v)))
_TABLE = _Kind("a table { … }", lambda v: isinstance(v, dict))
_TABLES = _Kind(
    "a list of tables", lambda v: isinstance(v, list) and all(isinstance(t, dict) for t in v)
)
_SHARES = _Kind(
    "a table of whole percents",
    lambda v: isinstance(v, dict) and bool(v) and all(map(_is_count, v.values())),
)
_STATUS = _choice(*STATUSES)


@dataclass(frozen=True)
class _Schema:
    noun: str
    required: Mapping[str, _Kind]
    optional: Mapping[str, _Kind] = field(default_factory=dict)

    @property
    def keys(self) -> dict[str, _Kind]:
        return {**self.required, **self.optional}


_TIME = {"minutes": _COUNT, "hours": _COUNT}
_FILE = _Schema(
    "manifest",
    {
        "course": _TABLE,
        "tracks": _TABLES,
        "modules": _TABLES,
        "projects": _TABLES,
        "portfolio": _TABLES,
        "capstone": _TABLE,
        "gates": _TABLES,
    },
    {"late": _TABLE},
)
_LATE = _Schema(
    "late policy",
    {"percent_per_day": _PERCENT},
    {"grace_minutes": _WHOLE, "cap_percent": _PERCENT},
)
_COURSE = _Schema("course", {"id": _TEXT, "title": _TEXT, "summary": _TEXT, "total_points": _COUNT})
_TRACK = _Schema(
    "track",
    {"id": _TEXT, "title": _TEXT, "summary": _TEXT, "certificate": _TEXT, "module_points": _COUNT},
)
_MODULE = _Schema(
    "module",
    {
        "id": _TEXT,
        "track": _TEXT,
        "folder": _TEXT,
        "title": _TEXT,
        "outcome": _TEXT,
        "phase": _TEXT,
        "level": _choice(*LEVELS),
        "points": _COUNT,
        "prerequisites": _IDS,
        "status": _STATUS,
        "bench": _TABLE,
    },
    {**_TIME, "lessons": _TABLES, "assignment": _TABLE},
)
_LESSON = _Schema("lesson", {"file": _TEXT, "title": _TEXT, "minutes": _COUNT})
_BENCH = _Schema("bench", {"folder": _TEXT}, {"title": _TEXT, "minutes": _COUNT})
_ASSIGNMENT = _Schema("assignment", {"title": _TEXT, "minutes": _COUNT})
_PROJECT = _Schema(
    "project",
    {
        "id": _TEXT,
        "folder": _TEXT,
        "title": _TEXT,
        "points": _COUNT,
        "prerequisites": _IDS,
        "status": _STATUS,
        "weights": _SHARES,
    },
    _TIME,
)
_PORTFOLIO = _Schema(
    "portfolio part",
    {"id": _TEXT, "title": _TEXT, "points": _COUNT, "prerequisites": _IDS, "status": _STATUS},
    {"assignment": _TABLE},
)
_CAPSTONE = _Schema(
    "capstone",
    {
        "id": _TEXT,
        "track": _TEXT,
        "folder": _TEXT,
        "title": _TEXT,
        "prerequisites": _IDS,
        "status": _STATUS,
    },
)
_GATE = _Schema(
    "gate",
    {"id": _TEXT, "certificate": _TEXT, "kind": _choice(*GATE_KINDS), "title": _TEXT},
    {"threshold": _COUNT},
)


# ------------------------------------------------------------------------------------- reader

_Where = tuple[str | int, ...]


@dataclass(frozen=True)
class _Table:
    """A table of the file after its keys were judged: bad values are left out.

    `mistyped` holds the keys that a misspelt key probably meant: nobody need miss them again.
    """

    where: _Where
    name: str
    values: dict[str, Any]
    mistyped: frozenset[str] = frozenset()

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    def get(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)


class _Reader:
    """Judges the parsed file and collects findings; builds the course when there are none."""

    def __init__(self, data: dict[str, Any], lines: dict[_Where, int]) -> None:
        self.findings: list[Finding] = []
        self._data = data
        self._lines = lines
        self._listed: set[Path] = set()

    def course(self, root: Path) -> Course | None:
        """The course at `root`, or None when a finding leaves nothing sound to build."""
        file = self._table((), self._data, _FILE, "the manifest")
        if self.findings:
            return None
        head = self._table(("course",), file["course"], _COURSE, "[course]")
        tracks = self._tables(file, "tracks", _TRACK)
        modules = self._tables(file, "modules", _MODULE)
        projects = self._tables(file, "projects", _PROJECT)
        portfolio = self._tables(file, "portfolio", _PORTFOLIO)
        capstone = self._table(("capstone",), file["capstone"], _CAPSTONE, "[capstone]")
        gates = self._tables(file, "gates", _GATE)
        given = file.get("late")
        late = None if given is None else self._table(("late",), given, _LATE, "[late]")

        parts = [*modules, *projects, *portfolio, capstone]
        self._unique(tracks, "id")
        self._unique(parts, "id")
        self._unique(gates, "id")
        self._unique(modules, "folder")
        self._unique([*projects, capstone], "folder")
        for table in (*modules, capstone):
            self._known_track(table, "track", tracks)
        for module in modules:
            self._module(module)
        self._unique([self._bench(m) for m in modules], "folder")
        for project in projects:
            self._time(project)
            self._weights(project)
        for part in portfolio:
            self._portfolio(part)
        self._prerequisites(parts)
        self._points(head, tracks, modules, [*projects, *portfolio])
        for gate in gates:
            self._known_track(gate, "certificate", tracks)
            self._gate(gate, head, modules, projects)
        for track in tracks:
            if track.get("id") and all(g.get("certificate") != track["id"] for g in gates):
                self._add(track.where, f"{track.name} has no gate: its certificate is never earned")
        if self.findings:
            return None
        return Course(
            root=root,
            **head.values,
            tracks=tuple(Track(**t.values) for t in tracks),
            modules=tuple(map(_build_module, modules)),
            projects=tuple(_build_project(p) for p in projects),
            portfolio=tuple(map(_build_portfolio, portfolio)),
            capstone=Capstone(**_tuples(capstone.values)),
            gates=tuple(Gate(**g.values) for g in gates),
            late=Late() if late is None else Late(**late.values),
        )

    # -- keys and types ----------------------------------------------------------------

    def _add(self, where: _Where, message: str) -> None:
        self.findings.append(Finding(self._line(where), message))

    def _line(self, where: _Where) -> int:
        while where and where not in self._lines:
            where = where[:-1]
        return self._lines.get(where, 1)

    def _tables(self, file: _Table, key: str, schema: _Schema) -> list[_Table]:
        return [
            self._table((key, n), table, schema, _name(schema, table, n + 1))
            for n, table in enumerate(file[key])
        ]

    def _table(self, where: _Where, table: dict[str, Any], schema: _Schema, name: str) -> _Table:
        values: dict[str, Any] = {}
        mistyped: set[str] = set()
        for key, value in table.items():
            kind = schema.keys.get(key)
            if kind is None:
                absent = [k for k in schema.keys if k not in table]
                near = difflib.get_close_matches(key, absent, n=1)
                mistyped.update(near)
                known = ", ".join(schema.keys)
                hint = f"; did you mean '{near[0]}'?" if near else f"; it knows {known}"
                self._add((*where, key), f"{name} has an unknown key '{key}'{hint}")
            elif not kind.holds(value):
                hint = _nearest(value, kind.choices) if isinstance(value, str) else ""
                self._add(
                    (*where, key), f"{name}: {key} must be {kind.says}, not {_show(value)}{hint}"
                )
            else:
                values[key] = value
        for key, kind in schema.required.items():
            if key not in table and key not in mistyped:
                self._add(where, f"{name} lacks the key '{key}' ({kind.says})")
        return _Table(where, name, values, frozenset(mistyped))

    def _unique(self, tables: list[_Table], key: str) -> None:
        first: dict[str, _Table] = {}
        for table in tables:
            value = table.get(key)
            if value is None:
                continue
            if value in first:
                line = self._line((*first[value].where, key))
                self._add(
                    (*table.where, key), f"{table.name}: {key} '{value}' is taken since line {line}"
                )
            first.setdefault(value, table)

    def _known_track(self, table: _Table, key: str, tracks: list[_Table]) -> None:
        ids = [t["id"] for t in tracks if t.get("id")]
        if table.get(key) and ids and table[key] not in ids:
            self._add(
                (*table.where, key),
                f"{table.name}: there is no track '{table[key]}'{_nearest(table[key], ids)}",
            )

    def _time(self, table: _Table) -> None:
        given = self._dig(table.where)
        if table.mistyped & {"minutes", "hours"}:
            return
        if ("minutes" in given) == ("hours" in given):
            several = "both minutes and hours" if "minutes" in given else "no time"
            self._add(table.where, f"{table.name} has {several}: give either minutes or hours")

    def _dig(self, where: _Where) -> Any:
        value: Any = self._data
        for step in where:
            value = value[step]
        return value

    # -- modules and projects ------------------------------------------------------------

    def _bench(self, module: _Table) -> _Table:
        name = f"the bench of {module.name}"
        return _Table((*module.where, "bench"), name, module.get("bench", {}))

    def _module(self, module: _Table) -> None:
        self._time(module)
        id, folder = module.get("id"), module.get("folder")
        if id and folder and not re.fullmatch(re.escape(id) + r"(-[a-z0-9]+)+", folder):
            self._add(
                (*module.where, "folder"),
                f"{module.name}: folder '{folder}' must read '{id}-topic', "
                "in lower case with hyphens",
            )
        for key, schema in (("bench", _BENCH), ("assignment", _ASSIGNMENT)):
            if key in module.values:
                where = (*module.where, key)
                self._table(where, module[key], schema, f"the {key} of {module.name}")
        for n, lesson in enumerate(module.get("lessons", []), start=1):
            where = (*module.where, "lessons", n - 1)
            table = self._table(where, lesson, _LESSON, f"lesson {n} of {module.name}")
            pattern = rf"{n:02d}(-[a-z0-9]+)+\.ipynb"
            if table.get("file") and not re.fullmatch(pattern, table["file"]):
                self._add(
                    (*where, "file"),
                    f"{table.name}: file must read '{n:02d}-topic.ipynb', not '{table['file']}'",
                )
        if module.get("status") == READY:
            for key in ("lessons", "assignment"):
                if not self._dig(module.where).get(key) and key not in module.mistyped:
                    self._add(module.where, f"{module.name} is ready but lists no {key}")
            for key in ("title", "minutes"):
                if "bench" in module.values and key not in module["bench"]:
                    self._add(
                        (*module.where, "bench"),
                        f"{module.name} is ready but its bench has no {key}",
                    )

    def _portfolio(self, part: _Table) -> None:
        if "assignment" in part.values:
            where = (*part.where, "assignment")
            self._table(where, part["assignment"], _ASSIGNMENT, f"the assignment of {part.name}")
        elif part.get("status") == READY and "assignment" not in part.mistyped:
            self._add(part.where, f"{part.name} is ready but lists no assignment")

    def _weights(self, project: _Table) -> None:
        total = sum(project.get("weights", {}).values())
        if "weights" in project.values and total != 100:
            self._add(
                (*project.where, "weights"), f"{project.name}: weights add up to {total}, not 100"
            )

    def _prerequisites(self, parts: list[_Table]) -> None:
        known = {p["id"]: p for p in parts if p.get("id")}
        for part in parts:
            for n, wanted in enumerate(part.get("prerequisites", [])):
                if wanted not in known:
                    self._add(
                        (*part.where, "prerequisites", n),
                        f"{part.name} asks for prerequisite '{wanted}', which no module has"
                        f"{_nearest(wanted, known)}",
                    )
        after = {
            id: [w for w in p.get("prerequisites", []) if w in known] for id, p in known.items()
        }
        for cycle in _cycles(after):
            self._add(
                (*known[cycle[0]].where, "prerequisites"),
                f"{known[cycle[0]].name} waits for itself: {' needs '.join([*cycle, cycle[0]])}",
            )

    # -- points and gates ----------------------------------------------------------------

    def _points(
        self, head: _Table, tracks: list[_Table], modules: list[_Table], others: list[_Table]
    ) -> None:
        if not {m.get("track") for m in modules} <= {t.get("id") for t in tracks}:
            return  # reported already, and any sum would be short of a module
        for track in tracks:
            own = [m for m in modules if m.get("track") == track.get("id")]
            points = [m.get("points") for m in own]
            if None in points or "module_points" not in track.values:
                continue  # reported already
            if sum(points) != track["module_points"]:
                usual = Counter(points).most_common(1)[0][0] if points else 0
                odd = [
                    f"{m.get('id', m.name)} on line {self._line((*m.where, 'points'))} "
                    f"has {m['points']}"
                    for m in own
                    if m["points"] != usual
                ]
                self._add(
                    (*track.where, "module_points"),
                    f"{track.name}: module_points is {track['module_points']}, but its {len(own)} "
                    f"modules add up to {sum(points)}" + (f" ({'; '.join(odd)})" if odd else ""),
                )
        scored = [m for m in modules if m.get("track") == SCORED_TRACK]
        if "total_points" not in head.values or any(
            "points" not in part.values for part in (*scored, *others)
        ):
            return
        sums = {
            "modules": sum(m["points"] for m in scored),
            "projects": sum(p["points"] for p in others if p.where[0] == "projects"),
            "portfolio": sum(p["points"] for p in others if p.where[0] == "portfolio"),
        }
        if sum(sums.values()) != head["total_points"]:
            shares = ", ".join(f"{name} {points}" for name, points in sums.items())
            self._add(
                (*head.where, "total_points"),
                f"total_points is {head['total_points']}, but the scored parts "
                f"add up to {sum(sums.values())} ({shares})",
            )

    def _gate(
        self, gate: _Table, head: _Table, modules: list[_Table], projects: list[_Table]
    ) -> None:
        kind = gate.get("kind")
        if kind is None:
            return
        if kind == "evidence":
            if "threshold" in gate.values:
                self._add(
                    (*gate.where, "threshold"),
                    f"{gate.name}: evidence is there or not, it takes no threshold",
                )
            return
        if "threshold" not in gate.values:
            if "threshold" not in {*self._dig(gate.where), *gate.mistyped}:
                self._add(gate.where, f"{gate.name} lacks the key 'threshold' ({_COUNT.says})")
            return
        if kind == "total-points":
            limits = [head.get("total_points")]
        elif kind == "each-project":
            limits = [p.get("points") for p in projects]
        else:
            limits = [m.get("points") for m in modules if m.get("track") == gate.get("certificate")]
        limits = [limit for limit in limits if limit is not None]
        if limits and gate["threshold"] > min(limits):
            self._add(
                (*gate.where, "threshold"),
                f"{gate.name}: threshold {gate['threshold']} is out of range, "
                f"1 to {min(limits)} points can be reached",
            )

    # -- folders ---------------------------------------------------------------------------

    def folders(self, course: Course) -> None:
        """Hold what is called ready against the disk, and the disk against what is listed."""
        root = course.root
        self._listed = {root / n.path for m in course.modules for n in m.notebooks}
        for n, module in enumerate(course.modules):
            where: _Where = ("modules", n)
            if module.ready:
                for k, lesson in enumerate(module.lessons):
                    self._exists((*where, "lessons", k), f"module '{module.id}'", root, lesson.path)
                assert module.bench is not None
                self._exists((*where, "bench"), f"module '{module.id}'", root, module.bench.path)
                for path in (module.source, module.release):
                    self._exists((*where, "id"), f"module '{module.id}'", root, path)
            listed = {lesson.path for lesson in module.lessons}
            for path in _notebooks_in(root, f"lessons/{module.folder}"):
                if path not in listed:
                    self._add(where, f"module '{module.id}': {path} is on disk but not in lessons")
        for n, part in enumerate(course.portfolio):
            if part.ready:
                for path in (part.source, part.release):
                    self._exists(("portfolio", n, "id"), f"portfolio part '{part.id}'", root, path)
        for kind, parts in (("projects", course.projects), ("capstone", (course.capstone,))):
            for n, part in enumerate(parts):
                if part.ready:
                    own: _Where = (kind, n) if kind == "projects" else (kind,)
                    name = f"'{part.id}'" if kind == "capstone" else f"project '{part.id}'"
                    self._exists((*own, "folder"), name, root, f"{part.path}/README.md")
        listed_in = {
            "lessons": [m.folder for m in course.modules],
            "labs": [m.bench_folder for m in course.modules],
            "source": [p.id for p in (*course.modules, *course.portfolio)],
        }
        for parent, names in listed_in.items():
            for folder in _folders_with_notebooks(root / parent):
                if folder not in names:
                    self._add(
                        (),
                        f"the folder {parent}/{folder} belongs to no module"
                        f"{_nearest(folder, names)}",
                    )

    def _exists(self, where: _Where, name: str, root: Path, path: str) -> None:
        target = root / path
        if target.is_file():
            return
        gone = target
        while not gone.parent.is_dir():
            gone = gone.parent
        siblings = [p.name for p in gone.parent.iterdir() if p not in self._listed]
        shown = gone.relative_to(root).as_posix()
        lacking = f"{path} is missing" if gone == target else f"{path}: no folder {shown}"
        self._add(where, f"{name} is ready, but {lacking}{_nearest(gone.name, siblings, 0.75)}")


# ------------------------------------------------------------------------------------ builders


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


def _budget_minutes(table: _Table) -> int:
    return table["minutes"] if "minutes" in table.values else 60 * table["hours"]


def _build_module(table: _Table) -> Module:
    values = _tuples(table.values)
    budget_minutes = _budget_minutes(table)
    for key in ("minutes", "hours", "lessons", "bench", "assignment"):
        values.pop(key, None)
    id, folder = values["id"], values["folder"]
    bench, assignment = table["bench"], table.get("assignment")
    return Module(
        **values,
        budget_minutes=budget_minutes,
        bench_folder=bench["folder"],
        lessons=tuple(
            Notebook(
                key=f"{id}/{Path(lesson['file']).stem}",
                path=f"lessons/{folder}/{lesson['file']}",
                title=lesson["title"],
                minutes=lesson["minutes"],
            )
            for lesson in table.get("lessons", [])
        ),
        bench=Notebook(
            key=f"{id}/{bench['folder']}",
            path=f"labs/{bench['folder']}/bench.ipynb",
            title=bench["title"],
            minutes=bench["minutes"],
        )
        if "title" in bench and "minutes" in bench
        else None,
        assignment=_build_assignment(id, assignment),
    )


def _build_portfolio(table: _Table) -> Portfolio:
    values = _tuples(table.values)
    return Portfolio(
        **{**values, "assignment": _build_assignment(values["id"], table.get("assignment"))}
    )


def _build_assignment(id: str, given: dict[str, Any] | None) -> Notebook | None:
    if not given:
        return None
    return Notebook(
        key=id, path=f"work/{id}/{id}.ipynb", title=given["title"], minutes=given["minutes"]
    )


def _build_project(table: _Table) -> Project:
    values = _tuples(table.values)
    minutes = _budget_minutes(table)
    values.pop("minutes", None)
    values.pop("hours", None)
    return Project(**values, minutes=minutes)


# ------------------------------------------------------------------------------------- helpers


def _name(schema: _Schema, table: Mapping[str, Any], number: int) -> str:
    id = table.get("id")
    return f"{schema.noun} '{id}'" if _is_text(id) else f"{schema.noun} number {number}"


def _nearest(word: str, words: Iterable[str], cutoff: float = 0.6) -> str:
    near = difflib.get_close_matches(word, list(words), n=1, cutoff=cutoff)
    return f"; did you mean '{near[0]}'?" if near else ""


def _show(value: Any) -> str:
    names = {str: "text", bool: "a truth value", int: "the number", float: "the number"}
    kind = names.get(type(value))
    if kind is None:
        return "a list" if isinstance(value, list) else "a table"
    shown = repr(value) if isinstance(value, str) else str(value).lower()
    return "empty text" if value == "" else f"{kind} {shown}"


def _cycles(after: Mapping[str, list[str]]) -> Iterator[list[str]]:
    """One cycle per group of ids that wait for each other, from a depth-first walk."""
    done: set[str] = set()

    def walk(id: str, trail: list[str]) -> Iterator[list[str]]:
        if id in trail:
            yield trail[trail.index(id) :]
            return
        if id in done:
            return
        done.add(id)
        for wanted in after[id]:
            yield from walk(wanted, [*trail, id])

    for id in after:
        yield from walk(id, [])


def _notebooks_in(root: Path, folder: str) -> list[str]:
    return sorted(f"{folder}/{p.name}" for p in (root / folder).glob("[!.]*.ipynb"))


def _folders_with_notebooks(parent: Path) -> list[str]:
    return sorted({p.parent.name for p in parent.glob("[!._]*/[!.]*.ipynb")})
