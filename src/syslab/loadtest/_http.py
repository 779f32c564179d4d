"""The client's side of HTTP/1.1: connections that are kept, and closed to call work off."""

import asyncio


class Lost(ConnectionError):
    """The service closed the connection before it answered."""


class Link(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self):
        self.transport = self.answer = None
        self.text = b""

    def connection_made(self, transport):
        """Asyncio: connected."""
        self.transport = transport

    def data_received(self, data):
        """Asyncio: bytes have come; hand on the answer once it is whole."""
        self.text += data
        head, found, body = self.text.partition(b"\r\n\r\n")
        if not found:
            return
        status, *lines = head.split(b"\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(b":")
            headers[name.strip().lower()] = value.strip()
        length = int(headers[b"content-length"])
        if len(body) < length:
            return
        self.text = body[length:]
        if self.answer is not None and not self.answer.done():
            self.answer.set_result((int(status.split()[1]), headers, body[:length]))

    def connection_lost(self, error):
        """Asyncio: the other side has closed."""
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(Lost("the service closed the connection"))


class Pool:
    """Idle connections to each port, so that a request seldom waits for a handshake."""

    def __init__(self, loop):
        self.loop = loop
        self.idle: dict[int, list[Link]] = {}

    async def get(self, port: int, path: str, header: str = "") -> tuple[int, dict, bytes]:
        """Return (status, headers, body) of one GET; being cancelled closes the connection."""
        link = await self._link(port)
        link.answer = self.loop.create_future()
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{header}\r\n"
        link.transport.write(request.encode())
        try:
            answer = await link.answer
        except BaseException:
            link.transport.abort()
            raise
        link.answer = None
        self.idle[port].append(link)
        return answer

    def close(self):
        """Close every idle connection."""
        for links in self.idle.values():
            for link in links:
                link.transport.abort()
        self.idle.clear()

    async def _link(self, port: int) -> Link:
        idle = self.idle.setdefault(port, [])
        while idle:
            link = idle.pop()
            if not link.transport.is_closing():
                return link
        _, link = await self.loop.create_connection(Link, "127.0.0.1", port)
        return link
