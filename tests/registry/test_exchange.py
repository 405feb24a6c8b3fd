"""Retries, throttling, deadlines, concurrency and redirects, on a clock that skips waiting."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from builders import make_image
from fakes.scripted import Answer, Asked, ScriptedRegistry, answer_error, answer_json, in_turn, redirect_to
from fakes.skipping_loop import SkippingLoop, loop_clock
from graph.errors import (
    DigestMismatchError,
    RegistryFailedError,
    RegistryProtocolError,
    RegistryThrottledError,
    RegistryUnreachableError,
)
from graph.oci.descriptor import Descriptor
from graph.oci.digest import Digest
from graph.oci.reference import RepositoryName, TagName
from graph.registry.client import RegistryClient
from graph.registry.exchange import MAX_REDIRECTS, RetryPolicy
from graph.registry.ledger import RequestKind
from graph.registry.throttle import FIRST_INTERVAL

pytestmark = pytest.mark.anyio

MakeClient = Callable[..., RegistryClient]
A = RepositoryName("a")
V1 = TagName("v1")
IMAGE = make_image()
CONFIG = IMAGE.blobs[0]
MANIFEST = "/v2/a/manifests/v1"
PLAIN = RetryPolicy(attempts=4, wait_initial=1, wait_max=8, wait_jitter=0, retry_after_max=60)
FOUND = Answer(200, IMAGE.data, {"content-type": IMAGE.media_type})


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Waiting takes no time here, and the clock says how long it would have been."""
    return "asyncio", {"loop_factory": SkippingLoop}


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_what_passes_is_retried(make_client: MakeClient) -> None:
    """A failure is retried after 1, 2 and 4 seconds, and each attempt counts."""
    registry = ScriptedRegistry({"/v2/": in_turn(Answer(500), Answer(502), Answer(503), Answer())})
    async with make_client(registry, retries=PLAIN) as client:
        await client.ping()
        assert (4, 7) == (client.ledger.count(RequestKind.PING), now())


async def test_retries_end(make_client: MakeClient) -> None:
    """The last failure is the answer."""
    async with make_client(ScriptedRegistry({"/v2/": Answer(500)}), retries=PLAIN) as client:
        with pytest.raises(RegistryFailedError):
            await client.ping()
        assert 4 == client.ledger.total


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 418])
async def test_what_stays_is_not_retried(make_client: MakeClient, status: int) -> None:
    """An answer that would be the same again is taken at once."""
    async with make_client(ScriptedRegistry({"/v2/": Answer(status)}), retries=PLAIN) as client:
        with pytest.raises(Exception) as caught:
            await client.ping()
        assert (1, 0, status) == (client.ledger.total, now(), getattr(caught.value, "http_status", None))


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_obeyed(make_client: MakeClient, status: int) -> None:
    """A registry that says when to come back is asked again then, not earlier."""
    registry = ScriptedRegistry({"/v2/": in_turn(Answer(status, headers={"Retry-After": "37"}), Answer())})
    async with make_client(registry, retries=PLAIN) as client:
        await client.ping()
        assert (2, 37) == (client.ledger.total, now())


async def test_retry_after_a_date(make_client: MakeClient) -> None:
    """A date is as good as a number of seconds."""
    date = "Thu, 01 Jan 2026 00:00:20 GMT"
    registry = ScriptedRegistry({"/v2/": in_turn(Answer(429, headers={"Retry-After": date}), Answer())})
    async with make_client(registry, retries=PLAIN, clock=loop_clock) as client:
        await client.ping()
        assert (2, 20) == (client.ledger.total, now())


async def test_retry_after_is_bounded(make_client: MakeClient) -> None:
    """A registry that wants us to wait for an hour is not waited for; who asked is told how long."""
    registry = ScriptedRegistry({"/v2/": answer_error(429, "TOOMANYREQUESTS", Retry_After="3600")})
    async with make_client(registry, retries=PLAIN) as client:
        with pytest.raises(RegistryThrottledError) as caught:
            await client.ping()
        assert (1, 0, 3600) == (client.ledger.total, now(), caught.value.retry_after)


async def test_throttling_holds_everyone_back(make_client: MakeClient) -> None:
    """When one request is told to wait, no other goes out before that time, nor together with it then."""
    times: list[float] = []

    def tags(asked: Asked) -> Answer:
        times.append(now())
        return answer_json({"tags": []})

    throttle = Answer(429, headers={"Retry-After": "30"})
    registry = ScriptedRegistry({"/v2/": in_turn(throttle, Answer()), "/v2/a/tags/list": tags})

    async def list_tags_later() -> None:
        await asyncio.sleep(1)
        async for _ in client.list_tags(A):
            pass

    async with make_client(registry, retries=PLAIN) as client:
        await asyncio.gather(client.ping(), list_tags_later())
    assert [30 + FIRST_INTERVAL] == times


async def test_throttling_elsewhere_holds_nobody_back(make_client: MakeClient) -> None:
    """Storage that tells us to wait is not the registry: what goes there alone waits."""
    busy = Answer(503, headers={"Retry-After": "30"})
    elsewhere = redirect_to("https://storage.example/moved")
    registry = ScriptedRegistry({"/v2/": Answer(), MANIFEST: elsewhere, "/moved": busy})
    async with make_client(registry) as client:
        with pytest.raises(RegistryFailedError):
            await client.get_manifest(A, V1)
        await client.ping()
        assert 0 == now()


async def test_the_allowance_of_others(make_client: MakeClient) -> None:
    """How many requests storage and token servers still answer says nothing of the registry."""
    spent = {"x-ratelimit-limit": "60", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "3000"}
    script = {
        "/v2/": in_turn(Answer(401, headers={"WWW-Authenticate": 'Bearer realm="/token"'}), Answer()),
        "/token": answer_json({"token": "x"}, **spent),
        MANIFEST: redirect_to("https://storage.example/moved"),
        "/moved": Answer(200, FOUND.body, spent),
    }
    async with make_client(ScriptedRegistry(script)) as client:
        for _ in range(2):
            await client.ping()
            assert (0, {}) == (client.held_for, client.allowances)
            await client.get_manifest(A, V1)
        assert (0, {}, 0) == (client.held_for, client.allowances, now())


async def test_deadline(make_client: MakeClient) -> None:
    """A whole request has its time, and is retried like any that got no answer."""

    async def stall(asked: Asked) -> Answer:
        await asyncio.sleep(3600)
        return Answer()

    async with make_client(ScriptedRegistry({"/v2/": stall}), retries=PLAIN, timeout=30) as client:
        with pytest.raises(RegistryUnreachableError):
            await client.ping()
        assert (4, 4 * 30 + 7) == (client.ledger.total, now())


async def test_waiting_for_a_slot_is_not_part_of_the_deadline(make_client: MakeClient) -> None:
    """A request that waits its turn among many does not time out before it is sent."""

    async def take_a_second(asked: Asked) -> Answer:
        await asyncio.sleep(1)
        return FOUND

    registry = ScriptedRegistry({MANIFEST: take_a_second})
    async with make_client(registry, timeout=2, concurrency=1) as client:
        await asyncio.gather(*(client.get_manifest(A, V1) for _ in range(10)))
        assert 10 == now()


async def test_concurrency(make_client: MakeClient) -> None:
    """No more requests are under way than the settings allow."""
    under_way: list[int] = [0]
    most = 0

    async def count(asked: Asked) -> Answer:
        nonlocal most
        under_way[0] += 1
        most = max(most, under_way[0])
        await asyncio.sleep(1)
        under_way[0] -= 1
        return FOUND

    async with make_client(ScriptedRegistry({MANIFEST: count}), concurrency=3) as client:
        await asyncio.gather(*(client.get_manifest(A, V1) for _ in range(9)))
        assert (3, 3) == (most, now())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["/moved", "https://storage.example/moved?sig=a%2Bb"])
async def test_redirect(make_client: MakeClient, status: int, location: str) -> None:
    """A manifest may be elsewhere, on this host or another; the hop is counted as one."""
    registry = ScriptedRegistry({MANIFEST: redirect_to(location, status), "/moved": FOUND})
    async with make_client(registry) as client:
        assert IMAGE.data == (await client.get_manifest(A, V1)).data
        assert 1 == client.ledger.count(RequestKind.MANIFEST_GET)
        assert 1 == client.ledger.count(RequestKind.REDIRECT)
    assert [MANIFEST, "/moved" + location.partition("/moved")[2]] == registry.targets


async def test_head_is_redirected_too(make_client: MakeClient) -> None:
    """registry.k8s.io redirects HEAD like GET, and a HEAD stays one."""
    registry = ScriptedRegistry({MANIFEST: redirect_to("/moved"), "/moved": Answer()})
    async with make_client(registry) as client:
        await client.head_manifest(A, V1)
    assert ["HEAD", "HEAD"] == [asked.method for asked in registry.asked]


async def test_redirects_end(make_client: MakeClient) -> None:
    """A circle of redirects is left after a few hops."""
    async with make_client(ScriptedRegistry({MANIFEST: redirect_to(MANIFEST)})) as client:
        with pytest.raises(RegistryProtocolError):
            await client.get_manifest(A, V1)
        assert 1 + MAX_REDIRECTS == client.ledger.total


async def test_only_content_is_redirected(make_client: MakeClient) -> None:
    """Lists and pings are not where a redirect may lead elsewhere."""
    registry = ScriptedRegistry({"/v2/": redirect_to("/moved"), "/v2/a/tags/list": redirect_to("/moved")})
    async with make_client(registry) as client:
        with pytest.raises(RegistryProtocolError):
            await client.ping()
        with pytest.raises(RegistryProtocolError):
            async for _ in client.list_tags(A):
                pass
    assert "/moved" not in registry.targets


@pytest.mark.parametrize(("body", "expected"), [(CONFIG.data, CONFIG.data), (b"{}", DigestMismatchError)])
async def test_redirected_content_is_verified(make_client: MakeClient, body: bytes, expected: Any) -> None:
    """What comes from elsewhere is held against the digest all the same."""
    descriptor = Descriptor(CONFIG.media_type, Digest(CONFIG.digest), CONFIG.size, (), {}, None, None)
    elsewhere = redirect_to("https://storage.example/x")
    registry = ScriptedRegistry({f"/v2/a/blobs/{CONFIG.digest}": elsewhere, "/x": Answer(200, body)})
    async with make_client(registry) as client:
        if isinstance(expected, bytes):
            assert expected == await client.get_config(A, descriptor)
        else:
            with pytest.raises(expected):
                await client.get_config(A, descriptor)
