"""Every command of the instructor's pages is run, in their order, in a small course.

``STEPS`` says of each command what must be seen when it has ended. A command on a page that is
neither there nor in ``ELSEWHERE`` fails, and so does one that is no longer on a page.
"""

import csv
import io
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "fixtures" / "small_class"))
import small_class as klass
from small_class import mini

from syslab.course import nbgrader_apps

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
GUIDE, AFTER = "docs/instructor.md", "docs/after-grading.md"
TIMEOUT_S = 900
# A check library with a print of its own: honest points, and a person is asked to look.
TAMPERS = {**mini.RIGHT, "ridge": "import builtins\nbuiltins.print = print\n" + mini.RIGHT["ridge"]}
TAMPERS["ridge"] = TAMPERS["ridge"].replace("= print", "= lambda *a, **k: None")


def block(page, language):
    """The text of every fenced block of that language on a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def commands(page):
    """The command lines of a page's ``sh`` blocks, in order, without comments."""
    lines = "".join(block(page, "sh")).splitlines()
    return [line for line in (re.sub(r"\s+#.*$", "", line).strip() for line in lines) if line]


class Course:
    """The course in which a page is followed, and what can be seen of it."""

    def __init__(self, root):
        self.root = root
        self.environment = klass.environment(root)

    def run(self, line):
        """Run a line of the page in a shell, as a reader does; the ended process."""
        return subprocess.run(
            ["bash", "-c", line], cwd=self.root, env=self.environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=TIMEOUT_S,
        )  # fmt: skip

    def hand_in(self, student, answers, memo, at="2026-02-01 10:00:00.000000 UTC"):
        """What `student` sends: where the exchange keeps it, as nbgrader's submit leaves it."""
        inbound = self.root / "exchange" / klass.COURSE_ID / "inbound"
        folder = inbound / f"{student}+{mini.NAME}+{at}+0123456789"
        shutil.copytree(self.root / "release" / mini.NAME, folder)
        mini.answer(folder / mini.NOTEBOOK, answers, memo)
        (folder / "timestamp.txt").write_text(at)
        (folder / "submission_secret.txt").write_text(f"secret of {student}")

    def page(self, student):
        """What the exchange holds ready as this student's feedback page; None without one."""
        from nbgrader.utils import notebook_hash

        name = notebook_hash(secret=f"secret of {student}", notebook_id=mini.NAME)
        path = self.root / "exchange" / klass.COURSE_ID / "feedback" / f"{name}.html"
        return path.read_text(encoding="utf-8") if path.exists() else None

    def book(self):
        from nbgrader.api import Gradebook

        directory = nbgrader_apps.configuration(self.root).CourseDirectory
        return Gradebook(directory.db_url, directory.course_id)

    def submission(self, student, ask):
        with self.book() as book:
            return ask(book.find_submission(mini.NAME, student))

    def mark(self, student, **marks):
        """Give points by hand, as Formgrader does: those of `marks`, else what the machine gave."""
        with self.book() as book:
            for notebook in book.find_submission(mini.NAME, student).notebooks:
                for grade in notebook.grades:
                    grade.manual_score = marks.get(grade.name, grade.auto_score)
                    grade.needs_manual_grade = False
            book.db.commit()


@dataclass(frozen=True)
class Step:
    """A command of a page: what comes before it, and what is seen after it.

    `prints` are patterns of its output, `shows(course, output)` asserts what else must be.
    """

    line: str
    prints: tuple[str, ...] = ()
    before: Callable = lambda course: None
    shows: Callable = lambda course, output: None


def follow(course, page, steps):
    assert [step.line for step in steps] == [
        line for line in commands(page) if line not in ELSEWHERE
    ], f"{page} and its steps in this test differ"
    for step in steps:
        step.before(course)
        done = course.run(step.line)
        assert done.returncode == 0, f"{page}: {step.line}\n{done.stdout}"
        for pattern in step.prints:
            assert re.search(pattern, done.stdout, re.M), (
                f"{page}: {step.line}: no {pattern!r} in\n{done.stdout}"
            )
        step.shows(course, done.stdout)


# ------------------------------------------------------------------- what is proven elsewhere

# Command -> why it is not run here, and the test that proves it.
ELSEWHERE = {
    "sudo mkdir -p /srv/nbgrader/exchange && sudo chmod ugo+rwx /srv/nbgrader/exchange": (
        "changes the machine as root",
        "tests/test_instructor_guide.py::test_an_exchange_elsewhere_is_made_and_used",
    ),
    "syslab grade arch-02 --engine ray --address 10.0.0.5:6379": (
        "wants a Ray cluster at an address of its own",
        "tests/test_ray.py::test_the_command_grades_on_a_cluster",
    ),
    "SYSLAB_GRADEBOOK_URL=postgresql+psycopg://grader@db/course syslab grade arch-02": (
        "wants a PostgreSQL server",
        "tests/test_postgres.py::test_every_cell_has_the_grade_it_has_on_sqlite",
    ),
}


@pytest.mark.parametrize("line", ELSEWHERE)
def test_what_is_not_run_here_is_proven_by_the_named_test(line):
    reason, proof = ELSEWHERE[line]
    assert line in commands(GUIDE) + commands(AFTER)
    assert reason
    path, _, name = proof.partition("::")
    assert re.search(rf"^def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.M), proof


def test_an_exchange_elsewhere_is_made_and_used(tmp_path):
    """The two lines that want root, without it and in another place."""
    course = Course(mini.build_released(tmp_path / "course"))
    place = tmp_path / "srv" / "exchange"
    (line,) = [line for line in ELSEWHERE if line.startswith("sudo")]
    done = course.run(line.replace("sudo ", "").replace("/srv/nbgrader/exchange", str(place)))
    assert done.returncode == 0, done.stdout
    assert place.stat().st_mode & 0o777 == 0o777
    config = course.root / "nbgrader_config.py"
    config.write_text(config.read_text() + f'\nc.Exchange.root = "{place}"\n')
    done = course.run("nbgrader release_assignment arch-02")
    assert done.returncode == 0, done.stdout
    assert (place / klass.COURSE_ID / "outbound" / "arch-02" / mini.NOTEBOOK).exists()


# ------------------------------------------------------------------------------ the guide itself


def students(course):
    with course.book() as book:
        return {student.id: student.first_name for student in book.students}


def so(ask):
    """What must be true of the course after a command."""

    def shows(course, output):
        assert ask(course), output

    return shows


def class_hands_in(course):
    course.hand_in("ada", TAMPERS, "The first fix.")
    course.hand_in("bob", mini.WRONG, "The second fix.")


def graded_and_returned(course, output):
    """Bob's page is back, Ada's is kept for a look."""
    assert "hidden checks:" in course.page("bob")
    assert "you forgot the compute ceiling" in course.page("bob")
    assert "BEGIN HIDDEN" not in course.page("bob")
    assert course.page("ada") is None
    assert (course.root / "feedback/ada/arch-02/arch-02.html").exists()
    assert course.submission("ada", lambda s: s.needs_manual_grade)


def a_run_is_killed(course):
    """Eve hands in; the grader is killed with -9 as soon as it has begun."""
    course.hand_in("eve", mini.RIGHT, None)
    process = klass.start(course.root)
    deadline = time.monotonic() + TIMEOUT_S
    while not klass.interrupted(course.root):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.communicate()


def resumed(course, output):
    assert not klass.interrupted(course.root)
    assert course.submission("eve", lambda s: s.score) == 5.0


def written_answers_are_marked(course):
    course.mark("bob", memo=12.0)
    course.mark("eve")


def marks_are_on_the_page(course, output):
    assert "14 of 20 points" in course.page("bob")
    assert "wait" not in re.search(r'<p class="total">.*?</p>', course.page("bob"))[0]


GUIDE_STEPS = [
    Step(
        "nbgrader db student add ada --first-name Ada --last-name Lovelace",
        shows=so(lambda course: students(course)["ada"] == "Ada"),
    ),
    Step(
        "nbgrader db student import class.csv",
        shows=so(lambda course: {"ada", "bob", "eve"} <= students(course).keys()),
    ),
    Step(
        "nbgrader release_assignment arch-02",
        shows=so(
            lambda course: (
                course.root / "exchange" / klass.COURSE_ID / "outbound/arch-02"
            ).is_dir()
        ),
    ),
    Step(
        "syslab grade arch-02",
        (
            r"^  ada +5 of 20 .* awaiting a human$",
            r"^ +tampered: .*print",
            r"^  bob +2 of 20 ",
            r"^2 submissions: 2 graded, 1 to look at before their points are returned\.$",
        ),
        before=class_hands_in,
        shows=graded_and_returned,
    ),
    Step(
        "syslab grade arch-02 --resume",
        (r"^3 submissions: 1 graded, 2 unchanged", r"^  eve +5 of 20 "),
        before=a_run_is_killed,
        shows=resumed,
    ),
    Step("syslab grade arch-02 --student ada --force", (r"^1 submission: 1 graded, 1 to look",)),
    Step("syslab grade arch-02 --workers 4", (r"^3 submissions: 3 unchanged",)),
    Step(
        "nbgrader generate_feedback arch-02 --student ada --force",
        before=lambda course: course.mark("ada", memo=10.0),
        shows=so(lambda course: course.page("ada") is None),
    ),
    Step(
        "nbgrader release_feedback arch-02 --student ada",
        shows=so(lambda course: "15 of 20 points" in course.page("ada")),
    ),
    Step("nbgrader generate_feedback arch-02 --force", before=written_answers_are_marked),
    Step("nbgrader release_feedback arch-02", shows=marks_are_on_the_page),
    Step(
        "syslab transcript --format html --out transcripts",
        (r"^transcripts/index\.html: 3 students$",),
        shows=so(lambda course: "ada" in (course.root / "transcripts/index.html").read_text()),
    ),
]


@pytest.mark.xdist_group("guide")
def test_the_instructors_page_is_followed(tmp_path):
    course = Course(mini.build_released(tmp_path / "course"))
    (course.root / "class.csv").write_text(
        "id,first_name,last_name,email\nada,Ada,Lovelace,ada@example.org\n"
        "bob,Bob,Builder,bob@example.org\neve,Eve,Evening,eve@example.org\n"
    )
    config = course.root / "nbgrader_config.py"  # here, all learners are one user of the system
    config.write_text(config.read_text() + "\nc.ExchangeCollect.check_owner = False\n")
    follow(course, GUIDE, GUIDE_STEPS)


# ------------------------------------------------------------------------------- after grading


def file_says(name, *texts):
    def shows(course, output):
        found = (course.root / name).read_text(encoding="utf-8-sig")
        assert [text for text in texts if text not in found] == []

    return shows


def is_json(course, output):
    assert "syslab-transcript-1" in json.dumps(json.loads(output))


def evidence_as_on_the_page(course):
    """What the page shows as an example of evidence is taken as it stands."""
    (text,) = block(AFTER, "csv")
    (course.root / ".syslab" / "evidence.csv").write_text(text)


def late_table_as_on_the_page(course):
    (text,) = block(AFTER, "toml")
    path = course.root / "course.toml"
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{text}", encoding="utf-8")


def penalty(course):
    with course.book() as book:
        notebooks = book.find_submission(mini.NAME, "ada").notebooks
        return sum(notebook.late_submission_penalty or 0.0 for notebook in notebooks)


def ada_is_late_and_gets_an_extension(course, output):
    """Handed in 11 hours after the due date: 10 % of 5 points, and none with the extension."""
    assert penalty(course) == pytest.approx(0.5)
    (code,) = block(AFTER, "python")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=course.root, env=course.environment, text=True,
        capture_output=True, timeout=TIMEOUT_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert course.run("syslab grade arch-02 --student ada --force --no-feedback").returncode == 0
    assert penalty(course) == 0


def a_wrong_check_is_mended(course):
    """The check of `attainable` that bob failed goes; another he would fail was never there."""

    def edit(notebook):
        cell = mini.cell(notebook, "test-attainable")
        start = cell.source.index('check.value("far above')
        cell.source = cell.source[:start] + cell.source[cell.source.index("### BEGIN HIDDEN") :]

    mini.change(course.root / "source" / mini.NAME / mini.NOTEBOOK, edit)


def due_is_noted(course, output):
    with course.book() as book:
        due = book.find_assignment(mini.NAME).duedate
    assert f"{due:%Y-%m-%d %H:%M}" == "2026-02-01 22:59"  # UTC


def columns(name, *wanted):
    def shows(course, output):
        text = (course.root / name).read_text(encoding="utf-8-sig")
        heads = {head for row in csv.reader(io.StringIO(text)) for head in row}
        assert set(wanted) <= heads, text

    return shows


AFTER_STEPS = [
    Step("syslab items arch-02", ("attainable", "you forgot the compute ceiling")),
    Step("syslab items arch-02 --csv items.csv", shows=file_says("items.csv", "attainable")),
    Step("syslab transcript", ("^ +ada ", "^ +bob "), before=evidence_as_on_the_page),
    Step("syslab transcript --student ada", ("arch-02", r"2026-01-15|example\.org/post|published")),
    Step(
        "syslab transcript --student ada --format html --out ada.html",
        shows=file_says("ada.html", "<html", "arch-02"),
    ),
    Step(
        "syslab transcript --format html --out transcripts",
        shows=file_says("transcripts/index.html", "ada", "bob"),
    ),
    Step("syslab transcript --out points.csv", shows=columns("points.csv", "ada", "arch-02")),
    Step("syslab transcript --format json", shows=is_json),
    Step(
        "syslab export arch-02 --lms canvas --out canvas.csv",
        shows=columns("canvas.csv", "SIS User ID", "SIS Login ID", "ada"),
    ),
    Step(
        "syslab export all --lms moodle --out moodle.csv",
        shows=file_says("moodle.csv", "ada", "bob"),
    ),
    Step(
        'nbgrader db assignment add arch-02 --duedate "2026-02-01 23:59 Europe/Berlin"',
        before=late_table_as_on_the_page,
        shows=due_is_noted,
    ),
    Step(
        "syslab grade arch-02 --force",
        (r"^2 submissions: 2 graded\.$",),
        shows=ada_is_late_and_gets_an_extension,
    ),
    Step("syslab release arch-02", ("no leak, stubs earn 0",), before=a_wrong_check_is_mended),
    Step(
        "syslab grade arch-02 --regrade",
        (r"scores before: \.syslab/regrade/", r"bob.*"),
        shows=so(lambda course: course.submission("bob", lambda s: s.score) == 3.0),
    ),
]


@pytest.mark.xdist_group("after")
def test_the_page_on_what_comes_after_is_followed(tmp_path):
    course = Course(mini.build_released(tmp_path / "course"))
    for student, answers, at in (
        ("ada", mini.RIGHT, "2026-02-02 10:00:00.000000 UTC"),
        ("bob", mini.WRONG, "2026-02-01 10:00:00.000000 UTC"),
    ):
        folder = course.root / "submitted" / student / mini.NAME
        shutil.copytree(course.root / "release" / mini.NAME, folder)
        mini.answer(folder / mini.NOTEBOOK, answers, "My memo.")
        (folder / "timestamp.txt").write_text(at)
    done = course.run("syslab grade arch-02 --no-feedback")
    assert done.returncode == 0, done.stdout
    follow(course, AFTER, AFTER_STEPS)


def test_the_commands_of_both_pages_are_found():
    """The reading of the pages itself: no block is passed over."""
    for page in (GUIDE, AFTER):
        text = (ROOT / page).read_text(encoding="utf-8")
        assert len(commands(page)) >= 12
        assert len(block(page, "sh")) == text.count("```sh\n") >= 4
        assert "```bash" not in text
        assert "```shell" not in text
