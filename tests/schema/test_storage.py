"""Storage through GraphQL: of owners, artifacts and any set, with its basis, in so many statements."""

from typing import Any

import pytest

from graph.schema.context import Limits
from graph.schema.sets import MAX_MEMBERS
from requests_to_graph import codes_of, graph_of, paths_of
from schema_stores import ragged_store
from store_builders import NOW, StoreBuilder

pytestmark = pytest.mark.anyio

FIGURES = "{ artifactCount layerCount logicalBytes storedBytes exclusiveBytes sharedBytes }"
SET = f"""query Set(
  $artifacts: [String!], $repositories: [String!], $registry: String, $scope: Scope! = ALL
) {{
  storage(artifacts: $artifacts, repositories: $repositories, registry: $registry, scope: $scope) {FIGURES}
}}"""

# Statements of one set at most: addresses by tag and by digest, repositories by name and by glob, what is
# around the artifacts, and the sums. The basis is one more where it is asked for.
SET_STATEMENTS = 6


def shop() -> StoreBuilder:
    """`web` has an index of two images, one with a tag, and a dangling one; `api` has one of their layers.

    `listed` was never looked at. Registry two.test has a repository `web` of its own.
    """
    build = StoreBuilder()
    registry, other = (build.registry(name, catalog_observed_at=NOW) for name in ("one.test", "two.test"))
    seen = {"observed_at": NOW, "crawled_at": NOW, "completeness": "BEST_EFFORT"}
    web, api = (build.repository(registry, name, **seen) for name in ("team/web", "team/api"))
    build.repository(registry, "team/listed")
    far = build.repository(other, "web", **seen)
    base = build.layer(registry, 1000)
    children = [build.manifest(registry, [base, build.layer(registry, size)]) for size in (100, 200)]
    _, arm = (build.artifact(web, manifest, untagged="INDEX_CHILD") for manifest in children)
    build.tag(web, "v1", build.artifact(web, build.manifest(registry, children=children), kind="INDEX"))
    build.tag(web, "arm", arm)
    build.image(web, [base, build.layer(registry, 400)], untagged="DANGLING")
    build.tag(api, "latest", build.image(api, [base]))
    build.tag(far, "latest", build.image(far, [build.layer(other, 50)]))
    return build


def figures(*numbers: int) -> dict[str, int]:
    names = ("artifactCount", "layerCount", "logicalBytes", "storedBytes", "exclusiveBytes")
    found = dict(zip(names, numbers, strict=True))
    return {**found, "sharedBytes": found["storedBytes"] - found["exclusiveBytes"]}


WEB = figures(4, 4, 3 * 1000 + 700 + 8, 1700 + 8, 700 + 8)
LIVE_WEB = figures(3, 3, 2 * 1000 + 300 + 6, 1300 + 6, 300 + 6)
INDEX = figures(3, 3, 2 * 1000 + 300 + 6, 1300 + 6, 100 + 4)
TEAM = figures(5, 4, 4 * 1000 + 700 + 10, 1700 + 10, 1700 + 10)


async def test_owners() -> None:
    """A registry, a namespace, a repository and an artifact, each with the figures of what it holds."""
    query = f"""{{
      registry {{ storage {FIGURES} live: storage(scope: TAGGED) {FIGURES}
        namespaces {{ nodes {{ storage {FIGURES} }} }} }}
      repository(name: "team/web") {{ storage {FIGURES} live: storage(scope: TAGGED) {FIGURES} }}
      artifact(reference: "team/web:v1") {{ exclusiveBytes storage {FIGURES} }}
    }}"""
    async with graph_of(shop()) as graph:
        data = await graph.data(query)

    assert TEAM == data["registry"]["storage"] == data["registry"]["namespaces"]["nodes"][0]["storage"]
    assert figures(4, 3, 3 * 1000 + 300 + 8, 1300 + 8, 300 + 8) == data["registry"]["live"]
    assert {"storage": WEB, "live": LIVE_WEB} == data["repository"]
    assert {"exclusiveBytes": 104, "storage": INDEX} == data["artifact"]


@pytest.mark.parametrize(
    ("variables", "expected", "statements"),
    [
        ({"artifacts": ["team/web"], "repositories": []}, None, 1),
        ({"artifacts": ["team/web:v1"]}, INDEX, 3),
        ({"artifacts": ["one.test/team/web:v1"], "registry": "two.test"}, INDEX, 3),
        ({"repositories": ["team/web"]}, WEB, 2),
        ({"repositories": ["team/web"], "scope": "TAGGED"}, LIVE_WEB, 2),
        ({"repositories": ["team/*"]}, TEAM, 2),
        ({"repositories": ["nothing/*"]}, figures(0, 0, 0, 0, 0), 1),
        ({"artifacts": [], "repositories": []}, figures(0, 0, 0, 0, 0), 0),
        # What is named twice, one by one and as a whole, counts once.
        ({"repositories": ["team/web", "team/w*"], "artifacts": ["team/web:arm"]}, WEB, 4),
        # Two registries share nothing: the sums add.
        (
            {"repositories": ["team/web", "two.test/web"]},
            figures(5, 5, 3708 + 52, 1708 + 52, 708 + 52),
            2,
        ),
    ],
)
async def test_sets(variables: dict[str, Any], expected: Any, statements: int) -> None:
    """A set is what its names lead to, each once, whatever names it."""
    async with graph_of(shop()) as graph:
        response = await graph.ask(SET, variables)

        assert expected == response["data"]["storage"]
        assert statements == len(graph.statements) <= SET_STATEMENTS


async def test_set_of_everything() -> None:
    """All kinds of names together cost what each costs, and the basis one more; nothing is refreshed."""
    build = shop()
    manifest = build.row("artifact", 4)["manifest_id"]
    variables = {
        "artifacts": ["team/web:v1", f"team/web@{build.row('blob', manifest)['digest']}"],
        "repositories": ["team/api", "two.test/*"],
    }
    query = SET.replace("sharedBytes", "sharedBytes basis { scope completeness countsAreLowerBound }")
    async with graph_of(build) as graph:
        data = await graph.data(query, variables)

        assert SET_STATEMENTS + 1 == len(graph.statements)
    assert {"scope": "ALL", "completeness": "BEST_EFFORT", "countsAreLowerBound": False} == data["storage"][
        "basis"
    ]
    assert 6 == data["storage"]["artifactCount"]


async def test_dangling_members_in_scope_tagged() -> None:
    """In scope TAGGED a set keeps live members only, those too that are named."""
    build = shop()
    digest = build.row("blob", build.row("artifact", 4)["manifest_id"])["digest"]
    names = {"artifacts": ["team/web:v1", f"team/web@{digest}"]}
    async with graph_of(build) as graph:
        data = await graph.data(SET, {**names, "scope": "TAGGED"})

    assert INDEX == data["storage"]


@pytest.mark.parametrize(
    ("variables", "code", "statements"),
    [
        ({}, "INVALID_INPUT", 0),
        ({"artifacts": ["Team/web"]}, "INVALID_NAME", 0),
        ({"repositories": ["team/web:v1"]}, "INVALID_NAME", 0),
        ({"artifacts": ["three.test:1/web"]}, "UNKNOWN_REGISTRY", 0),
        ({"artifacts": ["web"], "registry": "three.test"}, "UNKNOWN_REGISTRY", 0),
        ({"artifacts": [f"web:{number}" for number in range(MAX_MEMBERS + 1)]}, "QUERY_TOO_COSTLY", 0),
        ({"artifacts": ["team/web:v9"]}, "UNKNOWN_MEMBER", 1),
        ({"artifacts": [f"team/web@sha256:{'0' * 64}"]}, "UNKNOWN_MEMBER", 1),
        ({"artifacts": ["nowhere:v1"]}, "NOT_STORED", 1),
        ({"repositories": ["team/listed"]}, "NOT_STORED", 1),
        ({"repositories": ["nowhere"]}, "NOT_STORED", 1),
        # A member of another registry is not one of this.
        ({"repositories": ["team/web"], "registry": "two.test"}, "NOT_STORED", 1),
    ],
)
async def test_refused(variables: dict[str, Any], code: str, statements: int) -> None:
    """A wrong name is refused before anything is read, an unknown one after the names were looked up."""
    async with graph_of(shop()) as graph:
        response = await graph.ask(SET, variables)

        assert {"storage": None} == response["data"]
        assert {("storage",): code} == paths_of(response)
        assert statements == len(graph.statements)


async def test_unknown_members_are_named() -> None:
    """One error names the first ten members that are not there, and counts the rest."""
    names = [f"team/web:v{number}" for number in range(1, 15)]
    async with graph_of(shop()) as graph:
        response = await graph.ask(SET, {"artifacts": names, "repositories": ["team/web"]})

    (error,) = response["errors"]
    assert (
        f"13 of 15 members lead to nothing that is there: {', '.join(names[1:11])} and 3 more"
        == error["message"]
    )


async def test_ten_thousand_members() -> None:
    """The largest set is answered in as many statements as any other, and each name counts as a node."""
    build = StoreBuilder()
    registry = build.registry("one.test")
    web = build.repository(registry, "web", observed_at=NOW)
    image = build.image(web, [build.layer(registry, 500)])
    for number in range(MAX_MEMBERS):
        build.tag(web, f"v{number}", image)
    names = [f"web:v{number}" for number in range(MAX_MEMBERS)]
    async with graph_of(build, limits=Limits()) as graph:
        response = await graph.ask(SET, {"artifacts": names}, limits=Limits())

        assert figures(1, 1, 502, 502, 502) == response["data"]["storage"]
        assert 3 == len(graph.statements)
        assert MAX_MEMBERS == response["extensions"]["cost"]["nodes"]

        response = await graph.ask(SET, {"artifacts": names}, limits=Limits(node_budget=MAX_MEMBERS - 1))
        assert ["QUERY_TOO_COSTLY"] == codes_of(response)
        assert [] == graph.statements


async def test_two_sets_fail_alone() -> None:
    """Two questions in one query have an answer each, or an error each."""
    query = """{ good: storage(repositories: ["team/api"]) { artifactCount }
      bad: storage(repositories: ["nowhere"]) { artifactCount } }"""
    async with graph_of(shop()) as graph:
        response = await graph.ask(query)

    assert {"good": {"artifactCount": 1}, "bad": None} == response["data"]
    assert {("bad",): "NOT_STORED"} == paths_of(response)


async def test_basis_of_owners() -> None:
    """Every figure tells what it stands on, in one statement for each selection."""
    basis = "basis { scope completeness oldestObservedAt exclusiveIsUpperBound countsAreLowerBound }"
    query = f"""{{
      registry {{
        {basis} storage {{ {basis} }}
        namespaces {{ nodes {{ storage(scope: TAGGED) {{ {basis} }} }} }}
        repositories {{
          nodes {{ name storage {{ {basis} }} artifacts {{ nodes {{ storage {{ {basis} }} }} }} }}
        }}
      }}
    }}"""
    at = "2024-05-01T12:00:00Z"
    names = "scope", "completeness", "oldestObservedAt", "exclusiveIsUpperBound", "countsAreLowerBound"
    partly = dict(zip(names, ("ALL", "UNKNOWN", at, True, True), strict=True))
    seen = {**partly, "completeness": "BEST_EFFORT", "countsAreLowerBound": False}
    async with graph_of(shop()) as graph:
        response = await graph.ask(query)
        data = response["data"]
        assert {"NOT_OBSERVED"} == set(codes_of(response))  # team/listed

        # Registry.basis; storage and basis of the registry; namespaces, repositories and artifacts, each with
        # storage and basis; but that of an artifact is its repository's, which is known already.
        assert 11 == len(graph.statements)
    assert partly == data["registry"]["basis"] == data["registry"]["storage"]["basis"]
    (namespace,) = data["registry"]["namespaces"]["nodes"]
    assert {**partly, "scope": "TAGGED"} == namespace["storage"]["basis"]
    repositories = {row["name"]: row for row in data["registry"]["repositories"]["nodes"]}
    for name, artifacts in (("team/web", 4), ("team/api", 1)):
        assert seen == repositories[name]["storage"]["basis"]
        nodes = repositories[name]["artifacts"]["nodes"]
        assert [seen] * artifacts == [node["storage"]["basis"] for node in nodes]


async def test_not_looked_at_is_not_nothing() -> None:
    """What nobody ever looked at has no figures; what was found empty has zeros."""
    query = """{ repository(name: "team/listed") { storage { artifactCount } }
      registry(name: "two.test") { storage { artifactCount } } }"""
    build = shop()
    build.repository(1, "team/empty", observed_at=NOW)
    async with graph_of(build) as graph:
        response = await graph.ask(query)
        empty = await graph.data('{ repository(name: "team/empty") { storage { storedBytes } } }')

    assert {("repository", "storage"): "NOT_OBSERVED"} == paths_of(response)
    assert 1 == response["data"]["registry"]["storage"]["artifactCount"]
    assert {"storedBytes": 0} == empty["repository"]["storage"]


async def test_statements_on_ragged_data() -> None:
    """Storage of repositories and of their artifacts is a statement each, however many and how ragged."""
    query = """{ registry { repositories { nodes {
      storage { storedBytes exclusiveBytes } artifacts { nodes { exclusiveBytes storage { storedBytes } } }
    } } } }"""
    async with graph_of(ragged_store()) as graph:
        response = await graph.ask(query)

        assert 4 == len(graph.statements)
        assert [] == codes_of(response)
        for repository in response["data"]["registry"]["repositories"]["nodes"]:
            for artifact in repository["artifacts"]["nodes"]:
                assert 0 <= artifact["exclusiveBytes"] <= artifact["storage"]["storedBytes"]


async def test_cycles_and_absent_children() -> None:
    """Indexes that claim to list each other, and children that are not there, end like anything else."""
    build = StoreBuilder()
    registry = build.registry("one.test", catalog_observed_at=NOW)
    web = build.repository(registry, "web", observed_at=NOW)
    missing = build.blob(registry, 5)
    first = build.manifest(registry, children=[missing])
    second = build.manifest(registry, children=[first, missing])
    entry = build.rows["manifest_child"][0]
    build.rows["manifest_child"].append({**entry, "position": 1, "child_id": second})
    build.tag(web, "v1", build.artifact(web, first))
    build.artifact(web, second, untagged="INDEX_CHILD")
    async with graph_of(build) as graph:
        data = await graph.data(SET, {"artifacts": ["web:v1"]})

    assert figures(2, 0, 4, 4, 4) == data["storage"]


async def test_unknown_manifests_weigh_what_is_known() -> None:
    """An artifact whose manifest is not known counts with what is known of it, and the basis says so."""
    build = StoreBuilder()
    registry = build.registry("one.test", catalog_observed_at=NOW)
    web = build.repository(registry, "web", observed_at=NOW, crawled_at=NOW, completeness="COMPLETE")
    for number, size in enumerate((70, None)):
        artifact = build.artifact(web, build.blob(registry, size), has_manifest=False)
        build.tag(web, f"v{number}", artifact)
    query = SET.replace("sharedBytes", "sharedBytes basis { exclusiveIsUpperBound countsAreLowerBound }")
    async with graph_of(build) as graph:
        data = await graph.data(query, {"artifacts": ["web:v0", "web:v1"]})

    assert {"exclusiveIsUpperBound": True, "countsAreLowerBound": True} == data["storage"].pop("basis")
    assert figures(2, 0, 70, 70, 70) == data["storage"]
