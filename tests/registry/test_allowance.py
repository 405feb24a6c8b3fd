"""What a registry says of how many requests it still answers is read, and obeyed before it has to refuse."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from graph.errors import RegistryThrottledError
from graph.oci.reference import RegistryName, RepositoryName, TagName
from graph.registry.allowance import Allowance, read_allowance
from graph.registry.client import RegistryClient
from graph.registry.exchange import RetryPolicy
from graph.registry.ledger import RequestKind
from graph.registry.wire import Reply, Request, explain, read_wait
from graph.sample import SampleRegistry
from graph.sample.answers import Answer
from graph.settings import RegistrySettings

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
RESET = int((NOW + timedelta(minutes=5)).timestamp())


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"ratelimit-limit": "100;w=21600"}, None),
        ({"ratelimit-remaining": "many"}, None),
        ({"ratelimit-remaining": "9" * 20}, None),
        (
            {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "20;w=21600"},
            Allowance(20, NOW, 100, 21600.0, None, counts_pulls_only=True),
        ),
        (
            {"x-ratelimit-limit": "180", "x-ratelimit-remaining": "3", "x-ratelimit-reset": str(RESET)},
            Allowance(3, NOW, 180, None, NOW + timedelta(minutes=5)),
        ),
        (
            {"ratelimit-limit": "600", "ratelimit-remaining": "0", "ratelimit-reset": "30"},
            Allowance(0, NOW, 600, None, NOW + timedelta(seconds=30)),
        ),
    ],
)
def test_what_headers_say(headers: dict[str, str], expected: Allowance | None) -> None:
    """Both forms are read, and what is no number is nothing."""
    assert expected == read_allowance(httpx.Headers(headers), NOW)


@pytest.mark.parametrize(
    ("allowance", "seconds"),
    [
        (Allowance(1, NOW, resets_at=NOW + timedelta(minutes=1)), None),
        (Allowance(0, NOW), None),
        (Allowance(0, NOW, resets_at=NOW + timedelta(minutes=1)), 60),
        (Allowance(0, NOW, resets_at=NOW + timedelta(days=9)), 3600),
        (Allowance(0, NOW, limit=100, window=21600.0), 216),
        (Allowance(0, NOW, limit=1, window=21600.0), 3600),
        (Allowance(0, NOW, limit=0, window=21600.0), None),
    ],
)
def test_how_long_to_hold_back(allowance: Allowance, seconds: float | None) -> None:
    """Until it says, or until one request is due on average; an hour at most, whatever it says."""
    expected = None if seconds is None else NOW + timedelta(seconds=seconds)

    assert expected == allowance.hold_until()


def test_answers_that_overtake_each_other() -> None:
    """Within one window the least stands; what comes from one that is over says nothing of the next."""
    later, sooner = NOW + timedelta(minutes=1), NOW - timedelta(seconds=1)
    before = Allowance(7, NOW, resets_at=later)
    assert 7 == Allowance(9, NOW, resets_at=later).after(before).remaining
    assert 5 == Allowance(5, NOW, resets_at=later).after(before).remaining
    assert before == Allowance(0, NOW, resets_at=sooner).after(before)
    for told in (
        Allowance(9, NOW, resets_at=later + timedelta(minutes=1)),
        Allowance(9, NOW, resets_at=NOW + timedelta(seconds=1)),  # a server that had its clock put right
        Allowance(9, NOW),
    ):
        assert told == told.after(before)
    assert before == before.after(None) == before.after(Allowance(1, NOW))


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"retry-after": "7", "x-retry-after": str(RESET)}, 7),
        (429, {"x-retry-after": str(RESET)}, 300),
        (429, {"x-retry-after": "12"}, 12),
        (429, {"x-retry-after": "soon"}, None),
        (429, {"x-retry-after": str(int(NOW.timestamp()) - 5)}, 0),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(RESET)}, 300),
        (403, {"x-ratelimit-remaining": "9", "x-ratelimit-reset": str(RESET)}, None),
        (500, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(RESET)}, None),
    ],
)
def test_how_long_a_refusal_wants_us_to_wait(
    status: int, headers: dict[str, str], seconds: float | None
) -> None:
    """Docker Hub's API sends a timestamp where others send seconds; GitHub when its window ends."""
    reply = Reply(status, httpx.Headers(headers))

    assert seconds == read_wait(reply, NOW)
    request = Request(RegistryName("a.example"), RequestKind.TAGS, "GET", "https://a.example/v2/")
    assert seconds == explain(request, reply, NOW).retry_after


class CountingRegistry(SampleRegistry):
    """Counts as Docker Hub does: a GET of a manifest takes one of `remaining`, a HEAD none."""

    def __init__(self, remaining: int) -> None:
        super().__init__()
        self.remaining = remaining

    def answer(self, request):  # type: ignore[no-untyped-def]
        is_pull = request.method == "GET" and "/manifests/" in request.path
        if is_pull and self.remaining == 0:
            return Answer(429, (("Content-Type", "text/plain"),), b"You have reached your pull rate limit")
        self.remaining -= is_pull
        answer = super().answer(request)
        limit = (("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", f"{self.remaining};w=21600"))
        return Answer(answer.status, (*answer.headers, *limit), answer.body, answer.length)


@pytest.mark.anyio
async def test_nothing_is_asked_for_that_will_be_refused() -> None:
    """Once nothing remains no manifest is asked for; HEAD is, and tells when there is some again."""
    registry = CountingRegistry(remaining=1)
    web, tag = RepositoryName("library/web"), TagName("v1")
    registry.put_manifest(web, b"{}", tag=tag)
    settings = RegistrySettings(url="https://registry.example")
    time = [NOW]
    client = RegistryClient(
        settings, httpx.ASGITransport(registry), retries=RetryPolicy(attempts=1), clock=lambda: time[0]
    )

    async with client:
        await client.get_manifest(web, tag)
        with pytest.raises(RegistryThrottledError) as caught:
            await client.get_manifest(web, tag)
        await client.head_manifest(web, tag)
        sent = [request.method for request in registry.requests]
        remembered = dict(client.allowances)

        registry.remaining = 5
        await client.head_manifest(web, tag)
        await client.get_manifest(web, tag)

    assert ["GET", "HEAD"] == sent
    assert 216 == caught.value.retry_after
    spent = Allowance(0, NOW, 100, 21600.0, None, counts_pulls_only=True)
    assert {"https://registry.example": spent} == remembered
    assert {"https://registry.example": 4} == {o: a.remaining for o, a in client.allowances.items()}


@pytest.mark.anyio
async def test_what_is_spent_comes_back_with_time() -> None:
    """After the time in which one more is allowed, one is asked for, though nobody said so."""
    registry = CountingRegistry(remaining=1)
    web, tag = RepositoryName("library/web"), TagName("v1")
    registry.put_manifest(web, b"{}", tag=tag)
    settings = RegistrySettings(url="https://registry.example")
    time = [NOW]
    client = RegistryClient(
        settings, httpx.ASGITransport(registry), retries=RetryPolicy(attempts=1), clock=lambda: time[0]
    )

    async with client:
        await client.get_manifest(web, tag)
        registry.remaining = 1
        time[0] += timedelta(seconds=216)
        await client.get_manifest(web, tag)

    assert 2 == len(registry.requests)
