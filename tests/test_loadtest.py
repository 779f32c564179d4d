"""The live service and its load generators: real HTTP, real queues, nothing left behind."""

import _thread
import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from syslab.loadtest import (
    Results,
    Service,
    closed_loop,
    generators,
    measure,
    open_loop,
    overhead,
    views,
)
from syslab.queueing import (
    Deterministic,
    Exponential,
    Hedge,
    Mixture,
    Poisson,
    PowerOf,
    Regular,
    Retry,
    RoundRobin,
    SharedQueue,
    ShortestQueue,
    Stall,
    Timeout,
    correct,
    detect,
    theory,
)

FAST = Deterministic(0.002)


@pytest.fixture
def live():
    """Return ``start(service, replicas=1, workers=1)``, a running service that ends by itself."""
    begun = []

    def start(service=FAST, replicas=1, workers=1):
        begun.append(Service(service, replicas, workers, seed=1).__enter__())
        return begun[-1]

    yield start
    for each in begun:
        each.close()


def get(port, path, **headers):
    """One request by the standard library's client: (status, headers, body)."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        link.request("GET", path, headers=headers)
        answer = link.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        link.close()


def eventually(holds):
    """Wait until `holds()`; fail when it never does."""
    for _ in range(500):
        if holds():
            return
        time.sleep(0.02)
    pytest.fail("waited 10 s for nothing")


# --------------------------------------------------------------------------- the service


def test_it_speaks_http_with_another_client(live):
    port = live(Deterministic(0.01)).ports[0]
    status, headers, body = get(port, "/work")
    assert (status, body) == (200, b"done\n")
    assert float(headers["X-Service-S"]) >= 0.01
    assert float(headers["X-Waited-S"]) >= 0
    assert get(port, "/ping")[::2] == (200, b"pong\n")
    assert json.loads(get(port, "/stats")[2])["finished"] == 1


def test_one_connection_serves_many_requests(live):
    link = http.client.HTTPConnection("127.0.0.1", live().ports[0], timeout=10)
    for _ in range(3):
        link.request("GET", "/work")
        assert link.getresponse().read() == b"done\n"
    link.close()


@pytest.mark.parametrize(
    ("path", "status"),
    [("/nothing", 404), ("/stall/9", 400), ("/stall/soon", 400), ("/stall/nan", 400)],
)
def test_it_refuses_what_it_does_not_serve(live, path, status):
    assert get(live().ports[0], path)[0] == status


def test_it_refuses_other_methods_and_other_rules(live):
    port = live().ports[0]
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    link.request("POST", "/work")
    assert link.getresponse().status == 405
    link.close()
    assert get(port, "/work", **{"X-When-Gone": "maybe"})[0] == 400
    assert get(port, "/work", **{"X-Long": "x" * 9000})[0] == 431


@pytest.mark.parametrize("workers", [1, 2])
def test_work_waits_for_a_worker(live, workers):
    service = live(Deterministic(0.3), workers=workers)
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(get(service.ports[0], "/work")))
        for _ in range(4)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    waited = sorted(float(headers["X-Waited-S"]) for _, headers, _ in answers)
    # All four came while the first was under way, so whoever found no worker waited for one.
    assert waited[-1] > waited[0] + 0.01
    assert service.stats()["started"] == 4
    assert service.stats()["busy_s"] >= 4 * 0.3


@pytest.mark.parametrize(
    ("when_gone", "expected"),
    [
        ("never", {"finished": 2, "dropped": 0, "stopped": 0}),
        ("queued", {"finished": 1, "dropped": 1, "stopped": 0}),
        ("all", {"finished": 0, "dropped": 1, "stopped": 1}),
    ],
)
def test_closing_the_connection_calls_off_what_the_request_allows(live, when_gone, expected):
    service = live(Deterministic(0.5))
    links = [http.client.HTTPConnection("127.0.0.1", service.ports[0]) for _ in range(2)]
    for index, link in enumerate(links):
        link.request("GET", "/work", headers={"X-When-Gone": when_gone})
        eventually(lambda n=index: service.stats()["started"] + service.stats()["queued"] == n + 1)
    for link in reversed(links):
        link.close()
        for _ in range(2):  # by the answer to a later connection the close has been seen
            get(service.ports[0], "/ping")

    def settled():
        stats = service.stats()
        return sum(stats[name] for name in ("finished", "dropped", "stopped")) == 2

    eventually(settled)
    assert {name: service.stats()[name] for name in expected} == expected


def test_a_stall_stops_everything(live):
    service = live(replicas=2)
    begin = time.monotonic()
    get(service.ports[0], "/stall/0.3")
    assert time.monotonic() - begin >= 0.3


# ------------------------------------------------------------------- nothing is left behind


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_the_process_ends_with_the_block_and_on_an_error():
    with Service(FAST, seed=1) as service:
        pid = service._process.pid
        assert service.running
    assert gone(pid)

    def mistaken(service):
        with service:
            {}["the learner's mistake"]

    service = Service(FAST, seed=1)
    with pytest.raises(KeyError):
        mistaken(service)
    assert not service.running
    service.close()  # a second time does no harm


def test_the_process_ends_when_its_parent_is_killed():
    code = (
        "import time; from syslab.loadtest import Service\n"
        "from syslab.queueing import Exponential\n"
        "live = Service(Exponential(0.01), seed=1).__enter__()\n"
        "print(live._process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    pid = int(parent.stdout.readline())
    assert not gone(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    eventually(lambda: gone(pid) or is_zombie(pid))


def is_zombie(pid):
    """Ended, but its new parent has not asked yet (containers without an init process)."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return False


def test_an_interrupt_stops_the_generator_and_is_passed_on(live):
    service = live()
    threading.Timer(0.5, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        open_loop(service, Poisson(50), 20, seed=1)
    eventually(lambda: "load generator" not in {each.name for each in threading.enumerate()})
    assert service.running
    assert len(open_loop(service, Regular(50), 0.2, seed=1)) == 9  # and it still serves


def test_a_service_that_dies_is_reported(live):
    service = live()
    threading.Timer(0.3, service._process.kill).start()
    with pytest.raises(RuntimeError, match=r"ended by itself \(exit code -9\)"):
        open_loop(service, Poisson(100), 10, seed=1)
    with pytest.raises(RuntimeError, match="ended by itself"):
        closed_loop(service, 10, 1, seed=1)


def test_a_service_that_was_closed_is_reported():
    with Service(FAST, seed=1) as service:
        pass
    with pytest.raises(RuntimeError, match="not running"):
        open_loop(service, Poisson(100), 1, seed=1)


# ------------------------------------------------------------------------- the generators


def test_an_open_loop_follows_its_schedule(live):
    service = live(Exponential(0.004), replicas=3)
    log = open_loop(service, Poisson(150), 1.0, seed=5)
    again = open_loop(service, Poisson(150), 1.0, seed=5)
    assert np.array_equal(log.due_s, again.due_s)
    assert 100 < len(log) < 200
    assert log.success == 1
    assert (log.due_s < 1).all()
    assert (log.sent_s >= log.due_s).all()  # never early
    assert (log.finish_s - log.sent_s >= log.service_s + log.waited_s - 2e-6).all()
    assert (log.latency.values >= log.service.values).all()
    assert log.stats["finished"] == len(log)
    assert log.stats["busy_s"] == pytest.approx(log.service_s.sum(), rel=0.02, abs=0.01)
    assert log.extra_copies == log.wasted == 0
    edges_s, tried, answered = log.per_second(0.25)
    assert edges_s.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert tried.sum() * 0.25 == (log.sent_s <= 1).sum()
    assert answered.sum() * 0.25 == (log.finish_s <= 1).sum()


def test_latency_counts_from_the_schedule_even_when_the_generator_is_late(live, monkeypatch):
    until = generators._Client.until

    async def late(self, at_s):
        await until(self, at_s + 0.1)

    monkeypatch.setattr(generators._Client, "until", late)
    log = open_loop(live(), Regular(50), 0.5, seed=1)
    assert log.lag.values.min() >= 0.1
    assert log.latency.values.min() >= 0.1


def test_it_works_inside_a_running_event_loop(live):
    async def notebook():
        return len(open_loop(live(), Regular(50), 0.3, seed=1))

    assert asyncio.run(notebook()) == 14


@pytest.mark.parametrize("routing", [RoundRobin(), PowerOf(2), ShortestQueue()])
def test_every_replica_gets_its_share(live, routing):
    service = live(Deterministic(0.01), replicas=3)
    open_loop(service, Regular(150), 0.6, seed=1, routing=routing)
    started = [json.loads(get(port, "/stats")[2])["started"] for port in service.ports]
    assert sum(started) == 89
    assert min(started) >= 10
    if isinstance(routing, RoundRobin):
        assert max(started) - min(started) <= 1


def test_a_closed_loop_waits_and_so_leaves_out_what_a_stall_would_have_shown(live):
    service, stall = live(Deterministic(0.002), replicas=2), Stall(0.3, 0.5)
    closed = closed_loop(service, 50, 1.2, seed=1, stalls=(stall,))
    assert (closed.sent_s[1:] >= closed.finish_s[:-1]).all()  # one under way at most
    assert closed.latency.max >= 0.4
    assert len(closed) < 45  # of 60 intended: about 25 were never sent
    assert detect(closed.sent_s, closed.finish_s, closed.interval_s).suspect
    opened = open_loop(service, Regular(50), 1.2, seed=1, stalls=(stall,))
    assert len(opened) == 59
    assert opened.latency.share_above(0.1) > 2 * closed.latency.share_above(0.1)
    repaired = correct(closed.latency.values, closed.interval_s)
    assert len(repaired) > len(closed) + 15


def test_several_waiting_clients(live):
    log = closed_loop(live(Deterministic(0.05), workers=4), 200, 0.5, seed=1, clients=4)
    for at_s in log.sent_s:
        assert ((log.sent_s <= at_s) & (log.finish_s > at_s)).sum() <= 4


def test_a_hedge_sends_a_second_copy_elsewhere_and_calls_off_the_loser(live):
    service = live(Mixture((0.8, Deterministic(0.002)), (0.2, Deterministic(0.4))), replicas=4)
    log = open_loop(service, Regular(50), 1.0, seed=2, hedge=Hedge(0.03))
    assert log.success == 1
    assert log.copies.max() == 1
    assert 0 < log.extra_copies < 0.6
    assert log.stats["stopped"] > 0
    slow = log.latency.values[log.copies == 0]
    assert (slow < 0.4).all()  # nothing waited for a slow one without asking again
    none = open_loop(service, Regular(50), 0.5, seed=2, hedge=Hedge(0.03, budget=0.0))
    assert none.extra_copies == 0


def test_a_loser_that_is_not_called_off_runs_to_its_end(live):
    service = live(Deterministic(0.1), replicas=2)
    log = open_loop(service, Regular(2), 1.0, seed=1, hedge=Hedge(0.0, cancel="none"))
    assert log.extra_copies == 1
    eventually(lambda: service.stats()["finished"] == 2 * len(log))
    assert service.stats()["stopped"] == 0


@pytest.mark.parametrize(("server_knows", "wasted"), [("never", True), ("all", False)])
def test_timeouts_and_retries_without_a_budget(live, server_knows, wasted):
    service = live(Deterministic(0.3), workers=50)
    log = open_loop(
        service, Regular(20), 0.5, seed=1, timeout=Timeout(0.05, server_knows),
        retry=Retry(3, backoff_s=0.01),
    )  # fmt: skip
    assert log.success == 0
    assert log.timed_out == 1
    assert (log.tries == 3).all()
    assert log.tried_s.size == 3 * len(log)
    assert log.extra_copies == 2
    if wasted:
        eventually(lambda: service.stats()["finished"] == 3 * len(log))
    else:
        eventually(lambda: service.stats()["stopped"] == 3 * len(log))


def test_a_budget_limits_retries_and_can_come_into_force_during_a_run(live):
    service = live(Deterministic(0.3), workers=80)
    plan = {"seed": 1, "timeout": Timeout(0.02)}
    log = open_loop(service, Regular(50), 1.0, retry=Retry(3, budget=0.2, burst=1), **plan)
    assert log.tries.sum() - len(log) <= 1 + 0.2 * len(log)
    assert log.tries.max() > 1
    changed = ((0, Retry(3, jitter=False)), (0.6, Retry(3, budget=0.0, burst=0)))
    log = open_loop(service, Regular(50), 1.0, retry=changed, **plan)
    assert (log.tries[log.sent_s > 0.61] == 1).all()
    assert (log.tries[log.sent_s < 0.3] == 3).all() or log.lag.max > 0.2


def test_a_request_without_work_shows_what_the_generator_adds(live):
    service = live(Deterministic(0.2))
    log = overhead(service, Regular(50), 0.4, seed=1)
    assert np.isnan(log.service_s).all()
    assert service.stats()["started"] == 0


def test_a_hopeless_overload_is_refused_in_words(live, monkeypatch):
    monkeypatch.setattr(generators, "MOST_UNDER_WAY", 10)
    with pytest.raises(RuntimeError, match="10 requests are under way at once"):
        open_loop(live(Deterministic(1.0)), Regular(100), 2, seed=1)
    monkeypatch.setattr(generators, "MOST_UNDER_WAY", 600)
    monkeypatch.setattr(generators, "PATIENCE_S", 0.1)
    with pytest.raises(RuntimeError, match="unanswered"):
        open_loop(live(Deterministic(2.0)), Regular(20), 0.2, seed=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"duration_s": 0}, "duration_s is 0"),
        ({"duration_s": 61}, "at most 60 s"),
        ({"duration_s": 1e-9}, "no request is due"),
        ({"routing": SharedQueue()}, "routing is SharedQueue"),
        ({"hedge": Hedge(0.1), "timeout": Timeout(1)}, "one of them at a time"),
        ({"retry": Retry(3)}, "nothing can fail"),
        ({"retry": (Retry(3),), "timeout": Timeout(1)}, "pairs"),
        ({"path": "/stats"}, "path is '/stats'"),
    ],
)
def test_arguments_are_checked(live, options, message):
    options = {"duration_s": 0.1, "seed": 1} | options
    with pytest.raises((ValueError, TypeError), match=message):
        open_loop(live(replicas=2), Regular(100), **options)


def test_a_hedge_needs_a_second_replica(live):
    with pytest.raises(ValueError, match="1 replica"):
        open_loop(live(), Regular(100), 0.1, seed=1, hedge=Hedge(0.1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"service": 0.01}, "service is 0.01"),
        ({"service": FAST, "replicas": 0}, "replicas is 0"),
        ({"service": FAST, "replicas": 65}, "at most 64"),
        ({"service": FAST, "workers": 1.5}, "workers is 1.5"),
    ],
)
def test_a_service_checks_its_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        Service(**options, seed=1)


# ----------------------------------------------------------------------------- the results


@pytest.fixture(scope="module")
def results():
    return measure.everything(date="2026-11-22", duration_s=2.0)


def test_everything_in_one_call(results):
    assert results.replicas == 6
    assert results.machine["cpu"]
    assert results.service_s.size == results.open.latency_s.size == results.open.waited_s.size
    assert results.closed.latency_s.size < results.stalled.latency_s.size
    assert 0 < results.hedged.extra < 1
    with pytest.raises(ValueError, match="duration_s is 1"):
        measure.everything(date="2026-11-22", duration_s=1)


def test_what_was_saved_is_what_is_read(results, tmp_path):
    path = results.save(tmp_path / "my_tail.json")
    read = Results.load(path)
    assert read.hedged.extra == pytest.approx(results.hedged.extra, abs=1e-6)
    np.testing.assert_allclose(read.service_s, results.service_s, atol=1e-6)
    np.testing.assert_allclose(read.closed.latency_s, results.closed.latency_s, atol=1e-6)
    assert len(path.read_text().splitlines()) < 80
    assert read.save(tmp_path / "again.json").read_bytes() == path.read_bytes()
    with pytest.raises(FileNotFoundError, match="is missing; create it"):
        results.save(tmp_path / "nowhere" / "my_tail.json")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: d.pop("service_s"), "'service_s' is missing"),
        (lambda d: d["open"].pop("rate_per_s"), "'rate_per_s' is missing"),
        (lambda d: d.update(schema="other/1"), "has schema 'other/1'"),
        (lambda d: d.update(service_s=[0.01] * 3), "service_s holds 3 times"),
        (lambda d: d["open"]["latency_s"].append(-1.0), "open.latency_s holds a time"),
        (lambda d: d["hedged"].update(delay_s="30 ms"), "hedged.delay_s is '30 ms'"),
        (lambda d: d["closed"].update(interval_s=0), "closed.interval_s is 0"),
        (lambda d: d.update(open=[]), "open is list, no mapping"),
        (lambda d: d.update(date=""), "date is ''"),
    ],
)
def test_a_file_that_cannot_be_is_refused(results, tmp_path, spoil, message):
    path = results.save(tmp_path / "my_tail.json")
    data = json.loads(path.read_text())
    spoil(data)
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match="run the tail-latency bench again") as failure:
        Results.load(path)
    assert message in str(failure.value)


def test_a_missing_or_damaged_file_is_reported(tmp_path):
    with pytest.raises(FileNotFoundError, match="run the tail-latency bench"):
        Results.load(tmp_path / "my_tail.json")
    (tmp_path / "my_tail.json").write_text("{")
    with pytest.raises(ValueError, match="is damaged"):
        Results.load(tmp_path / "my_tail.json")


def test_the_recorded_file_names_its_machine_and_adds_up(course_root):
    path = course_root / "labs/tail-latency/recorded.json"
    recorded = Results.load(path)
    sheet = (course_root / "labs/tail-latency/README.md").read_text(encoding="utf-8")
    assert recorded.machine["cpu"]
    assert recorded.date in sheet
    assert recorded.command in sheet
    inside = recorded.open.waited_s + recorded.service_s
    assert (recorded.open.latency_s >= inside - 1e-5).all()
    assert recorded.closed.latency_s.max() >= 0.9 * recorded.closed.stall_s
    copy = course_root / "source/arch-08/recorded_tail.json"
    assert copy.read_bytes() == path.read_bytes()


# ------------------------------------------------------------------------------- the views


def test_the_simulated_service_waits_as_pollaczek_and_khinchine_say():
    run = views.tail(load=0.6, servers=4, requests=20_000, seed=3)
    service = measure.work()
    exact = theory.MG1.of(0.6 / service.mean, service).mean_wait_s
    assert run.confidence("mean", of="waiting").value == pytest.approx(exact, rel=0.12)


def test_hedging_shortens_the_simulated_tail():
    plain, hedged = views.tail(), views.tail(hedge_s=0.03)
    assert hedged.sojourn.percentile(99) < 0.6 * plain.sojourn.percentile(99)
    assert 0 < hedged.extra_copies < 0.25


def test_a_storm_stays_when_its_cause_has_gone_and_can_be_prevented_and_ended():
    late = (13.0, 15.0)
    assert views.answered_between(views.storm(), *late) == 0
    assert views.answered_between(views.storm(budget=0.1), *late) > 0.99
    assert views.answered_between(views.storm(attempts=1), *late) > 0.99
    assert views.answered_between(views.storm(cut=0.9), 5.0, 7.0) == 0
    assert views.answered_between(views.storm(cut=0.9), *late) > 0.99


@pytest.mark.parametrize("name", ["tail_view", "storm_view"])
def test_every_slider_redraws(name):
    shown = getattr(views, name)()
    for control, values in shown.controls.items():
        first = shown.values[control]
        assert shown.set(**{control: values.values[-1]}).startswith(b"\x89PNG")
        shown.set(**{control: first})
    assert shown.caption == shown.start_caption


def test_signals_meant_for_the_notebook_do_not_reach_the_service(live):
    service = live()
    os.kill(service._process.pid, signal.SIGINT)
    assert get(service.ports[0], "/ping")[0] == 200
