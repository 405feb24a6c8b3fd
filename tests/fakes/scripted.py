"""A server that says what a script says, as an ASGI app; and what both it and the hostile server were asked.

Standard library only. A script maps a path to an answer, or to a function from what was asked to one.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Asked:
    """One request, as it came over the wire."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def answer_json(document: Any, status: int = 200, **headers: str) -> Answer:
    """JSON with headers; `_` in a header's name stands for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps(document).encode(), {"content-type": "application/json"} | named)


def answer_error(status: int, *codes: str, **headers: str) -> Answer:
    """An error as the distribution specification describes it."""
    return answer_json(
        {"errors": [{"code": code, "message": "no", "detail": {}} for code in codes]}, status, **headers
    )


def redirect_to(location: str, status: int = 307) -> Answer:
    """A redirect."""
    return Answer(status, headers={"Location": location})


def in_turn(*answers: Answer) -> Callable[[Asked], Answer]:
    """One answer after the other; the last is repeated."""
    left = list(answers)
    return lambda asked: left.pop(0) if len(left) > 1 else left[0]


Reaction: TypeAlias = Answer | Callable[[Asked], Answer | Awaitable[Answer]]


class ScriptedRegistry:
    """An ASGI app over a script; what is not in it answers 404. `asked` holds every request, in order."""

    def __init__(self, script: Mapping[str, Reaction]) -> None:
        self.script = dict(script)
        self.asked: list[Asked] = []

    @property
    def targets(self) -> list[str]:
        return [asked.target for asked in self.asked]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        query = scope["query_string"].decode()
        asked = Asked(
            scope["method"],
            scope["raw_path"].decode() + (f"?{query}" if query else ""),
            {name.decode(): value.decode() for name, value in scope["headers"]},
            body,
        )
        self.asked.append(asked)
        reaction = self.script.get(asked.path, answer_error(404, "NAME_UNKNOWN"))
        answer = reaction if isinstance(reaction, Answer) else reaction(asked)
        if not isinstance(answer, Answer):
            answer = await answer
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": [
                    (name.lower().encode(), value.encode()) for name, value in answer.headers.items()
                ],
            }
        )
        await send({"type": "http.response.body", "body": answer.body})
