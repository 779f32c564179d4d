"""One writer for a gradebook that several machines can reach.

The lock of a course folder (`spool.Spool.locked`) keeps two graders of one folder apart. A
PostgreSQL gradebook may have graders in several folders, on several machines; they meet in the
database, at an advisory lock that the server gives up by itself when its holder dies.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
import zlib
from collections.abc import Iterator
from typing import Any

from syslab.course.errors import CourseError
from syslab.grading import book

PATIENCE_S = 3.0  # the server notices within moments that a grader was killed
_OURS = zlib.crc32(b"syslab grade") & 0x7FFFFFFF  # the first half of the lock's number
# A grader whose machine lost power is given up after a minute instead of two hours.
_KEEPALIVE = {"idle": 30, "interval": 10, "count": 3}


@contextlib.contextmanager
def held(url: str, course: str, assignment: str) -> Iterator[None]:
    """Hold the gradebook at `url` for the ``with`` block; a SQLite file needs no more than a file.

    Parameters
    ----------
    url
        The gradebook's database URL.
    course
        nbgrader's course id: courses that share a database do not wait for each other.
    assignment
        What is graded, for the message that another grader gets.

    Raises
    ------
    CourseError
        When another grader holds it, when the server cannot be reached, and when the connection
        is lost inside the block.
    """
    if not url.startswith("postgres"):
        yield
        return
    import sqlalchemy as sa

    try:
        with _session(url, f"syslab grade {assignment}, {_here()}") as connection:
            _take(connection, course, url)
            yield
    except (sa.exc.OperationalError, sa.exc.InterfaceError) as error:
        raise CourseError(
            f"the gradebook {book.shown(url)} cannot be reached: {_first_line(error)}",
            "What was run is kept. When the server answers again: "
            f"`syslab grade {assignment} --resume`.",
        ) from error


@contextlib.contextmanager
def _session(url: str, name: str) -> Iterator[Any]:
    """A connection of its own, alive as long as the lock is to be held."""
    import sqlalchemy as sa

    try:
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    except (ModuleNotFoundError, sa.exc.NoSuchModuleError) as error:
        raise CourseError(
            f"the driver for {book.shown(url)} is not installed ({error}).",
            'Install it: `pip install -c requirements.lock -e ".[postgres]"`.',
        ) from error
    connection = engine.connect()
    try:
        # The name is what another grader is told; PostgreSQL keeps its first 63 bytes.
        settings = {"application_name": name[:63]}
        settings |= {f"tcp_keepalives_{part}": str(s) for part, s in _KEEPALIVE.items()}
        for setting, value in settings.items():
            connection.execute(sa.select(sa.func.set_config(setting, value, False)))
        yield connection
    finally:
        with contextlib.suppress(sa.exc.DBAPIError):
            connection.close()
        engine.dispose()


def _take(connection: Any, course: str, url: str) -> None:
    import sqlalchemy as sa

    number = {"ours": _OURS, "course": zlib.crc32(course.encode()) & 0x7FFFFFFF}
    deadline = time.monotonic() + PATIENCE_S
    while not connection.scalar(sa.text("SELECT pg_try_advisory_lock(:ours, :course)"), number):
        if time.monotonic() > deadline:
            found = connection.execute(sa.text(_HOLDER), number).first()
            holder = "it has just ended" if found is None else f"{found[0]}, since {found[1]} UTC"
            raise CourseError(
                f"another `syslab grade` is at work on the gradebook {book.shown(url)} ({holder}).",
                "Wait until it has ended; nothing was changed.",
            )
        time.sleep(0.2)


_HOLDER = """
SELECT a.application_name, to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid = :ours AND l.objid = :course
"""


def _here() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _first_line(error: Any) -> str:
    return str(getattr(error, "orig", error)).strip().splitlines()[0]
