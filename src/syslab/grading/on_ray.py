"""Run jobs on a Ray cluster: the same jobs, the same sandbox, other machines.

Every worker process of the cluster keeps a warm template of its own and runs one submission at a
time. What a submission may read of the course is shipped: the nodes need this Python package and
its dependencies in the same versions, but no shared folder. A node that dies takes its running
submissions with it; Ray runs those again elsewhere. Results come back to the one process that
writes the gradebook, so nothing is graded twice, whatever ran twice.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import os
import shutil
import socket
import stat
import tempfile
import time
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from syslab.course.errors import CourseError
from syslab.grading.engines import MODULES
from syslab.grading.execute import READABLE, Executed, Job
from syslab.warm import service

RETRIES = 3  # how often Ray runs a submission again whose node or worker died
TRIES = 2  # and how often we do where the template failed
AHEAD = 2  # submissions that wait on the cluster, so that no worker waits for us
LOOK_S = 1.0  # how often to see whether nodes came or went
NO_NODE_S = 60.0
STORE_BYTES = 256 << 20  # for jobs and results of a Ray that we start ourselves
KEPT_S = 7 * 86400.0  # an unpacked course that nobody used for so long is removed

LOST = "worker-lost"


@dataclass(frozen=True)
class Course:
    """The readable part of a course, to be unpacked on a node: its digest and where the zip is."""

    digest: str
    content: Any  # a reference into Ray's object store


class Ray:
    """Engine on the Ray cluster at `address`.

    Parameters
    ----------
    address
        ``HOST:PORT`` of the cluster; by default the one that ``RAY_ADDRESS`` names or that runs
        on this machine, else (and for ``local``) one is started here for this run.
    workers
        Submissions at a time; by default one for each CPU of the cluster, as nodes come and go.

    Raises
    ------
    CourseError
        When Ray is not installed, or no cluster answers.
    """

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise CourseError(
                f"--workers is {workers}.", "Give 1 or more; default: one for each CPU."
            )
        self.workers = workers
        self._ray = _import()
        self._code = fingerprint()
        self._ours = not self._ray.is_initialized()
        if self._ours:
            _connect(self._ray, address)
        self._task = self._ray.remote(num_cpus=1, max_retries=RETRIES)(_run)
        self._shipped: dict[str, Course] = {}
        self._running: dict[Any, _Ticket] = {}
        self._room_at = self._alone_since = 0.0
        self._cpus = 0
        self._warming: list[Any] = []
        if workers is None or workers >= self._count_cpus():
            # All workers start their templates now and at once, not each at its first submission.
            warm = self._ray.remote(num_cpus=1, max_retries=0)(_warm)
            self._warming = [warm.remote() for _ in range(self._count_cpus())]

    def run(self, jobs: Iterable[Job]) -> Iterator[Executed]:
        """What became of each job, as they end.

        Raises
        ------
        CourseError
            When a node cannot hold submissions as promised or has another version of this
            package, and when no node is left.
        """
        waiting = iter(jobs)
        again: list[_Ticket] = []
        ended: list[Executed] = []
        while True:
            room = self._room()
            while len(self._running) < room:
                ticket = again.pop() if again else _next(waiting)
                if ticket is None:
                    break
                self._running[self._submit(ticket.job)] = ticket
            yield from ended  # only now: recording takes time, and the nodes have work meanwhile
            ended = []
            if not self._running:
                if room:
                    return
                time.sleep(LOOK_S)
                continue
            ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=LOOK_S)
            for reference in ready:
                ticket = self._running.pop(reference)
                done = self._result(reference, ticket.job)
                if done.error and done.error != LOST and ticket.tries < TRIES:
                    again.append(_Ticket(ticket.job, ticket.tries + 1))
                else:
                    ended.append(done)

    def close(self) -> None:
        """Withdraw what still runs, and leave the cluster as it was found."""
        for reference in [*self._running, *self._warming]:
            with contextlib.suppress(Exception):
                self._ray.cancel(reference, force=True)
        self._running.clear()
        self._shipped.clear()
        if self._ours:
            self._ray.shutdown()

    # -- parts -----------------------------------------------------------------------------------

    def _submit(self, job: Job) -> Any:
        if job.course not in self._shipped:
            content = packed(Path(job.course))
            digest = hashlib.sha256(content).hexdigest()
            self._shipped[job.course] = Course(digest, self._ray.put(content))
        return self._task.remote(job, self._shipped[job.course], self._code)

    def _result(self, reference: Any, job: Job) -> Executed:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            cause = getattr(error, "cause", None) or error
            if isinstance(cause, CourseError):
                raise CourseError(cause.message, cause.fix) from None
            if isinstance(cause, ImportError) or "failed to import" in str(cause):
                raise CourseError(
                    "a node of the Ray cluster has no `syslab`, or not all that it needs.",
                    "Install the course there as here, from the same commit (docs/scaling.md).",
                ) from None
            return Executed(job.student, {}, error=f"{type(cause).__name__}: {cause}")
        except self._ray.exceptions.RayError:  # its node or worker died, once more than `RETRIES`
            return Executed(job.student, {}, error=LOST)

    def _count_cpus(self) -> int:
        return int(self._ray.cluster_resources().get("CPU", 0))

    def _room(self) -> int:
        """How many submissions may be on the cluster now; 0 while it has no node to run them."""
        now = time.monotonic()
        if now >= self._room_at:
            self._cpus = self._count_cpus()
            self._room_at = now + LOOK_S
            if self._cpus:
                self._alone_since = now
            self._alone_since = self._alone_since or now
        if not self._cpus and now - self._alone_since > NO_NODE_S:
            raise CourseError(
                f"the Ray cluster has had no node with a CPU for {NO_NODE_S:g} s.",
                "What was run is kept: start nodes and finish with --resume.",
            )
        if not self._cpus:
            return 0
        return self.workers or self._cpus + AHEAD


@dataclass(frozen=True)
class _Ticket:
    """A job and how often it was tried."""

    job: Job
    tries: int = 1


def _next(jobs: Iterator[Job]) -> _Ticket | None:
    job = next(jobs, None)
    return None if job is None else _Ticket(job)


def _import() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anyone
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise CourseError(
            "Ray is not installed.",
            'Install it: `pip install -c requirements.lock -e ".[cluster]"`, here and on every '
            "node; or grade on this machine with `--engine local`.",
        ) from None
    return ray


def _connect(ray: Any, address: str | None) -> None:
    quiet = {"log_to_driver": False, "logging_level": "ERROR", "namespace": "syslab"}
    ours = {
        "address": "local",
        "include_dashboard": False,
        "object_store_memory": STORE_BYTES,
        "_node_ip_address": "127.0.0.1",
    }
    named = address or os.environ.get("RAY_ADDRESS")
    if named:
        reachable(named)
    try:
        if named == "local":
            ray.init(**ours, **quiet)
            return
        try:
            ray.init(address=named or "auto", **quiet)
        except ConnectionError:
            if named:
                raise
            ray.init(**ours, **quiet)
    except Exception as error:  # Ray raises a bare Exception where it does not start in time
        raise _no_cluster(named or "this machine", error) from error


def reachable(address: str) -> None:
    """Raise CourseError unless something answers at ``HOST:PORT``; Ray itself tries for minutes."""
    host, _, port = address.rpartition(":")
    if address in ("auto", "local"):
        return
    if "://" in address or not host or not port.isdigit():
        raise _no_cluster(address, "this is not HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except OSError as error:
        raise _no_cluster(address, error) from None


def _no_cluster(where: str, reason: object) -> CourseError:
    said = (str(reason).strip() or type(reason).__name__).splitlines()[0]
    return CourseError(
        f"there is no Ray cluster to be had at {where}: {said}.",
        "Run `syslab grade` on a node of the cluster, with the same Python and Ray (`ray status` "
        "shows whether it is up), or grade with `--engine local`.",
    )


# ------------------------------------------------------------------------------- on the nodes


def _run(job: Job, course: Course, wanted: str) -> Executed:
    """`execute.run` on a node: the task that Ray calls."""
    from syslab.grading import execute

    _require(job, wanted)
    job = replace(job, course=str(unpacked(course)))
    try:
        return execute.run(job, _template().address)
    except Exception as error:  # whatever it is, it must not take the class with it
        return Executed(job.student, {}, error=f"{type(error).__name__}: {error}")


def _warm() -> None:
    """Start the template of this worker; a submission that needs it will say what fails."""
    with contextlib.suppress(service.WarmError):
        _template()


def _require(job: Job, wanted: str) -> None:
    """Refuse a node that would grade differently, or hold submissions less well."""
    node = socket.gethostname()
    if fingerprint() != wanted:
        raise CourseError(
            f"node {node} has another version of `syslab` than this machine.",
            "Install the same commit on every node, then finish with --resume.",
        )
    if job.sandboxed:
        from syslab.warm import sandbox

        support = sandbox.support()
        if not support.complete:
            raise CourseError(
                f"submissions cannot be held in a sandbox on node {node}: "
                + " ".join(support.missing),
                "Take the node out of the cluster or switch these on, then finish with --resume.",
            )


@functools.cache
def fingerprint() -> str:
    """A digest of this package's code: nodes that agree in it grade alike."""
    import syslab

    home = Path(syslab.__file__).resolve().parent
    digest = hashlib.sha256()
    for path in sorted(home.rglob("*.py")):
        digest.update(f"\0{path.relative_to(home).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()


_kept: service.Template | None = None
_PASSED_ON = (
    "PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH",
)  # fmt: skip


def _template() -> service.Template:
    """The warm template of this worker process, without the cluster's tokens and addresses."""
    global _kept
    if _kept is None or _kept.process.poll() is not None:
        own = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        _kept = service.Template(MODULES, environment=own)
    _kept.wait()
    return _kept


# ------------------------------------------------------------------------------- the course


def packed(course: Path) -> bytes:
    """A zip of what submissions may read of the course; the same bytes for the same files."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in _files(course):
            entry = zipfile.ZipInfo(path.relative_to(course).as_posix())
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
    return made.getvalue()


def _files(course: Path) -> Iterator[Path]:
    for name in READABLE:
        top = course / name
        if top.is_file():
            yield top
        for folder, inner, files in os.walk(top, followlinks=True):
            inner[:] = sorted(set(inner) - {"__pycache__", ".ipynb_checkpoints"})
            yield from (Path(folder, file) for file in sorted(files))


def unpacked(course: Course) -> Path:
    """The folder of `course` on this node, unpacked by whoever needs it first.

    Its name is the digest of its content, and only we can write it, so that what lies there is
    what was sent.
    """
    store = Path(tempfile.gettempdir(), f"syslab-courses-{os.geteuid()}")
    with contextlib.suppress(FileExistsError):
        store.mkdir(mode=0o700)
    found = store.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise CourseError(
            f"{store} on node {socket.gethostname()} is not a folder of ours alone.",
            "Remove it, then finish with --resume.",
        )
    place = store / course.digest[:32]
    if not place.is_dir():
        import ray

        stage = Path(tempfile.mkdtemp(dir=store))
        with zipfile.ZipFile(io.BytesIO(ray.get(course.content))) as archive:
            archive.extractall(stage)
        with contextlib.suppress(OSError):  # another worker of this node was first
            stage.rename(place)
        shutil.rmtree(stage, ignore_errors=True)
        _forget(store)
    os.utime(place)
    return place


def _forget(store: Path) -> None:
    """Remove courses that were not used for long."""
    for place in store.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - place.stat().st_mtime > KEPT_S:
                shutil.rmtree(place, ignore_errors=True)
