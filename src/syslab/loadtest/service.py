"""``Service``: an HTTP service on loopback with replicas, workers and queues, for a few seconds."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import urllib.request
from pathlib import Path

import numpy as np

from syslab.queueing.distributions import check_count

START_S = 10.0  # a loaded machine may take a second; ten mean that it never will
MOST_REPLICAS = 64
DRAWN_PER_REPLICA = 4096


class Service:
    """Replicas of one HTTP service, in a process of their own, while the ``with`` block lasts.

        with Service(Exponential(0.008), replicas=6, seed=1) as live:
            log = open_loop(live, Poisson(300), duration_s=3, seed=2)

    Parameters
    ----------
    service : distribution
        From ``syslab.queueing``: how long a worker is held by each request, in seconds.
    replicas : int
        Each with a port and a queue of its own.
    workers : int
        Requests that one replica serves at a time; the others wait, first come, first served.
    seed : int or numpy.random.Generator
        Of the service times; replica and order of arrival decide who gets which.

    Attributes
    ----------
    ports : tuple of int
        One for each replica, on 127.0.0.1; chosen by the system among the free ones.

    Raises
    ------
    RuntimeError
        When the process does not start, with what it said.
    """

    def __init__(
        self, service, replicas: int = 1, workers: int = 1, *, seed: int | np.random.Generator
    ):
        check_count("replicas", replicas)
        check_count("workers", workers)
        if replicas > MOST_REPLICAS:
            raise ValueError(f"replicas is {replicas}; at most {MOST_REPLICAS} run here")
        if not hasattr(service, "sample"):
            raise ValueError(
                f"service is {service!r}; give a distribution such as Exponential(0.01)"
            )
        streams = np.random.default_rng(seed).spawn(replicas)
        self._plan = {
            "workers": int(workers),
            "times_s": [service.sample(rng, DRAWN_PER_REPLICA).tolist() for rng in streams],
        }
        if not min(map(min, self._plan["times_s"])) >= 0:
            raise ValueError("service drew a time below 0 s; times must be 0 or more")
        self.replicas, self.workers = int(replicas), int(workers)
        self.ports: tuple[int, ...] = ()
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> Service:
        if self._process is not None:
            raise RuntimeError("this Service runs already; make another one")
        self._said = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(Path(__file__).with_name("_replicas.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said,
        )  # fmt: skip
        try:
            self.ports = self._started()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *failure) -> None:
        self.close()

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        """End the process, now; closing twice does no harm."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        with contextlib.suppress(OSError):  # a last write that nobody read
            process.stdin.close()
        process.stdout.close()
        self._said.close()

    def stats(self) -> dict:
        """Counts over all replicas.

        Returns
        -------
        dict
            ``started``, ``finished``, ``dropped`` (called off in the queue), ``stopped`` (called
            off while running), ``queued`` now; ``busy_s`` and ``wasted_s``, worker-seconds in
            all and on work whose client had gone.
        """
        self.check_running()
        total: dict = {}
        for port in self.ports:
            for name, value in json.loads(self._get(port, "/stats")).items():
                total[name] = total.get(name, 0) + value
        return total

    def check_running(self, patience_s: float = 0.0) -> None:
        """Raise RuntimeError, with what the process said, unless it is there.

        With ``patience_s``, wait so long for a process that may be ending just now.
        """
        if self._process is None:
            raise RuntimeError(
                "the service is not running: use it inside `with Service(…) as live`"
            )
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience_s)
        if self._process.poll() is not None:
            raise RuntimeError(
                f"the service ended by itself (exit code {self._process.returncode})"
                f"{self._last_words()}; start a new one"
            )

    def _started(self) -> tuple[int, ...]:
        process = self._process
        # A process that never answers is killed, which ends the readline below.
        watchdog = threading.Timer(START_S, process.kill)
        watchdog.start()
        try:
            process.stdin.write(json.dumps(self._plan).encode() + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = b""
        finally:
            watchdog.cancel()
        if not line:
            process.wait()
            why = self._last_words() or f" within {START_S:g} s: is the machine very busy?"
            raise RuntimeError(f"the service did not start (exit code {process.returncode}){why}")
        return tuple(json.loads(line)["ports"])

    def _last_words(self) -> str:
        """What the process wrote last on stderr, behind a colon, or nothing."""
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return f": {lines[-1]}" if lines else ""

    def _get(self, port: int, path: str) -> bytes:
        # No proxy: loopback only.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{port}{path}", timeout=START_S) as answer:
            return answer.read()
