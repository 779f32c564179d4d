"""The learner's home page: what is next, what is done, points by gate, every module's status.

``show()`` stands in START.ipynb, ``text()`` is what ``syslab progress`` prints; both read the
manifest and the local progress record and nothing else.
"""

from __future__ import annotations

import html
import itertools
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from syslab.course import manifest, progress
from syslab.course.errors import CourseError
from syslab.course.manifest import Course, Module
from syslab.course.progress import Progress, Step

TEXT_WIDTH = 100
LEFT = ' style="text-align:left"'  # JupyterLab sets cells of output tables flush right
UNBROKEN = ' style="text-align:left;white-space:nowrap"'  # for ids and times
UNBROKEN_LENGTH = 12


@dataclass(frozen=True)
class Table:
    """Rows under a caption; the first cell of a row names it, and `links` gives it a path."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    links: dict[str, str]


@dataclass(frozen=True)
class Page:
    """The home page as data; `text()` and `html()` say the same."""

    title: str
    step: Step
    left: str
    done: str
    tables: tuple[Table, ...]

    def text(self) -> str:
        lines = [
            self.title,
            "=" * len(self.title),
            "",
            f"Next: {_lead(self.step, self.step.title)}",
        ]
        lines += [f"      open {self.step.path}"] if self.step.path else []
        lines += [f"      run  {self.step.command}"] if self.step.command else []
        lines += [f"Left: {self.left}", f"Done: {self.done}"]
        for table in self.tables:
            lines += ["", table.caption, *_columns(table)]
        return "\n".join(lines)

    def html(self) -> str:
        lead = _lead(self.step, _link(self.step.title, self.step.path))
        if self.step.command:
            lead += f"<br>in a terminal: <code>{html.escape(self.step.command)}</code>"
        return "\n".join(
            [
                f"<p><strong>Next:</strong> {lead}<br>",
                f"<strong>Left:</strong> {html.escape(self.left)}<br>",
                f"<strong>Done:</strong> {html.escape(self.done)}</p>",
                *map(_html_table, self.tables),
            ]
        )


def show() -> None:
    """Show the home page in a notebook, or print it elsewhere. A broken manifest is explained."""
    try:
        current = page()
    except CourseError as error:
        print(error)
        return
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        get_ipython = None
    if get_ipython is None or get_ipython() is None:
        print(current.text())
    else:
        display({"text/html": current.html(), "text/plain": current.text()}, raw=True)


def text() -> str:
    """The home page as plain text."""
    return page().text()


def page(course: Course | None = None, record: Progress | None = None) -> Page:
    """The home page of `course` for the learner whose record is `record` (both from disk)."""
    course = course or manifest.load(check_folders=False)
    record = record or progress.load()
    step = record.next_step(course)
    return Page(
        title=course.title,
        step=step,
        left=_left(course, record),
        done=_done(course, record),
        tables=(
            *(_gate_table(course, record, track.id) for track in course.tracks),
            *(_module_table(course, record, track.id) for track in course.tracks),
            _other_table(course, record),
        ),
    )


def duration(minutes: int) -> str:
    """Minutes as people say them: 45 min, 2 h, 2 h 30 min."""
    hours, rest = divmod(minutes, 60)
    return " ".join([f"{hours} h"] * (hours > 0) + [f"{rest} min"] * (rest > 0 or hours == 0))


# ------------------------------------------------------------------------------------- contents


def _lead(step: Step, title: str) -> str:
    time = f", about {duration(step.minutes)}" if step.minutes else ""
    return {
        "lesson": f"read the lesson “{title}”{time}",
        "bench": f"work at the bench “{title}”{time}",
        "start": f"start the graded notebook “{title}”{time}",
        "assignment": f"go on with the graded notebook “{title}”{time}",
        "grade": f"see what the hidden checks say about “{title}”",
        "improve": f"improve the graded notebook “{title}”",
        "done": title,
    }[step.kind]


def _left(course: Course, record: Progress) -> str:
    notebooks = sum(len(record.remaining(course, m)) for m in course.ready_modules)
    if not notebooks:
        return "nothing that is ready"
    time = duration(record.minutes_left(course))
    return f"{time} in {_count(notebooks, 'notebook')} that are ready"


def _done(course: Course, record: Progress) -> str:
    finished = sum(
        len(m.notebooks) - len(record.remaining(course, m)) for m in course.ready_modules
    )
    passed = [m.id for m in course.ready_modules if record.is_passed(course, m)]
    if not finished:
        return "nothing yet"
    return f"{_count(finished, 'notebook')}; passed: {', '.join(passed) or 'no module yet'}"


def _gate_table(course: Course, record: Progress, track_id: str) -> Table:
    track = next(t for t in course.tracks if t.id == track_id)
    gates = [s for s in record.gates(course) if s.gate.certificate == track_id]
    rows = [
        (s.gate.title, "met" if s.met else "not met", s.stands, s.missing or "–") for s in gates
    ]
    met = sum(s.met for s in gates)
    caption = f"Certificate {track.certificate}: {met} of {len(gates)} gates met"
    return Table(caption, ("Gate", "State", "You have", "Missing"), tuple(rows), {})


def _module_table(course: Course, record: Progress, track_id: str) -> Table:
    track = next(t for t in course.tracks if t.id == track_id)
    modules = course.modules_of(track_id)
    rows = tuple(
        (
            m.id,
            m.title,
            duration(m.minutes),
            ", ".join(m.prerequisites) or "–",
            f"{record.part_points(m):g} of {m.points}",
            _status(course, record, m),
        )
        for m in modules
    )
    ready = sum(m.ready for m in modules)
    caption = f"{track.title}: {len(modules)} modules, {ready} ready"
    links = {m.id: m.notebooks[0].path for m in modules if m.ready and m.notebooks}
    return Table(caption, ("Module", "Title", "Time", "After", "Points", "State"), rows, links)


def _status(course: Course, record: Progress, module: Module) -> str:
    if not module.ready:
        return "planned"
    if record.is_passed(course, module):
        return "passed"
    total = len(module.notebooks)
    done = total - len(record.remaining(course, module))
    public = record.public_points(module.id)
    so_far = f", {public:g} points by public checks" if public else ""
    return f"ready, {done} of {total} notebooks done{so_far}"


def _other_table(course: Course, record: Progress) -> Table:
    rows = [
        (p.id, p.title, duration(p.minutes), f"{record.part_points(p):g} of {p.points}", p.status)
        for p in course.projects
    ]
    rows += [
        (
            p.id,
            p.title,
            duration(p.minutes) if p.minutes else "–",
            f"{record.part_points(p):g} of {p.points}",
            p.status,
        )
        for p in course.portfolio
    ]
    rows.append((course.capstone.id, course.capstone.title, "–", "–", course.capstone.status))
    ready = sum(part.ready for part in (*course.projects, *course.portfolio, course.capstone))
    caption = f"Projects, portfolio and capstone: {len(rows)} parts, {ready} ready"
    return Table(caption, ("Part", "Title", "Time", "Points", "State"), tuple(rows), {})


# -------------------------------------------------------------------------------------- layout


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _columns(table: Table) -> list[str]:
    """Left-aligned columns within TEXT_WIDTH; the widest are narrowed and their cells wrapped."""
    rows: Sequence[tuple[str, ...]] = (table.head, *table.rows)
    widths = [max(len(row[k]) for row in rows) for k in range(len(table.head))]
    while sum(widths) > TEXT_WIDTH - 2 * len(widths):
        widths[widths.index(max(widths))] -= 1
    lines = []
    for row in rows:
        wrapped = [textwrap.wrap(c, w) or [""] for c, w in zip(row, widths, strict=True)]
        for pieces in itertools.zip_longest(*wrapped, fillvalue=""):
            cells = (piece.ljust(w) for piece, w in zip(pieces, widths, strict=True))
            lines.append("  " + "  ".join(cells).rstrip())
    lines.insert(1, "  " + "  ".join("-" * width for width in widths))
    return lines


def _link(text: str, path: str) -> str:
    shown = html.escape(text)
    return f'<a href="{html.escape(path)}">{shown}</a>' if path else shown


def _html_table(table: Table) -> str:
    head = "".join(_cell("th", cell, html.escape(cell), "col") for cell in table.head)
    body = []
    for first, *rest in table.rows:
        name = _link(first, table.links.get(first, ""))
        cells = "".join(_cell("td", cell, html.escape(cell)) for cell in rest)
        body.append(f"<tr>{_cell('th', first, name, 'row')}{cells}</tr>")
    return (
        f"<table>\n<caption{LEFT}>{html.escape(table.caption)}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(body) + "\n</tbody>\n</table>"
    )


def _cell(tag: str, text: str, shown: str, scope: str = "") -> str:
    role = f' scope="{scope}"' if scope else ""
    style = UNBROKEN if len(text) <= UNBROKEN_LENGTH else LEFT
    return f"<{tag}{role}{style}>{shown}</{tag}>"
