"""The sample registry as a whole: it is read over HTTP, changed by functions, watched and made to fail."""

import pytest

from builders import make_image
from graph.sample import Answer, Request, SampleRegistry
from graph.sample.registry import LEDGER_LIMIT
from sample.reading import ACCEPT, MISSING, Connect, codes

pytestmark = pytest.mark.anyio

IMAGE = make_image()


async def test_ping_is_200(connect: Connect) -> None:
    """end-1: GET /v2/ answers 200."""
    response = await connect(SampleRegistry()).get("/v2/")
    assert (response.status_code, response.json()) == (200, {})


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_writes_are_405(connect: Connect, method: str) -> None:
    """Nothing is written over HTTP."""
    registry = SampleRegistry()
    digest = registry.put_manifest("app", IMAGE.data, tag="v1")
    response = await connect(registry).request(method, "/v2/app/manifests/v1", content=b"{}")
    assert (response.status_code, codes(response)) == (405, ["UNSUPPORTED"])
    assert response.headers["Allow"] == "GET, HEAD"
    assert {"v1": digest} == registry.repositories["app"].tags


async def test_moved_tag_leaves_the_old_manifest_untagged(connect: Connect) -> None:
    """C8: the old manifest is there by digest until it is deleted, which takes its tags along."""
    registry = SampleRegistry()
    old = registry.put_manifest("app", IMAGE.data, tag="v1")
    new = registry.put_manifest("app", make_image(annotations={"n": "2"}).data, tag="v1")
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


async def test_ledger_is_bounded(connect: Connect) -> None:
    """A full ledger forgets its older half, and counts on."""
    registry = SampleRegistry()
    registry.requests = [Request("GET", "/v2/")] * LEDGER_LIMIT
    registry.request_count = LEDGER_LIMIT
    await connect(registry).get("/v2/_catalog")
    assert (LEDGER_LIMIT // 2 + 1, "/v2/_catalog") == (len(registry.requests), registry.requests[-1].path)
    assert LEDGER_LIMIT + 1 == registry.request_count


async def test_faults_by_repository_and_path(connect: Connect) -> None:
    """A fault hits everything of its repository, and no other."""
    registry = SampleRegistry(faults={"app": 503, "/v2/_catalog": 403})
    registry.put_manifest("app", IMAGE.data, tag="v1")
    registry.put_manifest("app/other", IMAGE.data, tag="v1")
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
        registry.put_manifest("app", IMAGE.data, tag="v1")

    def abort() -> None:
        raise ConnectionAbortedError("killed here")

    registry.hooks = {2: push, 3: abort}
    client = connect(registry)
    assert (await client.get("/v2/_catalog")).json()["repositories"] == []
    assert (await client.get("/v2/_catalog")).json()["repositories"] == ["app"]
    with pytest.raises(ConnectionAbortedError, match="killed here"):
        await client.get("/v2/_catalog")
    assert (await client.get("/v2/_catalog")).status_code == 200


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
