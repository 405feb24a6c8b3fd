"""The manifests and blobs that the sample registry gives, and what it says where it gives none."""

import pytest

from builders import DOCKER_MANIFEST, OCI_MANIFEST, make_image
from graph.sample import SampleRegistry
from sample.reading import ACCEPT, MISSING, Connect, codes

pytestmark = pytest.mark.anyio

IMAGE = make_image()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_manifest_by_tag_and_by_digest(connect: Connect, method: str) -> None:
    """GET and HEAD agree in type, digest, entity tag and length, by tag and by digest."""
    registry = SampleRegistry()
    digest = registry.put_manifest("a/b", IMAGE.data, tag="v1")
    client = connect(registry)
    for reference in ("v1", digest):
        response = await client.request(method, f"/v2/a/b/manifests/{reference}", headers=ACCEPT)
        expected = {
            "content-type": OCI_MANIFEST,
            "docker-content-digest": IMAGE.digest,
            "etag": f'"{digest}"',
            "content-length": str(IMAGE.size),
        }
        assert expected == {name: response.headers[name] for name in expected}
        assert (200, IMAGE.data if method == "GET" else b"") == (response.status_code, response.content)


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
    registry.put_manifest("app", IMAGE.data, tag="v1")
    response = await connect(registry).get("/v2/app/manifests/v1", headers={"Accept": accept})
    assert status == response.status_code
    if status == 404:
        assert codes(response) == ["MANIFEST_UNKNOWN"]


async def test_accept_may_be_on_several_lines(connect: Connect) -> None:
    """Repeated header lines are one list, as skopeo sends its Accept."""
    registry = SampleRegistry()
    registry.put_manifest("app", IMAGE.data, tag="v1")
    lines = [("Accept", OCI_MANIFEST), ("Accept", DOCKER_MANIFEST)]
    response = await connect(registry).get("/v2/app/manifests/v1", headers=lines)
    assert response.status_code == 200


async def test_matching_entity_tag_is_304(connect: Connect) -> None:
    """If-None-Match of the digest: 304 without a body; of another: the manifest."""
    registry = SampleRegistry()
    digest = registry.put_manifest("app", IMAGE.data, tag="v1")
    client = connect(registry)
    same = await client.get("/v2/app/manifests/v1", headers={**ACCEPT, "If-None-Match": f'"{digest}"'})
    assert (same.status_code, same.content) == (304, b"")
    other = await client.get("/v2/app/manifests/v1", headers={**ACCEPT, "If-None-Match": f'"{MISSING}"'})
    assert other.status_code == 200


async def test_registry_without_digest_header(connect: Connect) -> None:
    """`gives_digest_header=False`: neither Docker-Content-Digest nor ETag is there, and none is matched."""
    registry = SampleRegistry(gives_digest_header=False)
    registry.put_manifest("app", IMAGE.data, tag="v1")
    headers = {**ACCEPT, "If-None-Match": f'"{IMAGE.digest}"'}
    response = await connect(registry).head("/v2/app/manifests/v1", headers=headers)
    assert response.status_code == 200
    assert {"docker-content-digest", "etag"}.isdisjoint(response.headers)


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
    registry.put_manifest("app", IMAGE.data, tag="v1")
    response = await connect(registry).get(path, headers=ACCEPT)
    assert (status, [code]) == (response.status_code, codes(response))
