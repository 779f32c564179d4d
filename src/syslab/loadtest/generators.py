"""Load generators against a running ``Service``: open loop, with hedging or retries, and closed.

Each call runs an event loop of its own in a thread of its own, so that it also works inside a
notebook, whose loop is running already.  An interrupt stops it and is passed on.
"""

from __future__ import annotations

import asyncio
import gc
import math
import random
import selectors
import threading
from collections.abc import Awaitable, Callable

import numpy as np

from syslab.loadtest._http import Pool
from syslab.loadtest.log import Log
from syslab.loadtest.service import Service
from syslab.queueing.distributions import check_count, check_positive
from syslab.queueing.omission import Stall
from syslab.queueing.policies import Hedge, Retry, Timeout
from syslab.queueing.routing import PowerOf, Random, RoundRobin, ShortestQueue
from syslab.queueing.run import ANSWERED, TIMED_OUT

MOST_UNDER_WAY = 600  # connections: select() and the system's limit on open files end near 1,000
LONGEST_S = 60.0
PATIENCE_S = 10.0  # for answers after the last request was sent
LEAD_S = 0.02  # between opening the loop and the first time on the schedule


def open_loop(
    live: Service, arrivals, duration_s: float, *,
    seed: int | np.random.Generator, routing=Random(),  # noqa: B008 (frozen)
    hedge: Hedge | None = None, timeout: Timeout | None = None,
    retry: Retry | tuple[tuple[float, Retry], ...] | None = None,
    stalls: tuple[Stall, ...] = (), path: str = "/work",
) -> Log:  # fmt: skip
    """Send on schedule whatever the service does, and count latency from the schedule.

    Parameters
    ----------
    live : Service
        Running.
    arrivals : Poisson, Regular, Steps, …
        As for ``queueing.simulate``: when requests are due.
    duration_s : float
        Requests are due in [0, duration_s), at most 60 s.
    seed : int or numpy.random.Generator
        Of the schedule and of what the client chooses at random.
    routing : Random, RoundRobin, PowerOf or ShortestQueue
        Among the replicas.  A client sees no queue, so the last two compare how many of its own
        requests each replica has under way.
    hedge : Hedge, optional
        The second copy goes to another replica; the loser's connection is closed, and ``cancel``
        says what the service makes of that.
    timeout : Timeout, optional
        The client closes the connection; ``server_knows`` says what the service makes of it.
    retry : Retry, or tuple of (from_s, Retry), optional
        With several, the one in force changes during the run: an operator at work.
    stalls : tuple of Stall
        The whole service stands still.
    path : str
        ``"/ping"`` is answered at once and shows what generator, sockets and parsing add.

    Returns
    -------
    Log

    Raises
    ------
    ValueError
        On an argument out of range, naming it, its value and what is legal.
    RuntimeError
        When the service has gone, or is so far behind that connections run out.
    """
    client = _Client(live, seed, routing, hedge, timeout, _schedule(retry), path)
    _check_duration(duration_s)
    rng = np.random.default_rng(client.seed)
    count = math.ceil(duration_s * arrivals.per_second * 1.5) + 50
    due_s = arrivals.times(rng, count)
    while due_s[-1] < duration_s:
        count *= 2
        due_s = arrivals.times(np.random.default_rng(client.seed), count)
    due_s = due_s[due_s < duration_s]
    if not due_s.size:
        raise ValueError(f"no request is due within {duration_s} s: raise the rate or the length")

    async def run():
        async with asyncio.TaskGroup() as group:
            client.begin(group, stalls)
            tasks = []
            for at_s in due_s:
                await client.until(at_s)
                client.check_room()
                tasks.append(group.create_task(client.request(at_s)))
            await client.finish(tasks)

    return client.play(run, duration_s, float(1 / arrivals.per_second))


def closed_loop(
    live: Service, per_second: float, duration_s: float, *,
    seed: int | np.random.Generator, clients: int = 1, routing=Random(),  # noqa: B008
    stalls: tuple[Stall, ...] = (), path: str = "/work",
) -> Log:  # fmt: skip
    """Each client sends at its pace, but never before its last answer: what most tools do.

    Its log counts latency from sending, as such tools do, and so leaves out the requests that
    were never sent; see ``queueing.correct`` and ``queueing.detect``.

    Parameters
    ----------
    live : Service
    per_second : float
        Intended, of all clients together.
    duration_s : float
    seed : int or numpy.random.Generator
    clients : int
        Each with one request under way at most, and its own pace per_second / clients.
    routing, stalls, path
        As for ``open_loop``.
    """
    check_positive("per_second", per_second)
    check_count("clients", clients)
    _check_duration(duration_s)
    client = _Client(live, seed, routing, None, None, (), path)
    pace_s = clients / per_second

    async def one(first_s):
        at_s = first_s
        while at_s < duration_s:
            await client.until(at_s)
            await client.request(at_s)
            at_s = max(at_s + pace_s, client.now())

    async def run():
        async with asyncio.TaskGroup() as group:
            client.begin(group, stalls)
            await client.finish([group.create_task(one(i / per_second)) for i in range(clients)],
                                duration_s)  # fmt: skip

    return client.play(run, duration_s, 1 / per_second)


def overhead(
    live: Service, arrivals, duration_s: float = 1.0, *, seed: int | np.random.Generator
) -> Log:
    """Measure what the generator adds: the same schedule, asking for no work at all.

    ``log.lag`` is how late requests were sent, ``log.latency`` what a request without queue and
    without work takes.  A live latency is to be believed down to about this.
    """
    return open_loop(live, arrivals, duration_s, seed=seed, path="/ping")


class _Client:
    """Carries out one run and keeps its records."""

    def __init__(self, live, seed, routing, hedge, timeout, retries, path):
        live.check_running()
        for name, value, kinds in (
            ("routing", routing, Random | RoundRobin | PowerOf | ShortestQueue),
            ("hedge", hedge, Hedge | None),
            ("timeout", timeout, Timeout | None),
        ):
            if not isinstance(value, kinds):
                raise ValueError(f"{name} is {value!r}; give {kinds}")
        if hedge is not None and (timeout is not None or retries):
            raise ValueError("hedge is set beside timeout or retry; measure one of them at a time")
        if hedge is not None and live.replicas < 2:
            raise ValueError("hedge is set, but the service has 1 replica; a copy needs another")
        if retries and timeout is None:
            raise ValueError("retry is set, but nothing can fail: add timeout=")
        if path not in ("/work", "/ping"):
            raise ValueError(f"path is {path!r}; say '/work' or '/ping'")
        self.live, self.routing, self.path = live, routing, path
        self.hedge, self.timeout, self.retries = hedge, timeout, retries
        self.seed = int(np.random.default_rng(seed).integers(2**62))
        self.random = random.Random(self.seed)
        self.under_way = [0] * live.replicas
        self.turn = 0
        self.first_tries = self.copies_sent = 0
        self.tokens = retries[0][1].burst if retries else 0.0
        when_gone = hedge.cancel if hedge else timeout.server_knows if timeout else "all"
        when_gone = {"none": "never"}.get(when_gone, when_gone)
        self.header = f"X-When-Gone: {when_gone}\r\n"
        self.rows: list[tuple] = []
        self.tried_s: list[float] = []

    # ------------------------------------------------------------------------- one run

    def play(self, run: Callable[[], Awaitable], duration_s: float, interval_s: float) -> Log:
        """Run to the end in a loop of its own and return the log."""
        before = self.live.stats()
        try:
            _in_own_loop(self._whole(run))
        except OSError as error:
            self.live.check_running(patience_s=1)  # its connections close before it is gone
            raise RuntimeError(f"the load generator cannot reach the service: {error}") from error
        stats = {name: value - before[name] for name, value in self.live.stats().items()}
        rows = sorted(self.rows)
        columns = [np.array(column, dtype=float) for column in zip(*rows, strict=True)]
        due, sent, finish, outcome, service, waited, tries, copies = columns
        return Log(
            due, sent, finish, outcome.astype(int), service, waited, tries.astype(int),
            copies.astype(int), np.sort(self.tried_s), duration_s, interval_s, stats,
        )  # fmt: skip

    def _whole(self, run):
        async def whole():
            self.loop = asyncio.get_running_loop()
            self.pool = Pool(self.loop)
            self.zero_s = self.loop.time() + LEAD_S
            collecting = gc.isenabled()
            gc.disable()  # a collection in a large notebook stops the clock for tens of ms
            try:
                await run()
            except BaseExceptionGroup as group:
                raise group.exceptions[0] from None
            finally:
                self.pool.close()
                if collecting:
                    gc.enable()

        return whole

    def now(self) -> float:
        """Seconds since the schedule began."""
        return self.loop.time() - self.zero_s

    async def until(self, at_s: float):
        """Wait for a time on the schedule; return at once when it has passed."""
        left_s = at_s - self.now()
        if left_s > 0:
            await asyncio.sleep(left_s)

    def begin(self, group, stalls):
        """Arrange for the stalls."""

        async def stall(each):
            await self.until(each.at_s)
            await self.pool.get(self.live.ports[0], f"/stall/{each.length_s:g}")

        for each in stalls:
            group.create_task(stall(each))

    async def finish(self, tasks, longest_s: float = 0.0):
        """Wait for what is still under way, within reason."""
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=longest_s + PATIENCE_S)
            if late:
                raise RuntimeError(
                    f"{len(late)} requests are unanswered {PATIENCE_S:g} s after the last was "
                    "sent: lower the rate, add replicas, or give a timeout"
                )

    def check_room(self):
        """Raise RuntimeError when connections are about to run out."""
        if sum(self.under_way) >= MOST_UNDER_WAY:
            raise RuntimeError(
                f"{sum(self.under_way)} requests are under way at once: the service cannot keep "
                "up; lower the rate, add replicas or workers, or give a timeout"
            )

    # --------------------------------------------------------------------- one request

    async def request(self, due_s: float):
        """Carry out one request and write its row."""
        sent_s, tries, copies = self.now(), 0, 0
        retry = self._retry()
        if retry is not None and retry.budget is not None:
            self.tokens = min(retry.burst, self.tokens + retry.budget)
        self.first_tries += 1
        outcome, service_s, waited_s = TIMED_OUT, math.nan, math.nan
        while True:
            tries += 1
            self.tried_s.append(self.now())
            try:
                headers, copies = await self._try()
            except TimeoutError:
                if not self._may_retry(tries):
                    break
                await self._back_off(tries)
                continue
            outcome = ANSWERED
            service_s = float(headers.get(b"x-service-s", math.nan))
            waited_s = float(headers.get(b"x-waited-s", math.nan))
            break
        row = (due_s, sent_s, self.now(), outcome, service_s, waited_s, tries, copies)
        self.rows.append(row)

    async def _try(self) -> tuple[dict, int]:
        """One try, with its hedge if there is one; (headers of the answer, copies sent)."""
        replica = self._choose()
        if self.timeout is not None:
            async with asyncio.timeout(self.timeout.after_s):
                return await self._copy(replica), 0
        if self.hedge is None:
            return await self._copy(replica), 0
        first = asyncio.ensure_future(self._copy(replica))
        both = {first}
        try:
            done, _ = await asyncio.wait(both, timeout=self.hedge.after_s)
            if not done and self.copies_sent + 1 <= self.hedge.budget * self.first_tries:
                self.copies_sent += 1
                both.add(asyncio.ensure_future(self._copy(self._choose(avoid=replica))))
            done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result(), len(both) - 1
        finally:
            for task in both:
                task.cancel()  # closes the loser's connection

    async def _copy(self, replica: int) -> dict:
        self.under_way[replica] += 1
        try:
            status, headers, body = await self.pool.get(
                self.live.ports[replica], self.path, self.header
            )
        finally:
            self.under_way[replica] -= 1
        if status != 200:
            raise RuntimeError(f"the service answered {status}: {body.decode().strip()}")
        return headers

    def _choose(self, avoid: int | None = None) -> int:
        among = [each for each in range(self.live.replicas) if each != avoid]
        if isinstance(self.routing, RoundRobin) and avoid is None:
            self.turn += 1
            return among[self.turn % len(among)]
        looks = {ShortestQueue: len(among), PowerOf: getattr(self.routing, "choices", 1)}
        seen = self.random.sample(among, min(looks.get(type(self.routing), 1), len(among)))
        return min(seen, key=self.under_way.__getitem__)

    # -------------------------------------------------------------------------- retries

    def _retry(self) -> Retry | None:
        """The rule in force now."""
        begun = [rule for from_s, rule in self.retries if from_s <= self.now()]
        return begun[-1] if begun else None

    def _may_retry(self, tries: int) -> bool:
        retry = self._retry()
        if retry is None or tries >= retry.attempts:
            return False
        if retry.budget is None:
            return True
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    async def _back_off(self, tries: int):
        retry = self._retry()
        wait_s = retry.backoff_s * 2 ** (tries - 1)
        await asyncio.sleep(wait_s * self.random.random() if retry.jitter else wait_s)


def _schedule(retry) -> tuple[tuple[float, Retry], ...]:
    """Retry rules as (from_s, rule) in the order of time."""
    if retry is None:
        return ()
    rules = ((0.0, retry),) if isinstance(retry, Retry) else tuple(retry)
    if not all(isinstance(pair, tuple) and isinstance(pair[-1], Retry) for pair in rules):
        raise ValueError(f"retry is {retry!r}; give Retry(…), or pairs (from_s, Retry(…))")
    return tuple(sorted(rules, key=lambda pair: pair[0]))


def _check_duration(duration_s: float) -> None:
    check_positive("duration_s", duration_s)
    if duration_s > LONGEST_S:
        raise ValueError(f"duration_s is {duration_s}; a live run takes at most {LONGEST_S:g} s")


def _in_own_loop(whole: Callable[[], Awaitable]) -> None:
    """Run a coroutine in a new thread with a new loop; an interrupt cancels it and goes on."""
    failure: list[BaseException] = []
    ready, done = threading.Event(), threading.Event()
    handle: dict = {}

    def body():
        async def main():
            handle["loop"], handle["task"] = asyncio.get_running_loop(), asyncio.current_task()
            ready.set()
            await whole()

        # select() waits to the microsecond; epoll, asyncio's choice, rounds up to the millisecond.
        try:
            with asyncio.Runner(
                loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())
            ) as runner:
                runner.run(main())
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            failure.append(error)
        finally:
            ready.set()
            done.set()

    threading.Thread(target=body, name="load generator", daemon=True).start()
    try:
        while not done.wait(0.2):  # Thread.join() is not safe to interrupt in Python 3.11
            pass
    except BaseException:
        ready.wait()
        if not done.is_set():
            handle["loop"].call_soon_threadsafe(handle["task"].cancel)
            done.wait(5.0)
        raise
    if failure:
        raise failure[0]
