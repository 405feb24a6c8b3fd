"""Challenges, tokens and where credentials go, end to end against registries in memory."""

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import pytest

from builders import make_image
from fakes.scripted import Answer, Asked, ScriptedRegistry, answer_error, answer_json, in_turn, redirect_to
from fakes.skipping_loop import SkippingLoop, loop_clock
from graph.errors import RegistryDeniedError, RegistryFailedError, RegistryProtocolError
from graph.oci.reference import RepositoryName, TagName
from graph.registry.client import RegistryClient
from graph.registry.exchange import RetryPolicy
from graph.registry.ledger import RequestKind
from graph.registry.throttle import FIRST_INTERVAL

pytestmark = pytest.mark.anyio

MakeClient = Callable[..., RegistryClient]
A = RepositoryName("a")
V1 = TagName("v1")
IMAGE = make_image()
MANIFEST = "/v2/a/manifests/v1"
PLAIN = RetryPolicy(attempts=4, wait_initial=1, wait_max=8, wait_jitter=0, retry_after_max=60)
FOUND = Answer(200, IMAGE.data, {"content-type": IMAGE.media_type})


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Waiting takes no time here, and the clock says how long it would have been."""
    return "asyncio", {"loop_factory": SkippingLoop}


def now() -> float:
    return asyncio.get_running_loop().time()


ALICE = {"username": "alice", "password": "wonderland"}
BASIC = "Basic " + base64.b64encode(b"alice:wonderland").decode()


class Guarded:
    """A registry that wants a token for each repository, and its token server."""

    def __init__(
        self, script: dict[str, Any], *, realm: str = "/token", challenge_scope: bool = True
    ) -> None:
        self.tokens: dict[str, str] = {}
        self.token_requests: list[Asked] = []
        self.refused: set[str] = set()
        self.realm = realm
        self.challenge_scope = challenge_scope
        self.registry = ScriptedRegistry({path: self._guard(reaction) for path, reaction in script.items()})
        self.registry.script["/token"] = self._issue

    def _issue(self, asked: Asked) -> Answer:
        self.token_requests.append(asked)
        token = f"token-{len(self.token_requests)}"
        self.tokens[f"Bearer {token}"] = asked.query
        return answer_json({"token": token, "expires_in": 300})

    def _guard(self, answer: Any) -> Callable[[Asked], Answer]:
        def react(asked: Asked) -> Answer:
            sent = asked.headers.get("authorization", "")
            if sent in self.tokens and sent not in self.refused:
                result: Answer = answer
                return result
            scope = 'scope="repository:a:pull"' if self.challenge_scope else ""
            challenge = f'Bearer realm="{self.realm}",service="registry.example",{scope}'
            return answer_error(401, "UNAUTHORIZED", WWW_Authenticate=challenge)

        return react


async def test_token(make_client: MakeClient) -> None:
    """A challenge is answered once: later requests bring the token along, for any repository."""
    tags = answer_json({"tags": []})
    guarded = Guarded({"/v2/": Answer(), MANIFEST: FOUND, "/v2/b/tags/list": tags}, challenge_scope=False)
    async with make_client(guarded.registry) as client:
        await client.ping()
        await client.get_manifest(A, V1)
        await client.get_manifest(A, V1)
        async for _ in client.list_tags(RepositoryName("b")):
            pass

        assert 3 == client.ledger.count(RequestKind.TOKEN)
        assert 2 == client.ledger.count(RequestKind.PING)
        assert 2 == client.ledger.count(RequestKind.MANIFEST_GET)
        assert 1 == client.ledger.count(RequestKind.TAGS)
    assert [
        "service=registry.example",
        "service=registry.example&scope=repository%3Aa%3Apull",
        "service=registry.example&scope=repository%3Ab%3Apull",
    ] == [asked.query for asked in guarded.token_requests]
    assert {None} == {asked.headers.get("authorization") for asked in guarded.token_requests}


async def test_token_for_credentials(make_client: MakeClient) -> None:
    """User and password go to the token server, the token to the registry."""
    guarded = Guarded({MANIFEST: FOUND})
    async with make_client(guarded.registry, **ALICE) as client:
        await client.get_manifest(A, V1)
    assert [
        (MANIFEST, None),
        ("/token?service=registry.example&scope=repository%3Aa%3Apull", BASIC),
        (MANIFEST, "Bearer token-1"),
    ] == [(asked.target, asked.headers.get("authorization")) for asked in guarded.registry.asked]


async def test_many_requests_one_token(make_client: MakeClient) -> None:
    """Fifty requests that meet the same challenge at once ask for one token."""
    guarded = Guarded({MANIFEST: FOUND})
    async with make_client(guarded.registry, concurrency=50) as client:
        await asyncio.gather(*(client.get_manifest(A, V1) for _ in range(50)))
        assert 1 == client.ledger.count(RequestKind.TOKEN)


async def test_revoked_token_is_replaced(make_client: MakeClient) -> None:
    """A token that the registry takes no longer is replaced once, and then used."""
    guarded = Guarded({MANIFEST: FOUND})
    async with make_client(guarded.registry) as client:
        await client.get_manifest(A, V1)
        guarded.refused.add("Bearer token-1")
        await client.get_manifest(A, V1)
        assert 2 == client.ledger.count(RequestKind.TOKEN)


async def test_expired_token_is_replaced_unasked(make_client: MakeClient) -> None:
    """A token is renewed before it expires, so that no request is refused for it."""
    guarded = Guarded({MANIFEST: FOUND})
    async with make_client(guarded.registry, clock=loop_clock) as client:
        await client.get_manifest(A, V1)
        await asyncio.sleep(250)
        await client.get_manifest(A, V1)
        assert (2, 3) == (
            client.ledger.count(RequestKind.TOKEN),
            client.ledger.count(RequestKind.MANIFEST_GET),
        )


async def test_scope_of_the_challenge_is_learned(make_client: MakeClient) -> None:
    """Where a registry wants another scope than ours, it is asked for at once the next time."""

    def react(asked: Asked) -> Answer:
        if asked.headers.get("authorization") == "Bearer read":
            return FOUND
        return answer_error(401, WWW_Authenticate='Bearer realm="/token",scope="repository:a:metadata_read"')

    def issue(asked: Asked) -> Answer:
        return answer_json({"token": "read" if "metadata_read" in asked.query else "other"})

    registry = ScriptedRegistry({MANIFEST: react, "/token": issue})
    async with make_client(registry) as client:
        await client.get_manifest(A, V1)
        await client.get_manifest(A, V1)
        assert (1, 3) == (
            client.ledger.count(RequestKind.TOKEN),
            client.ledger.count(RequestKind.MANIFEST_GET),
        )


async def test_learned_scope_is_unlearned(make_client: MakeClient) -> None:
    """A registry that comes back to our scope is asked with it at once, not with what it wanted before."""
    wanted = "read"

    def react(asked: Asked) -> Answer:
        if asked.headers.get("authorization") == f"Bearer {wanted}":
            return FOUND
        scope = "repository:a:metadata_read" if wanted == "read" else "repository:a:pull"
        return answer_error(401, WWW_Authenticate=f'Bearer realm="/token",scope="{scope}"')

    def issue(asked: Asked) -> Answer:
        return answer_json({"token": "read" if "metadata_read" in asked.query else "pull"})

    async with make_client(ScriptedRegistry({MANIFEST: react, "/token": issue})) as client:
        await client.get_manifest(A, V1)
        wanted = "pull"
        await client.get_manifest(A, V1)
        before = client.ledger.total
        await client.get_manifest(A, V1)
        assert before + 1 == client.ledger.total


async def test_basic(make_client: MakeClient) -> None:
    """Basic is offered when it is asked for, and from then on at once."""

    def react(asked: Asked) -> Answer:
        if asked.headers.get("authorization") == BASIC:
            return FOUND
        return answer_error(401, WWW_Authenticate='Basic realm="Registry"')

    registry = ScriptedRegistry({MANIFEST: react})
    async with make_client(registry, **ALICE) as client:
        await client.get_manifest(A, V1)
        await client.get_manifest(A, V1)
    assert [None, BASIC, BASIC] == [asked.headers.get("authorization") for asked in registry.asked]


@pytest.mark.parametrize(
    ("challenge", "settings", "expected"),
    [
        # Each request once without and once with what there is: no registry draws us into a loop.
        ('Bearer realm="/token",scope="x:y:z"', {}, [MANIFEST, "/token?scope=x%3Ay%3Az", MANIFEST]),
        ('Bearer realm="/token",scope="x:y:z"', ALICE, [MANIFEST, "/token?scope=x%3Ay%3Az", MANIFEST]),
        ('Basic realm="x"', ALICE, [MANIFEST, MANIFEST]),
        ('Basic realm="x"', {}, [MANIFEST]),
        ("Digest nonce=1", ALICE, [MANIFEST]),
        ("", ALICE, [MANIFEST]),
        ('Bearer realm="https://evil.example/token"', ALICE, [MANIFEST]),
        ('Bearer realm="http://registry.example/token"', ALICE, [MANIFEST]),
    ],
)
async def test_endless_refusal(
    make_client: MakeClient, challenge: str, settings: dict[str, str], expected: list[str]
) -> None:
    """A registry that always answers 401 is asked once more at most, and never through another host."""
    refusal = answer_error(401, "UNAUTHORIZED", WWW_Authenticate=challenge)
    registry = ScriptedRegistry({MANIFEST: refusal, "/token": answer_json({"token": "t"})})
    async with make_client(registry, retries=PLAIN, **settings) as client:
        with pytest.raises(RegistryDeniedError) as caught:
            await client.get_manifest(A, V1)
    assert expected == registry.targets
    assert 401 == caught.value.http_status


async def test_basic_is_refused_once_known(make_client: MakeClient) -> None:
    """A password that is refused is not sent twice for one request."""
    registry = ScriptedRegistry({MANIFEST: answer_error(401, WWW_Authenticate='Basic realm="x"')})
    async with make_client(registry, **ALICE) as client:
        for _ in range(2):
            with pytest.raises(RegistryDeniedError):
                await client.get_manifest(A, V1)
    assert [None, BASIC, BASIC] == [asked.headers.get("authorization") for asked in registry.asked]


async def test_forbidden_is_final(make_client: MakeClient) -> None:
    """403 brings no token request about."""
    registry = ScriptedRegistry({MANIFEST: answer_error(403, WWW_Authenticate='Bearer realm="/token"')})
    async with make_client(registry, **ALICE) as client:
        with pytest.raises(RegistryDeniedError):
            await client.get_manifest(A, V1)
    assert [MANIFEST] == registry.targets


async def test_throttled_token_server(make_client: MakeClient) -> None:
    """A token server's Retry-After is obeyed like the registry's."""
    answers = in_turn(Answer(429, headers={"Retry-After": "9"}), answer_json({"token": "t"}))

    def react(asked: Asked) -> Answer:
        if asked.headers.get("authorization") == "Bearer t":
            return FOUND
        return answer_error(401, WWW_Authenticate='Bearer realm="/token"')

    async with make_client(ScriptedRegistry({MANIFEST: react, "/token": answers}), retries=PLAIN) as client:
        await client.get_manifest(A, V1)
        assert (2, 9 + FIRST_INTERVAL) == (client.ledger.count(RequestKind.TOKEN), now())


@pytest.mark.parametrize("location", ["https://storage.example/moved", "http://registry.example:8080/moved"])
async def test_token_stays_at_its_origin(make_client: MakeClient, location: str) -> None:
    """No other host, port or scheme sees the token, and a way back does not bring it back."""
    guarded = Guarded({MANIFEST: redirect_to(location)})
    back = "http://registry.example/back"
    guarded.registry.script |= {"/moved": redirect_to(back), "/back": FOUND}
    async with make_client(guarded.registry, url="http://registry.example", **ALICE) as client:
        if location.startswith("https"):
            with pytest.raises(RegistryProtocolError):  # the way back is from https to http
                await client.get_manifest(A, V1)
        else:
            await client.get_manifest(A, V1)
    after = guarded.registry.asked[3:]
    assert {"/moved", "/back"} >= {asked.path for asked in after} >= {"/moved"}
    assert {None} == {asked.headers.get("authorization") for asked in after}


async def test_token_goes_along_within_the_origin(make_client: MakeClient) -> None:
    """A redirect to another path of the registry itself keeps the token."""
    guarded = Guarded({MANIFEST: redirect_to("/moved"), "/moved": FOUND})
    async with make_client(guarded.registry) as client:
        await client.get_manifest(A, V1)
    assert "Bearer token-1" == guarded.registry.asked[-1].headers["authorization"]


async def test_challenge_of_another_host_is_not_answered(make_client: MakeClient) -> None:
    """A host that we were redirected to cannot ask for credentials, not even from the right realm."""
    challenge = answer_error(401, WWW_Authenticate='Bearer realm="https://registry.example/token"')
    script = {MANIFEST: redirect_to("https://storage.example/moved"), "/moved": challenge, "/token": Answer()}
    registry = ScriptedRegistry(script)
    async with make_client(registry, **ALICE) as client:
        with pytest.raises(RegistryFailedError):
            await client.get_manifest(A, V1)
    assert [MANIFEST, "/moved"] == registry.targets


async def test_named_token_host(make_client: MakeClient) -> None:
    """A token server on a host that the operator named is asked."""
    guarded = Guarded({MANIFEST: FOUND}, realm="https://auth.example/token")
    async with make_client(guarded.registry, token_hosts=("auth.example",), **ALICE) as client:
        await client.get_manifest(A, V1)
    assert "auth.example" == guarded.token_requests[0].headers["host"]
    assert BASIC == guarded.token_requests[0].headers["authorization"]
