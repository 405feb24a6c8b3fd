"""What a registry sent, read from its own access log: the content of manifests and blobs, each time."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from live.rigs import get, wait_until

# The format of Apache's httpd, in which distribution logs: the last two numbers are status and bytes.
_LINE = re.compile(
    r'"(?P<method>[A-Z]+) /v2/\S+/(?P<kind>manifests|blobs)/(?P<reference>[^\s/]+) HTTP/1\.1" '
    r"(?P<status>\d+) (?P<size>\d+) "
)


@dataclass(frozen=True, slots=True, order=True)
class Sent:
    """An answer with content: a blob's digest, or what a manifest was asked for by, and the bytes of it."""

    kind: str
    reference: str
    size: int


@dataclass(frozen=True, slots=True)
class AccessLog:
    """The access log of a registry that runs."""

    file: Path
    url: str

    def during(self, act: Callable[[], object], expected: int) -> Sequence[Sent]:
        """What was sent while `act` ran, in the order it was sent; waits for as many lines as are expected.

        A line is written when an answer is over, and its client may be gone by then: a request of ours after
        it shows how far the log is.
        """
        before = len(self.file.read_text())
        act()
        mark = uuid4().hex
        get(f"{self.url}/v2/?{mark}")

        def look() -> Sequence[Sent] | None:
            text = self.file.read_text()[before:]
            sent = [
                Sent(line["kind"], line["reference"], int(line["size"]))
                for line in _LINE.finditer(text)
                if line["method"] == "GET" and line["status"] == "200"
            ]
            return sent if mark in text and len(sent) >= expected else None

        return wait_until(f"{expected} answers with content", look)
