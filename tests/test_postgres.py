"""The gradebook on PostgreSQL: a real server, the same commands, the same grades."""

import contextlib
import csv
import signal
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "fixtures" / "postgres"))
sys.path.insert(0, str(Path(__file__).parent / "fixtures" / "small_class"))
import small_class as small
from postgres_server import Server

from syslab.course import assignments, nbgrader_apps
from syslab.course.errors import CourseError
from syslab.grading import batch, book, book_lock, engines
from syslab.warm import service

NAME = small.mini.NAME
KINDS = {"ada": "right", "bob": "wrong", "cyd": "warns", "dee": "mixed", "eve": "untouched"}
SLOW = {f"slow-{n}": "slow" for n in range(6)}

pytestmark = pytest.mark.xdist_group("postgres")


@pytest.fixture(scope="module")
def server(needs_program):
    """A PostgreSQL server of our own."""
    with Server(needs_program("postgresql")) as running:
        yield running


@pytest.fixture
def database(server, request):
    """The URL of an empty database."""
    return server.create(request.node.name[:60])


@pytest.fixture
def course_of(tmp_path, monkeypatch):
    """Return ``make(kinds, url, name) -> root``: a class whose gradebook is at `url`."""

    def make(kinds, url="", name="course"):
        root = small.build(tmp_path / name, kinds)
        use(root, url)
        return root

    def use(root, url=""):
        monkeypatch.setenv("SYSLAB_ROOT", str(root))
        monkeypatch.setenv("SYSLAB_STATE", str(root / ".syslab"))
        monkeypatch.setenv("SYSLAB_GRADEBOOK_URL", url)

    make.use = use
    return make


class Counting(engines.Local):
    """Two local workers, and who was run by them."""

    def __init__(self, seen):
        super().__init__(2)
        self.seen = seen

    def run(self, jobs):
        def noted():
            for job in jobs:
                self.seen.append(job.student)
                yield job

        return super().run(noted())


@pytest.fixture(scope="module", autouse=True)
def template():
    with small.one_template((*service.MODULES, *engines.MODULES)):
        yield


def grade(root, progress=lambda row: None, **options):
    """Grade the class at `root`; its rows, and which students were run."""
    seen = []
    rows = batch.grade(
        assignments.find(NAME, root), lambda: Counting(seen), batch.Options(**options), progress
    )
    return rows, seen


# ---------------------------------------------------------------------------- the same grades


def test_every_cell_has_the_grade_it_has_on_sqlite(course_of, database, tmp_path):
    here = course_of(KINDS, name="sqlite")
    grade(here)
    there = course_of(KINDS, database, name="postgres")
    rows, _ = grade(there)

    assert {row.student: row.state for row in rows} == dict.fromkeys(KINDS, "graded"), rows
    assert small.scores(database) == small.points_of(KINDS)
    assert small.grades(database) == small.grades(small.book_of(here))
    assert not (there / "gradebook.db").exists()

    # nbgrader's own readers: what Formgrader shows, and the stock command.
    from nbgrader.apps.api import NbGraderAPI
    from nbgrader.coursedir import CourseDirectory

    config = nbgrader_apps.configuration(there)
    assert config.CourseDirectory.db_url == database
    api = NbGraderAPI(CourseDirectory(config=config), config=config)
    shown = {row["student"]: row for row in api.get_submissions(NAME)}
    assert {name: row["score"] for name, row in shown.items()} == small.points_of(KINDS)
    assert shown["ada"]["needs_manual_grade"]
    assert api.get_assignment(NAME)["num_submissions"] == len(KINDS)
    target = tmp_path / "grades.csv"
    subprocess.run(
        [sys.executable, "-m", "nbgrader", "export", f"--to={target}"],
        cwd=there, env=small.environment(there, database), check=True, capture_output=True,
    )  # fmt: skip
    with open(target, newline="") as file:
        exported = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
    assert exported == small.points_of(KINDS)

    # and ours
    with book.reading(there) as session:
        assert book.works(session)[NAME].points == 20.0
    again, run_again = grade(there)
    assert {row.state for row in again} == {"unchanged"}
    assert run_again == []


# ---------------------------------------------------------------------------- cut short


def test_kill_9_in_mid_run_loses_nothing_and_doubles_nothing(course_of, database):
    root = course_of(SLOW, database)
    grader = small.start(root, "--workers", "1", url=database)
    small.wait_for_recorded(root, 2, grader)
    grader.send_signal(signal.SIGKILL)
    grader.communicate()
    before = small.recorded(root)
    assert small.interrupted(root)
    assert before < set(SLOW)

    rows, run_now = grade(root, resume=True)

    assert len(rows) == len(SLOW)
    assert not before & set(run_now)
    assert small.scores(database) == small.points_of(SLOW)
    assert not small.interrupted(root)


def test_a_lost_server_is_named_and_resume_finishes(course_of, database, server):
    root = course_of(SLOW, database)
    told = []

    def progress(row):
        told.append(row.student)
        if len(told) == 2:
            server.stop()

    try:
        with pytest.raises(CourseError, match="cannot be reached") as raised:
            grade(root, progress)
    finally:
        server.start()
    assert "--resume" in str(raised.value)
    assert small.interrupted(root)

    rows, run_now = grade(root, resume=True)

    assert sorted(row.student for row in rows) == sorted(SLOW)
    assert not set(run_now) & set(told)
    assert small.scores(database) == small.points_of(SLOW)


def test_a_server_that_is_not_there_is_named_without_its_password(course_of, tmp_path):
    url = f"postgresql+psycopg://grader:hush@/book?host={tmp_path}"
    root = course_of({"ada": "right"}, url)
    with pytest.raises(CourseError, match=r"grader:\*\*\*@/book.* cannot be reached") as raised:
        grade(root)
    assert "hush" not in str(raised.value)
    assert not small.interrupted(root)


# ---------------------------------------------------------------------------- two at once


def test_two_graders_from_two_folders_do_not_meet_in_one_gradebook(
    course_of, database, monkeypatch
):
    first = course_of(SLOW, database, name="first")
    second = course_of({"zoe": "right", "slow-0": "slow"}, database, name="second")
    monkeypatch.setattr(book_lock, "PATIENCE_S", 0.3)
    grader = small.start(first, "--workers", "1", url=database)
    try:
        small.wait_for_recorded(first, 1, grader)
        with pytest.raises(CourseError, match="another `syslab grade` is at work") as raised:
            grade(second)
        assert grader.poll() is None, "the first grader was to be at work all the while"
    finally:
        said, _ = grader.communicate()
    assert f"process {grader.pid} on " in str(raised.value)
    assert NAME in str(raised.value)
    assert grader.returncode == 0, said
    assert small.scores(database) == small.points_of(SLOW)

    grade(second)  # the lock went with its holder

    assert small.scores(database) == small.points_of(SLOW | {"zoe": "right"})


def test_courses_in_one_database_do_not_wait_for_each_other(database):
    with book_lock.held(database, "one-course", NAME), book_lock.held(database, "another", NAME):
        pass


def test_the_lock_ends_with_its_connection(database, server, monkeypatch):
    monkeypatch.setattr(book_lock, "PATIENCE_S", 0.3)
    name = database.partition("@/")[2].partition("?")[0]
    with contextlib.suppress(CourseError), book_lock.held(database, "course", NAME):
        holder = "FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted"
        assert server.ask(f"SELECT count(*) {holder}", name) == [(1,)]
        with (
            pytest.raises(CourseError, match="another `syslab grade`"),
            book_lock.held(database, "course", NAME),
        ):
            pass
        server.ask(f"SELECT pg_terminate_backend(l.pid) {holder}", name)
        monkeypatch.setattr(book_lock, "PATIENCE_S", 5.0)
        with book_lock.held(database, "course", NAME):
            pass


def test_a_missing_driver_is_answered_with_its_install_line():
    with (
        pytest.raises(CourseError, match=r"\[postgres\]"),
        book_lock.held("postgresql+asyncpg9://x@/y", "course", NAME),
    ):
        pass
