"""The sample registry speaks the distribution API v1.1 as it says it does, seen by a client of others."""

import hashlib
import json
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from graph.sample import Answer, Request, SampleRegistry
from graph.sample.answers import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST

pytestmark = pytest.mark.anyio

ACCEPT = {"Accept": f"{OCI_INDEX}, {OCI_MANIFEST}"}
MISSING = "sha256:" + "0" * 64


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def manifest(**fields: object) -> bytes:
    """An image manifest with the empty config, told apart by `fields`."""
    config = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest_of(b"{}"), "size": 2}
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [], **fields}
    return json.dumps(document).encode()


def referrer(subject: str, **fields: object) -> bytes:
    return manifest(subject={"mediaType": OCI_MANIFEST, "digest": subject, "size": 2}, **fields)


def codes(response: httpx.Response) -> list[str]:
    return [error["code"] for error in response.json()["errors"]]


Connect = Callable[[SampleRegistry], httpx.AsyncClient]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Makes clients of a registry, and closes them."""
    clients: list[httpx.AsyncClient] = []

    def make(registry: SampleRegistry) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(registry)
        clients.append(httpx.AsyncClient(transport=transport, base_url="http://registry.test"))
        return clients[-1]

    yield make
    for client in clients:
        await client.aclose()


async def follow(client: httpx.AsyncClient, path: str, name: str) -> list[list[object]]:
    """The pages of a list, by its Link headers."""
    pages = []
    while path:
        response = await client.get(path)
        assert response.status_code == 200
        pages.append(response.json()[name])
        path = response.links.get("next", {}).get("url", "")
    return pages


async def test_ping_is_200(connect: Connect) -> None:
    """end-1: GET /v2/ answers 200."""
    response = await connect(SampleRegistry()).get("/v2/")
    assert (response.status_code, response.json()) == (200, {})


async def test_catalog_is_paged_by_link(connect: Connect) -> None:
    """The catalog gives at most a page and a relative Link to the next, until there is none."""
    registry = SampleRegistry(page_size=2)
    for name in ("c", "a", "b/c", "b-c", "b"):
        registry.put_repository(name)
    client = connect(registry)
    assert await follow(client, "/v2/_catalog", "repositories") == [["a", "b"], ["b-c", "b/c"], ["c"]]
    first = await client.get("/v2/_catalog?n=1")
    assert first.headers["Link"] == '</v2/_catalog?n=1&last=a>; rel="next"'


async def test_last_page_that_is_full_has_no_link(connect: Connect) -> None:
    """A Link is given only where something follows."""
    registry = SampleRegistry(page_size=2)
    for tag in ("a", "b"):
        registry.put_manifest("app", manifest(), tag=tag)
    response = await connect(registry).get("/v2/app/tags/list?n=2")
    assert (response.json()["tags"], response.links) == (["a", "b"], {})


async def test_tags_are_in_lexical_order(connect: Connect) -> None:
    """Tags come in case-insensitive lexical order, `last` is exclusive and need not be a tag."""
    registry = SampleRegistry()
    for tag in ("v10", "V2", "latest", "v1", "_x"):
        registry.put_manifest("app", manifest(), tag=tag)
    client = connect(registry)
    response = await client.get("/v2/app/tags/list")
    assert response.json() == {"name": "app", "tags": ["_x", "latest", "v1", "v10", "V2"]}
    after = await client.get("/v2/app/tags/list?last=lauter")
    assert after.json()["tags"] == ["v1", "v10", "V2"]
    pages = await follow(client, "/v2/app/tags/list?n=2", "tags")
    assert pages == [["_x", "latest"], ["v1", "v10"], ["V2"]]


async def test_n_of_zero_is_an_empty_page_without_link(connect: Connect) -> None:
    """n=0: an empty list and no Link, though there are tags."""
    registry = SampleRegistry()
    registry.put_manifest("app", manifest(), tag="v1")
    response = await connect(registry).get("/v2/app/tags/list?n=0")
    assert (response.json()["tags"], response.links) == ([], {})


async def test_n_above_the_page_size_gives_a_smaller_page_and_a_link(connect: Connect) -> None:
    """Fewer than n entries are legal while a Link follows."""
    registry = SampleRegistry(page_size=1)
    for tag in ("a", "b"):
        registry.put_manifest("app", manifest(), tag=tag)
    pages = await follow(connect(registry), "/v2/app/tags/list?n=1000", "tags")
    assert pages == [["a"], ["b"]]


@pytest.mark.parametrize("n", ["-1", "x", "", "1.5", "²"])
async def test_n_that_is_no_number_is_400(connect: Connect, n: str) -> None:
    """What is no number of entries is refused with distribution's code."""
    response = await connect(SampleRegistry()).get("/v2/_catalog", params={"n": n})
    assert (response.status_code, codes(response)) == (400, ["PAGINATION_NUMBER_INVALID"])


async def test_repository_of_untagged_manifests_has_an_empty_tag_list(connect: Connect) -> None:
    """A repository without tags is in the catalog and lists none; one that never was is 404."""
    registry = SampleRegistry()
    registry.put_manifest("app", manifest())
    client = connect(registry)
    assert (await client.get("/v2/app/tags/list")).json()["tags"] == []
    unknown = await client.get("/v2/other/tags/list")
    assert (unknown.status_code, codes(unknown)) == (404, ["NAME_UNKNOWN"])


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_manifest_by_tag_and_by_digest(connect: Connect, method: str) -> None:
    """GET and HEAD agree in type, digest, entity tag and length, by tag and by digest."""
    registry = SampleRegistry()
    data = manifest()
    digest = registry.put_manifest("a/b", data, tag="v1")
    client = connect(registry)
    for reference in ("v1", digest):
        response = await client.request(method, f"/v2/a/b/manifests/{reference}", headers=ACCEPT)
        expected = {
            "content-type": OCI_MANIFEST,
            "docker-content-digest": digest_of(data),
            "etag": f'"{digest}"',
            "content-length": str(len(data)),
        }
        assert expected == {name: response.headers[name] for name in expected}
        assert (200, data if method == "GET" else b"") == (response.status_code, response.content)


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        (OCI_MANIFEST, 200),
        (f"{DOCKER_MANIFEST}, {OCI_MANIFEST};q=0.5", 200),
        (OCI_MANIFEST.upper(), 200),
        (DOCKER_MANIFEST, 404),
        (f"{OCI_MANIFEST};q=0", 404),
        ("*/*", 404),
    ],
)
async def test_accept_must_name_the_media_type(connect: Connect, accept: str, status: int) -> None:
    """A manifest whose type is not accepted is MANIFEST_UNKNOWN, and a wildcard accepts none."""
    registry = SampleRegistry()
    registry.put_manifest("app", manifest(), tag="v1")
    response = await connect(registry).get("/v2/app/manifests/v1", headers={"Accept": accept})
    assert status == response.status_code
    if status == 404:
        assert codes(response) == ["MANIFEST_UNKNOWN"]


async def test_accept_may_be_on_several_lines(connect: Connect) -> None:
    """Repeated header lines are one list, as skopeo sends its Accept."""
    registry = SampleRegistry()
    registry.put_manifest("app", manifest(), tag="v1")
    lines = [("Accept", OCI_MANIFEST), ("Accept", DOCKER_MANIFEST)]
    response = await connect(registry).get("/v2/app/manifests/v1", headers=lines)
    assert response.status_code == 200


async def test_matching_entity_tag_is_304(connect: Connect) -> None:
    """If-None-Match of the digest: 304 without a body; of another: the manifest."""
    registry = SampleRegistry()
    digest = registry.put_manifest("app", manifest(), tag="v1")
    client = connect(registry)
    same = await client.get("/v2/app/manifests/v1", headers={**ACCEPT, "If-None-Match": f'"{digest}"'})
    assert (same.status_code, same.content) == (304, b"")
    other = await client.get("/v2/app/manifests/v1", headers={**ACCEPT, "If-None-Match": f'"{MISSING}"'})
    assert other.status_code == 200


async def test_registry_without_digest_header(connect: Connect) -> None:
    """`gives_digest_header=False`: neither Docker-Content-Digest nor ETag is there."""
    registry = SampleRegistry(gives_digest_header=False)
    registry.put_manifest("app", manifest(), tag="v1")
    response = await connect(registry).head("/v2/app/manifests/v1", headers=ACCEPT)
    assert response.status_code == 200
    assert {"docker-content-digest", "etag"}.isdisjoint(response.headers)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v2/app/manifests/none", 404, "MANIFEST_UNKNOWN"),
        (f"/v2/app/manifests/{MISSING}", 404, "MANIFEST_UNKNOWN"),
        ("/v2/app/manifests/sha256:ffff", 400, "DIGEST_INVALID"),
        ("/v2/other/manifests/v1", 404, "NAME_UNKNOWN"),
        ("/v2/App/manifests/v1", 400, "NAME_INVALID"),
        ("/v2/App/tags/list", 400, "NAME_INVALID"),
        (f"/v2/app/blobs/{MISSING}", 404, "BLOB_UNKNOWN"),
        ("/v2/app/blobs/v1", 400, "DIGEST_INVALID"),
        ("/v2/app/referrers/v1", 400, "DIGEST_INVALID"),
    ],
)
async def test_refusals_carry_the_codes_of_the_specification(
    connect: Connect, path: str, status: int, code: str
) -> None:
    """Each refusal is JSON with the specification's code."""
    registry = SampleRegistry()
    registry.put_manifest("app", manifest(), tag="v1")
    response = await connect(registry).get(path, headers=ACCEPT)
    assert (status, [code]) == (response.status_code, codes(response))


async def test_blob_get_and_head(connect: Connect) -> None:
    """A blob that was put is given back, in its repository only."""
    registry = SampleRegistry()
    digest = registry.put_blob("app", b"config")
    registry.put_repository("other")
    client = connect(registry)
    for method, body in (("GET", b"config"), ("HEAD", b"")):
        response = await client.request(method, f"/v2/app/blobs/{digest}")
        assert (200, body, "6") == (
            response.status_code,
            response.content,
            response.headers["content-length"],
        )
        assert digest == response.headers["docker-content-digest"]
    assert (await client.head(f"/v2/other/blobs/{digest}")).status_code == 404


async def test_declared_blob_has_a_size_and_no_bytes(connect: Connect) -> None:
    """A blob known by its size: HEAD tells it, GET says that there are no bytes."""
    registry = SampleRegistry()
    registry.declare_blob("app", MISSING, 28_230_436)
    client = connect(registry)
    head = await client.head(f"/v2/app/blobs/{MISSING}")
    assert (head.status_code, head.headers["content-length"]) == (200, "28230436")
    got = await client.get(f"/v2/app/blobs/{MISSING}")
    assert (got.status_code, codes(got)) == (404, ["BLOB_UNKNOWN"])


async def test_referrers_are_an_index_of_descriptors(connect: Connect) -> None:
    """end-12a: annotations come along, and the artifact type, which may be the config's media type."""
    registry = SampleRegistry()
    subject = registry.put_manifest("app", manifest(), tag="v1")
    sbom = referrer(subject, artifactType="application/spdx+json", annotations={"a": "b"})
    signed = {"mediaType": "application/vnd.cncf.notary.signature", "digest": digest_of(b"{}"), "size": 2}
    signature = referrer(subject, config=signed)
    registry.put_manifest("app", sbom)
    registry.put_manifest("app", signature)
    response = await connect(registry).get(f"/v2/app/referrers/{subject}")
    assert response.headers["content-type"] == OCI_INDEX
    index = response.json()
    expected = [
        {
            "mediaType": OCI_MANIFEST,
            "digest": digest_of(sbom),
            "size": len(sbom),
            "artifactType": "application/spdx+json",
            "annotations": {"a": "b"},
        },
        {
            "mediaType": OCI_MANIFEST,
            "digest": digest_of(signature),
            "size": len(signature),
            "artifactType": "application/vnd.cncf.notary.signature",
        },
    ]
    assert (index["schemaVersion"], index["mediaType"]) == (2, OCI_INDEX)
    assert sorted(expected, key=lambda descriptor: str(descriptor["digest"])) == index["manifests"]


async def test_index_may_be_a_referrer(connect: Connect) -> None:
    """An index with a subject is a referrer; it has no artifact type unless it says one."""
    registry = SampleRegistry()
    subject = {"mediaType": OCI_MANIFEST, "digest": MISSING, "size": 2}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "subject": subject}
    data = json.dumps(index).encode()
    registry.put_manifest("app", data, OCI_INDEX)
    response = await connect(registry).get(f"/v2/app/referrers/{MISSING}")
    descriptor = {"mediaType": OCI_INDEX, "digest": digest_of(data), "size": len(data)}
    assert [descriptor] == response.json()["manifests"]


@pytest.mark.parametrize("repository", ["app", "never-pushed"])
async def test_unknown_subject_has_no_referrers(connect: Connect, repository: str) -> None:
    """A registry that knows referrers never answers 404: the list is empty."""
    registry = SampleRegistry()
    registry.put_manifest("app", manifest(), tag="v1")
    response = await connect(registry).get(f"/v2/{repository}/referrers/{MISSING}")
    assert (response.status_code, response.json()["manifests"]) == (200, [])


async def test_referrers_are_filtered_by_artifact_type(connect: Connect) -> None:
    """end-12b: the filter is applied and said to be."""
    registry = SampleRegistry()
    wanted = registry.put_manifest("app", referrer(MISSING, artifactType="application/spdx+json"))
    registry.put_manifest("app", referrer(MISSING, artifactType="application/vnd.example"))
    client = connect(registry)
    response = await client.get(
        f"/v2/app/referrers/{MISSING}", params={"artifactType": "application/spdx+json"}
    )
    assert response.headers["OCI-Filters-Applied"] == "artifactType"
    assert [wanted] == [found["digest"] for found in response.json()["manifests"]]
    unfiltered = await client.get(f"/v2/app/referrers/{MISSING}")
    assert "OCI-Filters-Applied" not in unfiltered.headers
    assert len(unfiltered.json()["manifests"]) == 2


async def test_referrers_are_paged_by_link(connect: Connect) -> None:
    """Every referrer is on exactly one page, and the Link keeps the filter."""
    registry = SampleRegistry(page_size=2)
    pushed = {
        registry.put_manifest(
            "app", referrer(MISSING, artifactType="application/x+y", annotations={"n": f"{n}"})
        )
        for n in range(5)
    }
    registry.put_manifest("app", referrer(MISSING, artifactType="application/other"))
    pages = await follow(
        connect(registry), f"/v2/app/referrers/{MISSING}?artifactType=application%2Fx%2By", "manifests"
    )
    digests = [descriptor["digest"] for page in pages for descriptor in page]  # type: ignore[index]  # JSON
    assert [len(page) for page in pages] == [2, 2, 1]
    assert (5, pushed) == (len(digests), set(digests))


async def test_registry_without_referrers(connect: Connect) -> None:
    """`supports_referrers=False`: the path is unknown, in plain text, as on distribution."""
    registry = SampleRegistry(supports_referrers=False)
    subject = registry.put_manifest("app", manifest(), tag="v1")
    response = await connect(registry).get(f"/v2/app/referrers/{subject}")
    assert (response.status_code, response.text) == (404, "404 page not found\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_writes_are_405(connect: Connect, method: str) -> None:
    """Nothing is written over HTTP."""
    registry = SampleRegistry()
    digest = registry.put_manifest("app", manifest(), tag="v1")
    response = await connect(registry).request(method, "/v2/app/manifests/v1", content=b"{}")
    assert (response.status_code, codes(response)) == (405, ["UNSUPPORTED"])
    assert response.headers["Allow"] == "GET, HEAD"
    assert {"v1": digest} == registry.repositories["app"].tags


async def test_moved_tag_leaves_the_old_manifest_untagged(connect: Connect) -> None:
    """C8: the old manifest is there by digest until it is deleted, which takes its tags along."""
    registry = SampleRegistry()
    old = registry.put_manifest("app", manifest(), tag="v1")
    new = registry.put_manifest("app", manifest(annotations={"n": "2"}), tag="v1")
    registry.set_tag("app", "latest", new)
    client = connect(registry)
    assert (await client.head(f"/v2/app/manifests/{old}", headers=ACCEPT)).status_code == 200
    registry.delete_manifest("app", old)
    assert (await client.head(f"/v2/app/manifests/{old}", headers=ACCEPT)).status_code == 404
    registry.delete_tag("app", "latest")
    assert (await client.get("/v2/app/tags/list")).json()["tags"] == ["v1"]
    registry.delete_manifest("app", new)
    assert (await client.get("/v2/app/tags/list")).json()["tags"] == []
    registry.delete_repository("app")
    assert (await client.get("/v2/_catalog")).json()["repositories"] == []


async def test_ledger_records_every_request(connect: Connect) -> None:
    """The ledger holds method, decoded path and query of each request, in order, faults included."""
    registry = SampleRegistry(faults={"app": 500})
    client = connect(registry)
    await client.get("/v2/_catalog?n=1&last=a%2Fb")
    await client.head("/v2/app/manifests/v1")
    made = [(request.method, request.path, request.query) for request in registry.requests]
    assert made == [("GET", "/v2/_catalog", "n=1&last=a%2Fb"), ("HEAD", "/v2/app/manifests/v1", "")]
    assert registry.request_count == 2


async def test_faults_by_repository_and_path(connect: Connect) -> None:
    """A fault hits everything of its repository, and no other."""
    registry = SampleRegistry(faults={"app": 503, "/v2/_catalog": 403})
    registry.put_manifest("app", manifest(), tag="v1")
    registry.put_manifest("app/other", manifest(), tag="v1")
    client = connect(registry)
    assert (await client.get("/v2/app/tags/list")).status_code == 503
    assert (await client.get("/v2/app/manifests/v1", headers=ACCEPT)).status_code == 503
    assert (await client.get("/v2/app/other/tags/list")).status_code == 200
    denied = await client.get("/v2/_catalog")
    assert (denied.status_code, codes(denied)) == (403, ["DENIED"])


async def test_faults_by_function(connect: Connect) -> None:
    """A function sees the request, headers in lower case, and may give a whole answer."""

    def throttle(request: Request) -> Answer | None:
        if request.headers.get("authorization"):
            return None
        return Answer(429, (("Retry-After", "7"),), b"slow down")

    client = connect(SampleRegistry(faults=throttle))
    refused = await client.get("/v2/")
    assert (refused.status_code, refused.headers["Retry-After"], refused.text) == (429, "7", "slow down")
    assert (await client.get("/v2/", headers={"Authorization": "Basic x"})).status_code == 200


async def test_hook_runs_once_before_the_nth_request(connect: Connect) -> None:
    """A hook may change the registry, wait, or raise in place of an answer."""
    registry = SampleRegistry()

    async def push() -> None:
        registry.put_manifest("app", manifest(), tag="v1")

    def abort() -> None:
        raise ConnectionAbortedError("killed here")

    registry.hooks = {2: push, 3: abort}
    client = connect(registry)
    assert (await client.get("/v2/_catalog")).json()["repositories"] == []
    assert (await client.get("/v2/_catalog")).json()["repositories"] == ["app"]
    with pytest.raises(ConnectionAbortedError, match="killed here"):
        await client.get("/v2/_catalog")
    assert (await client.get("/v2/_catalog")).status_code == 200


async def test_bytes_may_be_put_under_a_lie(connect: Connect) -> None:
    """A test can make the registry answer for a digest with other bytes, or with what is no manifest."""
    registry = SampleRegistry()
    registry.put_manifest("app", b"<html>", tag="v1", digest=MISSING)
    response = await connect(registry).get(f"/v2/app/manifests/{MISSING}", headers=ACCEPT)
    assert (
        response.status_code,
        response.content,
        response.headers["docker-content-digest"],
    ) == (200, b"<html>", MISSING)


def test_functions_refuse_what_no_registry_takes() -> None:
    """A page of nothing, a repository with a bad name, a tag on a manifest that is not there."""
    with pytest.raises(ValueError, match="page_size"):
        SampleRegistry(page_size=0)
    registry = SampleRegistry()
    with pytest.raises(ValueError, match="App"):
        registry.put_repository("App")
    registry.put_repository("app")
    with pytest.raises(KeyError):
        registry.set_tag("app", "v1", MISSING)
