"""A registry that means harm, over a real loopback socket: what a behaviour says is written, when it says.

Rules of this file: standard library only; nothing checks that what is sent is HTTP. A behaviour is a
coroutine that gets what was asked and the wire; when it returns, the connection is closed unless the
behaviour kept it.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Self, TypeAlias

from fakes.scripted import Asked

_CHUNK = bytes(64 * 1024)


class Wire:
    """The way back to the client. `sent` counts what the kernel took; `is_kept` keeps the connection open."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.sent = 0
        self.is_kept = False

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()
        self.sent += len(data)


Behaviour: TypeAlias = Callable[[Asked, Wire], Awaitable[None]]


def respond(status: int = 200, body: bytes = b"", **headers: str) -> Behaviour:
    """A proper answer; `_` in a header's name stands for `-`."""

    async def behave(asked: Asked, wire: Wire) -> None:
        await wire.send(_head(status, {"content-length": str(len(body)), **headers}))
        await wire.send(b"" if asked.method == "HEAD" else body)
        wire.is_kept = True

    return behave


def write(*parts: bytes) -> Behaviour:
    """These bytes, then close."""

    async def behave(asked: Asked, wire: Wire) -> None:
        for part in parts:
            await wire.send(part)

    return behave


async def stay_silent(asked: Asked, wire: Wire) -> None:
    """Take the request and never say a word."""
    await asyncio.Event().wait()


def drip(body: bytes) -> Behaviour:
    """A proper answer at a byte every 10 ms, so that each read succeeds and the whole never ends in time."""

    async def behave(asked: Asked, wire: Wire) -> None:
        await wire.send(_head(200, {"content-length": str(len(body))}))
        for byte in body:
            await wire.send(bytes([byte]))
            await asyncio.sleep(0.01)

    return behave


def flood(size: int) -> Behaviour:
    """A chunked body of so many zero bytes, as fast as it is taken."""

    async def behave(asked: Asked, wire: Wire) -> None:
        await wire.send(_head(200, {"transfer-encoding": "chunked"}))
        for _ in range(size // len(_CHUNK)):
            await wire.send(b"%x\r\n%b\r\n" % (len(_CHUNK), _CHUNK))

    return behave


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class HostileServer:
    """Listens on a free port of 127.0.0.1 while entered, and behaves as the script says.

    `script` maps a path to a behaviour, or to several in turn, the last of which is repeated; a path that is
    not in it answers 404. `asked` holds every request, in order, `sent` the number of bytes that clients or
    their kernel took, `heard` every byte that came from them, of what is no HTTP too, `certificates` who the
    client is by each connection.
    """

    def __init__(
        self,
        script: Mapping[str, Behaviour | list[Behaviour]] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.script = dict(script or {})
        self.asked: list[Asked] = []
        self.heard = bytearray()
        self.certificates: list[bytes | None] = []
        self.sent = 0
        self.connections = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._tls = tls
        self.url = ""
        self.netloc = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.netloc = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self.url = f"{'https' if self._tls else 'http'}://{self.netloc}"
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def targets(self) -> list[str]:
        return [asked.target for asked in self.asked]

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self._tls is not None:
            self.certificates.append(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        task = asyncio.ensure_future(self._converse(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (asked := await self._read_request(reader)) is not None:
                self.asked.append(asked)
                wire = Wire(writer)
                try:
                    await self._choose(asked)(asked, wire)
                finally:
                    self.sent += wire.sent
                if not wire.is_kept:
                    break
        except ConnectionError:
            pass  # the client had enough
        finally:
            writer.close()

    def _choose(self, asked: Asked) -> Behaviour:
        behaviour = self.script.get(asked.path, respond(404))
        if not isinstance(behaviour, list):
            return behaviour
        return behaviour.pop(0) if len(behaviour) > 1 else behaviour[0]

    async def _read_request(self, reader: asyncio.StreamReader) -> Asked | None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            self.heard += error.partial
            return None
        self.heard += head
        first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        method, target, _ = first.split(" ")
        pairs = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.heard += body
        return Asked(method, target, headers, body)
