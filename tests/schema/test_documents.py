"""Documents and lists whose size a stranger chose: shown whole, in time, and within bounds."""

import json

import pytest

from graph.schema.context import MAX_DOCUMENT_BYTES, MAX_SHOWN_BYTES, Limits
from graph.schema.execution import MAX_ERRORS
from graph.schema.fields import SHORT_LIST
from graph.settings import Hidden
from graph.store.listings import UNKEPT_ANNOTATIONS
from requests_to_graph import codes_of, graph_of, paths_of
from schema_stores import OCI_CONFIG_TYPE
from store_builders import NOW, StoreBuilder

pytestmark = pytest.mark.anyio


def long_store(layers: int, names: int) -> StoreBuilder:
    """One image with so many layers, and so many annotations, labels, variables and steps."""
    builder = StoreBuilder()
    registry = builder.registry("registry.test")
    config = {
        "config": {
            "Env": [f"V{number}=1" for number in range(names)],
            "Labels": {f"l{number}": "x" for number in range(names)},
        },
        "history": [{"created_by": f"RUN {number}"} for number in range(layers)],
        "rootfs": {"diff_ids": [f"sha256:{number:064x}" for number in range(layers)]},
    }
    manifest = builder.manifest(
        registry,
        [builder.layer(registry) for _ in range(layers)],
        config=json.dumps(config).encode(),
        artifact_type=OCI_CONFIG_TYPE,
        annotations=json.dumps({f"a{number}": "x" for number in range(names)}),
    )
    repository = builder.repository(registry, "long", observed_at=NOW)
    builder.tag(repository, "latest", builder.artifact(repository, manifest))
    return builder


@pytest.mark.parametrize(("layers", "names"), [(1, 1), (100, SHORT_LIST), (101, SHORT_LIST + 1), (300, 300)])
async def test_long_lists_are_whole(layers: int, names: int) -> None:
    """However long its lists, each item of an image is there, in order, with what belongs to it."""
    query = """{ artifact(reference: "long") {
      layers { position createdBy diffId layer { digest } }
      manifest {
        annotations { name }
        ... on ImageManifest { config { env labels { name } history { createdBy } } }
      }
    } }"""
    async with graph_of(long_store(layers, names)) as graph:
        artifact = (await graph.data(query))["artifact"]

        assert [
            {
                "position": number,
                "createdBy": f"RUN {number}",
                "diffId": f"sha256:{number:064x}",
                "layer": {"digest": f"sha256:{number + 1:064x}"},
            }
            for number in range(layers)
        ] == artifact["layers"]
        config = artifact["manifest"]["config"]
        assert [{"name": f"a{number}"} for number in range(names)] == artifact["manifest"]["annotations"]
        assert [{"name": f"l{number}"} for number in range(names)] == config["labels"]
        assert [f"V{number}=1" for number in range(names)] == config["env"]
        assert [{"createdBy": f"RUN {number}"} for number in range(layers)] == config["history"]
        assert 5 == len(graph.statements)  # createdBy, diffId and config share one


async def test_long_lists_are_charged() -> None:
    """The items of long lists count as nodes; too many fail their own field."""
    query = """{ artifact(reference: "long") { manifest { digest ... on ImageManifest {
      config { env labels { name } history { createdBy } } } } } }"""
    async with graph_of(long_store(2, 300)) as graph:
        response = await graph.ask(query, limits=Limits(node_budget=400))

        assert {("artifact", "manifest", "config", "labels"): "QUERY_TOO_COSTLY"} == paths_of(response)
        assert 2 == len(response["data"]["artifact"]["manifest"]["config"]["history"])


@pytest.mark.parametrize(("count", "is_allowed"), [(4, True), (5, False)])
async def test_documents_are_bounded(count: int, is_allowed: bool) -> None:
    """One request holds so many bytes of documents, however large a registry's manifests are."""
    size = MAX_DOCUMENT_BYTES // 5 + 1
    builder = StoreBuilder()
    registry = builder.registry("registry.test")
    repository = builder.repository(registry, "large", observed_at=NOW)
    for _ in range(count):
        builder.artifact(repository, builder.manifest(registry, data=b"{}" + b" " * (size - 2)))
    query = '{ repository(name: "large") { artifacts { nodes { manifest { size raw } } } } }'
    async with graph_of(builder) as graph:
        response = await graph.ask(query)

        nodes = response["data"]["repository"]["artifacts"]["nodes"]
        assert [size if is_allowed else None] * count == [
            node["manifest"]["raw"] and len(node["manifest"]["raw"]) for node in nodes
        ]
        assert [] == [code for code in paths_of(response).values() if code != "QUERY_TOO_COSTLY"]
        assert is_allowed == (paths_of(response) == {})


async def test_documents_of_one_level_are_bounded_together() -> None:
    """Fields of one level that read documents share what the request may hold: the second finds no room."""
    size = MAX_DOCUMENT_BYTES // 5
    builder = StoreBuilder()
    registry = builder.registry("registry.test")
    repository = builder.repository(registry, "large", observed_at=NOW)
    for _ in range(3):
        builder.artifact(repository, builder.manifest(registry, data=b"{}" + b" " * (size - 2)))
    query = '{ repository(name: "large") { artifacts { nodes { manifest { raw document } } } } }'
    async with graph_of(builder) as graph:
        response = await graph.ask(query)

        nodes = response["data"]["repository"]["artifacts"]["nodes"]
        assert [size] * 3 == [len(node["manifest"]["raw"]) for node in nodes]
        assert [("document", "QUERY_TOO_COSTLY")] * 3 == [
            (path[-1], code) for path, code in paths_of(response).items()
        ]
        assert MAX_DOCUMENT_BYTES - 3 * size == graph.context.document_bytes_left


async def test_text_that_is_no_text() -> None:
    """A manifest that is not UTF-8 has no text to show; its other facts are there."""
    builder = StoreBuilder()
    registry = builder.registry("registry.test")
    repository = builder.repository(registry, "odd", observed_at=NOW)
    builder.tag(
        repository, "latest", builder.artifact(repository, builder.manifest(registry, data=b"\xff{}"))
    )
    async with graph_of(builder) as graph:
        response = await graph.ask('{ artifact(reference: "odd") { manifest { size raw document } } }')

        assert {"size": 3, "raw": None, "document": None} == response["data"]["artifact"]["manifest"]
        assert {
            ("artifact", "manifest", "raw"): "MALFORMED_MANIFEST",
            ("artifact", "manifest", "document"): "MALFORMED_MANIFEST",
        } == paths_of(response)


async def test_configs_that_cannot_be_read() -> None:
    """A config that is no JSON fails where it is asked for; one that was not fetched says so."""
    builder = StoreBuilder()
    registry = builder.registry("registry.test")
    repository = builder.repository(registry, "bad", observed_at=NOW)
    layers = [builder.layer(registry)]
    kinds = {"broken": b"nonsense", "missing": None}
    for name, config in kinds.items():
        manifest = builder.manifest(registry, layers, config=config, artifact_type=OCI_CONFIG_TYPE)
        builder.tag(repository, name, builder.artifact(repository, manifest))
    chart = builder.manifest(registry, layers, artifact_type="application/vnd.cncf.helm.config.v1+json")
    builder.tag(repository, "chart", builder.artifact(repository, chart))
    query = """{ repository(name: "bad") { tags { nodes { name artifact { layers { createdBy }
      manifest { ... on ImageManifest { config { os } } } } } } } }"""
    async with graph_of(builder) as graph:
        response = await graph.ask(query)

        names = [node["name"] for node in response["data"]["repository"]["tags"]["nodes"]]
        found = {(names[path[3]], path[-1]): code for path, code in paths_of(response).items()}  # type: ignore[index]
        assert {
            ("broken", "config"): "MALFORMED_MANIFEST",
            ("broken", "createdBy"): "MALFORMED_MANIFEST",
            ("missing", "config"): "NOT_OBSERVED",
        } == found


async def test_shown_documents_are_bounded() -> None:
    """A document that is read once may not be shown without end under other names."""
    size = MAX_SHOWN_BYTES // 10 + 1
    builder = StoreBuilder()
    registry = builder.registry("registry.test")
    repository = builder.repository(registry, "large", observed_at=NOW)
    manifest = builder.manifest(registry, data=b"{}" + b" " * (size - 2))
    builder.tag(repository, "latest", builder.artifact(repository, manifest))
    names = " ".join(f"n{number}: raw" for number in range(12))
    async with graph_of(builder) as graph:
        response = await graph.ask(f'{{ artifact(reference: "large") {{ manifest {{ {names} }} }} }}')

        shown = response["data"]["artifact"]["manifest"].values()
        assert [9, 3] == [sum(text is not None for text in shown), sum(text is None for text in shown)]
        assert {"QUERY_TOO_COSTLY"} == set(paths_of(response).values())


LONG_TEXT = "x" * (MAX_SHOWN_BYTES // 10 + 1)
STEP = {"created_by": LONG_TEXT, "author": LONG_TEXT}
IN_CONFIG = "manifest { ... on ImageManifest { config { # } } }"

# The config and the annotations, and where in the answer which of their texts is.
TEXTS = {
    "a text of a config": ({"author": LONG_TEXT}, {}, IN_CONFIG, "author"),
    "a list of texts": ({"config": {"Env": [LONG_TEXT]}}, {}, IN_CONFIG, "env"),
    "the names of an object": ({"config": {"Volumes": {LONG_TEXT: {}}}}, {}, IN_CONFIG, "volumes"),
    "a label": (
        {"config": {"Labels": {"l": LONG_TEXT}}},
        {},
        IN_CONFIG.replace("#", "labels { # }"),
        "value",
    ),
    "a step": ({"history": [STEP]}, {}, IN_CONFIG.replace("#", "history { # }"), "createdBy"),
    "the author of a step": ({"history": [STEP]}, {}, IN_CONFIG.replace("#", "history { # }"), "author"),
    "the step of a layer": ({"history": [STEP]}, {}, "layers { # }", "createdBy"),
    "an annotation": ({}, {"a": LONG_TEXT}, "manifest { annotations { # } }", "value"),
    "its name": ({}, {LONG_TEXT: "a"}, "manifest { annotations { # } }", "name"),
}


@pytest.mark.parametrize("name", TEXTS)
async def test_shown_texts_are_bounded(name: str) -> None:
    """Nor may a text that a document brings, wherever in the document it is."""
    config, annotations, below, field = TEXTS[name]
    builder = StoreBuilder()
    registry = builder.registry("registry.test")
    repository = builder.repository(registry, "large", observed_at=NOW)
    manifest = builder.manifest(
        registry,
        [builder.layer(registry)],
        config=json.dumps(config).encode(),
        artifact_type=OCI_CONFIG_TYPE,
        annotations=json.dumps(annotations),
    )
    builder.tag(repository, "latest", builder.artifact(repository, manifest))
    names = " ".join(f"n{number}: {field}" for number in range(12))
    query = f'{{ artifact(reference: "large") {{ {below.replace("#", names)} }} }}'
    async with graph_of(builder) as graph:
        response = await graph.ask(query)

        assert {"QUERY_TOO_COSTLY"} == set(paths_of(response).values())
        assert len(json.dumps(response["data"])) <= MAX_SHOWN_BYTES


async def test_listed_errors_are_bounded() -> None:
    """An answer lists so many errors, and tells how many it leaves out."""
    names = " ".join(f"n{number}: createdBy" for number in range(11))
    query = f'{{ artifact(reference: "long") {{ layers {{ digest {names} }} }} }}'
    async with graph_of(long_store(100, 1)) as graph:
        response = await graph.ask(query, hide=frozenset({Hidden.HISTORY}))

        assert ["HIDDEN"] * MAX_ERRORS + ["TOO_MANY_ERRORS"] == codes_of(response)
        assert "100 more" in response["errors"][-1]["message"]
        assert 100 == graph.context.unlisted_errors
        assert [{"digest", *(f"n{number}" for number in range(11))}] * 100 == [
            set(layer) for layer in response["data"]["artifact"]["layers"]
        ]


async def test_annotations_that_are_not_kept() -> None:
    """Where there were more annotations than are kept they are null with an error, and raw has them."""
    builder = StoreBuilder()
    registry = builder.registry("registry.test")
    repository = builder.repository(registry, "large", observed_at=NOW)
    manifest = builder.manifest(registry, data=b"{}", annotations=UNKEPT_ANNOTATIONS)
    builder.tag(repository, "latest", builder.artifact(repository, manifest))
    async with graph_of(builder) as graph:
        response = await graph.ask(
            '{ artifact(reference: "large") { manifest { annotations { name } raw } } }'
        )

    assert {"annotations": None, "raw": "{}"} == response["data"]["artifact"]["manifest"]
    assert {"artifact/manifest/annotations": "CONTENT_TOO_LARGE"} == {
        "/".join(map(str, path)): code for path, code in paths_of(response).items()
    }


@pytest.mark.parametrize(
    ("media_type", "is_told"),
    [
        ("application/vnd.docker.distribution.manifest.v1+json", False),
        ("application/vnd.unknown.v1+json", False),
        ("application/vnd.oci.artifact.manifest.v1+json", True),
    ],
)
async def test_layers_of_other_kinds(media_type: str, is_told: bool) -> None:
    """An empty list says that there are none: of what does not tell, or is not read, they are not known."""
    builder = StoreBuilder()
    registry = builder.registry("registry.test")
    manifest = builder.manifest(registry, form="OTHER", kind="OTHER", media_type=media_type)
    repository = builder.repository(registry, "other", observed_at=NOW)
    builder.tag(repository, "latest", builder.artifact(repository, manifest))
    async with graph_of(builder) as graph:
        response = await graph.ask(
            '{ artifact(reference: "other") { layers { size } manifest { __typename } } }'
        )

    artifact = response["data"]["artifact"]
    assert {"__typename": "OtherManifest"} == artifact["manifest"]
    assert ([] if is_told else None) == artifact["layers"]
    assert ({} if is_told else {("artifact", "layers"): "NOT_KNOWN"}) == paths_of(response)
