"""What the client asks and what it makes of the answers, against scripted registries in memory."""

import hashlib
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from builders import OCI_INDEX, OCI_MANIFEST, Built, make_image
from fakes.scripted import Answer, Asked, ScriptedRegistry, answer_error, answer_json
from graph.errors import (
    ContentTooLargeError,
    DigestMismatchError,
    DoubtfulListError,
    InvalidNameError,
    RegistryDeniedError,
    RegistryError,
    RegistryFailedError,
    RegistryProtocolError,
    RegistryUnknownError,
    RegistryUnsupportedError,
)
from graph.oci.descriptor import Descriptor
from graph.oci.digest import Digest
from graph.oci.reference import RepositoryName, TagName
from graph.registry.capability import Capability, CapabilityState
from graph.registry.client import FetchedManifest, ManifestHead, RegistryClient
from graph.registry.dialects import DIALECTS
from graph.registry.dialects.oci import OciDialect, parse_tag
from graph.registry.entries import ListedTag
from graph.registry.ledger import RequestKind
from graph.registry.listing import Listing
from graph.registry.wire import MAX_CONFIG_BYTES, pull_scope
from graph.settings import RegistrySettings
from graph.settings.registry import AUTOMATIC_DIALECT, DIALECT_NAMES

pytestmark = pytest.mark.anyio

MakeClient = Callable[..., RegistryClient]
A = RepositoryName("a")
V1 = TagName("v1")
IMAGE = make_image()
CONFIG = IMAGE.blobs[0]


def as_answer(content: Built, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(200, content.data, {"content-type": content.media_type} | named)


def descriptor_of(content: Built, size: int | None = None) -> Descriptor:
    size = content.size if size is None else size
    return Descriptor(content.media_type, Digest(content.digest), size, (), {}, None, None)


async def collect(pages: AsyncIterator[tuple[str | ListedTag, ...]]) -> list[tuple[str, ...]]:
    """The names on each page."""
    return [names_of(page) async for page in pages]


def names_of(page: tuple[str | ListedTag, ...]) -> tuple[str, ...]:
    return tuple(item if isinstance(item, str) else item.name for item in page)


async def test_ping(make_client: MakeClient) -> None:
    """A ping is one GET of /v2/, as ourselves and without compression."""
    registry = ScriptedRegistry({"/v2/": Answer()})
    async with make_client(registry) as client:
        await client.ping()

    assert ["/v2/"] == registry.targets
    sent = registry.asked[0].headers
    assert "identity" == sent["accept-encoding"]
    assert sent["user-agent"].startswith("ocigraph/")
    assert "authorization" not in sent and "cookie" not in sent
    assert (1, 1) == (client.ledger.total, client.ledger.count(RequestKind.PING))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (404, RegistryUnknownError),
        (403, RegistryDeniedError),
        (401, RegistryDeniedError),
        (500, RegistryFailedError),
    ],
)
async def test_ping_fails(make_client: MakeClient, status: int, expected: type[RegistryError]) -> None:
    """What is no registry, or one that will not have us, is an error."""
    async with make_client(ScriptedRegistry({"/v2/": Answer(status)})) as client:
        with pytest.raises(expected):
            await client.ping()


async def test_list_repositories(make_client: MakeClient) -> None:
    """The catalog comes page by page, each Link's query sent as it is, and shows that there is one."""
    pages = {
        "n=2": answer_json({"repositories": ["a", "a/b"]}, Link='</v2/_catalog?last=a%2Fb&n=2>; rel="next"'),
        "last=a%2Fb&n=2": answer_json({"repositories": ["c"]}),
    }
    registry = ScriptedRegistry({"/v2/_catalog": lambda asked: pages[asked.query]})
    async with make_client(registry, page_size=2) as client:
        assert [("a", "a/b"), ("c",)] == await collect(client.list_repositories())
        assert CapabilityState.SUPPORTED is client.capabilities[Capability.CATALOG]

    assert ["/v2/_catalog?n=2", "/v2/_catalog?last=a%2Fb&n=2"] == registry.targets
    assert 2 == client.ledger.count(RequestKind.CATALOG)


@pytest.mark.parametrize("answer", [answer_error(404), answer_error(405, "UNSUPPORTED"), answer_error(501)])
async def test_no_catalog(make_client: MakeClient, answer: Answer) -> None:
    """A registry without a catalog is a capability that is missing, not an empty registry."""
    async with make_client(ScriptedRegistry({"/v2/_catalog": answer})) as client:
        with pytest.raises(RegistryUnsupportedError):
            await collect(client.list_repositories())
        assert CapabilityState.UNSUPPORTED is client.capabilities[Capability.CATALOG]


async def test_catalog_denied(make_client: MakeClient) -> None:
    """A catalog that we may not see says nothing about whether there is one."""
    async with make_client(ScriptedRegistry({"/v2/_catalog": answer_error(403, "DENIED")})) as client:
        with pytest.raises(RegistryDeniedError):
            await collect(client.list_repositories())
        assert CapabilityState.UNKNOWN is client.capabilities[Capability.CATALOG]


async def test_page_size_is_remembered(make_client: MakeClient) -> None:
    """A page size that the registry took is the one to begin with next time, for this kind of list."""

    def catalog(asked: Asked) -> Answer:
        if asked.query == "n=1000":
            return answer_error(400, "PAGINATION_NUMBER_INVALID")
        return answer_json({"repositories": ["a"]})

    registry = ScriptedRegistry({"/v2/_catalog": catalog, "/v2/a/tags/list": answer_json({"tags": ["v1"]})})
    async with make_client(registry) as client:
        await collect(client.list_repositories())
        await collect(client.list_repositories())
        await collect(client.list_tags(A))

    assert [
        "/v2/_catalog?n=1000",
        "/v2/_catalog?n=100",
        "/v2/_catalog?n=100",
        "/v2/a/tags/list?n=1000",
    ] == registry.targets


async def test_list_tags(make_client: MakeClient) -> None:
    """Tags come page by page, and entries that are no tags are dropped and counted."""
    tags = ["v1", None, "sha256:" + "0" * 64, "latest"]
    registry = ScriptedRegistry({"/v2/a/tags/list": answer_json({"name": "a", "tags": tags})})
    async with make_client(registry) as client:
        assert [("v1", "latest")] == await collect(client.list_tags(A))
        assert 2 == client.dropped


async def test_list_of_doubtful_tags(make_client: MakeClient) -> None:
    """A list that holds what is no name ends in an error; what it names is true."""
    registry = ScriptedRegistry({"/v2/a/tags/list": answer_json({"tags": ["v1", "-bad", 7]})})
    seen = []
    async with make_client(registry) as client:
        with pytest.raises(DoubtfulListError):
            async for page in client.list_tags(A):
                seen += page
        assert (["v1"], 2) == ([tag.name for tag in seen], client.dropped)


async def test_null_tags(make_client: MakeClient) -> None:
    """distribution 2.8 writes null where the last tag is gone: none, and no error."""
    registry = ScriptedRegistry({"/v2/a/tags/list": answer_json({"name": "a", "tags": None})})
    async with make_client(registry) as client:
        assert [()] == await collect(client.list_tags(A))


async def test_tags_of_unknown_repository(make_client: MakeClient) -> None:
    """404 on the first page means that the repository is not known."""
    async with make_client(ScriptedRegistry({})) as client:
        with pytest.raises(RegistryUnknownError) as caught:
            await collect(client.list_tags(A))
    assert ("NAME_UNKNOWN",) == caught.value.codes


async def test_list_breaks_off(make_client: MakeClient) -> None:
    """404 on a later page, twice, cuts the list short: it never means that the repository is not known."""

    def tags(asked: Asked) -> Answer:
        if asked.query == "n=1000":
            return answer_json({"tags": ["v1"]}, Link='<?last=v1>; rel="next"')
        return answer_error(404)

    registry = ScriptedRegistry({"/v2/a/tags/list": tags})
    pages = []
    async with make_client(registry) as client:
        with pytest.raises(RegistryProtocolError):
            async for page in client.list_tags(A):
                pages.append(names_of(page))
    assert [("v1",), ("v1",)] == pages
    assert 4 == client.ledger.count(RequestKind.TAGS)


async def test_names_before_a_loop_are_kept(make_client: MakeClient) -> None:
    """A page whose Link leads back is yielded before the error: what it says is true."""
    answer = answer_json({"tags": ["v1"]}, Link='</v2/a/tags/list?n=1000>; rel="next"')
    pages = []
    async with make_client(ScriptedRegistry({"/v2/a/tags/list": answer})) as client:
        with pytest.raises(RegistryProtocolError):
            async for page in client.list_tags(A):
                pages.append(names_of(page))
    assert [("v1",)] == pages


async def test_get_manifest_by_tag(make_client: MakeClient) -> None:
    """By tag the digest is computed from the bytes; a header that says otherwise is not believed."""
    lie = "sha256:" + "0" * 64
    registry = ScriptedRegistry({"/v2/a/manifests/v1": as_answer(IMAGE, docker_content_digest=lie)})
    async with make_client(registry) as client:
        assert FetchedManifest(Digest(IMAGE.digest), OCI_MANIFEST, IMAGE.data) == await client.get_manifest(
            A, V1
        )

    assert {OCI_MANIFEST, OCI_INDEX} <= set(registry.asked[0].headers["accept"].split(", "))
    assert 1 == client.ledger.count(RequestKind.MANIFEST_GET)


async def test_get_manifest_by_digest(make_client: MakeClient) -> None:
    """By digest the bytes are verified, and parameters of the Content-Type are not part of the type."""
    answer = Answer(200, IMAGE.data, {"content-type": f"{OCI_MANIFEST}; charset=utf-8"})
    async with make_client(ScriptedRegistry({f"/v2/a/manifests/{IMAGE.digest}": answer})) as client:
        fetched = await client.get_manifest(A, Digest(IMAGE.digest))
    assert FetchedManifest(Digest(IMAGE.digest), OCI_MANIFEST, IMAGE.data) == fetched


async def test_get_manifest_by_sha512(make_client: MakeClient) -> None:
    """Other algorithms that can be computed are verified too, and the digest stays the one asked for."""
    digest = Digest("sha512:" + hashlib.sha512(IMAGE.data).hexdigest())
    async with make_client(ScriptedRegistry({f"/v2/a/manifests/{digest}": as_answer(IMAGE)})) as client:
        assert digest == (await client.get_manifest(A, digest)).digest


@pytest.mark.parametrize("digest", ["sha256:" + "0" * 64, "sha512:" + "0" * 128, "blake3:abc"])
async def test_bytes_that_are_not_the_digest(make_client: MakeClient, digest: str) -> None:
    """Bytes that do not hash to the digest asked for are never handed on."""
    async with make_client(ScriptedRegistry({f"/v2/a/manifests/{digest}": as_answer(IMAGE)})) as client:
        with pytest.raises(DigestMismatchError):
            await client.get_manifest(A, Digest(digest))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            {"docker-content-digest": IMAGE.digest, "content-type": OCI_MANIFEST, "content-length": "7"},
            ManifestHead(Digest(IMAGE.digest), OCI_MANIFEST, 7),
        ),
        ({}, ManifestHead(None, None, None)),
        ({"docker-content-digest": "sha256:zz", "content-length": "-1"}, ManifestHead(None, None, None)),
        ({"content-length": "9" * 16}, ManifestHead(None, None, None)),
    ],
)
async def test_head_manifest(
    make_client: MakeClient, headers: dict[str, str], expected: ManifestHead
) -> None:
    """A HEAD tells what its headers tell; what is missing or odd is not known."""
    registry = ScriptedRegistry({"/v2/a/manifests/v1": Answer(200, b"", headers)})
    async with make_client(registry) as client:
        assert expected == await client.head_manifest(A, V1)
    assert ["HEAD"] == [asked.method for asked in registry.asked]
    assert 1 == client.ledger.count(RequestKind.MANIFEST_HEAD)


@pytest.mark.parametrize("named", ["", IMAGE.digest, "sha512:" + "0" * 128])
async def test_head_by_digest(make_client: MakeClient, named: str) -> None:
    """Asked by digest the answer is about that digest; another algorithm's name for it is allowed."""
    answer = Answer(200, b"", {"docker-content-digest": named})
    async with make_client(ScriptedRegistry({f"/v2/a/manifests/{IMAGE.digest}": answer})) as client:
        assert Digest(IMAGE.digest) == (await client.head_manifest(A, Digest(IMAGE.digest))).digest


async def test_head_by_digest_lies(make_client: MakeClient) -> None:
    """An answer about another digest than the one asked for is a lie."""
    answer = Answer(200, b"", {"docker-content-digest": "sha256:" + "0" * 64})
    async with make_client(ScriptedRegistry({f"/v2/a/manifests/{IMAGE.digest}": answer})) as client:
        with pytest.raises(RegistryProtocolError):
            await client.head_manifest(A, Digest(IMAGE.digest))


async def test_get_config(make_client: MakeClient) -> None:
    """A config is a blob, verified."""
    registry = ScriptedRegistry({f"/v2/a/blobs/{CONFIG.digest}": as_answer(CONFIG)})
    async with make_client(registry) as client:
        assert CONFIG.data == await client.get_config(A, descriptor_of(CONFIG))
    assert 1 == client.ledger.count(RequestKind.CONFIG)


async def test_config_that_is_not_its_digest(make_client: MakeClient) -> None:
    """A config whose bytes are others is never handed on."""
    registry = ScriptedRegistry({f"/v2/a/blobs/{CONFIG.digest}": Answer(200, b"{}")})
    async with make_client(registry) as client:
        with pytest.raises(DigestMismatchError):
            await client.get_config(A, descriptor_of(CONFIG))


async def test_config_said_to_be_large(make_client: MakeClient) -> None:
    """A config that says it is too large is not asked for."""
    async with make_client(ScriptedRegistry({})) as client:
        with pytest.raises(ContentTooLargeError):
            await client.get_config(A, descriptor_of(CONFIG, size=MAX_CONFIG_BYTES + 1))
    assert 0 == client.ledger.total


async def test_foreign_urls_are_never_asked(make_client: MakeClient) -> None:
    """A descriptor's `urls` are text (CVE-2020-15157): a blob that is missing is missing."""
    registry = ScriptedRegistry({})
    foreign = Descriptor(
        "application/x", Digest(CONFIG.digest), 1, ("https://evil.example/x",), {}, None, None
    )
    async with make_client(registry) as client:
        with pytest.raises(RegistryUnknownError):
            await client.get_config(A, foreign)
    assert [f"/v2/a/blobs/{CONFIG.digest}"] == registry.targets


@pytest.mark.parametrize("name", ["../a", "a/../../b", "a?b", "A\u0301"])
async def test_names_are_checked_before_a_request(make_client: MakeClient, name: str) -> None:
    """A name that is none is refused before anything is sent."""
    async with make_client(ScriptedRegistry({})) as client:
        with pytest.raises(InvalidNameError):
            await client.get_manifest(RepositoryName(name), V1)
        with pytest.raises(InvalidNameError):
            await collect(client.list_tags(RepositoryName(name)))
    assert 0 == client.ledger.total


def test_the_settings_know_every_dialect() -> None:
    """What the settings take for a dialect is what there is, and what nobody chose."""
    assert DIALECT_NAMES == {AUTOMATIC_DIALECT, *(dialect.name for dialect in DIALECTS)}


class VendorDialect(OciDialect):
    """A registry that lists its tags elsewhere and in another shape, and tells when they were pushed."""

    name = "vendor"
    capabilities = {**OciDialect.capabilities, Capability.PUSH_TIME: CapabilityState.SUPPORTED}

    def tags(self, repository: RepositoryName) -> Listing[ListedTag]:
        return Listing(
            RequestKind.TAGS,
            f"/vendor/{repository}/_tags",
            pull_scope(repository),
            read=lambda page: page["tags"],
            parse=lambda item: parse_tag(item["name"]),
            name_of=lambda item: item["name"],
        )


async def test_a_dialect_decides(make_client: MakeClient) -> None:
    """Where lists are, how they are read and what a registry can do is the dialect's to say."""
    registry = ScriptedRegistry({"/vendor/a/_tags": answer_json({"tags": [{"name": "v1"}]})})
    client = RegistryClient(
        RegistrySettings(url="https://registry.example"),
        httpx.ASGITransport(registry),
        dialect=VendorDialect(RegistrySettings(url="https://registry.example")),
    )
    async with client:
        assert [("v1",)] == await collect(client.list_tags(A))
    assert CapabilityState.SUPPORTED is client.capabilities[Capability.PUSH_TIME]
    assert "vendor" == client.dialect.name


async def test_plain_dialect_knows_its_limits(make_client: MakeClient) -> None:
    """The plain API can neither list untagged manifests nor tell push times; the rest is found out."""
    async with make_client(ScriptedRegistry({})) as client:
        assert {
            Capability.CATALOG: CapabilityState.UNKNOWN,
            Capability.REFERRERS: CapabilityState.UNKNOWN,
            Capability.TAG_DIGESTS: CapabilityState.UNSUPPORTED,
            Capability.UNTAGGED_LISTING: CapabilityState.UNSUPPORTED,
            Capability.PUSH_TIME: CapabilityState.UNSUPPORTED,
            Capability.LOCKS: CapabilityState.UNSUPPORTED,
            Capability.EVENTS: CapabilityState.UNSUPPORTED,
        } == client.capabilities
