"""The plan of a deletion as it is shown: every reason, pages, what it costs, and what is refused."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from graph.schema.context import Limits
from graph.schema.deletion import MAX_SHOWN
from graph.store.deletion import MAX_SURROUNDINGS
from requests_to_graph import FakeRefresher, Graph, Response, codes_of, graph_of, paths_of
from schema_stores import ragged_store
from store_builders import NOW, StoreBuilder

pytestmark = pytest.mark.anyio

PLAN = """query (
    $artifacts: [String!], $tags: [String!], $repositories: [String!], $registry: String
    $first: Int = 100, $after: String, $last: Int, $before: String
) {
    deletion(artifacts: $artifacts, tags: $tags, repositories: $repositories, registry: $registry) {
        artifactCount bytesFreed bytesFreedByNamedOnly bytesFreedByReferrers
        basis { scope completeness oldestObservedAt exclusiveIsUpperBound countsAreLowerBound }
        steps(first: $first, after: $after) {
            nodes {
                reference digest reason artifact { digest }
                causes { digest } causeCount breaks { digest } breakCount
            }
            totalCount pageInfo { hasNextPage hasPreviousPage endCursor } }
        staying(first: 100) {
            nodes { reference digest reason tags { name } tagCount holders { digest } holderCount }
            totalCount }
        blobs(last: $last, before: $before) {
            nodes { digest size layer { digest artifactCount } }
            totalCount pageInfo { hasNextPage hasPreviousPage startCursor } }
    } }"""


class Yard:
    """Repositories whose artifacts have names, which stand for their digests."""

    def __init__(self) -> None:
        self.build = StoreBuilder()
        self.registry = self.build.registry("registry.test", catalog_observed_at=NOW)
        self.names: dict[str, str] = {}  # digest → name
        self.keys: dict[str, int] = {}  # name → artifact

    def repository(self, name: str, registry: int | None = None, **columns: Any) -> int:
        known = {"observed_at": NOW, "crawled_at": NOW, "completeness": "COMPLETE"}
        return self.build.repository(registry or self.registry, name, **{**known, **columns})

    def image(self, home: int, name: str, *layers: int, size: int = 1) -> int:
        registry = self.build.row("repository", home)["registry_id"]
        return self._add(home, name, self.build.manifest(registry, layers, data=b"x" * size))

    def index(self, home: int, name: str, *children: str, absent: int = 0) -> int:
        manifests = [self.manifest_of(child) for child in children]
        manifests += [self.build.blob(self.registry) for _ in range(absent)]
        return self._add(home, name, self.build.manifest(self.registry, children=manifests, data=b"x"))

    def refer(self, subject: str, referrer: str) -> None:
        self.build.referrer(self.manifest_of(subject), self.keys[referrer])

    def manifest_of(self, name: str) -> int:
        manifest: int = self.build.row("artifact", self.keys[name])["manifest_id"]
        return manifest

    def digest(self, name: str) -> str:
        digest: str = self.build.row("blob", self.manifest_of(name))["digest"]
        return digest

    def told(self, artifacts: Iterable[Any]) -> list[str]:
        """The names of artifacts, steps or stays."""
        return [self.names[found["digest"]] for found in artifacts]

    def steps(self, plan: Any) -> list[tuple[str, str, list[str], list[str]]]:
        """Name, reason, causes and what breaks."""
        return [
            (self.names[step["digest"]], step["reason"], self.told(step["causes"]), self.told(step["breaks"]))
            for step in plan["steps"]["nodes"]
        ]

    def staying(self, plan: Any) -> list[tuple[str, str, list[str]]]:
        """Name, reason, and the tags or artifacts that hold it."""
        return [
            (
                self.names[stay["digest"]],
                stay["reason"],
                [tag["name"] for tag in stay["tags"]] or self.told(stay["holders"]),
            )
            for stay in plan["staying"]["nodes"]
        ]

    def _add(self, home: int, name: str, manifest: int) -> int:
        self.keys[name] = self.build.artifact(home, manifest)
        self.names[self.digest(name)] = name
        return self.keys[name]


def yard() -> Yard:
    """An application with every reason to go and to stay, and a second registry.

    The index `one` lists a child of its own, one that `two` lists as well and one with a tag, and is signed.
    """
    yard = Yard()
    app = yard.repository("team/app")
    base, own = yard.build.layer(yard.registry, 1_000), yard.build.layer(yard.registry, 50)
    yard.image(app, "own", base, own)
    yard.image(app, "shared", base)
    yard.image(app, "tagged", base)
    yard.index(app, "one", "own", "shared", "tagged", absent=2)
    yard.index(app, "two", "shared")
    yard.image(app, "signature", yard.build.layer(yard.registry, 7))
    yard.image(app, "kept signature")
    yard.image(app, "signature of both")
    for referrer in ("signature", "kept signature", "signature of both"):
        yard.refer("one", referrer)
    yard.refer("two", "signature of both")
    for name, tags in (
        ("one", ["1", "latest"]),
        ("two", ["2"]),
        ("tagged", ["1-amd64"]),
        ("kept signature", ["sig"]),
    ):
        for tag in tags:
            yard.build.tag(app, tag, yard.keys[name])
    other = yard.build.registry("other.test:5000", catalog_observed_at=NOW)
    theirs = yard.repository("team/app", other)
    yard.build.tag(theirs, "1", yard.image(theirs, "theirs", size=3))
    yard.repository("team/never", observed_at=None, crawled_at=None, completeness="UNKNOWN")
    return yard


async def plan_of(graph: Graph, **variables: Any) -> Any:
    return (await graph.data(PLAN, variables))["deletion"]


async def test_every_reason() -> None:
    """What goes, why and because of what; what stays and what holds it; the bytes of each extent."""
    named = yard()
    async with graph_of(named.build) as graph:
        plan = await plan_of(graph, artifacts=["team/app:1"])
    assert [
        ("signature", "REFERRER", ["one"], []),
        ("one", "NAMED", [], []),
        ("own", "CHILD", ["one"], []),
    ] == named.steps(plan)
    assert [
        ("shared", "HELD_BY_INDEX", ["two"]),
        ("tagged", "TAGGED", ["1-amd64"]),
        ("kept signature", "TAGGED", ["sig"]),
        ("signature of both", "HELD_AS_REFERRER", ["two"]),
    ] == named.staying(plan)
    # Manifests of one byte each, the layer of `own` and that of the signature.
    assert (3, 1 + 51 + 8, 1, 8) == (
        plan["artifactCount"],
        plan["bytesFreed"],
        plan["bytesFreedByNamedOnly"],
        plan["bytesFreedByReferrers"],
    )
    assert [50, 7, 1, 1, 1] == [blob["size"] for blob in plan["blobs"]["nodes"]]
    assert [1, 1, None, None, None] == [
        blob["layer"] and blob["layer"]["artifactCount"] for blob in plan["blobs"]["nodes"]
    ]
    assert {
        "scope": "ALL",
        "completeness": "COMPLETE",
        "oldestObservedAt": "2024-05-01T12:00:00Z",
        "exclusiveIsUpperBound": True,  # another repository was never looked at
        "countsAreLowerBound": False,
    } == plan["basis"]


async def test_addresses_are_of_digests() -> None:
    """Each step is told by the address that deletes it, whatever it was named by."""
    named = yard()
    async with graph_of(named.build) as graph:
        plan = await plan_of(graph, artifacts=["other.test:5000/team/app:1"], tags=[], registry=None)
        same = await plan_of(graph, artifacts=["team/app:1"], registry="other.test:5000")
    assert plan == same
    assert [f"other.test:5000/team/app@{named.digest('theirs')}"] == [
        step["reference"] for step in plan["steps"]["nodes"]
    ]


async def test_what_a_kept_index_lists_may_be_named() -> None:
    """It goes, and the plan says which index it breaks."""
    named = yard()
    async with graph_of(named.build) as graph:
        plan = await plan_of(graph, artifacts=[f"team/app@{named.digest('shared')}"])
    assert [("shared", "NAMED", [], ["one", "two"])] == named.steps(plan)
    assert [2] == [step["breakCount"] for step in plan["steps"]["nodes"]]


async def test_tags() -> None:
    """Taking away one of two tags deletes nothing; taking both does."""
    named = yard()
    async with graph_of(named.build) as graph:
        one = await plan_of(graph, tags=["team/app:1"])
        both = await plan_of(graph, tags=["team/app:1", "registry.test/team/app:latest", "team/app:latest"])
    assert ([], [("one", "TAGGED", ["latest"])]) == (named.steps(one), named.staying(one))
    assert (0, 0, 0) == (one["bytesFreed"], one["artifactCount"], one["blobs"]["totalCount"])
    assert ["signature", "one", "own"] == named.told(both["steps"]["nodes"])


async def test_the_last_tag_of_what_an_index_lists() -> None:
    """It stays, held by the index."""
    named = yard()
    async with graph_of(named.build) as graph:
        plan = await plan_of(graph, tags=["team/app:1-amd64"])
    assert ([], [("tagged", "HELD_BY_INDEX", ["one"])]) == (named.steps(plan), named.staying(plan))


async def test_whole_repositories_of_several_registries() -> None:
    """All artifacts of what a name or a pattern leads to; each registry frees its own bytes (C2)."""
    named = yard()
    async with graph_of(named.build) as graph:
        plan = await plan_of(graph, repositories=["team/a*", "other.test:5000/team/app"])
        nothing = await plan_of(graph, repositories=["nothing/*"])
    assert {"NAMED"} == {step["reason"] for step in plan["steps"]["nodes"]}
    assert len(named.keys) == plan["artifactCount"]
    sizes = {row["id"]: row["size"] for row in named.build.rows["blob"] if row["artifact_count"]}
    assert sum(sizes.values()) == plan["bytesFreed"] == plan["bytesFreedByNamedOnly"]
    assert (0, []) == (nothing["artifactCount"], nothing["staying"]["nodes"])


async def test_statements() -> None:
    """Names, the plan and what it frees; then one for the basis and for each list, none for its count."""
    named = yard()
    async with graph_of(named.build) as graph:
        await graph.data('{ deletion(artifacts: ["team/app:1"]) { bytesFreed } }')
        assert 3 == len(graph.statements)
        await plan_of(graph, artifacts=["team/app:1"])
        # Steps, what stays, and beside them: causes and holders at once, tags left, layers of blobs.
        assert 3 + 1 + 5 == len(graph.statements)
        sets = {"tags": ["team/app:2"], "repositories": ["team/app", "team/*"]}
        await graph.data(
            """query ($artifacts: [String!], $tags: [String!], $repositories: [String!]) {
                deletion(artifacts: $artifacts, tags: $tags, repositories: $repositories) { bytesFreed } }""",
            {"artifacts": ["team/app:1", f"team/app@{named.digest('own')}"], **sets},
        )
        assert 6 == len(graph.statements)


async def test_pages() -> None:
    """A plan of many steps is read page by page, forwards and backwards, each step once."""
    named = Yard()
    home = named.repository("app")
    for number in range(45):
        named.image(home, f"image {number}", size=1 + number)
    async with graph_of(named.build) as graph:
        found: list[str] = []
        after = None
        while True:
            plan = await plan_of(graph, repositories=["app"], first=20, after=after)
            found += named.told(plan["steps"]["nodes"])
            assert (45, 45) == (plan["steps"]["totalCount"], plan["blobs"]["totalCount"])
            after = plan["steps"]["pageInfo"]["endCursor"]
            if not plan["steps"]["pageInfo"]["hasNextPage"]:
                break
        assert list(named.keys) == found
        sizes: list[int] = []
        before = None
        while True:
            plan = await plan_of(graph, repositories=["app"], last=20, before=before)
            sizes = [blob["size"] for blob in plan["blobs"]["nodes"]] + sizes
            before = plan["blobs"]["pageInfo"]["startCursor"]
            if not plan["blobs"]["pageInfo"]["hasPreviousPage"]:
                break
        assert list(range(45, 0, -1)) == sizes
        response = await graph.ask(PLAN, {"repositories": ["app"], "after": before})
    assert ["INVALID_CURSOR"] == codes_of(response)


async def test_long_lists_beside_a_step_are_cut() -> None:
    """At most 20 causes, holders, tags and broken indexes are shown, and beside them how many there are."""
    named = Yard()
    home = named.repository("app")
    named.image(home, "child")
    named.image(home, "shared")
    indexes = [f"index {number}" for number in range(MAX_SHOWN + 5)]
    for name in indexes:
        named.index(home, name, "child", "shared")
    for number in range(MAX_SHOWN + 5):
        named.index(home, f"other {number}", "shared")
        named.build.tag(home, f"t{number:02}", named.keys["index 0"])
    addresses = [f"app@{named.digest(name)}" for name in indexes]
    async with graph_of(named.build) as graph:
        many = await plan_of(graph, artifacts=addresses)
        broken = await plan_of(graph, artifacts=[f"app@{named.digest('child')}"])
        kept = await plan_of(graph, tags=["app:t00"])
    (child,) = [step for step in many["steps"]["nodes"] if step["reason"] == "CHILD"]
    (shared,) = many["staying"]["nodes"]
    (step,) = broken["steps"]["nodes"]
    (index,) = kept["staying"]["nodes"]
    assert [(MAX_SHOWN, MAX_SHOWN + 5)] * 3 + [(MAX_SHOWN, MAX_SHOWN + 4)] == [
        (len(child["causes"]), child["causeCount"]),
        (len(shared["holders"]), shared["holderCount"]),
        (len(step["breaks"]), step["breakCount"]),
        (len(index["tags"]), index["tagCount"]),
    ]


async def test_cycles_end() -> None:
    """Indexes that list each other, and subjects in a circle, make a plan like any other."""
    named = Yard()
    home = named.repository("app")
    for name in ("a", "b"):
        named.image(home, name)
    for begin, end in (("a", "b"), ("b", "a"), ("a", "a")):
        row = {"manifest_id": named.manifest_of(begin), "child_id": named.manifest_of(end)}
        position = len(named.build.rows["manifest_child"])
        media_type = named.build.rows["media_type"][0]["id"]
        named.build.rows["manifest_child"].append({**row, "position": position, "media_type_id": media_type})
        named.refer(begin, end)
    async with graph_of(named.build) as graph:
        plan = await plan_of(graph, artifacts=[f"app@{named.digest('a')}"])
    assert [("a", "NAMED"), ("b", "CHILD")] == [step[:2] for step in named.steps(plan)]


async def test_ten_thousand_names() -> None:
    """As many as a set may have make one plan, in the statements of a small one; one more is refused."""
    named = Yard()
    home = named.repository("app")
    for number in range(10_000):
        named.image(home, f"image {number}")
    addresses = [f"app@{digest}" for digest in named.names]
    query = "query ($names: [String!]) { deletion(artifacts: $names) { artifactCount bytesFreed } }"
    async with graph_of(named.build, limits=Limits()) as graph:
        data = await graph.data(query, {"names": addresses}, limits=Limits())
        assert {"artifactCount": 10_000, "bytesFreed": 10_000} == data["deletion"]
        assert 3 == len(graph.statements)
        response = await graph.ask(query, {"names": [*addresses, "app:one-more"]}, limits=Limits())
        assert ["QUERY_TOO_COSTLY"] == codes_of(response)
        assert [] == graph.statements
        thrice = "query ($names: [String!]) { a: deletion(artifacts: $names) { bytesFreed } "
        thrice += "b: deletion(artifacts: $names, tags: []) { bytesFreed } "
        thrice += 'c: deletion(artifacts: $names, repositories: ["none/*"]) { bytesFreed } }'
        response = await graph.ask(thrice, {"names": addresses}, limits=Limits())
    assert {"QUERY_TOO_COSTLY"} == set(codes_of(response))


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "INVALID_INPUT"),
    ({"artifacts": ["UPPER"]}, "INVALID_NAME"),
    ({"artifacts": ["team/app@sha256:short"]}, "INVALID_DIGEST"),
    ({"tags": [f"team/app@sha256:{'0' * 64}"]}, "INVALID_REFERENCE"),
    ({"repositories": ["a//b"]}, "INVALID_NAME"),
    ({"artifacts": ["nowhere.test:5000/team/app:1"]}, "UNKNOWN_REGISTRY"),
    ({"artifacts": ["team/app:1"], "registry": "nowhere.test"}, "UNKNOWN_REGISTRY"),
    ({"artifacts": ["team/app:nothing"]}, "UNKNOWN_MEMBER"),
    ({"tags": ["team/app:nothing", "team/app:1"]}, "UNKNOWN_MEMBER"),
    ({"artifacts": [f"team/app@sha256:{'f' * 64}"]}, "UNKNOWN_MEMBER"),
    ({"artifacts": ["team/nowhere:1"]}, "NOT_STORED"),
    ({"repositories": ["team/never"]}, "NOT_STORED"),
]


@pytest.mark.parametrize(("variables", "code"), REFUSED)
async def test_refused(variables: dict[str, Any], code: str) -> None:
    """One error at the field, and no part of a plan: half a plan would be a wrong one."""
    refresher = FakeRefresher()
    async with graph_of(yard().build) as graph:
        response: Response = await graph.ask(PLAN, variables, refresher=refresher)
    assert {"deletion": None} == response["data"]
    assert [(code, ["deletion"])] == [
        (error["extensions"]["code"], error["path"]) for error in response["errors"]
    ]
    assert [] == refresher.asked


async def test_too_many_artifacts() -> None:
    """Repositories with more artifacts than one plan may have are refused by their counters alone."""
    named = Yard()
    home = named.repository("app")
    named.build.derive()
    named.build.row("repository", home)["artifact_count"] = MAX_SURROUNDINGS + 1
    async with graph_of(named.build) as graph:
        response = await graph.ask(PLAN, {"repositories": ["app"]})
        assert ["QUERY_TOO_COSTLY"] == codes_of(response)
        assert 1 == len(graph.statements)


async def test_the_time_limit() -> None:
    """A plan that is not told in time is an error at its place."""
    async with graph_of(yard().build) as graph:
        deadline = asyncio.get_running_loop().time()
        response = await graph.ask(PLAN, {"artifacts": ["team/app:1"]}, deadline=deadline)
    assert {("deletion",): "TIME_LIMIT"} == paths_of(response)


async def test_an_absent_artifact_is_unknown() -> None:
    """What was seen to be gone is nothing to delete."""
    named = yard()
    named.build.row("artifact", named.keys["own"])["absent_at"] = NOW
    async with graph_of(named.build) as graph:
        response = await graph.ask(PLAN, {"artifacts": [f"team/app@{named.digest('own')}"]})
    assert ["UNKNOWN_MEMBER"] == codes_of(response)


async def test_one_plan_fails_alone() -> None:
    """Of several plans in one request each has its own answer."""
    query = '{ good: deletion(artifacts: ["team/web:v1"]) { artifactCount } '
    query += 'bad: deletion(tags: ["team/web:nothing"]) { artifactCount } }'
    async with graph_of(ragged_store()) as graph:
        response = await graph.ask(query)
    assert {"good": {"artifactCount": 4}, "bad": None} == response["data"]
    assert ["UNKNOWN_MEMBER"] == codes_of(response)


async def test_unread_manifests_make_bounds() -> None:
    """What is known of an artifact whose manifest nobody could read goes, and the basis tells."""
    async with graph_of(ragged_store()) as graph:
        plan = await plan_of(graph, repositories=["team/api"])
    assert 4 == plan["artifactCount"]
    assert (True, True) == (
        plan["basis"]["exclusiveIsUpperBound"],
        plan["basis"]["countsAreLowerBound"],
    )
