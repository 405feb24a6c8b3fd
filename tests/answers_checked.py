"""Each answer of the graph against the oracle, for every registry, repository, namespace and artifact.

Rules of this file: one function for each answer, which asks the graph through GraphQL and compares to the
byte. It is used on stores that were filled by the write side and on stores that a crawl filled.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from oracle import Artifact, Oracle, Storage
from requests_to_graph import Graph, codes_of

SHARES = "{ artifactCount storedBytes exclusiveBytes }"
FIGURES = "{ artifactCount layerCount logicalBytes storedBytes exclusiveBytes sharedBytes }"


@dataclass(frozen=True)
class Asked:
    """Registries by name, the first of which is meant when none is named."""

    oracles: Mapping[str, Oracle]

    def address(self, registry: str, artifact: Artifact) -> str:
        return f"{registry}/{artifact[0]}@{artifact[1]}"

    @property
    def artifacts(self) -> list[tuple[str, Artifact]]:
        """Every present artifact, with its registry."""
        return [
            (name, artifact)
            for name, oracle in self.oracles.items()
            for artifact in sorted(oracle.everything)
        ]


async def ask_registry(graph: Graph, asked: Asked, query: str, registry: str, **variables: Any) -> Any:
    """The registry of a response. Of repositories that nobody looked at, nothing is told and all is null.

    Neither is it told what is related to an artifact whose manifest nobody has read.
    """
    response = await graph.ask(query, {"registry": registry, **variables})
    unseen = asked.oracles[registry].unseen
    is_something_unknown = bool(unseen or asked.oracles[registry].unread)
    assert set(codes_of(response)) <= ({"NOT_OBSERVED"} if is_something_unknown else set())
    found = response["data"]["registry"]
    if "repositories" in found:
        nodes = found["repositories"]["nodes"]
        assert unseen == {node["name"] for node in nodes if None in node.values()}
        found["repositories"]["nodes"] = [node for node in nodes if node["name"] not in unseen]
    return found


def shown(storage: Storage) -> dict[str, int]:
    """The figures as GraphQL names them."""
    return {
        "artifactCount": storage.artifact_count,
        "layerCount": storage.layer_count,
        "logicalBytes": storage.logical_bytes,
        "storedBytes": storage.stored_bytes,
        "exclusiveBytes": storage.exclusive_bytes,
        "sharedBytes": storage.shared_bytes,
    }


def namespaces_of(oracle: Oracle) -> set[str]:
    """Every prefix of a repository's name that ends before a slash."""
    return {
        name[:end] for name in oracle.repositories for end, character in enumerate(name) if character == "/"
    }


RANKING = """
query ($registry: String!, $least: Int, $after: String) { registry(name: $registry) { layers(
    filter: {sharedByAtLeast: $least}, orderBy: SAVED_BYTES, first: 3, after: $after
) {
    totalCount pageInfo { hasNextPage endCursor }
    nodes { digest savedBytes artifactCount repositoryCount }
} } }
"""
RANKING_INSIDE = """
query ($registry: String!, $least: Int) { registry(name: $registry) {
    repositories(first: 100) { nodes {
        name layers(first: 100, filter: {sharedByAtLeast: $least}, orderBy: SAVED_BYTES) { nodes {
            digest savedBytes artifactCount repositoryCount
        } }
    } }
} }
"""


async def check_ranking(graph: Graph, asked: Asked) -> None:
    """The layers of each registry, page by page, and of each repository, by what their sharing saves."""
    for registry, oracle in asked.oracles.items():
        for least in (None, 2, 3):
            variables = {"registry": registry, "least": least}
            ranked: list[dict[str, Any]] = []
            after, is_more = None, True
            while is_more:
                found = (await graph.data(RANKING, {**variables, "after": after}))["registry"]["layers"]
                ranked += found["nodes"]
                after, is_more = found["pageInfo"]["endCursor"], found["pageInfo"]["hasNextPage"]
            assert len(ranked) == found["totalCount"]
            check_ranked(oracle, oracle.everything, least, ranked)
            inside = await ask_registry(graph, asked, RANKING_INSIDE, registry, least=least)
            for node in inside["repositories"]["nodes"]:
                members = oracle.members_of(node["name"])
                check_ranked(oracle, members, least, node["layers"]["nodes"])


def check_ranked(
    oracle: Oracle, among: Collection[Artifact], least: int | None, ranked: list[dict[str, Any]]
) -> None:
    """Every layer that `among` use comes once, the most saved bytes first, each with its users everywhere."""
    expected = oracle.ranking(among, least or 1)
    assert expected == {node["digest"]: node["savedBytes"] for node in ranked}
    assert sorted(expected.values(), reverse=True) == [node["savedBytes"] for node in ranked]
    for node in ranked:
        users = oracle.users(node["digest"])
        counts = len(users), len({name for name, _ in users})
        assert counts == (node["artifactCount"], node["repositoryCount"])


STORAGE = f"""
query ($registry: String!) {{ registry(name: $registry) {{
    all: storage {FIGURES} tagged: storage(scope: TAGGED) {FIGURES}
    repositories(first: 100) {{ nodes {{
        name all: storage {FIGURES} tagged: storage(scope: TAGGED) {FIGURES}
    }} }}
    namespaces(first: 100) {{ nodes {{
        name all: storage {FIGURES} tagged: storage(scope: TAGGED) {FIGURES}
    }} }}
    artifacts(first: 100) {{ nodes {{ digest repository {{ name }} exclusiveBytes all: storage {FIGURES} }} }}
}} }}
"""


async def check_storage(graph: Graph, asked: Asked) -> None:
    """Storage of each registry, repository and namespace in both scopes, and of each artifact."""
    for registry, oracle in asked.oracles.items():
        found = await ask_registry(graph, asked, STORAGE, registry)
        assert scopes_of(oracle, oracle.members()) == scopes_shown(found)
        assert {name: scopes_of(oracle, oracle.members_of(name)) for name in oracle.seen} == {
            node["name"]: scopes_shown(node) for node in found["repositories"]["nodes"]
        }
        assert {name: scopes_of(oracle, oracle.members(name)) for name in namespaces_of(oracle)} == {
            node["name"]: scopes_shown(node) for node in found["namespaces"]["nodes"]
        }
        assert {artifact: shown(oracle.storage([artifact])) for artifact in oracle.everything} == {
            (node["repository"]["name"], node["digest"]): node["all"] for node in found["artifacts"]["nodes"]
        }
        for node in found["artifacts"]["nodes"]:
            assert node["all"]["exclusiveBytes"] == node["exclusiveBytes"]


def scopes_of(oracle: Oracle, named: Collection[Artifact]) -> list[dict[str, int]]:
    return [shown(oracle.storage(named, scope)) for scope in ("ALL", "TAGGED")]


def scopes_shown(node: dict[str, Any]) -> list[dict[str, int]]:
    return [node["all"], node["tagged"]]


SET = f"""
query ($artifacts: [String!], $repositories: [String!], $scope: Scope!) {{
    storage(artifacts: $artifacts, repositories: $repositories, scope: $scope) {FIGURES}
}}
"""


async def check_set(
    graph: Graph, asked: Asked, named: Collection[tuple[str, Artifact]], patterns: Mapping[str, str]
) -> None:
    """Storage of a set of artifacts and of the repositories of each registry that a pattern means."""
    for scope in ("ALL", "TAGGED"):
        expected = Storage(0, 0, 0, 0, 0)
        for registry, oracle in asked.oracles.items():
            members = {artifact for home, artifact in named if home == registry}
            for name in oracle.repositories:
                if matches(patterns.get(registry), name):
                    members |= oracle.members_of(name)
            expected += oracle.storage(members, scope)
        variables = {
            "artifacts": [asked.address(*each) for each in named],
            "repositories": [f"{registry}/{pattern}" for registry, pattern in patterns.items()],
            "scope": scope,
        }
        assert shown(expected) == (await graph.data(SET, variables))["storage"]


def matches(pattern: str | None, name: str) -> bool:
    """Whether a pattern with one star at its end, or both ends, means the name."""
    if pattern is None:
        return False
    core = pattern.strip("*")
    if pattern.startswith("*"):
        return core in name if pattern.endswith("*") else name.endswith(core)
    return name.startswith(core) if pattern.endswith("*") else name == core


UNTAGGED = f"""
query ($registry: String!) {{ registry(name: $registry) {{
    untagged {{ dangling {SHARES} indexChildren {SHARES} referrers {SHARES} }}
    repositories(first: 100) {{ nodes {{
        name untagged {{ dangling {SHARES} indexChildren {SHARES} referrers {SHARES} }}
        artifacts(first: 100, filter: {{untagged: DANGLING}}, orderBy: EXCLUSIVE_BYTES) {{ nodes {{
            digest exclusiveBytes untagged
        }} }}
    }} }}
    namespaces(first: 100) {{ nodes {{
        name untagged {{ dangling {SHARES} indexChildren {SHARES} referrers {SHARES} }}
    }} }}
}} }}
"""
REASONS = {"dangling": "DANGLING", "indexChildren": "INDEX_CHILD", "referrers": "REFERRER"}


async def check_untagged(graph: Graph, asked: Asked) -> None:
    """What is untagged in each registry, repository and namespace, and the dangling ones in order."""
    for registry, oracle in asked.oracles.items():
        found = await ask_registry(graph, asked, UNTAGGED, registry)
        assert untagged_of(oracle, oracle.members()) == found["untagged"]
        for node in found["repositories"]["nodes"]:
            members = oracle.members_of(node["name"])
            assert untagged_of(oracle, members) == node["untagged"]
            dangling = [artifact for artifact in members if oracle.untagged(artifact) == "DANGLING"]
            bytes_of = {artifact[1]: oracle.storage([artifact]).exclusive_bytes for artifact in dangling}
            listed = node["artifacts"]["nodes"]
            ranked = [each["exclusiveBytes"] for each in listed]
            assert sorted(ranked, reverse=True) == ranked
            assert bytes_of == {each["digest"]: each["exclusiveBytes"] for each in listed}
        for node in found["namespaces"]["nodes"]:
            assert untagged_of(oracle, oracle.members(node["name"])) == node["untagged"]


def untagged_of(oracle: Oracle, members: Collection[Artifact]) -> dict[str, dict[str, int]]:
    """How many artifacts have each reason, and the bytes of that set."""
    shares = {}
    for name, reason in REASONS.items():
        named = [artifact for artifact in members if oracle.untagged(artifact) == reason]
        storage = oracle.storage(named)
        shares[name] = {
            "artifactCount": len(named),
            "storedBytes": storage.stored_bytes,
            "exclusiveBytes": storage.exclusive_bytes,
        }
    return shares


OVERLAP = """
query ($artifacts: [String!], $repositories: [String!]) {
    overlap(artifacts: $artifacts, repositories: $repositories) {
        members { name layerCount layerBytes } layerCounts overlapBytes
    }
}
"""


async def check_overlap(graph: Graph, asked: Asked) -> None:
    """The matrix of all repositories of all registries, and that of their artifacts."""
    repositories = [
        (registry, oracle.members_of(name), f"{registry}/{name}")
        for registry, oracle in asked.oracles.items()
        for name in sorted(oracle.seen)
    ]
    artifacts = [
        (registry, {artifact}, asked.address(registry, artifact)) for registry, artifact in asked.artifacts
    ]
    for argument, members in (("repositories", repositories), ("artifacts", artifacts[:100])):
        if len(members) < 2:
            continue
        names = [name for _, _, name in members]
        found = (await graph.data(OVERLAP, {argument: names}))["overlap"]
        layers = [
            {(registry, layer) for layer in asked.oracles[registry].shareable(named)}
            for registry, named, _ in members
        ]
        matrix = [[row & column for column in layers] for row in layers]
        assert [[len(both) for both in row] for row in matrix] == found["layerCounts"]
        assert [[weigh(asked, both) for both in row] for row in matrix] == found["overlapBytes"]
        assert [
            {"name": name, "layerCount": len(own), "layerBytes": weigh(asked, own)}
            for name, own in zip(names, layers, strict=True)
        ] == found["members"]


def weigh(asked: Asked, layers: Collection[tuple[str, str]]) -> int:
    return sum(asked.oracles[registry].sizes[layer] for registry, layer in layers)


RELATED = """
query ($registry: String!) { registry(name: $registry) {
    repositories(first: 100) { nodes { name related(first: 100) { edges {
        layerCount overlapBytes node { name } layers(first: 100) { nodes { digest size } }
    } } } }
    artifacts(first: 100) { nodes { digest repository { name } related(first: 100) { edges {
        layerCount overlapBytes node { digest repository { name } }
        layers(first: 100) { nodes { digest size } }
    } } } }
} }
"""


async def check_related(graph: Graph, asked: Asked) -> None:
    """What each repository and each artifact shares with which others, the most bytes first."""
    for registry, oracle in asked.oracles.items():
        found = await ask_registry(graph, asked, RELATED, registry)
        for node in found["repositories"]["nodes"]:
            edges = {edge["node"]["name"]: edge for edge in node["related"]["edges"]}
            check_edges(oracle, oracle.related_repositories(node["name"]), edges)
        for node in found["artifacts"]["nodes"]:
            artifact = node["repository"]["name"], node["digest"]
            if artifact in oracle.unread:
                assert node["related"] is None
                continue
            edges = {
                (edge["node"]["repository"]["name"], edge["node"]["digest"]): edge
                for edge in node["related"]["edges"]
            }
            check_edges(oracle, oracle.related_artifacts(artifact), edges)


def check_edges(
    oracle: Oracle, expected: Mapping[Any, set[str]], edges: Mapping[Any, dict[str, Any]]
) -> None:
    """Each edge has the layers that are shared, largest first, and their sums; the edges are in order."""
    assert {other: (len(both), oracle.weigh(both)) for other, both in expected.items()} == {
        other: (edge["layerCount"], edge["overlapBytes"]) for other, edge in edges.items()
    }
    weights = [edge["overlapBytes"] for edge in edges.values()]
    assert sorted(weights, reverse=True) == weights
    for other, edge in edges.items():
        layers = edge["layers"]["nodes"]
        assert expected[other] == {layer["digest"] for layer in layers}
        sizes = [layer["size"] for layer in layers]
        assert sorted(sizes, reverse=True) == sizes
