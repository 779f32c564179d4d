"""Time what the sandbox adds to a fork, of a bare process and of one that has imported torch.

    python benchmarks/bench_sandbox.py

Each round forks A, which isolates itself and forks B, which confines itself and ends; a round
without the two calls beside it gives the cost of forking alone. 200 rounds each, taking turns.
Where bubblewrap is installed, it starts /bin/true in a comparable sandbox, next to /bin/true alone:
it can only start programs, so a kernel in it imports everything anew.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS, WARM_UP = 200, 5
BUBBLE = (
    "--unshare-all --die-with-parent --new-session --ro-bind /usr /usr --ro-bind /etc /etc "
    "--symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64 --proc /proc "
    "--dev /dev --tmpfs /tmp /bin/true"
)


def main() -> int:
    """Measure and print."""
    for name in ("OMP", "MKL", "OPENBLAS"):
        os.environ[f"{name}_NUM_THREADS"] = "1"
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
    from syslab.warm import sandbox

    found = sandbox.support()
    if not found.complete:
        print("\n".join(found.missing))
        return 1
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, user id {os.getuid()}")
    print(f"{'':52}{'least':>10}{'median':>10}{'p95':>10}")
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryDirectory() as sockets:
        policy = sandbox.Policy(Path(scratch), (), Path(sockets))
        rows("bare process", sandbox, policy)
        import torch

        torch.ones(2) @ torch.ones(2)
        rows("torch imported", sandbox, policy)
    if shutil.which("bwrap"):
        command = ["bwrap", *BUBBLE.split()]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print(f"bubblewrap does not work here: {done.stderr.strip()}")
        else:
            show("bubblewrap: /bin/true in it", [started(command) for _ in range(ROUNDS)])
            show("bubblewrap: /bin/true alone", [started(["/bin/true"]) for _ in range(ROUNDS)])
    else:
        print("bubblewrap is not installed: apt-get install bubblewrap")
    return 0


def rows(title: str, sandbox, policy) -> None:
    """Print one block: the two calls, and the whole with and without them."""
    held, free = [], []
    for turn in range(WARM_UP + ROUNDS):
        one, other = once(sandbox, policy), once(None, policy)
        if turn >= WARM_UP:
            held.append(one)
            free.append(other)
    show(f"{title}: isolate()", [r[0] for r in held])
    show(f"{title}: confine()", [r[1] for r in held])
    show(f"{title}: two forks and both calls, to the end", [r[2] for r in held])
    show(f"{title}: two forks alone, to the end", [r[2] for r in free])


def once(sandbox, policy) -> tuple[float, float, float]:
    """Return the seconds of isolate, of confine, and until both processes are gone."""
    reading, writing = os.pipe()
    start = time.perf_counter()
    watcher = os.fork()
    if watcher == 0:
        before = time.perf_counter()
        if sandbox:
            sandbox.isolate()
        isolated = time.perf_counter() - before
        child = os.fork()
        if child == 0:
            before = time.perf_counter()
            if sandbox:
                sandbox.confine(policy, keep=(writing,))
            os.write(writing, f"{isolated} {time.perf_counter() - before}".encode())
            os._exit(0)
        os.waitpid(child, 0)
        os._exit(0)
    os.waitpid(watcher, 0)
    took = time.perf_counter() - start
    os.close(writing)
    with os.fdopen(reading) as pipe:
        isolated, confined = map(float, pipe.read().split())
    return isolated, confined, took


def started(command: list[str]) -> float:
    """Return the seconds that ``command`` takes."""
    start = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - start


def show(name: str, seconds: list[float]) -> None:
    """Print one line."""
    seconds = sorted(seconds)
    median, p95 = seconds[len(seconds) // 2], seconds[int(0.95 * len(seconds)) - 1]
    cells = "".join(f"{1e3 * value:>7.2f} ms" for value in (seconds[0], median, p95))
    print(f"{name:52}{cells}")


if __name__ == "__main__":
    sys.exit(main())
