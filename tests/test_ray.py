"""Grading on a Ray cluster: several nodes on this machine, on the loopback interface only."""

import hashlib
import os
import socket
import sys
import time
import zipfile
from io import BytesIO
from pathlib import Path

import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parent / "fixtures" / "small_class"))
import small_class as small

from syslab.course import assignments
from syslab.course.errors import CourseError
from syslab.grading import batch, on_ray
from syslab.grading.engines import Local
from syslab.grading.execute import Executed, Job
from syslab.warm import sandbox

NAME = small.mini.NAME
INSTALL = 'pip install -c requirements.lock -e ".[cluster]"'
KINDS = {"ada": "right", "bob": "wrong", "cyd": "warns", "dee": "mixed", "eve": "untouched"}
SLOW = {f"slow-{n}": "slow" for n in range(8)}
LOOPBACK = "127.0.0.1"
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # or Ray takes 127.0.0.1 for the outer address
}
SANDBOXED = sandbox.support().complete

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.slow]


class Nodes:
    """A cluster of small nodes, each of one CPU."""

    def __init__(self):
        from ray.cluster_utils import Cluster

        self.cluster = Cluster()
        self._add(num_cpus=1, include_dashboard=False, include_log_monitor=False)
        self.others = [self.add()]
        self.address = self.cluster.address

    def _add(self, **more):
        return self.cluster.add_node(node_ip_address=LOOPBACK, object_store_memory=80 << 20, **more)

    def add(self):
        return self._add(num_cpus=1)

    def kill(self, node):
        """End a node at once, with everything on it."""
        self.cluster.remove_node(node, allow_graceful=False)
        if node in self.others:
            self.others.remove(node)

    def at_work(self, node):
        """The worker of `node` that has a kernel running a submission; waits for one."""
        raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            for process in raylet.children(recursive=True):
                try:
                    if (
                        "syslab.warm.template" in process.cmdline()
                        and len(process.children(recursive=True)) > 1
                    ):
                        return process.parent()
                except psutil.NoSuchProcess:
                    continue
            time.sleep(0.01)
        raise AssertionError("the node was given nothing to do in 120 s")


@pytest.fixture(scope="module")
def on_this_machine(tmp_path_factory):
    """Every grade that the local engine gives, from before Ray has threads in this process."""
    root = small.build(tmp_path_factory.mktemp("local") / "course", KINDS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SYSLAB_ROOT", str(root))
        patch.setenv("SYSLAB_STATE", str(root / ".syslab"))
        grade(root, lambda: Local(1))
    return small.grades(small.book_of(root))


@pytest.fixture(scope="module")
def nodes(needs_program, on_this_machine):
    """A cluster of two nodes, and this process connected to it."""
    needs_program(str(Path(sys.executable).parent / "ray"), INSTALL)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        patch.delenv("RAY_ADDRESS", raising=False)
        import ray

        running = Nodes()
        ray.init(address=running.address, log_to_driver=False, logging_level="ERROR")
        yield running
        ray.shutdown()
        running.cluster.shutdown()


@pytest.fixture
def course_of(tmp_path, monkeypatch):
    """Return ``make(kinds, name) -> root``: a class, and the place where we are."""

    def make(kinds, name="course"):
        root = small.build(tmp_path / name, kinds)
        monkeypatch.setenv("SYSLAB_ROOT", str(root))
        monkeypatch.setenv("SYSLAB_STATE", str(root / ".syslab"))
        return root

    return make


class Noting(on_ray.Ray):
    """The engine, and whose results came out of it."""

    def __init__(self, out):
        super().__init__()
        self.out = out

    def run(self, jobs):
        for done in super().run(jobs):
            self.out.append(done.student)
            yield done


def grade(root, engine, progress=lambda row: None):
    options = batch.Options(sandboxed=SANDBOXED)
    return batch.grade(assignments.find(NAME, root), engine, options, progress)


# ---------------------------------------------------------------------------- the same grades


def test_every_cell_has_the_grade_it_has_on_this_machine(nodes, course_of, on_this_machine):
    book = small.book_of(course_of(KINDS))
    rows = grade(Path(os.environ["SYSLAB_ROOT"]), on_ray.Ray)
    assert {row.student: row.state for row in rows} == dict.fromkeys(KINDS, "graded"), rows
    assert small.scores(book) == small.points_of(KINDS)
    assert small.grades(book) == on_this_machine


def test_the_command_grades_on_a_cluster(nodes, course_of):
    root = course_of({"ada": "right", "bob": "wrong"})
    more = [] if SANDBOXED else ["--no-sandbox"]
    words = ["--engine", "ray", "--address", nodes.address, "--workers", "1", *more]
    process = small.start(root, *words)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert "2 submissions: 2 graded." in said
    assert small.scores(small.book_of(root)) == {"ada": 5.0, "bob": 2.0}


# ---------------------------------------------------------------------------- what dies


def test_a_worker_and_a_node_killed_in_mid_run_cost_nothing(nodes, course_of):
    root = course_of(SLOW)
    told, out, doomed = [], [], []

    def progress(row):
        told.append(row.student)
        if len(told) == 1:
            nodes.at_work(nodes.cluster.head_node).kill()
        if len(told) == 2:
            node = nodes.others[0]
            worker = nodes.at_work(node)
            doomed.extend([worker, *worker.children(recursive=True)])
            nodes.kill(node)

    try:
        rows = grade(root, lambda: Noting(out), progress)
    finally:
        if not nodes.others:
            nodes.others.append(nodes.add())
    assert len(told) == len(SLOW)
    assert {row.student: row.state for row in rows} == dict.fromkeys(SLOW, "graded"), rows
    graded = [student for student in out if student in SLOW]
    assert sorted(graded) == sorted(SLOW)  # each came back once, though two ran twice
    assert small.scores(small.book_of(root)) == small.points_of(SLOW)
    _, alive = psutil.wait_procs(doomed, timeout=30)
    assert alive == [], "the dead node left its template or a kernel behind"


def test_a_cluster_without_a_node_ends_the_run_with_what_to_do(nodes, course_of, monkeypatch):
    monkeypatch.setattr(on_ray, "NO_NODE_S", 0.5)
    root = course_of({"ada": "right"})

    class Deserted(on_ray.Ray):
        def __init__(self):
            super().__init__()
            monkeypatch.setattr(self._ray, "cluster_resources", dict)

    with pytest.raises(CourseError, match="no node with a CPU") as raised:
        grade(root, Deserted)
    assert "--resume" in raised.value.fix
    assert small.interrupted(root)


# ---------------------------------------------------------------------------- unfit nodes


def test_a_node_with_other_code_is_refused(nodes, course_of, monkeypatch):
    root = course_of({"ada": "right"})
    monkeypatch.setattr(on_ray, "fingerprint", lambda: "of another commit")
    with pytest.raises(CourseError, match="another version of `syslab`") as raised:
        grade(root, on_ray.Ray)
    assert socket.gethostname() in str(raised.value)
    assert small.interrupted(root)
    assert small.recorded(root) == set()


def test_a_task_that_fails_fails_its_submission_alone(nodes, course, monkeypatch):
    def broken(job, course, wanted):
        if job.student == "bob":
            raise RuntimeError("the disk of this node is full")
        return Executed(job.student, job.notebooks)

    monkeypatch.setattr(on_ray, "_run", broken)
    monkeypatch.setattr(broken, "__module__", "__main__")  # sent by value: it is not on the nodes
    engine = on_ray.Ray()
    jobs = [Job(student, NAME, {}, {}, str(course)) for student in ("ada", "bob", "cyd")]
    said = {done.student: done.error for done in engine.run(jobs)}
    engine.close()
    assert said == {
        "ada": "", "bob": "RuntimeError: the disk of this node is full", "cyd": "",
    }  # fmt: skip


def test_a_cluster_that_does_not_answer_is_named():
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))  # bound and not listening: nothing can answer there
        address = f"{LOOPBACK}:{taken.getsockname()[1]}"
        with pytest.raises(CourseError, match=f"no Ray cluster .* at {address}"):
            on_ray.reachable(address)


def test_an_address_for_rays_remote_client_is_answered():
    with pytest.raises(CourseError, match="on a node of the cluster"):
        on_ray.reachable("ray://head:10001")


def test_without_ray_the_install_line_is_given(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(CourseError, match=r"\[cluster\]"):
        on_ray.Ray()


def test_no_workers_are_no_engine():
    with pytest.raises(CourseError, match="--workers is 0"):
        on_ray.Ray(workers=0)


# ---------------------------------------------------------------------------- the course


@pytest.fixture
def course(tmp_path):
    """A course with something to read and something to hide."""
    root = tmp_path / "course"
    for name in ("labs/bench/data.csv", "lessons/a/01.ipynb", "release/x/x.ipynb"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    for name in ("source/x/x.ipynb", "submitted/ada/x/x.ipynb", "labs/__pycache__/a.pyc"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("secret")
    (root / "gradebook.db").write_text("secret")
    (root / "course.toml").write_text("x = 1")
    return root


READABLE = {
    "course.toml", "labs/bench/data.csv", "lessons/a/01.ipynb", "release/x/x.ipynb",
}  # fmt: skip


def test_what_is_shipped_is_what_submissions_may_read(course):
    content = on_ray.packed(course)
    assert set(zipfile.ZipFile(BytesIO(content)).namelist()) == READABLE
    os.utime(course / "course.toml", (0, 0))
    assert on_ray.packed(course) == content
    (course / "course.toml").write_text("x = 2")
    assert on_ray.packed(course) != content


def test_a_course_is_unpacked_once_on_a_node(nodes, course, tmp_path, monkeypatch):
    import ray

    monkeypatch.setattr(on_ray.tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    content = on_ray.packed(course)
    sent = on_ray.Course(hashlib.sha256(content).hexdigest(), ray.put(content))
    place = on_ray.unpacked(sent)
    files = {p.relative_to(place).as_posix() for p in place.rglob("*") if p.is_file()}
    assert files == READABLE
    assert on_ray.unpacked(on_ray.Course(sent.digest, None)) == place  # not asked for again
    assert list(place.parent.iterdir()) == [place]

    os.utime(place, (0, 0))  # nobody used it since 1970
    (course / "course.toml").write_text("x = 2")
    content = on_ray.packed(course)
    newer = on_ray.unpacked(on_ray.Course(hashlib.sha256(content).hexdigest(), ray.put(content)))
    assert list(newer.parent.iterdir()) == [newer]


def test_a_store_that_others_can_write_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(on_ray.tempfile, "tempdir", str(tmp_path))
    store = tmp_path / f"syslab-courses-{os.geteuid()}"
    store.mkdir()
    store.chmod(0o777)
    with pytest.raises(CourseError, match="not a folder of ours alone"):
        on_ray.unpacked(on_ray.Course("0" * 64, None))
