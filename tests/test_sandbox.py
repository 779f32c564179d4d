"""What the sandbox holds in: every way out is proven to be open outside and shut inside."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

import psutil
import pytest

from syslab.warm import sandbox

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "fixtures" / "sandbox")]
import escapes  # noqa: E402
import held  # noqa: E402
from conftest import NOT_PROVEN, unproven_is_failure  # noqa: E402

SUPPORT = sandbox.support()
LIMITS = sandbox.Limits(
    memory_bytes=escapes.MEMORY_BYTES,
    processes=escapes.PROCESSES,
    file_bytes=escapes.FILE_BYTES,
    disk_bytes=escapes.DISK_BYTES,
)


@pytest.fixture(autouse=True)
def _needs_support():
    if not SUPPORT.complete:
        said = f"{NOT_PROVEN}: the sandbox; {' '.join(SUPPORT.missing)}"
        if unproven_is_failure():
            pytest.fail(said, pytrace=False)
        pytest.skip(said)


@pytest.fixture(scope="module")
def world():
    """Return a world worth reaching: files, services and a process with a secret."""
    base = Path(tempfile.mkdtemp(prefix="w"))
    base.chmod(0o755)  # whatever keeps the code out, it is not the mode of a folder
    course = base / "course"
    for folder in ("source", "submitted/other", "home/.ssh", "data", "taken"):
        (course / folder).mkdir(parents=True)
    with sqlite3.connect(course / "gradebook.db") as book:
        book.execute("create table grade (score)")
        book.execute("insert into grade values (1)")
    for name in ("source/solution.ipynb", "submitted/other/answers.ipynb", "home/.ssh/id_ed25519"):
        (course / name).write_text(escapes.SECRET)
    (course / "data" / "numbers.csv").write_text("1,2,3\n")

    listening = []

    def serve(family, kind, address):
        s = socket.socket(family, kind)
        s.bind(address)
        if kind == socket.SOCK_STREAM:
            s.listen()
        listening.append(s)
        answer = _answer_datagrams if kind == socket.SOCK_DGRAM else _answer_calls
        threading.Thread(target=answer, args=(s,), daemon=True).start()
        return s.getsockname()

    abstract = f"syslab-{uuid.uuid4().hex}"
    tcp = serve(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))[1]
    tcp6 = serve(socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0))[1]
    udp = serve(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))[1]
    serve(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + abstract)
    serve(socket.AF_UNIX, socket.SOCK_STREAM, str(base / "service"))
    os.chmod(base / "service", 0o777)
    victim = subprocess.Popen(
        [sys.executable, "-c", f"import time; time.sleep(600)  # {escapes.SECRET}"],
        env={"TOKEN": escapes.SECRET},
        cwd=course,
    )
    folder = os.open(course, os.O_RDONLY)
    yield {
        "course": course,
        "readable": course / "data",
        "tcp": tcp,
        "tcp6": tcp6,
        "udp": udp,
        "abstract": abstract,
        "unix": str(base / "service"),
        "victim": victim.pid,
        "folder": folder,
    }
    victim.kill()
    victim.wait()
    os.close(folder)
    for s in listening:
        s.close()
    subprocess.run(["rm", "-rf", base], check=True)


def _answer_calls(server):
    try:
        while True:
            caller, _ = server.accept()
            caller.sendall(escapes.SECRET.encode())
            caller.close()
    except OSError:
        return


def _answer_datagrams(server):
    try:
        while True:
            _, caller = server.recvfrom(100)
            server.sendto(escapes.SECRET.encode(), caller)
    except OSError:
        return


@pytest.fixture
def place(world):
    """Return ``make(limits) -> policy`` with a scratch folder and one for sockets, both new."""
    base = world["course"] / "taken" / uuid.uuid4().hex[:8]

    def make(limits=LIMITS, **more):
        for name in ("scratch", "s"):
            (base / name).mkdir(parents=True)
        return sandbox.Policy(base / "scratch", (world["readable"],), base / "s", limits, **more)

    yield make
    subprocess.run(["rm", "-rf", base], check=True)


@pytest.mark.parametrize("name", escapes.ATTEMPTS)
def test_way_out(name, world, place):
    """Each attempt succeeds outside, and fails inside."""
    attempt, needs_root = escapes.ATTEMPTS[name]
    policy = place()
    reach = escapes.World(**world, scratch=policy.scratch, sockets=policy.sockets)
    if os.geteuid() == 0 or not needs_root:
        free = held.outside(attempt, reach, folder=policy.scratch)
        assert free.succeeded, f"proves nothing: it fails outside as well ({free})"
        for folder in (policy.scratch, policy.sockets):
            subprocess.run(["find", folder, "-mindepth", "1", "-delete"], check=True)
    tried = held.inside(attempt, policy, reach)
    assert "SandboxError" not in str(tried.error), "proves nothing: it never ran"
    assert not tried.succeeded, f"{name} got out: {tried}"


def test_there_are_attempts_of_every_kind():
    """The table is what the issue asks for: at least 30, and with names that say what they do."""
    assert len(escapes.ATTEMPTS) >= 30


# ------------------------------------------------------------------ nothing outlives process 1


def _start_daemons(mark):
    """Start a daemon in each of the usual ways; return how many run."""
    sleep = f"import time; time.sleep(300)  # {mark}"
    subprocess.Popen([sys.executable, "-c", sleep], start_new_session=True)
    subprocess.Popen(["setsid", "--fork", sys.executable, "-c", sleep])
    if os.fork() == 0:  # double fork, ignoring what it can
        os.setsid()
        if os.fork() == 0:
            for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            os.execv(sys.executable, [sys.executable, "-c", sleep])
        os._exit(0)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        running = [p for p in psutil.process_iter(["cmdline"]) if _marked(p, mark)]
        if len(running) >= 3:
            break
        time.sleep(0.05)
    return len(running)


def _marked(process, mark):
    return any(mark in part for part in process.info["cmdline"] or ())


def _processes(mark):
    return [p for p in psutil.process_iter(["cmdline"]) if _marked(p, mark)]


def test_daemons_end_with_the_kernel(place):
    """A daemon survives its parent outside, and does not inside."""
    mark = uuid.uuid4().hex
    policy = place()
    assert held.outside(_start_daemons, mark, folder=policy.scratch).value == 3
    survivors = _processes(mark)
    for process in survivors:
        process.kill()
    assert len(survivors) == 3
    mark = uuid.uuid4().hex
    assert held.inside(_start_daemons, policy, mark).value == 3
    assert _processes(mark) == []


def _cling(mark):
    """Try not to end with the parent: forget the request to, ignore signals, hide in a session."""
    escapes._libc.prctl(1, 0, 0, 0, 0)
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    subprocess.Popen([sys.executable, "-c", f"import time; time.sleep(300)  # {mark}"])
    os.write(int(os.environ["REPORT"]), b" ")
    signal.pause()


def test_a_killed_worker_takes_its_kernel_along(place):
    """Kill -9 of process A ends B and all below it, whatever B did about it."""
    mark = uuid.uuid4().hex
    seen = []

    def kill_the_watcher(watcher, child, pipe):
        assert pipe.read(1)  # B is at it
        process = psutil.Process(child)
        seen.append(process)
        os.kill(watcher, signal.SIGKILL)
        _, alive = psutil.wait_procs([process], timeout=10)
        assert alive == []

    def confine(policy, keep):
        sandbox.confine(policy, keep)
        os.environ["REPORT"] = str(keep[0])

    held.inside(_cling, place(), mark, confine=confine, on_child=kill_the_watcher)
    assert seen
    assert _processes(mark) == []


# -------------------------------------------------------------------------- adding up


def _share_out_memory(pieces, each):
    """Hold ``pieces * each`` bytes, no process more than ``each``."""
    for _ in range(pieces):
        if os.fork() == 0:
            kept = bytearray(each)
            kept[::4096] = b"x" * len(kept[::4096])
            time.sleep(30)
            os._exit(0)
    time.sleep(30)


def test_memory_of_all_processes_counts():
    """Eight processes, each within its limit, exceed it together, and are ended for it."""
    limits = sandbox.Limits(memory_bytes=128 << 20, disk_bytes=1 << 20)
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryDirectory() as sockets:
        policy = sandbox.Policy(Path(scratch), (), Path(sockets), limits)
        ended = held.inside(_share_out_memory, policy, 8, 100 << 20)
    assert ended.exceeded == "memory_bytes"
    assert ended.status == -signal.SIGKILL


def _burn(processes):
    for _ in range(processes - 1):
        if os.fork() == 0:
            break
    while True:
        pass


def test_cpu_of_one_process_is_limited(place):
    """Process 1, which ignores most signals, ends too."""
    ended = held.inside(_burn, place(sandbox.Limits(cpu_s=1)), 1)
    assert ended.status == -signal.SIGKILL


def _make_sockets(folder):
    for number in range(100_000):
        socket.socket(socket.AF_UNIX).bind(f"{folder}/{number}")
    return True


def test_a_flood_of_sockets_is_ended(place):
    """The folder of the sockets is the machine's own, and not under the quota."""
    policy = place(sandbox.Limits(open_files=64))
    ended = held.inside(_make_sockets, policy, policy.sockets)
    assert ended.exceeded == "sockets"


# --------------------------------------------------------------------- state of the process


def _status():
    with open("/proc/self/status") as file:
        fields = dict(line.split(":", 1) for line in file)
    return {name: value.strip() for name, value in fields.items()}


def test_no_privilege_is_left(place):
    """No capability, none to come; no new privileges; a filter; never root."""
    found = held.inside(_status, place()).value
    held_now = {name: value for name, value in found.items() if name.startswith("Cap")}
    assert len(held_now) == 5
    assert set(held_now.values()) == {"0" * 16}
    assert found["NoNewPrivs"] == "1"
    assert found["Seccomp"] == "2"
    assert "0" not in found["Uid"].split()
    assert found["NSpid"].split()[-1] == "1"


def test_only_named_descriptors_stay_open(place):
    """A descriptor from before is closed, standard ones and the named one are not."""
    extra = os.open("/etc", os.O_RDONLY)
    os.set_inheritable(extra, True)
    try:
        found = held.inside(lambda: sorted(map(int, os.listdir("/proc/self/fd"))), place()).value
    finally:
        os.close(extra)
    assert found[:3] == [0, 1, 2]
    assert len(found) == 5  # and the report's, and the listing's own


def test_nothing_written_inside_is_left_outside(place):
    """The folders of the machine are as they were; what was given is there inside."""
    policy = place()
    (policy.scratch / "given.txt").write_text("from outside")
    mark = f"syslab-{uuid.uuid4().hex}"

    def write():
        for folder in (".", tempfile.gettempdir(), "/dev/shm"):
            Path(folder, mark).write_text("x")
        given = Path("given.txt").read_text()
        Path("given.txt").write_text("changed")
        return given

    assert held.inside(write, policy).value == "from outside"
    assert [p.name for p in policy.scratch.iterdir()] == ["given.txt"]
    assert (policy.scratch / "given.txt").read_text() == "from outside"
    assert not any(Path(folder, mark).exists() for folder in ("/tmp", "/run", "/dev/shm"))


def test_the_scratch_folder_holds_what_was_put_there(place):
    """A notebook that lists its folder sees what it would see without a sandbox."""
    policy = place()
    (policy.scratch / "data").mkdir()
    (policy.scratch / "data" / "a.csv").write_text("1")
    found = held.inside(lambda: [os.getcwd(), os.listdir(), os.listdir("data")], policy).value
    assert found == [str(policy.scratch), ["data"], ["a.csv"]]


def test_a_private_file_among_the_sockets_can_be_read(place):
    """A kernel's connection file, mode 600, is written by the caller and read inside."""
    policy = place()
    (policy.sockets / "connection.json").write_text("{}")
    (policy.sockets / "connection.json").chmod(0o600)
    read = (policy.sockets / "connection.json").read_text
    assert held.inside(read, policy).value == "{}"


def test_special_files_and_links_in_the_scratch_folder(place, world):
    """A link out of the scratch folder stays a link and leads nowhere; a pipe is left out."""
    policy = place()
    os.symlink(world["course"] / "gradebook.db", policy.scratch / "link")
    os.mkfifo(policy.scratch / "pipe")
    found = held.inside(lambda: [sorted(os.listdir()), os.path.exists("link")], policy).value
    assert "link" in found[0]
    assert "pipe" not in found[0]
    assert found[1] is False


# ------------------------------------------------------------------------------- refusals


def test_confine_alone_refuses(place):
    """Without isolate() nothing is promised, and the error says so."""

    def confine():
        sandbox.confine(place())

    found = held.outside(confine, folder="/")
    assert "SandboxError" in found.error
    assert "isolate()" in found.error


def test_partial_holds_what_it_can(place, world):
    """With allow_partial: Landlock, seccomp and limits without namespaces."""
    policy = place(allow_partial=True)

    def attempts():
        sandbox.confine(policy, keep=range(3, 256))  # the report's descriptor among them
        refused = []
        for attempt in (
            lambda: (world["course"] / "gradebook.db").read_bytes(),
            lambda: Path("/etc/shadow").read_bytes(),
            lambda: Path("/tmp/syslab-partial").write_text("x"),
            lambda: Path(f"/proc/{world['victim']}/environ").read_bytes(),
            lambda: socket.create_connection(("127.0.0.1", world["tcp"]), 3),
        ):
            try:
                attempt()
            except PermissionError:
                refused.append(True)
        Path("own").write_text("x")
        return len(refused)

    assert held.outside(attempts, folder="/").value == 5


@pytest.mark.parametrize("thread", [True, False])
def test_a_process_with_threads_is_not_confined(place, thread):
    """Landlock and seccomp bind the calling thread; one from before would go free."""

    def confine(policy, keep):
        if thread:
            threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
        sandbox.confine(policy, keep)

    found = held.inside(lambda: True, place(), confine=confine)
    assert found.succeeded is not thread
    assert not thread or "threads" in found.error


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"scratch": Path("/nonexistent/scratch")}, "make it first"),
        ({"readable": (Path("/nonexistent/data"),)}, "does not exist"),
        ({"readable": (Path("/"),)}, "lies in the readable folder"),
        ({"sockets": Path("/dev/shm")}, "side by side"),
    ],
)
def test_policies_that_contradict_themselves(place, change, says):
    """The message names the folder and says what to do."""
    policy = place()
    fields = {"scratch": policy.scratch, "readable": (), "sockets": policy.sockets} | change
    found = held.inside(lambda: True, sandbox.Policy(**fields))
    assert "SandboxError" in found.error
    assert says in found.error


def test_too_much_for_the_scratch_folder(place):
    """What does not fit is refused before any code runs."""
    policy = place(sandbox.Limits(disk_bytes=1 << 20))
    (policy.scratch / "large").write_bytes(bytes(2 << 20))
    found = held.inside(lambda: True, policy)
    assert "SandboxError" in found.error
    assert "No space" in found.error


@pytest.mark.parametrize("value", [0, -1, 1.5, None])
def test_limits_are_checked(value):
    """A limit nothing could run under is refused by name."""
    with pytest.raises(ValueError, match="cpu_s"):
        sandbox.Limits(cpu_s=value)


def test_support_says_what_is_missing(monkeypatch):
    """On another system: one sentence with what to do, and not complete."""
    monkeypatch.setattr(sys, "platform", "darwin")
    found = sandbox.support.__wrapped__()
    assert not found.complete
    assert "darwin" in found.missing[0]
    assert "--no-sandbox" in found.missing[0]


def test_it_can_be_imported_elsewhere():
    """Without the modules and calls of Linux, it says in one line that they are missing."""
    code = """
import ctypes, sys
sys.modules["fcntl"] = sys.modules["resource"] = None
sys.platform = "win32"
ctypes.CDLL = None
from syslab.warm import sandbox
sys.exit(sandbox.main())
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert said.returncode == 1, said.stderr
    assert "This is win32" in said.stdout
    assert said.stderr == ""


@pytest.mark.parametrize(
    ("setting", "value", "advice"),
    [
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", "unprivileged_userns_clone=1"),
        ("/proc/sys/user/max_user_namespaces", "0", "max_user_namespaces=15000"),
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "apparmor_restrict_unprivileged_userns=0",
        ),
    ],
)
def test_advice_fits_the_machine(monkeypatch, tmp_path, setting, value, advice):
    """Each switch that forbids namespaces is named with the line that turns it."""
    (tmp_path / "setting").write_text(value)

    def read(path, *mode):
        return (tmp_path / "setting").open() if path == setting else open("/nonexistent")

    monkeypatch.setattr(sandbox, "open", read, raising=False)
    assert advice in sandbox._advice("user", "Operation not permitted")


def test_a_missing_filter_library_is_refused(place, monkeypatch):
    """Without libseccomp nothing runs, and the message names it."""

    def absent(networks):
        raise ImportError("Unable to find libseccomp")

    monkeypatch.setattr(sandbox._seccomp, "program", absent)
    found = held.inside(lambda: True, place())
    assert "libseccomp" in found.error
    assert any("libseccomp2" in line for line in sandbox.support.__wrapped__().missing)
