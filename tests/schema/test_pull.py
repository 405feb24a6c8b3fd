"""`pull` and `rollout`: which image, what is fetched, what is refused, and by how many statements."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from graph.schema.context import Limits, Registries
from graph.schema.definition import build_schema
from graph.schema.forecasts import MAX_PLATFORMS_SHOWN
from graph.schema.pull import MAX_HELD, MAX_ROLLOUT
from graph.store.engine import open_store
from graph.store.registries import load_registries
from graph.store.visibility import Visibility
from requests_to_graph import WIDE, Graph, codes_of, graph_of
from store_builders import NOW, StoreBuilder

pytestmark = pytest.mark.anyio

OCI_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
SIZES = {"base": 1000, "shared": 100, "web": 30, "api": 20, "odd": 7}
DOCUMENT = 50  # bytes of each manifest
# The most that one question may need: names by tag and by digest, artifacts, entries, documents, layers,
# configs; and one for the basis.
STATEMENTS = 7 + 1

PULL = """
query Pull($artifact: String!, $platform: String, $present: Present, $reuse: Reuse! = BLOB) {
  pull(artifact: $artifact, platform: $platform, present: $present, reuse: $reuse) {
    artifact { reference }
    platform { os architecture variant }
    documents { role digest size }
    fetched { position digest size }
    present { position digest size }
    layerBytes documentBytes totalBytes
    basis { scope completeness oldestObservedAt exclusiveIsUpperBound countsAreLowerBound }
  }
}
"""
ROLLOUT = """
query Rollout($artifacts: [String!]!, $platform: String, $present: Present, $reuse: Reuse! = BLOB) {
  rollout(artifacts: $artifacts, platform: $platform, present: $present, reuse: $reuse) {
    pulls { artifact { reference } fetched { digest } layerBytes documentBytes basis { scope } }
    layerBytes documentBytes totalBytes
    basis { countsAreLowerBound }
  }
}
"""


def diff_id(name: str) -> str:
    return f"sha256:{SIZES[name] if name in SIZES else sum(name.encode()):064x}"


class Shop:
    """A registry with images on a common base, an index of three platforms, and whatever can be wrong."""

    def __init__(self) -> None:
        builder = self.builder = StoreBuilder()
        self.registry = builder.registry("registry.test")
        look = {"observed_at": NOW, "completeness": "BEST_EFFORT"}
        self.web, self.api, self.odd = (
            builder.repository(self.registry, name, **look) for name in ("web", "api", "odd")
        )
        builder.repository(self.registry, "listed")
        self.layers = {name: builder.layer(self.registry, size) for name, size in SIZES.items()}
        self.keys: dict[str, int] = {}
        self.add_images()
        self.add_index()
        self.add_oddities()

    def image(self, repository: int, tag: str, *layers: str, **columns: Any) -> int:
        """An image whose config tells the DiffIDs; its manifest's key."""
        config = json.dumps({"rootfs": {"diff_ids": [diff_id(name) for name in layers]}, "tag": tag})
        manifest = self.builder.manifest(
            self.registry,
            [self.layers[name] for name in layers],
            config=config.encode(),
            data=tag.encode().ljust(DOCUMENT),
            artifact_type=OCI_CONFIG_TYPE,
            **columns,
        )
        self.keys[tag] = self.builder.artifact(
            repository, manifest, **{name: value for name, value in columns.items() if name != "variant"}
        )
        self.builder.tag(repository, tag, self.keys[tag])
        return manifest

    def add_images(self) -> None:
        self.image(self.web, "base", "base", "shared", os="linux", architecture="amd64")
        self.image(self.web, "v1", "base", "shared", "web", os="linux", architecture="amd64")
        self.image(self.api, "v2", "base", "api", "shared", os="linux", architecture="amd64")

    def add_index(self) -> None:
        builder = self.builder
        arm = {"os": "linux", "architecture": "arm64", "variant": "v8"}
        children: list[dict[str, Any]] = [
            {
                "child_id": self.image(self.web, "arm", "base", "web", os="linux", architecture="arm64"),
                **arm,
            },
            {"child_id": self.image(self.web, "statement"), "is_attestation": True},
            {"child_id": self.image(self.web, "amd", "base", "odd", os="linux", architecture="amd64")},
        ]
        inner = builder.manifest(self.registry, children=children[:1], data=b"inner".ljust(DOCUMENT))
        builder.artifact(self.web, inner, kind="INDEX")
        top = builder.manifest(self.registry, children=[*children[1:], inner], data=b"index".ljust(DOCUMENT))
        self.keys["index"] = builder.artifact(self.web, top, kind="INDEX")
        builder.tag(self.web, "index", self.keys["index"])

    def add_oddities(self) -> None:
        builder = self.builder
        denied = {"error_code": "REGISTRY_DENIED", "error_message": "not allowed"}
        builder.tag(
            self.odd,
            "denied",
            builder.artifact(self.odd, builder.blob(self.registry), has_manifest=False, **denied),
        )
        builder.tag(
            self.odd, "unread", builder.artifact(self.odd, builder.blob(self.registry), has_manifest=False)
        )
        schema1 = builder.manifest(
            self.registry, form="OTHER", media_type="application/vnd.docker.distribution.manifest.v1+json"
        )
        builder.tag(self.odd, "schema1", builder.artifact(self.odd, schema1, kind="IMAGE"))
        gone = builder.manifest(self.registry)
        builder.artifact(self.odd, gone, absent_at=NOW)
        self.gone = builder.row("blob", gone)["digest"]
        no_size = builder.manifest(self.registry, [builder.layer(self.registry, None), self.layers["odd"]])
        builder.tag(self.odd, "sizeless", builder.artifact(self.odd, no_size))
        linux = {"os": "linux", "architecture": "amd64"}
        held = builder.blob(self.registry)
        builder.artifact(self.odd, held, has_manifest=False, **denied)
        for tag, child in (("sparse", builder.blob(self.registry)), ("half", held)):
            index = builder.manifest(self.registry, children=[{"child_id": child, **linux}])
            builder.tag(self.odd, tag, builder.artifact(self.odd, index, kind="INDEX"))

    def digest(self, layer: str) -> str:
        digest: str = self.builder.row("blob", self.layers[layer])["digest"]
        return digest

    def names(self, listed: list[dict[str, Any]]) -> list[str]:
        """The names of layers that an answer lists."""
        named = {self.digest(name): name for name in self.layers}
        return [named[layer["digest"]] for layer in listed]


@pytest.fixture(scope="module")
def shop() -> Shop:
    """The rows of the store that most tests ask."""
    return Shop()


@pytest.fixture(scope="module")
def graph(shop: Shop) -> Iterator[Graph]:
    """A store that many questions are asked of."""
    store = open_store(":memory:")
    with store.transaction() as db:
        shop.builder.insert(db)
        rows = load_registries(db, Visibility.everything())
    yield Graph(store, Registries(rows, {row.key: NOW for row in rows}), build_schema(WIDE))
    store.close()


async def pull(graph: Graph, artifact: str, **variables: Any) -> Any:
    return (await graph.data(PULL, {"artifact": artifact, **variables}))["pull"]


async def refusal(graph: Graph, query: str = PULL, **variables: Any) -> tuple[str, str]:
    """The code of the only error, and its message; the field is null."""
    response = await graph.ask(query, variables)
    (error,) = response["errors"]
    assert not any(response.get("data", {}).values())
    return error["extensions"]["code"], error["message"]


async def test_an_empty_node_fetches_all(shop: Shop, graph: Graph) -> None:
    """Manifest, config and every layer, each with its bytes; and what that stands on."""
    found = await pull(graph, "web:v1")

    config = found["documents"][1]["size"]
    assert ["MANIFEST", "CONFIG"] == [document["role"] for document in found["documents"]]
    assert ["base", "shared", "web"] == shop.names(found["fetched"])
    assert [(0, 1000), (1, 100), (2, 30)] == [
        (layer["position"], layer["size"]) for layer in found["fetched"]
    ]
    assert [] == found["present"]
    assert (1130, DOCUMENT + config, 1130 + DOCUMENT + config) == (
        found["layerBytes"],
        found["documentBytes"],
        found["totalBytes"],
    )
    assert {
        "scope": "ALL",
        "completeness": "BEST_EFFORT",
        "oldestObservedAt": "2024-05-01T12:00:00Z",
        "exclusiveIsUpperBound": False,
        "countsAreLowerBound": False,
    } == found["basis"]


@pytest.mark.parametrize(
    ("present", "blob", "chain"),
    [
        (lambda _: {"artifacts": ["web:base"]}, ["api"], ["api", "shared"]),
        (lambda _: {"artifacts": ["web:base", "api:v2"]}, [], []),
        (
            lambda shop: {"layers": [shop.digest("shared"), shop.digest("base")]},
            ["api"],
            ["base", "api", "shared"],
        ),
        (
            lambda shop: {"layers": [shop.digest("base"), shop.digest("shared")]},
            ["api"],
            ["api", "shared"],
        ),
        (lambda _: {"diffIds": [diff_id("base"), diff_id("shared")]}, ["api"], ["api", "shared"]),
        (lambda _: {"diffIds": [diff_id("shared"), diff_id("base")]}, ["api"], ["base", "api", "shared"]),
        (lambda _: {"diffIds": [diff_id(name) for name in ("base", "api", "shared")]}, [], []),
    ],
)
async def test_what_a_node_holds(
    shop: Shop, graph: Graph, present: Any, blob: list[str], chain: list[str]
) -> None:
    """Artifacts, digests and DiffIDs spare what they name, as far as the node's store of layers goes."""
    for reuse, fetched in (("BLOB", blob), ("CHAIN", chain)):
        found = await pull(graph, "api:v2", present=present(shop), reuse=reuse)
        assert fetched == shop.names(found["fetched"])
        assert found["layerBytes"] == sum(SIZES[name] for name in fetched)
        assert {"base", "api", "shared"} == {
            *shop.names(found["fetched"]),
            *shop.names(found["present"]),
        }


async def test_an_artifact_that_is_there_costs_nothing(graph: Graph) -> None:
    """An artifact on the node brings its layers and its documents, by whatever name it is asked for."""
    artifact = await graph.data('{ artifact(reference: "web:v1") { reference } }')
    by_digest = artifact["artifact"]["reference"]

    found = await pull(graph, by_digest, present={"artifacts": ["registry.test/web:v1"]})

    assert (0, []) == (found["totalBytes"], found["documents"])


@pytest.mark.parametrize(
    ("platform", "chosen", "layers", "indexes"),
    [
        (None, {"os": "linux", "architecture": "amd64", "variant": None}, ["base", "odd"], 1),
        ("linux/x86_64", {"os": "linux", "architecture": "amd64", "variant": None}, ["base", "odd"], 1),
        # In an index that the index lists, as arm64/v8, which is the same as arm64.
        ("linux/arm64", {"os": "linux", "architecture": "arm64", "variant": "v8"}, ["base", "web"], 2),
    ],
)
async def test_the_platform_of_an_index(
    shop: Shop, graph: Graph, platform: str | None, chosen: dict[str, Any], layers: list[str], indexes: int
) -> None:
    """The image for the platform is pulled, with every index on the way; attestations are no choice."""
    found = await pull(graph, "web:index", platform=platform)

    assert chosen == found["platform"]
    assert layers == shop.names(found["fetched"])
    roles = [document["role"] for document in found["documents"]]
    assert ["INDEX"] * indexes + ["MANIFEST", "CONFIG"] == roles
    assert found["documentBytes"] == sum(document["size"] for document in found["documents"])


async def test_what_is_no_index_is_pulled_whatever_it_is_for(graph: Graph) -> None:
    """There is nothing to choose; the answer tells what it runs on."""
    found = await pull(graph, "web:v1", platform="windows/amd64")

    assert {"os": "linux", "architecture": "amd64", "variant": None} == found["platform"]


async def test_a_held_index_is_of_the_same_platform(shop: Shop, graph: Graph) -> None:
    """What the node has of an index is the image for its platform, and the indexes."""
    there = {"artifacts": ["web:index"]}
    found = await pull(graph, "web:index", platform="linux/arm64", present=there)
    other = await pull(graph, "web:arm", present=there)

    assert 0 == found["totalBytes"]
    assert ["web"] == shop.names(other["fetched"])


async def test_a_rollout(shop: Shop, graph: Graph) -> None:
    """Each pull pays for what those before it did not bring; the totals are the sums."""
    names = ["web:base", "web:v1", "api:v2", "web:v1"]
    blob, chain = [
        (await graph.data(ROLLOUT, {"artifacts": names, "reuse": reuse}))["rollout"]
        for reuse in ("BLOB", "CHAIN")
    ]

    assert [["base", "shared"], ["web"], ["api"], []] == [
        shop.names(each["fetched"]) for each in blob["pulls"]
    ]
    assert [["base", "shared"], ["web"], ["api", "shared"], []] == [
        shop.names(each["fetched"]) for each in chain["pulls"]
    ]
    for rollout in (blob, chain):
        assert rollout["layerBytes"] == sum(each["layerBytes"] for each in rollout["pulls"])
        assert rollout["documentBytes"] == sum(each["documentBytes"] for each in rollout["pulls"])
        assert rollout["totalBytes"] == rollout["layerBytes"] + rollout["documentBytes"]
        assert 0 == rollout["pulls"][3]["documentBytes"]
    assert 1150 == blob["layerBytes"]


async def test_an_empty_rollout(graph: Graph) -> None:
    """Pulling nothing costs nothing."""
    rollout = (await graph.data(ROLLOUT, {"artifacts": []}))["rollout"]

    assert ([], 0) == (rollout["pulls"], rollout["totalBytes"])


async def test_unknown_sizes(graph: Graph) -> None:
    """A layer whose size nobody says is shown without one, and the sums say that they are lower bounds."""
    found = await pull(graph, "odd:sizeless")

    assert [None, 7] == [layer["size"] for layer in found["fetched"]]
    assert (7, True) == (found["layerBytes"], found["basis"]["countsAreLowerBound"])


async def test_what_leads_on(shop: Shop, graph: Graph) -> None:
    """From a pull the graph goes on: to the image, to the layers and who shares them, to DiffIDs."""
    query = """{
      pull(artifact: "web:index") {
        image { digest }
        fetched { diffId layer { digest repositoryCount } }
      }
    }"""
    found = (await graph.data(query))["pull"]

    key = shop.builder.row("artifact", shop.keys["amd"])["manifest_id"]
    assert shop.builder.row("blob", key)["digest"] == found["image"]["digest"]
    assert [(diff_id("base"), shop.digest("base"), 2), (diff_id("odd"), shop.digest("odd"), 2)] == [
        (layer["diffId"], layer["layer"]["digest"], layer["layer"]["repositoryCount"])
        for layer in found["fetched"]
    ]


@pytest.mark.parametrize(
    ("variables", "code", "part"),
    [
        ({"artifact": "web:none"}, "UNKNOWN_MEMBER", "web:none"),
        ({"artifact": "listed:v1"}, "NOT_STORED", "listed:v1"),
        ({"artifact": "nowhere:v1"}, "NOT_STORED", "nowhere:v1"),
        (
            {"artifact": "web:v1", "present": {"artifacts": ["web:x", "web:y"]}},
            "UNKNOWN_MEMBER",
            "web:x, web:y",
        ),
        ({"artifact": "Web:v1"}, "INVALID_NAME", "lower case"),
        ({"artifact": "localhost/web:v1"}, "UNKNOWN_REGISTRY", "localhost"),
        ({"artifact": "web:v1", "platform": "linux"}, "INVALID_INPUT", "os/architecture"),
        ({"artifact": "odd:denied"}, "REGISTRY_DENIED", "odd:denied: not allowed"),
        ({"artifact": "odd:unread"}, "NOT_OBSERVED", "odd:unread"),
        ({"artifact": "odd:sparse"}, "NOT_OBSERVED", "odd:sparse"),
        ({"artifact": "odd:half"}, "REGISTRY_DENIED", "odd:half"),
        ({"artifact": "odd:schema1"}, "NOT_KNOWN", "manifest.v1+json"),
        ({"artifact": "web:v1", "present": {"artifacts": ["odd:denied"]}}, "REGISTRY_DENIED", "odd:denied"),
        (
            {"artifact": "web:index", "platform": "windows/amd64"},
            "PLATFORM_NOT_FOUND",
            "windows/amd64; its platforms: linux/amd64, linux/arm64/v8",
        ),
        ({"artifact": "web:v1", "present": {"layers": ["no digest"]}}, "INVALID_DIGEST", "no digest"),
    ],
)
async def test_refusals(graph: Graph, variables: dict[str, Any], code: str, part: str) -> None:
    """One error at the field, with its code, that names what is wrong."""
    found, message = await refusal(graph, **variables)

    assert code == found
    assert part in message


async def test_what_is_gone_cannot_be_pulled(shop: Shop, graph: Graph) -> None:
    """An artifact that was seen to be gone is no member, though it is known."""
    code, message = await refusal(graph, artifact=f"odd@{shop.gone}")

    assert ("UNKNOWN_MEMBER", True) == (code, shop.gone in message)


async def test_one_mistake_of_a_rollout(graph: Graph) -> None:
    """A rollout of which one pull cannot be told is refused whole, and says which."""
    code, message = await refusal(graph, ROLLOUT, artifacts=["web:v1", "odd:denied"])

    assert ("REGISTRY_DENIED", True) == (code, message.startswith("odd:denied"))


async def test_aliases_fail_apart(graph: Graph) -> None:
    """Of several questions in one request the wrong ones fail alone."""
    query = """{
      good: pull(artifact: "web:v1") { totalBytes }
      bad: pull(artifact: "odd:denied") { totalBytes }
    }"""
    response = await graph.ask(query)

    assert ["REGISTRY_DENIED"] == codes_of(response)
    assert response["data"]["good"]["totalBytes"] > 0


async def test_platforms_in_an_error_are_few() -> None:
    """An index of many platforms names the first of them and counts the rest."""
    builder = StoreBuilder()
    registry = builder.registry("registry.test")
    repository = builder.repository(registry, "many", observed_at=NOW)
    children = [
        {"child_id": builder.manifest(registry), "os": "linux", "architecture": f"cpu{n}"}
        for n in range(MAX_PLATFORMS_SHOWN + 3)
    ]
    index = builder.artifact(repository, builder.manifest(registry, children=children), kind="INDEX")
    builder.tag(repository, "latest", index)
    async with graph_of(builder) as graph:
        _, message = await refusal(graph, artifact="many")

        assert message.endswith(f"linux/cpu{MAX_PLATFORMS_SHOWN - 1} and 3 more")


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        (ROLLOUT, {"artifacts": ["web:v1"] * (MAX_ROLLOUT + 1)}),
        (PULL, {"artifact": "web:v1", "present": {"layers": [diff_id("web")] * (MAX_HELD + 1)}}),
        (PULL, {"artifact": "web:v1", "present": {"diffIds": [diff_id("web")] * (MAX_HELD + 1)}}),
        (PULL, {"artifact": "web:v1", "present": {"artifacts": [f"web:{n}" for n in range(10_001)]}}),
    ],
)
async def test_lists_are_bounded(graph: Graph, query: str, variables: dict[str, Any]) -> None:
    """One more than the limit is refused before anything is read."""
    code, _ = await refusal(graph, query, **variables)

    assert ("QUERY_TOO_COSTLY", []) == (code, graph.statements)


async def test_names_count_as_nodes(graph: Graph) -> None:
    """Each artifact of a rollout, and each that the node holds, takes a node of the budget."""
    names = [f"web:{n}" for n in range(41)]
    for held, code in ((names[20:], "QUERY_TOO_COSTLY"), (names[21:], "UNKNOWN_MEMBER")):
        response = await graph.ask(
            ROLLOUT,
            {"artifacts": names[:20], "present": {"artifacts": held}},
            limits=Limits(node_budget=40),
        )
        assert [code] == codes_of(response)


@pytest.mark.parametrize("count", [1, 100])
async def test_statements(count: int) -> None:
    """However many artifacts are pulled and held, and of whatever kind, a question is so many statements."""
    builder = StoreBuilder()
    registry = builder.registry("registry.test")
    names = []
    for number in range(count):
        repository = builder.repository(registry, f"r{number}", observed_at=NOW)
        layers = [builder.layer(registry) for _ in range(number % 5)]
        image = builder.manifest(registry, layers, config=b"{}" + b" " * number)
        builder.artifact(repository, image, os="linux", architecture="amd64")
        index = builder.manifest(
            registry, children=[{"child_id": image, "os": "linux", "architecture": "amd64"}]
        )
        builder.tag(repository, "latest", builder.artifact(repository, index, kind="INDEX"))
        names += [f"r{number}", f"r{number}@{builder.row('blob', image)['digest']}"]
    async with graph_of(builder) as graph:
        variables = {"artifacts": names, "present": {"artifacts": names[:1]}, "reuse": "CHAIN"}
        await graph.data(ROLLOUT, variables)
        assert STATEMENTS == len(graph.statements)

        # No index, no DiffIDs, no digest.
        await graph.data(PULL, {"artifact": names[1]})
        assert STATEMENTS - 3 == len(graph.statements)


async def test_a_largest_rollout() -> None:
    """A thousand images of many layers are one answer, within the nodes of a request."""
    builder = StoreBuilder()
    registry = builder.registry("registry.test")
    repository = builder.repository(registry, "many", observed_at=NOW)
    common = [builder.layer(registry, 10) for _ in range(8)]
    for number in range(MAX_ROLLOUT):
        image = builder.manifest(registry, [*common, builder.layer(registry, 1)])
        builder.tag(repository, f"v{number}", builder.artifact(repository, image))
    async with graph_of(builder, limits=Limits()) as graph:
        names = [f"many:v{number}" for number in range(MAX_ROLLOUT)]
        data = await graph.data(
            "query Q($names: [String!]!) { rollout(artifacts: $names) { layerBytes pulls { layerBytes } } }",
            {"names": names},
        )

        assert 80 + MAX_ROLLOUT == data["rollout"]["layerBytes"]
        assert [81] + [1] * (MAX_ROLLOUT - 1) == [each["layerBytes"] for each in data["rollout"]["pulls"]]


async def test_one_image_under_many_names() -> None:
    """Names are cheap: a large image under a thousand tags is refused, not gone through as many times."""
    builder = StoreBuilder()
    registry = builder.registry("registry.test")
    repository = builder.repository(registry, "many", observed_at=NOW)
    image = builder.artifact(repository, builder.manifest(registry, [builder.layer(registry)] * 200))
    names = [f"many:v{number}" for number in range(MAX_ROLLOUT)]
    for name in names:
        builder.tag(repository, name.partition(":")[2], image)
    async with graph_of(builder) as graph:
        code, _ = await refusal(graph, ROLLOUT, artifacts=names)
        assert "QUERY_TOO_COSTLY" == code

        # On a node that holds it under all of them, one pull is no work.
        found = await pull(graph, names[0], present={"artifacts": names})
        assert 0 == found["totalBytes"]
