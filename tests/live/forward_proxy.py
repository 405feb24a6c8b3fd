"""A forward proxy (RFC 9110, 7.6 and 9.3.6): sends on what it is asked for whole, and tunnels TLS.

It alone knows where the hosts are that it is asked for, so what reaches one of them has come through it.
"""

import socket
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from urllib.parse import urlsplit

# Bytes moved at once.
CHUNK = 64 * 1024


@dataclass(slots=True)
class ForwardProxy:
    """`places` is where each host is, by `host:port`, an address of loopback; the others count, by host."""

    places: Mapping[str, str]
    url: str = ""
    requests: Counter[str] = field(default_factory=Counter)
    tunnels: Counter[str] = field(default_factory=Counter)


@contextmanager
def forward_proxy(places: Mapping[str, str]) -> Iterator[ForwardProxy]:
    """A proxy that knows where these hosts are, and no others."""
    state, lock = ForwardProxy(places), Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            with lock:
                state.requests[parts.netloc] += 1
            if parts.netloc not in state.places:
                self.send_error(502)
                return
            connection = HTTPConnection(state.places[parts.netloc], timeout=10)
            connection.request(
                self.command, parts._replace(scheme="", netloc="").geturl(), headers=self.headers
            )
            with connection.getresponse() as reply:
                body = reply.read()
                self.send_response_only(reply.status)
                for name, value in reply.getheaders():
                    if name.lower() not in ("connection", "transfer-encoding"):
                        self.send_header(name, value)
                if self.command == "GET" and reply.getheader("Content-Length") is None:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            connection.close()

        do_HEAD = do_GET

        def do_CONNECT(self) -> None:
            with lock:
                state.tunnels[self.path] += 1
            if self.path not in state.places:
                self.send_error(502)
                return
            host, _, port = state.places[self.path].partition(":")
            with socket.create_connection((host, int(port)), timeout=10) as far:
                self.send_response_only(200)
                self.end_headers()
                back = Thread(target=_move, args=(far, self.connection), daemon=True)
                back.start()
                _move(self.connection, far)
                back.join()
            self.close_connection = True

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield state
        finally:
            server.shutdown()


def _move(source: socket.socket, target: socket.socket) -> None:
    """Everything that comes, until no more does; then the other side is told so."""
    try:
        while data := source.recv(CHUNK):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # one of the two is gone
