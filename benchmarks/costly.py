"""Queries that cost as much as the limits allow, each in another way.

Rules of this file: texts and variables only, within every limit that a server has unless told otherwise
(20,000 nodes, 2,000 tokens, 50 aliases, 20 levels, pages of 100, bodies of 256 KiB). What they are told
of the store (`Known`) anybody can ask the server for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

REPOSITORY = """id name namespace completeness firstSeenAt observedAt changedAt absentAt
registry { id name url dialect }"""
ARTIFACT = """id digest reference kind mediaType artifactType size untagged childCount createdAt pushedAt
firstSeenAt observedAt absentAt platform { os architecture variant osVersion }"""
LAYER = "id digest size isEmpty isForeign repositoryCount artifactCount savedBytes registry { id name url }"
CONFIG = """created author os architecture variant osVersion env entrypoint cmd labels { name value } user
workingDir exposedPorts volumes stopSignal diffIds"""


@dataclass(frozen=True, slots=True)
class Known:
    """Members of the store that make queries costly."""

    artifact_ids: Sequence[str]  # of images whose raw documents are stored
    layer_digests: Sequence[str]  # the most used first
    fat_repository: str


@dataclass(frozen=True, slots=True)
class Query:
    """A request, and what makes it costly; if `times` says so, it is sent again and again, never the same."""

    name: str
    text: str  # with # for the number of the time
    variables: dict[str, Any] = field(default_factory=dict)
    times: int = 1

    @property
    def texts(self) -> list[str]:
        """What is sent, one after the other."""
        return [self.text.replace("#", str(number)) for number in range(self.times)]


def _aliased(selection: str, count: int, start: int = 0) -> str:
    return " ".join(f"a{number}: {selection}" for number in range(start, start + count))


def _on_artifacts(selection: str, count: int) -> str:
    """The artifacts of `$ids`, under so many names."""
    nodes = f"nodes(ids: $ids) {{ ... on Artifact {{ {selection} }} }}"
    return f"query ($ids: [ID!]!) {{ {_aliased(nodes, count)} }}"


def _in_config(selection: str) -> str:
    return f"manifest {{ ... on ImageManifest {{ config {{ {selection} }} }} }}"


def _many_rows(known: Known) -> list[Query]:
    """Most objects, most plain fields, and most of both."""
    layers = "{ registry { layers(first: %s, orderBy: SAVED_BYTES) { nodes { %s } } } }"
    repositories = f"repositories(first: 100) {{ nodes {{ {REPOSITORY} }} }}"
    artifacts = f"artifacts(first: 100) {{ nodes {{ {ARTIFACT} %s }} }}"
    edges = _aliased("edges { cursor node { id reference } }", 49)
    nodes = _aliased("nodes { id name observedAt }", 49)
    return [
        Query(
            "six levels, as a page would ask",
            "{ registry { repositories(first: 100) { nodes { name tags(first: 10) { nodes { name artifact { "
            "digest layers { layer { digest size repositories(first: 5) { nodes { name } } } } } } } } } } }",
        ),
        Query(
            "20,000 rows with every plain field", layers % (99, f"{LAYER} {repositories} {artifacts % ''}")
        ),
        Query(
            "the same, one long field under 49 more names",
            layers % (99, f"{repositories} {artifacts % _aliased('reference', 49)}"),
        ),
        Query(
            "the rows of 100 pages of 100 under 49 names",
            layers % (100, f"repositories(first: 100) {{ {nodes} }}"),
        ),
        Query(
            "the edges of 100 pages of 100 under 49 names",
            layers % (100, f"artifacts(first: 100) {{ {edges} }}"),
        ),
        Query(
            "as many fields as are allowed: 20 pages of 100 under 47 names",
            layers % (20, f"repositories(first: 100) {{ {_aliased('nodes { id name observedAt }', 47)} }}"),
        ),
        Query(
            "3 pages of 100, all fields under 47 names",
            layers % (3, f"artifacts(first: 100) {{ {_aliased(f'nodes {{ {ARTIFACT} }}', 47)} }}"),
        ),
        Query(
            "1,000 layers by digest, 9 artifacts of each",
            "query ($digests: [Digest!]!) { layers(digests: $digests) { digest artifacts(first: 9) { nodes { "
            "reference repository { name } } } } }",
            {"digests": list(known.layer_digests[:1_000])},
        ),
    ]


def _look_ups(known: Known) -> list[Query]:
    """Ids and documents, the same ones again and again."""
    same, others = [known.artifact_ids[0]] * 1_000, list(known.artifact_ids[:1_000])
    history = "history { created createdBy comment isEmptyLayer }"
    return [
        Query("one object 19,000 times by its id", _on_artifacts(ARTIFACT, 19), {"ids": same}),
        Query(
            "60,000 ids that are none, under 49 names",
            f"query ($ids: [ID!]!) {{ {_aliased('nodes(ids: $ids) { id }', 49)} }}",
            {"ids": ["x"] * 60_000},
        ),
        Query(
            "20,000 ids that are none, under 49 names",
            f"query ($ids: [ID!]!) {{ {_aliased('nodes(ids: $ids) { id }', 49)} }}",
            {"ids": ["x"] * 19_999},
        ),
        Query(
            "10,000 names of a set that are none, under 49 names",
            f"query ($names: [String!]) {{ {_aliased('storage(repositories: $names) { __typename }', 49)} }}",
            {"names": [f"r{number}" for number in range(10_000)]},
        ),
        Query(
            "19,000 errors",
            f"query ($ids: [ID!]!) {{ {_aliased('nodes(ids: $ids) { id }', 19)} }}",
            {"ids": ["no id"] * 1_000},
        ),
        Query(
            "one config 1,000 times with its history",
            _on_artifacts(_in_config(f"{CONFIG} {history} raw"), 1),
            {"ids": same},
        ),
        Query(
            "one config 1,000 times, its short lists under 46 names",
            _on_artifacts(
                _in_config(_aliased("labels { name value }", 23, 100) + _aliased(" env", 23, 200)), 1
            ),
            {"ids": same},
        ),
        Query(
            "one config 1,000 times, its text under 49 names",
            _on_artifacts(_in_config(_aliased("raw", 49, 100)), 1),
            {"ids": same},
        ),
        Query(
            "the documents of 500 images, as text and as JSON",
            _on_artifacts(
                f"manifest {{ raw document ... on ImageManifest {{ config {{ raw {CONFIG} }} }} }}", 1
            ),
            {"ids": others[:500]},
        ),
    ]


def _walks() -> list[Query]:
    """Statements that read whole tables."""
    searches = " ".join(f'a{n}: search(text: "no-{n}-such") {{ nodes {{ __typename }} }}' for n in range(50))
    counts = " ".join(
        f'a{n}: search(first: 1, text: "{chr(97 + n % 26)}") {{ totalCount }}' for n in range(50)
    )
    never = "filter: { sharedByAtLeast: 2000000000 }, orderBy: SAVED_BYTES"
    walks = " ".join(f"a{n}: layers(first: {n + 1}, {never}) {{ nodes {{ size }} }}" for n in range(50))
    sorts = " ".join(
        f"a{n}: repositories(first: {n + 1}, orderBy: SIZE) {{ nodes {{ id }} }}" for n in range(50)
    )
    glob = "*a" * 60 + "*-no-such"
    globs = " ".join(
        f'a{n}: repositories(first: {n + 1}, filter: {{ name: "{glob}" }}) {{ totalCount }}'
        for n in range(50)
    )
    return [
        Query("50 counts of a long glob", f"{{ registry {{ {globs} }} }}"),
        Query("50 searches that find nothing", f"{{ {searches} }}"),
        Query("50 counts of searches", f"{{ {counts} }}"),
        Query("50 walks over all layers", f"{{ registry {{ {walks} }} }}"),
        Query("50 sorts of all repositories", f"{{ registry {{ {sorts} }} }}"),
    ]


def _documents() -> list[Query]:
    """Deep and wide documents."""
    deep = "repositories(first: 2) { nodes { name } }"
    for _ in range(3):
        deep = f"artifacts(first: 2) {{ nodes {{ layers {{ layer {{ {deep} }} }} }} }}"
    schema = (
        "name description fields { name description args { name description type { name kind ofType { name "
        "kind } } } type { name kind ofType { name kind } } } enumValues { name } inputFields { name }"
    )
    return [
        Query(
            "19 levels deep",
            f"{{ registry {{ layers(first: 1, orderBy: SAVED_BYTES) {{ nodes {{ {deep} }} }} }} }}",
        ),
        Query("the schema, twice", f"{{ {_aliased(f'__schema {{ types {{ {schema} }} }}', 2)} }}"),
        Query("the schema", f"{{ __schema {{ types {{ {schema} }} }} }}"),
        Query(
            "100 fragments",
            "{ registry { " + "... on Registry { name sync { state } basis { scope } } " * 100 + "} }",
        ),
    ]


def _varied() -> list[Query]:
    """Large documents, each another, so that nothing that is kept of one serves the next."""
    names = " ".join(f"a{number}: name" for number in range(40))
    long = f"{{ registry {{ {' '.join(['name'] * 120)} {names} {' '.join(['url'] * 100)} }} }}"
    deep = " ".join(
        "... on Registry { ... { repositories(first: 1) { totalCount } id } }" for _ in range(100)
    )
    return [
        Query("200 different queries of 260 fields", f"query Q# {long}", times=200),
        Query("200 different queries of 100 fragments", f"query Q# {{ registry {{ {deep} }} }}", times=200),
        Query("200 different queries that are refused", f"query Q# {{ none {long[2:]}", times=200),
    ]


def costly_queries(known: Known) -> list[Query]:
    """Return one query for each way that was thought of."""
    return [*_many_rows(known), *_look_ups(known), *_walks(), *_documents(), *_varied()]
