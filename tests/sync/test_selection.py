"""`include` and `exclude` choose which repositories are read; what they leave out is not there for us."""

import pytest

from fakes.sync_rig import Rig, image, open_rig, push, repository_name
from graph.errors import NotObservedError, RegistryDeniedError, RegistryUnknownError
from graph.registry.capability import Capability, CapabilityState
from graph.sample import SampleRegistry
from graph.store.bases import load_repository_bases, load_set_basis, registry_basis
from graph.store.registries import load_registry_statuses
from graph.store.rows import Scope
from graph.store.visibility import Visibility
from graph.sync.refresh import Refresher
from graph.sync.selection import Selection

pytestmark = pytest.mark.anyio

NAMES = ("team/web", "team/web/cache", "team/api", "other/tool")
EVERYTHING = Visibility.everything()
# What a repository costs besides its list of tags; the probe is for the registry.
READ = {"MANIFEST_GET": 1, "CONFIG": 1, "REFERRERS": 1}


def filled() -> SampleRegistry:
    registry = SampleRegistry(supports_referrers=False)
    for name in NAMES:
        push(registry, name, image(name), "v1")
    return registry


def present(rig: Rig) -> set[str]:
    return {row[0] for row in rig.dump()["repositories"] if row[1]}


def asked_about(rig: Rig) -> set[str]:
    """The repositories that any request was about."""
    paths = [request.path.removeprefix("/v2/") for request in rig.registry.requests]
    ends = ("/tags/list", "/manifests/", "/blobs/", "/referrers/")
    return {path.split(end)[0] for path in paths for end in ends if end in path}


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(), NAMES),
        (Selection(("team/*",)), NAMES[:3]),
        (Selection(("team/*", "other/tool")), NAMES),
        (Selection(("team/web",)), NAMES[:1]),
        (Selection(("*/???",)), ("team/web", "team/api")),
        (Selection((), ("*/cache", "other/*")), ("team/web", "team/api")),
        (Selection(("team/*", "team/api"), ("team/api",)), ("team/web", "team/web/cache")),
    ],
)
def test_what_is_chosen(selection: Selection, expected: tuple[str, ...]) -> None:
    """A star stands for slashes too; what is excluded is left out whatever includes it."""
    assert list(expected) == [name for name in NAMES if selection.admits(name)]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(("team/*",), ("*/cache",)), {"team/web", "team/api"}),
        (Selection((), ("team/*",)), {"other/tool"}),
    ],
)
async def test_only_what_is_chosen_is_asked_about(selection: Selection, expected: set[str]) -> None:
    """Neither written down nor asked about is what is left out, and a later crawl is the same."""
    async with open_rig(filled()) as rig:
        rig.upstream.selection = selection
        for _ in range(2):
            await rig.crawl()
            assert expected == {row[0] for row in rig.dump()["repositories"]} == asked_about(rig)
        assert [] == rig.recount()


async def test_names_need_no_catalog() -> None:
    """Where all are named nobody lists them: they are read where the registry does not list anything."""
    async with open_rig(filled()) as rig:
        rig.upstream.selection = Selection(("team/web", "other/tool"))
        first, report = await rig.spend()
        later, _ = await rig.spend()
        assert {"team/web", "other/tool"} == present(rig) == asked_about(rig)
        (status,) = rig.read(load_registry_statuses, EVERYTHING, [rig.key])

    assert (None, {}) == (report.failure, report.trouble_counts)
    assert {"PING": 1, "TAGS": 2, "MANIFEST_GET": 2, "CONFIG": 2, "REFERRERS": 1} == first
    assert {"PING": 1, "TAGS": 2, "MANIFEST_HEAD": 2} == later
    assert status.catalog_observed_at is not None


async def test_a_name_beside_globs_is_read_though_not_listed() -> None:
    """Where the catalog is denied, globs find nothing, and what is named is read all the same."""
    registry = filled()
    registry.faults = {"/v2/_catalog": 404}
    async with open_rig(registry) as rig:
        rig.upstream.selection = Selection(("team/web", "other/*"))
        report = await rig.crawl()
        assert {"team/web"} == present(rig)
        assert CapabilityState.UNSUPPORTED is rig.client.capabilities[Capability.CATALOG]
        assert report.failure is not None


@pytest.mark.parametrize(
    ("selection", "login", "expected", "is_denied"),
    [
        (Selection(("other/tool",)), {}, {"PING": 1, "TAGS": 1, **READ}, False),
        (Selection(("other/tool", "team/web")), {}, {"PING": 1, "TAGS": 2, **READ}, False),
        # Refused by all, it is the registry that refuses us.
        (Selection(("team/web",)), {}, {"PING": 1, "TAGS": 1}, True),
        (Selection(("other/*",)), {}, {"PING": 1}, True),
        (Selection(), {}, {"PING": 1}, True),
        # A login that is refused is tried once, not once for each name.
        (Selection(("other/tool",)), {"username": "u", "password": "p"}, {"PING": 1}, True),
    ],
)
async def test_names_need_no_answer_to_a_ping(
    selection: Selection, login: dict[str, str], expected: dict[str, int], is_denied: bool
) -> None:
    """What is named is asked for where `/v2/` is refused to who has no login, as by zuul-registry."""
    registry = filled()
    registry.faults = dict.fromkeys(("/v2/", "/v2/_catalog", "team/web"), 401)
    async with open_rig(registry, **login) as rig:
        rig.upstream.selection = selection
        spent, report = await rig.spend()
        assert expected == spent
        assert (set() if is_denied else {"other/tool"}) == present(rig)
    assert is_denied is report.is_stopped
    assert (RegistryDeniedError.code if is_denied else None) == (report.failure and report.failure.code)


async def test_a_name_that_is_not_there() -> None:
    """It is told, and nothing is made up from the refusal."""
    async with open_rig(filled()) as rig:
        rig.upstream.selection = Selection(("team/web", "team/none"))
        report = await rig.crawl()
        assert {"team/web"} == {row[0] for row in rig.dump()["repositories"]}
    assert {RegistryUnknownError.code: 1} == report.trouble_counts


async def test_what_is_left_out_later_goes() -> None:
    """What was read before is absent from the next crawl on, and its layers; back when chosen again."""
    async with open_rig(filled()) as rig:
        await rig.crawl()
        before = rig.dump()
        rig.upstream.selection = Selection((), ("team/*",))
        spent, _ = await rig.spend()
        assert {"other/tool"} == present(rig)
        assert {"PING": 1, "CATALOG": 1, "TAGS": 1, "MANIFEST_HEAD": 1} == spent
        assert [] == rig.recount()

        rig.upstream.selection = Selection()
        await rig.crawl()
        assert set(NAMES) == present(rig)
        assert before["blobs"] == rig.dump()["blobs"]
        assert [] == rig.recount()


async def test_nobody_is_asked_on_demand_either() -> None:
    """A refresh of what is left out fails without a request."""
    async with open_rig(filled()) as rig:
        rig.upstream.selection = Selection(("other/*",))
        with pytest.raises(NotObservedError, match="leave team/web out"):
            await Refresher([rig.upstream]).refresh_repository(rig.key, repository_name("team/web"))
        assert [] == rig.registry.requests


@pytest.mark.parametrize("is_partial", [False, True])
async def test_figures_say_that_something_is_left_out(is_partial: bool) -> None:
    """Somebody who is not read may use every blob, and may be one more of whatever is counted."""
    async with open_rig(filled(), is_partial=is_partial) as rig:
        await rig.crawl()
        with rig.store.transaction() as db:
            db.exec_driver_sql("UPDATE repository SET completeness = 'COMPLETE'")
        (status,) = rig.read(load_registry_statuses, EVERYTHING, [rig.key])
        whole = registry_basis(status, Scope.ALL)
        (own,) = rig.read(load_repository_bases, EVERYTHING, [1], Scope.ALL)
        globbed = rig.read(load_set_basis, EVERYTHING, [1, 2], Scope.ALL, True)
        named = rig.read(load_set_basis, EVERYTHING, [1, 2], Scope.ALL)

    assert [is_partial] * 4 == [each.exclusive_is_upper_bound for each in (whole, own, globbed, named)]
    # What is named is known; of all, or of all that match, some may be left out.
    assert [is_partial, False, is_partial, False] == [
        each.counts_are_lower_bound for each in (whole, own, globbed, named)
    ]
