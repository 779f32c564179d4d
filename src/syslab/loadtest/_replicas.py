"""The service itself: replicas of one HTTP service, each on a loopback port of its own.

Started by ``Service`` as a process of its own, by path and isolated (``python -I``), so it uses the
standard library alone and starts in a tenth of a second.  The first line on stdin says what to
serve; the ports are printed as one line of JSON; when stdin closes, because the parent said so or
died, the process ends.

Work is a timed sleep that holds a worker: it takes no processor time, so that many workers can
be busy on two cores, while queueing, sockets and cancellation are real.

    GET /work       waits for a free worker, holds it for the next drawn time, answers
    GET /ping       answers at once, past the queue
    GET /stats      counts, as JSON
    GET /stall/0.4  stops everything in this process for 0.4 s, then answers
"""

import asyncio
import collections
import json
import os
import selectors
import signal
import sys
import threading
import time

LONGEST_STALL_S = 5.0
LONGEST_HEAD_BYTES = 8192
# What a replica does with work whose client has gone; the client says so in every request.
WHEN_GONE = (b"never", b"queued", b"all")


class Replica:
    """Workers behind one queue, first come, first served."""

    def __init__(self, workers: int, times_s: list[float], loop):
        self.free = workers
        self.queue = collections.deque()
        self.times_s, self.drawn = times_s, 0
        self.loop = loop
        self.counts = {"started": 0, "finished": 0, "dropped": 0, "stopped": 0}
        self.busy_s = self.wasted_s = 0.0

    def enter(self, job: "Job"):
        """Queue a job, and begin it if a worker is free."""
        self.queue.append(job)
        self._begin()

    def leave(self, job: "Job"):
        """The client of `job` has gone: stop what its request allows to stop."""
        job.gone = True
        if job.when_gone == b"all" and job.timer is not None:
            job.timer.cancel()
            self.counts["stopped"] += 1
            self._free(job)

    def _begin(self):
        while self.free and self.queue:
            job = self.queue.popleft()
            if job.gone and job.when_gone != b"never":
                self.counts["dropped"] += 1
                continue
            self.free -= 1
            self.counts["started"] += 1
            time_s = self.times_s[self.drawn % len(self.times_s)]
            self.drawn += 1
            job.start_s = self.loop.time()
            job.timer = self.loop.call_later(time_s, self._finish, job)

    def _finish(self, job: "Job"):
        self.counts["finished"] += 1
        if not job.gone:
            served_s, waited_s = self.loop.time() - job.start_s, job.start_s - job.queued_s
            job.answer(b"X-Service-S: %.6f\r\nX-Waited-S: %.6f\r\n" % (served_s, waited_s))
        self._free(job)

    def _free(self, job: "Job"):
        held_s = self.loop.time() - job.start_s
        self.busy_s += held_s
        self.wasted_s += held_s * job.gone
        job.timer = None
        self.free += 1
        self._begin()


class Job:
    """One request for work."""

    def __init__(self, connection: "Connection", when_gone: bytes):
        self.connection, self.when_gone = connection, when_gone
        self.queued_s = connection.loop.time()
        self.start_s = self.timer = None
        self.gone = False

    def answer(self, headers: bytes):
        """Send the result on the connection, which is then free for the next request."""
        self.connection.job = None
        self.connection.send(b"200 OK", b"done\n", headers)


class Connection(asyncio.Protocol):
    """One client's connection: one request at a time, kept open between requests."""

    def __init__(self, replica: Replica, loop):
        self.replica, self.loop = replica, loop
        self.transport = self.job = None
        self.head = b""

    def connection_made(self, transport):
        """Asyncio: a client has connected."""
        self.transport = transport

    def data_received(self, data):
        """Asyncio: bytes have come; act once a whole request head is here."""
        self.head += data
        if len(self.head) > LONGEST_HEAD_BYTES:
            self._refuse(b"431 Request Header Fields Too Large", b"shorten the request")
        elif b"\r\n\r\n" in self.head and self.job is None:
            head, _, self.head = self.head.partition(b"\r\n\r\n")
            self._request(head)

    def connection_lost(self, error):
        """Asyncio: the client has closed, which is how it calls work off."""
        if self.job is not None:
            self.replica.leave(self.job)

    def send(self, status: bytes, body: bytes, headers: bytes = b""):
        """Write one answer."""
        self.transport.write(
            b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status, len(body), headers, body)
        )

    def _request(self, head: bytes):
        first, *rest = head.split(b"\r\n")
        parts = first.split()
        if len(parts) != 3 or not parts[2].startswith(b"HTTP/1."):
            return self._refuse(b"400 Bad Request", b"not an HTTP/1 request line")
        method, path, _ = parts
        if method != b"GET":
            return self._refuse(b"405 Method Not Allowed", b"only GET is served")
        if path == b"/work":
            return self._work(rest)
        if path == b"/ping":
            return self.send(b"200 OK", b"pong\n")
        if path == b"/stats":
            return self.send(b"200 OK", self._stats(), b"Content-Type: application/json\r\n")
        if path.startswith(b"/stall/"):
            return self._stall(path.removeprefix(b"/stall/"))
        return self.send(b"404 Not Found", b"there are /work, /ping, /stats and /stall/<seconds>\n")

    def _work(self, headers: list[bytes]):
        when_gone = b"never"
        for line in headers:
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"x-when-gone":
                when_gone = value.strip()
        if when_gone not in WHEN_GONE:
            return self._refuse(b"400 Bad Request", b"X-When-Gone is never, queued or all")
        self.job = Job(self, when_gone)
        return self.replica.enter(self.job)

    def _stall(self, text: bytes):
        try:
            length_s = float(text)
        except ValueError:
            length_s = -1.0
        if not 0 < length_s <= LONGEST_STALL_S:
            return self._refuse(b"400 Bad Request", b"stall above 0 s and up to 5 s")
        time.sleep(length_s)  # on purpose in the event loop: nothing in this process moves
        return self.send(b"200 OK", b"stalled\n")

    def _stats(self) -> bytes:
        replica = self.replica
        times = {"busy_s": replica.busy_s, "wasted_s": replica.wasted_s}
        return json.dumps({**replica.counts, "queued": len(replica.queue), **times}).encode()

    def _refuse(self, status: bytes, why: bytes):
        self.send(status, why + b"\n", b"Connection: close\r\n")
        self.transport.close()


async def serve(plan: dict):
    """Open every replica, say on which ports, and serve until the process ends."""
    loop = asyncio.get_running_loop()
    servers = []
    for times_s in plan["times_s"]:
        replica = Replica(plan["workers"], times_s, loop)
        servers.append(
            await loop.create_server(
                lambda replica=replica: Connection(replica, loop), "127.0.0.1", 0, backlog=1024
            )
        )
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    print(json.dumps({"ports": ports}), flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


def end_with_parent():
    """Leave as soon as stdin closes, at once and whatever is under way."""
    sys.stdin.buffer.read()
    os._exit(0)


def main():
    """Read the plan and serve it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the parent's to handle
    plan = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=end_with_parent, daemon=True).start()
    # select() waits to the microsecond; epoll, asyncio's choice, rounds up to the millisecond.
    with asyncio.Runner(
        loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())
    ) as runner:
        runner.run(serve(plan))


if __name__ == "__main__":
    main()
