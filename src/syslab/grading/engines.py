"""Where jobs run: worker processes of this machine. (Ray's cluster: `syslab.grading.on_ray`.)

An engine takes an iterable of jobs and yields what became of each, in the order they end. It
holds a bounded number of them at a time, so a class of any size fits into memory.
"""

from __future__ import annotations

import ast
import contextlib
import contextvars
import multiprocessing
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from syslab.course.assignments import Assignment
from syslab.course.errors import CourseError
from syslab.grading.execute import REPORTER, Executed, Job
from syslab.warm import service

# Beside what notebooks import: what the witness in each kernel watches, and what checks load late.
MODULES = (REPORTER.partition(":")[0], "syslab.course.progress")
TRIES = 2  # a job whose worker or template vanished is run once more


class Engine(Protocol):
    """Runs jobs somewhere."""

    def run(self, jobs: Iterable[Job]) -> Iterator[Executed]:
        """What became of each job, as they end."""
        ...

    def close(self) -> None:
        """End everything it started."""
        ...


class Local:
    """Worker processes on this machine, each driving one kernel at a time.

    Parameters
    ----------
    workers
        How many submissions run at a time; by default one for each core.
    modules
        What the template imports at first, see `imported_by`; jobs may ask for more.
    """

    def __init__(self, workers: int | None = None, modules: Sequence[str] = ()) -> None:
        if workers is not None and workers < 1:
            raise CourseError(f"--workers is {workers}.", "Give 1 or more; default: one per core.")
        self.workers = workers or len(os.sched_getaffinity(0)) if _AFFINITY else workers or 1
        self.modules = (*MODULES, *modules)
        self.template = service.Template(self.modules)
        self._running: dict[Connection, _Worker] = {}

    def run(self, jobs: Iterable[Job]) -> Iterator[Executed]:
        """What became of each job, as they end."""
        waiting = iter(jobs)
        again: list[_Ticket] = []
        self.template.wait()
        while True:
            ended = self._ended(again)
            while len(self._running) < self.workers:
                self._start()
            for worker in self._running.values():  # before anything is recorded: none shall wait
                if worker.ticket is None:
                    ticket = again.pop() if again else _next(waiting)
                    if ticket is None:
                        break
                    worker.give(ticket)
            yield from ended
            if not any(worker.ticket for worker in self._running.values()):
                return

    def _ended(self, again: list[_Ticket]) -> list[Executed]:
        """Wait for jobs to end; those to be tried once more go to `again`."""
        busy = [link for link, worker in self._running.items() if worker.ticket is not None]
        ended = []
        for link in wait(busy) if busy else []:
            worker = self._running[link]
            ticket = worker.ticket
            done = worker.take()
            if done is None:  # the worker is gone
                del self._running[link]
                worker.end()
                done = Executed(ticket.job.student, {}, error="worker-lost")
            elif done.error and self.template.process.poll() is not None:
                self._renew()
            if done.error and ticket.tries < TRIES:
                again.append(_Ticket(ticket.job, ticket.tries + 1))
            else:
                ended.append(done)
        return ended

    def close(self) -> None:
        """End the workers and the template; kernels end with them."""
        for worker in self._running.values():
            worker.end()
        self._running.clear()
        self.template.close()

    def _start(self) -> None:
        context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
        ours, theirs = context.Pipe()
        others = [worker.link for worker in self._running.values()]
        process = context.Process(
            target=_work, args=(theirs, self.template.address, [ours, *others]), daemon=True
        )
        process.start()
        theirs.close()
        self._running[ours] = _Worker(process, ours)

    def _renew(self) -> None:
        """A template that died: another one, and workers that know it."""
        self.template.close()
        self.template = service.Template(self.modules)
        self.template.wait()
        for link, worker in list(self._running.items()):
            if worker.ticket is None:
                worker.end()
                del self._running[link]


_AFFINITY = hasattr(os, "sched_getaffinity")


def imported_by(assignment: Assignment) -> list[str]:
    """The modules that the cells of an assignment's notebooks import, answers and tests alike."""
    import nbformat

    found: dict[str, None] = {}
    for path in sorted(assignment.source.glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            tree = ast.parse("")
            if cell.cell_type == "code":
                with contextlib.suppress(SyntaxError):
                    tree = ast.parse(cell.source)
            for node in ast.walk(tree):
                if isinstance(node, ast.Import):
                    found |= dict.fromkeys(alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module:
                    names = (f"{node.module}.{alias.name}" for alias in node.names)
                    found |= dict.fromkeys([node.module, *names])
    return list(found)


class _Ticket:
    """A job and how often it was tried."""

    def __init__(self, job: Job, tries: int = 1) -> None:
        self.job, self.tries = job, tries


def _next(jobs: Iterator[Job]) -> _Ticket | None:
    job = next(jobs, None)
    return None if job is None else _Ticket(job)


class _Worker:
    """One worker process and the job it has."""

    def __init__(self, process: Any, link: Connection) -> None:
        self.process, self.link = process, link
        self.ticket: _Ticket | None = None

    def give(self, ticket: _Ticket) -> None:
        self.ticket = ticket
        with contextlib.suppress(OSError):  # a dead worker shows when its link is read
            self.link.send(ticket.job)

    def take(self) -> Executed | None:
        """Its result; None when the process is gone."""
        self.ticket = None
        try:
            return self.link.recv()
        except (EOFError, OSError):
            return None

    def end(self) -> None:
        self.link.close()
        self.process.terminate()
        self.process.join(5)


def _end_with_parent() -> None:
    """A grader that is killed leaves no worker, which would hold the course's lock for it."""
    if sys.platform == "linux":
        import signal

        from syslab.warm import _linux

        _linux.prctl(_linux.PR_SET_PDEATHSIG, signal.SIGKILL)


def _work(link: Connection, address: str, others: list[Connection]) -> None:
    """A worker's life: a job in, what became of it out, until the link is closed."""
    import logging
    import signal

    _end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the run, which ends us
    logging.disable(logging.CRITICAL)  # nbclient's account of what we report ourselves
    for other in others:  # or a dead parent's end of the pipe would stay open in here
        other.close()
    # Without the parent's event loop, which jupyter keeps there: its open files are shared with us.
    contextvars.Context().run(_serve, link, address)


def _serve(link: Connection, address: str) -> None:
    from syslab.grading import execute

    while True:
        try:
            job = link.recv()
        except (EOFError, OSError):
            return
        try:
            done = execute.run(job, address)
        except Exception as error:  # whatever it is, it must not take the class with it
            done = Executed(job.student, {}, error=f"{type(error).__name__}: {error}")
        with contextlib.suppress(OSError):
            link.send(done)
