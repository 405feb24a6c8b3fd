"""Every way known to have led a registry's client to give secrets away, tried over real loopback sockets.

The registry means harm and wants the password or the token of who reads it at an origin of its own, which
listens too: what arrived there is looked at byte for byte. Each attack has happened to others.

| attack | seen in | test, in `test_leaks` unless it says where |
|---|---|---|
| URLs of foreign layers | CVE-2020-15157, ggcr 6dad820d | `leaks_content`: `foreign_layers` |
| realm of a challenge elsewhere | CVE-2026-48978, GHSA-28r5-37g7-p6mp | `realm_elsewhere` |
| realm without TLS | CVE-2026-33990 | `realm_without_tls` |
| token server that redirects | ggcr #2292 | `token_server_redirects` |
| name that changes its address | DNS rebinding | `transport`: `rebinding` |
| redirect to another origin | GHSA-vh4v-2xq2-g5cg | `redirect_elsewhere`, `…_and_back`, `…_out_of_tls` |
| redirect of a list | the same | `list_redirects` |
| challenge behind a redirect | httpx's auth flow | `challenge_behind_a_redirect` |
| document of two types | CVE-2021-41190 | `leaks_content`: `two_types` |
| digest that is a path | CVE-2024-3727 | `leaks_content`: `digests_that_are_paths` |
| bytes that a digest does not name | CVE-2025-24882 | `registry_abuse`: `lie_about_a_digest` |
| link to another origin | GHSA-h7vf-4x9w-h99v | `link_elsewhere` |
| pages without end | GHSA-298f-872v-2rcx | `registry_abuse`: `endless_links`, `link_in_a_circle` |
| hostile JSON | GHSA-f36w-mj3v-6jqv | `token_that_writes_headers`; `registry_abuse`: `documents_…` |
| compressed bodies | httpx, which unpacks | `compressed_token`; `registry_abuse`: `compressed_body` |
| names that are paths or hosts | httpx, which joins `//host` | `leaks_content`: `names_that_lead_elsewhere` |
| user and password in a URL | httpx, which logs in with them | `user_in_a_url` |
| links with a semicolon | `httpx.Response.links` | `link_with_semicolon` |
| variables of the environment | `trust_env`, `NETRC`, `SSLKEYLOGFILE` | `environment` |
| what another identity may see | zuul-registry's global blobs | `identities_apart`, `registries_apart` |
| events that nobody signed | distribution, ACR, Docker Hub, Quay | `leaks_content`: `no_events` |
| secrets in logs and errors | ggcr internal/redact | `registry_secrets` |
| graphs without end | GHSA-298f-872v-2rcx | `leaks_content`: `graph_without_end` |

ggcr is google/go-containerregistry.
"""

import base64
import gzip
import json
import ssl
from pathlib import Path
from typing import Any

import pytest

from builders import make_image
from fakes.guarded import LOGIN, PASSWORD, TOKEN, TOKEN_ANSWER, GuardedServer, secrets_in
from fakes.hostile import HostileServer, Wire, respond
from fakes.scripted import Asked
from graph.errors import RegistryDeniedError, RegistryError, RegistryProtocolError
from graph.oci.descriptor import Descriptor
from graph.oci.digest import Digest
from graph.oci.reference import RepositoryName, TagName
from graph.registry.client import RegistryClient
from graph.registry.exchange import RetryPolicy
from graph.settings import RegistrySettings

pytestmark = pytest.mark.anyio

# A certificate of 127.0.0.1 with its key, and the authority for it.
CERTIFICATE = Path(__file__).parent / "self_signed.pem"
A = RepositoryName("a")
V1 = TagName("v1")
MANIFEST = "/v2/a/manifests/v1"
TAGS = "/v2/a/tags/list"
CATALOG = "/v2/_catalog"
IMAGE = make_image()


def connect(server: HostileServer, **settings: Any) -> RegistryClient:
    """A client that has a login, and asks once."""
    given = {"url": server.url, **LOGIN, **settings}
    return RegistryClient(RegistrySettings(**given), retries=RetryPolicy(attempts=1))


def as_json(document: Any) -> bytes:
    return json.dumps(document).encode()


def speak_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


@pytest.mark.parametrize(
    "realm",
    [
        "http://{thief}/token",
        "//{thief}/token",
        "http://localhost:{port}/token",
        "http://0.0.0.0:{port}/token",
        "http://2130706433:{port}/token",
        "http://[::ffff:127.0.0.1]:{port}/token",
        "http://{here}@{thief}/token",
        "http://{thief}\\@{here}/token",
        "http://{thief}#@{here}/token",
        "http://{here}.{thief}/token",
        "\thttp://{thief}/token",
    ],
)
async def test_realm_elsewhere(realm: str) -> None:
    """A realm on another port of the same machine, in whatever clothes, is asked for no token."""
    async with HostileServer() as thief, GuardedServer() as server:
        where = realm.format(thief=thief.netloc, here=server.netloc, port=thief.netloc.partition(":")[2])
        server.challenge = f'Bearer realm="{where}",service="s"'
        async with connect(server) as client:
            with pytest.raises(RegistryError):
                await client.get_manifest(A, V1)
    assert b"" == thief.heard


async def test_realm_without_tls() -> None:
    """A registry with TLS gets no token from a realm without, not even from a host that is allowed."""
    async with HostileServer() as thief, GuardedServer(tls=speak_tls()) as server:
        server.challenge = f'Bearer realm="{thief.url}/token",service="s"'
        async with connect(server, ca_file=CERTIFICATE, token_hosts=(thief.netloc,)) as client:
            with pytest.raises(RegistryDeniedError, match="not https"):
                await client.get_manifest(A, V1)
    assert b"" == thief.heard


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_token_server_redirects(status: int) -> None:
    """A token request is redirected nowhere: the password would go along."""
    async with HostileServer() as thief, GuardedServer() as server:
        server.token_answer = respond(status, location=f"{thief.url}/token")
        async with connect(server) as client:
            with pytest.raises(RegistryProtocolError, match="redirects"):
                await client.get_manifest(A, V1)
    assert b"" == thief.heard


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["manifest", "head", "config"])
async def test_redirect_elsewhere(method: str, status: int) -> None:
    """Another port is another origin: it is asked, and learns neither token nor password."""
    config = IMAGE.blobs[0]
    async with HostileServer() as thief, GuardedServer() as server:
        away = respond(status, location=f"{thief.url}/x?sig=1")
        server.script = {MANIFEST: away, f"/v2/a/blobs/{config.digest}": away}
        body = config.data if method == "config" else IMAGE.data
        thief.script["/x"] = respond(200, body, content_type=IMAGE.media_type)
        async with connect(server) as client:
            match method:
                case "manifest":
                    await client.get_manifest(A, V1)
                case "head":
                    await client.head_manifest(A, V1)
                case _:
                    await client.get_config(A, describe(config.digest, config.size))
    assert ["/x?sig=1"] == thief.targets
    assert (None, []) == (thief.asked[0].headers.get("authorization"), secrets_in(thief.heard))


async def test_redirect_and_back() -> None:
    """Who was sent away and back again is a stranger: the registry's own answer then is not believed its."""
    async with HostileServer() as thief, GuardedServer() as server:
        server.script[MANIFEST] = respond(307, location=f"{thief.url}/x")
        thief.script["/x"] = respond(307, location=f"{server.url}/v2/a/manifests/secret")
        async with connect(server) as client:
            with pytest.raises(RegistryError):
                await client.get_manifest(A, V1)
    assert [] == secrets_in(thief.heard)
    assert None is server.asked[-1].headers.get("authorization")
    assert "/v2/a/manifests/secret" == server.asked[-1].path


async def test_redirect_out_of_tls() -> None:
    """A redirect from https to plain http is not followed."""
    async with HostileServer() as thief, GuardedServer(tls=speak_tls()) as server:
        server.script[MANIFEST] = respond(307, location=f"{thief.url}/x")
        async with connect(server, ca_file=CERTIFICATE) as client:
            with pytest.raises(RegistryProtocolError, match="from https to http"):
                await client.get_manifest(A, V1)
    assert b"" == thief.heard


async def test_list_redirects() -> None:
    """Only content is ever somewhere else: a list that redirects is no list."""
    async with HostileServer() as thief, GuardedServer() as server:
        away = respond(307, location=f"{thief.url}/x")
        server.script = {CATALOG: away, TAGS: away, "/v2/": away}
        async with connect(server) as client:
            for ask in (client.list_repositories(), client.list_tags(A)):
                with pytest.raises(RegistryError):
                    await anext(ask)
            with pytest.raises(RegistryError):
                await client.ping()
    assert b"" == thief.heard


@pytest.mark.parametrize(
    "challenge",
    ['Basic realm="x"', 'Bearer realm="/token",service="s"', 'Bearer realm="{thief}/token",service="s"'],
)
async def test_challenge_behind_a_redirect(challenge: str) -> None:
    """Where a redirect leads to, no challenge is answered, and none changes how the registry is asked."""
    async with HostileServer() as thief, GuardedServer() as server:
        server.script[MANIFEST] = respond(307, location=f"{thief.url}/x")
        thief.script["/x"] = respond(401, www_authenticate=challenge.format(thief=thief.url))
        async with connect(server) as client:
            await client.ping()  # a challenge is answered once a request: this one leaves it to the next
            with pytest.raises(RegistryError):
                await client.get_manifest(A, V1)
            await client.ping()
    assert ["/x"] == thief.targets
    assert [] == secrets_in(thief.heard)
    assert ["/v2/", "/token", "/v2/", "/token", MANIFEST, "/v2/"] == [asked.path for asked in server.asked]
    assert ["/v2/", MANIFEST, "/v2/"] == server.paths


@pytest.mark.parametrize(
    "target",
    [
        "{thief}/v2/_catalog?last=x",
        "//{netloc}/v2/_catalog?last=x",
        "http://u:p@{netloc}/v2/_catalog?last=x",
        "\\\\{netloc}\\v2?last=x",
    ],
)
async def test_link_elsewhere(target: str) -> None:
    """The next page of a list is on the registry that began it, with its token, wherever the link leads."""
    async with HostileServer() as thief, GuardedServer() as server:
        link = target.format(thief=thief.url, netloc=thief.netloc)
        server.script[CATALOG] = [
            respond(200, as_json({"repositories": ["a"]}), link=f'<{link}>; rel="next"'),
            respond(200, as_json({"repositories": ["b"]})),
        ]
        async with connect(server) as client:
            assert ["a", "b"] == [name async for page in client.list_repositories() for name in page]
    assert b"" == thief.heard
    assert f"{CATALOG}?last=x" == server.targets[-1]


async def test_link_with_semicolon() -> None:
    """A cursor is sent back as it came, whatever signs it holds: cut short it asks for something else."""
    async with HostileServer() as thief, GuardedServer() as server:
        link = f'</v2/_catalog?last=a;b,c&n=2>; title="<{thief.url}/x>; rel=next"; rel="next"'
        server.script[CATALOG] = [
            respond(200, as_json({"repositories": ["a"]}), link=link),
            respond(200, as_json({"repositories": ["b"]})),
        ]
        async with connect(server) as client:
            assert ["a", "b"] == [name async for page in client.list_repositories() for name in page]
    assert b"" == thief.heard
    assert f"{CATALOG}?last=a;b,c&n=2" == server.targets[-1]


@pytest.mark.parametrize("where", ["location", "realm"])
async def test_user_in_a_url(where: str) -> None:
    """A URL that brings a user along is not asked: who asks would log in as the registry likes."""
    async with HostileServer() as thief, GuardedServer() as server:
        url = f"http://mallory:pass@{thief.netloc}/x"
        if where == "realm":
            server.challenge = f'Bearer realm="{url}",service="s"'
        server.script[MANIFEST] = respond(307, location=url)
        # The thief's host is allowed: it is the user alone that is refused.
        async with connect(server, token_hosts=(thief.netloc,)) as client:
            with pytest.raises(RegistryError, match="holds a user or password"):
                await client.get_manifest(A, V1)
    assert b"" == thief.heard


@pytest.mark.parametrize(
    "ending", ["\r\nHost: {thief}", "\nX-Leak: 1", " x", "\x00", "\u00e9", "\r\n\r\nGET / HTTP"]
)
async def test_token_that_writes_headers(ending: str) -> None:
    """A token that would end its header, and begin another or another request, is no token."""
    async with HostileServer() as thief, GuardedServer() as server:
        token = TOKEN + ending.format(thief=thief.netloc)
        server.token_answer = respond(200, as_json({"token": token}))
        async with connect(server) as client:
            with pytest.raises(RegistryProtocolError, match="without a token") as caught:
                await client.get_manifest(A, V1)
    assert (b"", []) == (bytes(thief.heard), secrets_in(server.heard, [TOKEN]))
    assert [] == secrets_in(str(caught.value).encode())


async def test_compressed_token() -> None:
    """A token server's answer is not unpacked, so that none of it can be a bomb."""
    async with GuardedServer() as server:
        server.token_answer = respond(200, gzip.compress(TOKEN_ANSWER), content_encoding="gzip")
        async with connect(server) as client:
            with pytest.raises(RegistryProtocolError, match="compressed"):
                await client.get_manifest(A, V1)
    assert {"identity"} == {asked.headers["accept-encoding"] for asked in server.asked}
    assert [] == secrets_in(server.heard, [TOKEN])


async def test_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable sends requests elsewhere, adds a login, or has the keys of connections written down."""
    netrc, config, keys = tmp_path / "netrc", tmp_path / "docker", tmp_path / "keys"
    netrc.write_text("machine 127.0.0.1 login mallory password from-netrc\n")
    config.mkdir()
    packed = base64.b64encode(b"mallory:from-docker").decode()
    async with HostileServer() as thief, GuardedServer(tls=speak_tls()) as server:
        (config / "config.json").write_text(json.dumps({"auths": {server.netloc: {"auth": packed}}}))
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, thief.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("NETRC", str(netrc))
        monkeypatch.setenv("DOCKER_CONFIG", str(config))
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(config / "config.json"))
        monkeypatch.setenv("SSLKEYLOGFILE", str(keys))
        server.challenge = 'Basic realm="x"'
        anonymous = {"username": None, "password": None, "ca_file": CERTIFICATE}
        async with connect(server, **anonymous) as client:
            with pytest.raises(RegistryDeniedError):
                await client.get_manifest(A, V1)
    assert b"" == thief.heard
    assert [None] == [asked.headers.get("authorization") for asked in server.asked]
    assert not keys.exists()


async def test_identities_apart(tmp_path: Path) -> None:
    """What one login was given is not shown for another, though realm, service and scope are the same.

    containers' `auth.json` has a login for each namespace, and a registry may ask for one scope of all; two
    identity tokens have the same user name.
    """
    file = tmp_path / "auth.json"
    tokens = {"one": "refresh-of-one", "two": "refresh-of-two"}

    async def issue(asked: Asked, wire: Wire) -> None:
        (name,) = [name for name, secret in tokens.items() if secret.encode() in asked.body]
        await respond(200, as_json({"token": f"access-{len(server.asked)}-of-{name}"}))(asked, wire)

    wider = respond(401, www_authenticate='Bearer realm="/token",scope="registry:all:pull"')
    async with HostileServer({"/token": issue}) as server:
        entries = {f"{server.netloc}/{name}": {"identitytoken": secret} for name, secret in tokens.items()}
        file.write_text(json.dumps({"auths": entries}))
        async with connect(server, username=None, password=None, auth_file=file) as client:
            for name in tokens:
                server.script[f"/v2/{name}/x/manifests/v1"] = [wider, respond(200, IMAGE.data)]
                await client.get_manifest(RepositoryName(f"{name}/x"), V1)
    for name in tokens:
        shown = [
            asked.headers.get("authorization")
            for asked in server.asked
            if asked.path.startswith(f"/v2/{name}/")
        ]
        assert [name] == sorted({text.rpartition("-")[2] for text in shown if text})


async def test_registries_apart() -> None:
    """Two registries in one process: neither hears of the other's login, and each has its own."""
    async with GuardedServer() as one, HostileServer() as other:
        other.script[MANIFEST] = respond(401, www_authenticate='Basic realm="x"')
        one.hold("a", IMAGE, "v1")
        async with (
            connect(one) as client,
            connect(other, username="bob", password="builder-4d1e") as another,
        ):
            await client.get_manifest(A, V1)
            with pytest.raises(RegistryDeniedError):
                await another.get_manifest(A, V1)
    bob = base64.b64encode(b"bob:builder-4d1e").decode()
    assert [] == secrets_in(other.heard)
    assert [] == secrets_in(one.heard, ["builder-4d1e", bob])
    assert f"Basic {bob}" == other.asked[-1].headers["authorization"]


def describe(digest: str, size: int, **more: Any) -> Descriptor:
    return Descriptor("application/x", Digest(digest), size, (), {}, None, None, **more)


def test_looking_for_secrets() -> None:
    """A secret is found in the clear, in a URL and in base64, wherever it begins."""
    for before in range(4):
        packed = base64.b64encode(b"x" * before + PASSWORD.encode() + b"yy")
        assert [] != secrets_in(packed)
    assert [] != secrets_in(b"GET /?p=" + PASSWORD.encode())
    assert [] == secrets_in(b"GET / HTTP/1.1")
