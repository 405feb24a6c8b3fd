"""Read the two response headers with a grammar of their own: Link (RFC 8288) and WWW-Authenticate (RFC 9110).

Rules of this file: text in, values out, no I/O, no exceptions. What cannot be read is left out, since
registries send odd ones and a challenge that we cannot read is one that we cannot answer.

`httpx.Response.links` is not used: it splits at ";" and "," inside the URL, which registries' cursors
contain.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_letters, digits

_TOKEN = frozenset(ascii_letters + digits + "!#$%&'*+-.^_`|~")
_TOKEN68 = frozenset(ascii_letters + digits + "-._~+/")
_SPACE = frozenset(" \t")
_SPACE_OR_COMMA = frozenset(" \t,")
_END_OF_VALUE = frozenset(" \t,;")

# Links or challenges read from one answer; real registries send one or two of each.
MAX_ELEMENTS = 16


@dataclass(frozen=True, slots=True)
class Link:
    """One link: the reference as it was sent, and its parameters with lower-case names."""

    target: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to authenticate: a lower-case scheme, and its parameters with lower-case names."""

    scheme: str
    parameters: Mapping[str, str]


class _Scanner:
    """A position in a header's text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def skip(self, characters: frozenset[str]) -> None:
        while self.peek() and self.peek() in characters:
            self.at += 1

    def accept(self, character: str) -> bool:
        """Pass the character if it is next."""
        if self.peek() != character:
            return False
        self.at += 1
        return True

    def take(self, characters: frozenset[str]) -> str:
        start = self.at
        self.skip(characters)
        return self.text[start : self.at]

    def take_until(self, characters: frozenset[str]) -> str:
        start = self.at
        while self.peek() and self.peek() not in characters:
            self.at += 1
        return self.text[start : self.at]

    def take_quoted(self) -> str:
        """The content of a quoted string whose opening quote was passed; to the end if it never ends."""
        content: list[str] = []
        while self.peek() and not self.accept('"'):
            self.accept("\\")
            content.append(self.peek())
            self.at += 1
        return "".join(content)

    def take_value(self) -> str:
        """A parameter's value, quoted or not. Unquoted ones may hold what no token may, such as a URL."""
        return self.take_quoted() if self.accept('"') else self.take_until(_END_OF_VALUE)


def parse_links(values: Sequence[str]) -> tuple[Link, ...]:
    """Every link of an answer's Link headers, in order."""
    links: list[Link] = []
    for value in values:
        scanner = _Scanner(value)
        while len(links) < MAX_ELEMENTS:
            scanner.skip(_SPACE_OR_COMMA)
            if not scanner.accept("<"):
                break
            target = scanner.take_until(frozenset(">"))
            if not scanner.accept(">"):
                break
            links.append(Link(target.strip(), _take_link_parameters(scanner)))
    return tuple(links)


def _take_link_parameters(scanner: _Scanner) -> dict[str, str]:
    parameters: dict[str, str] = {}
    scanner.skip(_SPACE)
    while scanner.accept(";"):
        scanner.skip(_SPACE)
        name = scanner.take(_TOKEN).lower()
        scanner.skip(_SPACE)
        value = ""
        if scanner.accept("="):
            scanner.skip(_SPACE)
            value = scanner.take_value()
        # RFC 8288, 3.3: of several `rel`, the first counts.
        if name:
            parameters.setdefault(name, value)
        scanner.skip(_SPACE)
    return parameters


def next_link(values: Sequence[str]) -> str | None:
    """The reference of the first link whose relation is `next`, as it was sent."""
    for link in parse_links(values):
        relations = link.parameters.get("rel", "").lower().split()
        # RFC 8288, 3.2: a link with another context is not about this page.
        if "next" in relations and "anchor" not in link.parameters:
            return link.target
    return None


def parse_challenges(values: Sequence[str]) -> tuple[Challenge, ...]:
    """Every challenge of an answer's WWW-Authenticate headers, in order.

    Commas separate both challenges and parameters: a word followed by "=" is a parameter of the challenge
    before it, any other begins a challenge. Codeberg sends `Bearer realm="…",scope="*",Basic realm="…"` in
    one header, Gitea sends two headers, the second a bare `Basic`.
    """
    challenges: list[Challenge] = []
    for value in values:
        scanner = _Scanner(value)
        scanner.skip(_SPACE_OR_COMMA)
        while (scheme := scanner.take(_TOKEN)) and len(challenges) < MAX_ELEMENTS:
            challenges.append(Challenge(scheme.lower(), _take_challenge_parameters(scanner)))
    return tuple(challenges)


def _take_challenge_parameters(scanner: _Scanner) -> dict[str, str]:
    """The parameters up to the next challenge, at whose scheme the scanner stands afterwards."""
    parameters: dict[str, str] = {}
    if _skip_token68(scanner):
        return parameters
    while True:
        scanner.skip(_SPACE_OR_COMMA)
        start = scanner.at
        name = scanner.take(_TOKEN).lower()
        scanner.skip(_SPACE)
        if not name or not scanner.accept("="):
            scanner.at = start
            return parameters
        scanner.skip(_SPACE)
        parameters.setdefault(name, scanner.take_value())


def _skip_token68(scanner: _Scanner) -> bool:
    """Pass the one value that some schemes have in place of parameters, such as `Negotiate YII=`."""
    start = scanner.at
    scanner.skip(_SPACE)
    if scanner.take(_TOKEN68):
        scanner.skip(frozenset("="))
        is_alone = scanner.peek() in ("", ",") or (scanner.peek() == " " and _ends_element(scanner))
        # `Bearer realm=` with nothing after it looks the same; a value without "=" is the next scheme.
        if is_alone and "=" in scanner.text[start : scanner.at]:
            scanner.skip(_SPACE_OR_COMMA)
            return True
    scanner.at = start
    return False


def _ends_element(scanner: _Scanner) -> bool:
    rest = scanner.text[scanner.at :].lstrip(" \t")
    return rest[:1] in ("", ",")
