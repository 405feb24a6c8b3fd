"""One thing looked at on demand, shared by all who ask for it at the same time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from builders import make_index, make_sbom
from fakes.sync_rig import Rig, image, push, repository_name, tag_name
from graph.errors import (
    GraphError,
    NotObservedError,
    RegistryDeniedError,
    RegistryThrottledError,
    RegistryUnknownError,
    RegistryUnreachableError,
    RegistryUnsupportedError,
    UnknownRegistryError,
)
from graph.oci.digest import Digest
from graph.sample import Answer, Request
from graph.sync.refresh import Refresher

pytestmark = pytest.mark.anyio

WEB = repository_name("web")
V1 = tag_name("v1")


@pytest.fixture
async def refresher(rig: Rig) -> AsyncIterator[Refresher]:
    """A refresher of the rig's registry."""
    refresher = Refresher([rig.upstream])
    yield refresher
    await refresher.aclose()


class Gate:
    """A hook that holds a request back until it is opened."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def __call__(self) -> None:
        self.reached.set()
        await self.opened.wait()


async def test_a_place_that_wants_no_request_for_long(rig: Rig, refresher: Refresher) -> None:
    """Who is told to come back in ten minutes does, and asks of other places, and other things, meanwhile."""
    for name in ("team/web", "team/api", "other/web"):
        push(rig.registry, name, image(name), "v1")
    refusal = Answer(429, (("Retry-After", "600"),), b"")
    rig.registry.faults = lambda request: refusal if request.path.startswith("/v2/team/") else None
    for _ in range(3):
        for name in ("team/web", "team/api"):
            with pytest.raises(RegistryThrottledError) as caught:
                await refresher.refresh_repository(rig.key, repository_name(name))
            assert caught.value.retry_after is not None
            assert 500 < caught.value.retry_after <= 600
    assert 1 == len(rig.registry.requests)

    await refresher.refresh_repository(rig.key, repository_name("other/web"))
    assert 1 == len(rig.tags("other/web"))
    rig.registry.faults = {}
    await refresher.refresh_tag(rig.key, repository_name("team/api"), V1)
    assert 1 == len(rig.tags("team/api"))
    rig.clock.advance(600)
    await refresher.refresh_repository(rig.key, repository_name("team/web"))
    assert 1 == len(rig.tags("team/web"))


async def test_pulls_that_are_spent(rig: Rig, refresher: Refresher) -> None:
    """Where only pulls are counted, a repository is looked at all the same: lists and HEADs are none."""
    push(rig.registry, "web", image("a"), "v1")
    told = (("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", "0;w=21600"), ("Retry-After", "600"))

    def refuse(request: Request) -> Answer | None:
        is_pull = request.method == "GET" and "/manifests/" in request.path
        return Answer(429, told, b"") if is_pull else None

    rig.registry.faults = refuse
    for _ in range(2):
        with pytest.raises(RegistryThrottledError):
            await refresher.refresh_repository(rig.key, WEB)
    assert 2 == len([request for request in rig.registry.requests if request.path.endswith("/tags/list")])


# A repository.


async def test_a_repository_that_nobody_knew(rig: Rig, refresher: Refresher) -> None:
    """A repository the store does not know is looked at as in a first crawl, without lists of referrers."""
    index = make_index([image("a"), image("a", architecture="arm64")])
    push(rig.registry, "web", index, "v1", "v2")
    spent = await rig.cost(refresher.refresh_repository(rig.key, WEB))
    assert {"TAGS": 1, "MANIFEST_GET": 4, "CONFIG": 2} == spent
    assert {"v1": index.digest, "v2": index.digest} == rig.tags("web")
    assert 3 == len(rig.artifacts("web"))
    assert rig.repository("web")["observed_at"] is not None
    assert rig.repository("web")["crawled_at"] is None
    assert [] == rig.recount()


async def test_a_repository_that_was_crawled(rig: Rig, refresher: Refresher) -> None:
    """A repository that is known costs its list of tags, a HEAD a tag and one for each untagged root."""
    push(rig.registry, "web", image("a"), "v1", "v2")
    old = push(rig.registry, "web", image("b"), "v3")
    await rig.crawl()
    rig.registry.delete_tag("web", "v3")
    rig.clock.advance(60)
    spent = await rig.cost(refresher.refresh_repository(rig.key, WEB))
    assert {"TAGS": 1, "MANIFEST_HEAD": 3} == spent
    assert {"v1", "v2"} == set(rig.tags("web"))
    assert "DANGLING" == rig.artifacts("web")[old]
    assert [] == rig.recount()


@pytest.mark.parametrize(("fault", "error"), [(404, RegistryUnknownError), (403, RegistryDeniedError)])
async def test_a_repository_that_is_not_shown(
    rig: Rig, refresher: Refresher, fault: int, error: type[GraphError]
) -> None:
    """A repository that the registry does not show is an error, and is not made up."""
    rig.registry.faults = {"/v2/web/tags/list": fault}
    with pytest.raises(error):
        await refresher.refresh_repository(rig.key, WEB)
    assert [] == rig.dump()["repositories"]


async def test_a_known_repository_that_is_refused(rig: Rig, refresher: Refresher) -> None:
    """A refused repository keeps what is known of it, with the error; the next refresh clears it."""
    push(rig.registry, "web", image("a"), "v1")
    await rig.crawl()
    known = rig.tags("web")
    for fault in (404, 403, 500):
        rig.registry.faults = {"/v2/web/tags/list": fault}
        with pytest.raises(GraphError):
            await refresher.refresh_repository(rig.key, WEB)
        assert known == rig.tags("web")
        assert rig.repository("web")["error_code"] is not None
        assert rig.repository("web")["absent_at"] is None
    rig.registry.faults = {}
    await refresher.refresh_repository(rig.key, WEB)
    assert rig.repository("web")["error_code"] is None


# A tag.


async def test_a_tag_that_has_not_moved(rig: Rig, refresher: Refresher) -> None:
    """A tag costs one HEAD."""
    push(rig.registry, "web", image("a"), "v1", "v2")
    await rig.crawl()
    before = rig.dump()
    assert {"MANIFEST_HEAD": 1} == await rig.cost(refresher.refresh_tag(rig.key, WEB, V1))
    assert before == rig.dump()


async def test_a_tag_of_a_registry_that_is_away(rig: Rig, refresher: Refresher) -> None:
    """404 of a proxy to whatever is asked says nothing of a tag: it is gone only where a ping is answered."""
    push(rig.registry, "web", image("a"), "v1")
    await rig.crawl()
    before = rig.dump()
    rig.registry.faults = lambda _: Answer(404, body=b"default backend - 404")
    with pytest.raises(RegistryUnknownError):
        await refresher.refresh_tag(rig.key, WEB, V1)
    assert before == rig.dump()
    rig.registry.faults = {"/v2/": 401, "/v2/web/manifests/v1": 404}
    spent = await rig.cost(refresher.refresh_tag(rig.key, WEB, V1))
    assert {"MANIFEST_HEAD": 1, "MANIFEST_GET": 1, "PING": 1} == spent
    assert {} == rig.tags("web")
    assert [] == rig.recount()


async def test_a_tag_that_has_moved(rig: Rig, refresher: Refresher) -> None:
    """A tag that moved costs what is new besides: the manifest, its children, their configs."""
    old = push(rig.registry, "web", image("a"), "v1")
    await rig.crawl()
    index = make_index([image("b"), image("b", architecture="arm64")])
    push(rig.registry, "web", index, "v1")
    spent = await rig.cost(refresher.refresh_tag(rig.key, WEB, V1))
    assert {"MANIFEST_HEAD": 1, "MANIFEST_GET": 3, "CONFIG": 2} == spent
    assert {"v1": index.digest} == rig.tags("web")
    assert "DANGLING" == rig.artifacts("web")[old]
    assert [] == rig.recount()


async def test_a_tag_that_is_gone(rig: Rig, refresher: Refresher) -> None:
    """A tag that the registry does not know any more is absent, and no error."""
    built = push(rig.registry, "web", image("a"), "v1")
    push(rig.registry, "web", image("b"), "v2")
    await rig.crawl()
    rig.registry.delete_tag("web", "v1")
    await refresher.refresh_tag(rig.key, WEB, V1)
    assert {"v2"} == set(rig.tags("web"))
    assert "DANGLING" == rig.artifacts("web")[built]
    await refresher.refresh_tag(rig.key, WEB, tag_name("never-there"))
    assert {"v2"} == set(rig.tags("web"))
    assert [] == rig.recount()


async def test_a_tag_of_a_repository_that_nobody_knew(rig: Rig, refresher: Refresher) -> None:
    """A tag makes its repository known, of which the list of tags is still not observed."""
    built = push(rig.registry, "web", image("a"), "v1", "v2")
    assert {"MANIFEST_GET": 1, "CONFIG": 1} == await rig.cost(refresher.refresh_tag(rig.key, WEB, V1))
    assert {"v1": built} == rig.tags("web")
    assert rig.repository("web")["observed_at"] is None
    with pytest.raises(RegistryUnknownError):
        await refresher.refresh_tag(rig.key, repository_name("nowhere"), V1)
    assert 1 == len(rig.dump()["repositories"])


async def test_a_tag_that_is_refused(rig: Rig, refresher: Refresher) -> None:
    """A refused tag keeps what it named, and the asker learns why."""
    built = push(rig.registry, "web", image("a"), "v1")
    await rig.crawl()
    rig.registry.faults = {"/v2/web/manifests/v1": 403}
    with pytest.raises(RegistryDeniedError):
        await refresher.refresh_tag(rig.key, WEB, V1)
    assert {"v1": built} == rig.tags("web")
    with pytest.raises(RegistryDeniedError):
        rig.registry.faults = {"/v2/secret/manifests/v1": 403}
        await refresher.refresh_tag(rig.key, repository_name("secret"), V1)
    assert 1 == len(rig.dump()["repositories"])


async def test_a_tag_that_is_refused_where_a_child_is_too(rig: Rig, refresher: Refresher) -> None:
    """The asker learns why the tag was refused, whatever else was asked for meanwhile."""
    index = make_index([image("a")])
    push(rig.registry, "web", index, "v1")
    child = f"/v2/web/manifests/{index.manifests[0].digest}"
    rig.registry.faults = {child: 500}
    await rig.crawl()
    rig.registry.faults = {"/v2/web/manifests/v1": 403, child: 500}
    with pytest.raises(RegistryDeniedError):
        await refresher.refresh_tag(rig.key, WEB, V1)


# The catalog.


async def test_the_catalog(rig: Rig, refresher: Refresher) -> None:
    """The catalog costs its pages; what is new in it is known by name, what is not in it is not absent."""
    rig.registry.page_size = 2
    for name in ("a", "b", "c"):
        push(rig.registry, name, image(name), "v1")
    await rig.crawl()
    push(rig.registry, "d", image("d"), "v1")
    rig.registry.delete_repository("a")
    assert {"CATALOG": 2} == await rig.cost(refresher.refresh_catalog(rig.key))
    assert [("a", 1), ("b", 1), ("c", 1), ("d", 1)] == [row[:2] for row in rig.dump()["repositories"]]


async def test_no_catalog(rig: Rig, refresher: Refresher) -> None:
    """A registry without a catalog says so to the asker."""
    rig.registry.faults = {"/v2/_catalog": 404}
    with pytest.raises(RegistryUnsupportedError):
        await refresher.refresh_catalog(rig.key)


# Referrers.


async def test_referrers(rig: Rig, refresher: Refresher) -> None:
    """What refers to an artifact costs one list and what is new in it."""
    built = image("a")
    push(rig.registry, "web", built, "v1")
    await rig.crawl()
    digest = Digest(built.digest)
    sbom = make_sbom(built)
    push(rig.registry, "web", sbom)
    spent = await rig.cost(refresher.refresh_referrers(rig.key, WEB, digest))
    assert {"REFERRERS": 1, "MANIFEST_GET": 1} == spent
    assert "REFERRER" == rig.artifacts("web")[sbom.digest]
    assert {"REFERRERS": 1} == await rig.cost(refresher.refresh_referrers(rig.key, WEB, digest))
    rig.registry.delete_manifest("web", sbom.digest)
    spent = await rig.cost(refresher.refresh_referrers(rig.key, WEB, digest))
    # No HEAD has been answered yet: nobody knows what a refused one says.
    assert {"REFERRERS": 1, "MANIFEST_HEAD": 1, "MANIFEST_GET": 1, "PING": 1} == spent
    assert {built.digest: ""} == rig.artifacts("web")
    assert [] == rig.recount()


async def test_referrers_that_cannot_be_told(rig: Rig, refresher: Refresher) -> None:
    """Not known, not supported and refused are three errors."""
    built = image("a")
    push(rig.registry, "web", built, "v1")
    digest = Digest(built.digest)
    with pytest.raises(NotObservedError):
        await refresher.refresh_referrers(rig.key, WEB, digest)
    await rig.crawl()
    rig.registry.faults = lambda request: 403 if "/referrers/" in request.path else None
    with pytest.raises(RegistryDeniedError):
        await refresher.refresh_referrers(rig.key, WEB, digest)
    rig.registry.faults = {}
    rig.registry.supports_referrers = False
    rig.restart()
    refresher = Refresher([rig.upstream])
    for _ in range(2):
        with pytest.raises(RegistryUnsupportedError):
            await refresher.refresh_referrers(rig.key, WEB, digest)
    assert 1 == rig.spent()["REFERRERS"]


async def test_referrers_that_are_refused_where_a_child_is_too(rig: Rig, refresher: Refresher) -> None:
    """The asker learns why the list was refused, whatever else was asked for meanwhile."""
    index = make_index([image("a")])
    push(rig.registry, "web", index, "v1")
    child = f"/v2/web/manifests/{index.manifests[0].digest}"
    rig.registry.faults = {child: 500}
    await rig.crawl()
    rig.registry.faults = {f"/v2/web/referrers/{index.digest}": 403, child: 500}
    with pytest.raises(RegistryDeniedError):
        await refresher.refresh_referrers(rig.key, WEB, Digest(index.digest))


# Who asks.


async def test_askers_share(rig: Rig, refresher: Refresher) -> None:
    """A hundred who ask for the same thing at once cost one refresh; another thing is one of its own."""
    push(rig.registry, "web", image("a"), "v1")
    askers = [refresher.refresh_repository(rig.key, WEB) for _ in range(100)]
    askers += [refresher.refresh_catalog(rig.key) for _ in range(100)]
    assert {"TAGS": 1, "MANIFEST_GET": 1, "CONFIG": 1, "CATALOG": 1} == await rig.cost(
        asyncio.gather(*askers)
    )
    assert {"TAGS": 1, "MANIFEST_HEAD": 1} == await rig.cost(refresher.refresh_repository(rig.key, WEB))


async def test_askers_share_an_error(rig: Rig, refresher: Refresher) -> None:
    """The error reaches all of them, for one request."""
    rig.registry.faults = {"/v2/web/tags/list": 403}
    asked = asyncio.gather(
        *(refresher.refresh_repository(rig.key, WEB) for _ in range(10)), return_exceptions=True
    )
    assert {"TAGS": 1} == await rig.cost(asked)
    assert [RegistryDeniedError] * 10 == [type(error) for error in asked.result()]


async def test_an_asker_who_gives_up(rig: Rig, refresher: Refresher) -> None:
    """When one asker is cancelled the refresh goes on, for the others or for nobody."""
    push(rig.registry, "web", image("a"), "v1")
    gate = Gate()
    rig.registry.hooks = {1: gate}
    impatient = asyncio.create_task(refresher.refresh_repository(rig.key, WEB))
    await gate.reached.wait()
    impatient.cancel()
    await asyncio.wait({impatient})
    patient = asyncio.create_task(refresher.refresh_repository(rig.key, WEB))
    gate.opened.set()
    await patient
    assert {"v1"} == set(rig.tags("web"))
    assert 1 == rig.spent()["TAGS"]


async def test_an_asker_who_waits_too_long(rig: Rig) -> None:
    """After the time-out the asker is told, and what is learned later is stored all the same."""
    push(rig.registry, "web", image("a"), "v1")
    gate = Gate()
    rig.registry.hooks = {1: gate}
    refresher = Refresher([rig.upstream], timeout=0)
    with pytest.raises(RegistryUnreachableError, match="goes on"):
        await refresher.refresh_repository(rig.key, WEB)
    gate.opened.set()
    while not rig.dump()["tags"]:
        await asyncio.sleep(0)
    await refresher.aclose()


async def test_so_many_refreshes_at_once(rig: Rig) -> None:
    """Beyond the bound a refresh is refused, not queued; who asks for one that is under way is not."""
    push(rig.registry, "web", image("a"), "v1")
    gate = Gate()
    rig.registry.hooks = {1: gate}
    refresher = Refresher([rig.upstream], max_refreshes=1)
    first = asyncio.create_task(refresher.refresh_repository(rig.key, WEB))
    await gate.reached.wait()
    with pytest.raises(RegistryUnreachableError, match="under way"):
        await refresher.refresh_catalog(rig.key)
    second = asyncio.create_task(refresher.refresh_repository(rig.key, WEB))
    gate.opened.set()
    await asyncio.gather(first, second)
    await refresher.refresh_catalog(rig.key)
    await refresher.aclose()


async def test_the_end(rig: Rig, refresher: Refresher) -> None:
    """On closing, what is under way ends and whoever waits is told."""
    gate = Gate()
    rig.registry.hooks = {1: gate}
    asker = asyncio.create_task(refresher.refresh_catalog(rig.key))
    await gate.reached.wait()
    await refresher.aclose()
    with pytest.raises(RegistryUnreachableError, match="ended"):
        await asker


async def test_a_registry_that_is_not_configured(rig: Rig, refresher: Refresher) -> None:
    """A key that no registry has is refused before anything is asked."""
    with pytest.raises(UnknownRegistryError):
        await refresher.refresh_catalog(rig.key + 1)
    assert {} == rig.spent()


async def test_a_mistake_of_ours(rig: Rig, refresher: Refresher, caplog: pytest.LogCaptureFixture) -> None:
    """An exception that nobody foresaw is logged, and reaches the asker as an error of ours."""

    def break_down() -> None:
        raise ZeroDivisionError("nobody foresaw this")

    rig.registry.hooks = {1: break_down}
    with pytest.raises(GraphError, match="mistake"):
        await refresher.refresh_catalog(rig.key)
    assert "ZeroDivisionError" in caplog.text


Looks = Callable[[Rig, Refresher], Awaitable[object]]


@pytest.mark.parametrize(
    "look",
    [
        lambda rig, refresher: refresher.refresh_repository(rig.key, WEB),
        lambda rig, refresher: refresher.refresh_tag(rig.key, WEB, tag_name("v2")),
    ],
    ids=["repository", "tag"],
)
async def test_looks_at_one_repository_take_turns(rig: Rig, refresher: Refresher, look: Looks) -> None:
    """A list of tags that was read before a push does not take away what a refresh saw after it."""
    push(rig.registry, "web", image("a"), "v1")
    await rig.crawl()
    gate = Gate()
    # Ping, catalog, list of tags; then the crawl is held up with its list in hand.
    rig.registry.hooks = {rig.registry.request_count + 4: gate}
    crawl = asyncio.create_task(rig.crawl())
    await gate.reached.wait()
    push(rig.registry, "web", image("b"), "v2")
    refresh = asyncio.create_task(look(rig, refresher))  # type: ignore[arg-type]  # a coroutine, in fact
    await asyncio.sleep(0)
    gate.opened.set()
    await asyncio.gather(crawl, refresh)
    assert {"v1", "v2"} == set(rig.tags("web"))
