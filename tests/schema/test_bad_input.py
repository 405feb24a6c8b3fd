"""Wrong input is told where it is, before anything is asked, and takes no other field with it."""

import asyncio
import base64
import json
import math
import re
from pathlib import Path

import pytest

from graph.schema.ids import MAX_ID_LENGTH, NodeType, format_id
from graph.sync.freshness import Demand
from requests_to_graph import FakeRefresher, codes_of, graph_of, paths_of
from schema_stores import ragged_store

pytestmark = pytest.mark.anyio

LONG = "x" * 300
NOON = "2024-01-01T12:00:00Z"


def bare(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


# The field, its arguments as variables, and the code.
WRONG = [
    ('repository(name: "UPPER")', "INVALID_NAME"),
    ('repository(name: "")', "INVALID_NAME"),
    ('repository(name: "a//b")', "INVALID_NAME"),
    (f'repository(name: "{LONG}")', "INVALID_NAME"),
    ('repository(name: "a\\u0000b")', "INVALID_NAME"),
    ('repository(name: "base", registry: "nowhere.test")', "UNKNOWN_REGISTRY"),
    (f'registry(name: "{LONG}")', "UNKNOWN_REGISTRY"),
    ('artifact(reference: "")', "INVALID_REFERENCE"),
    ('artifact(reference: "team/web:")', "INVALID_REFERENCE"),
    ('artifact(reference: "team/web@sha256:short")', "INVALID_DIGEST"),
    ('artifact(reference: "nowhere.test:5000/team/web")', "UNKNOWN_REGISTRY"),
    ('artifact(reference: "localhost/team/web")', "UNKNOWN_REGISTRY"),
    ('search(text: "")', "INVALID_FILTER"),
    (f'search(text: "{LONG}")', "INVALID_FILTER"),
    ('search(text: "\\u0000")', "INVALID_FILTER"),
    ('search(text: "a", first: 0)', "INVALID_PAGE"),
    ('search(text: "a", registry: "nowhere.test")', "UNKNOWN_REGISTRY"),
    ('node(id: "")', "INVALID_ID"),
    ('node(id: "nonsense")', "INVALID_ID"),
    ('node(id: "bm9uc2Vuc2U")', "INVALID_ID"),
    ('node(id: "ünï")', "INVALID_ID"),
    (f'node(id: "{"A" * (MAX_ID_LENGTH + 1)}")', "INVALID_ID"),
    (f'node(id: "{bare("Repository registry.test UPPER")}")', "INVALID_ID"),
    (f'node(id: "{bare("Repository registry.test")}")', "INVALID_ID"),
    (f'node(id: "{bare("Repository registry.test a b")}")', "INVALID_ID"),
    (f'node(id: "{bare("Repository registry.test base")}=")', "INVALID_ID"),
    (f'node(id: "{bare("Repository REGISTRY.test base")}")', "INVALID_ID"),
    (f'node(id: "{bare("Manifest registry.test base")}")', "INVALID_ID"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "code"), WRONG)
async def test_wrong_input_at_the_root(field: str, code: str) -> None:
    """One error at the field, with its code; no statement, no request to a registry; other fields answer."""
    refresher = FakeRefresher()
    async with graph_of(ragged_store()) as graph:
        response = await graph.ask(
            "{ registry { name } wrong: " + field + " { __typename } }",
            demand=Demand(0),
            refresher=refresher,
        )

        assert {("wrong",): code} == paths_of(response)
        assert {"registry": {"name": "registry.test"}, "wrong": None} == response["data"]
        assert response["errors"][0]["locations"]
        assert [] == graph.statements
        assert [] == refresher.asked


WRONG_IN_LISTS = [
    ("repositories(first: 0)", "INVALID_PAGE"),
    ("repositories(first: -1)", "INVALID_PAGE"),
    ("repositories(last: 0)", "INVALID_PAGE"),
    ("repositories(first: 1, last: 1)", "INVALID_PAGE"),
    ('repositories(after: "nonsense")', "INVALID_CURSOR"),
    (f'repositories(after: "{"x" * 5000}")', "INVALID_CURSOR"),
    ('repositories(before: "")', "INVALID_CURSOR"),
    (f'repositories(filter: {{name: "{LONG}"}})', "INVALID_FILTER"),
    (
        'repositories(filter: {changedSince: "2024-01-02T00:00:00Z", changedBefore: "2024-01-01T00:00:00Z"})',
        "INVALID_FILTER",
    ),
    ('repositories(filter: {name: "team*\\u0000"})', "INVALID_FILTER"),
    ("artifacts(filter: {isTagged: true, untagged: [DANGLING]})", "INVALID_FILTER"),
    ("artifacts(filter: {kinds: []})", "INVALID_FILTER"),
    ("artifacts(filter: {sizeAtLeast: 2, sizeAtMost: 1})", "INVALID_FILTER"),
    ("layers(filter: {sharedByAtLeast: 0})", "INVALID_FILTER"),
    (f'namespaces(prefix: "{LONG}")', "INVALID_FILTER"),
    ('namespaces(prefix: "//")', "INVALID_NAME"),
    ('repositories(filter: {namespace: "A//"})', "INVALID_NAME"),
    ('repositories(filter: {namespace: "marketing/"})', "INVALID_NAME"),
    ('repositories(filter: {namespace: ""})', "INVALID_NAME"),
    ('repositories(filter: {namePrefix: "Team"})', "INVALID_NAME"),
]


@pytest.mark.parametrize(("field", "code"), WRONG_IN_LISTS)
async def test_wrong_input_in_lists(field: str, code: str) -> None:
    """A page, cursor or filter that is wrong fails its field alone; no statement, no request."""
    refresher = FakeRefresher()
    async with graph_of(ragged_store()) as graph:
        response = await graph.ask(
            "{ registry { name wrong: " + field + " { totalCount } } }",
            demand=Demand(0),
            refresher=refresher,
        )

        assert {("registry", "wrong"): code} == paths_of(response)
        assert {"name": "registry.test", "wrong": None} == response["data"]["registry"]
        assert [] == graph.statements
        assert [] == refresher.asked


@pytest.mark.parametrize(
    ("field", "names"),
    [
        (f'repositories(filter: {{namePrefix: "{LONG}"}})', ["namePrefix"]),
        (
            f'repositories(filter: {{changedSince: "{NOON}", changedBefore: "{NOON}"}})',
            ["changedSince", "changedBefore"],
        ),
        (
            f'artifacts(filter: {{createdSince: "{NOON}", createdBefore: "{NOON}"}})',
            ["createdSince", "createdBefore"],
        ),
        (f'artifacts(filter: {{artifactType: "{LONG}"}})', ["artifactType"]),
        ("artifacts(filter: {sizeAtLeast: 2, sizeAtMost: 1})", ["sizeAtLeast", "sizeAtMost"]),
        ("layers(filter: {sharedByAtLeast: 0})", ["sharedByAtLeast"]),
    ],
)
async def test_wrong_input_by_its_name(field: str, names: list[str]) -> None:
    """What is wrong is called as the one who asks has called it."""
    async with graph_of(ragged_store()) as graph:
        response = await graph.ask(f"{{ registry {{ wrong: {field} {{ totalCount }} }} }}")

    (error,) = response["errors"]
    assert all(name in error["message"] for name in names)
    assert "_" not in error["message"]


WRONG_BELOW = [
    ("tags(first: -1) { totalCount }", "INVALID_PAGE"),
    ('tags(after: "nonsense") { totalCount }', "INVALID_CURSOR"),
    (f'tags(filter: {{namePrefix: "{LONG}"}}) {{ totalCount }}', "INVALID_FILTER"),
    ('tags(filter: {name: "1*\\u0000"}) { totalCount }', "INVALID_FILTER"),
    ('tags(filter: {namePrefix: "1.0.0+"}) { totalCount }', "INVALID_NAME"),
    ('tags(filter: {namePrefix: "-"}) { totalCount }', "INVALID_NAME"),
    ('artifacts(before: "nonsense") { totalCount }', "INVALID_CURSOR"),
    ("artifacts(filter: {kinds: []}) { totalCount }", "INVALID_FILTER"),
    ("layers(last: 0) { totalCount }", "INVALID_PAGE"),
    ('related(after: "nonsense") { totalCount }', "INVALID_CURSOR"),
    ('tag(name: "-v1") { name }', "INVALID_NAME"),
    ('tag(name: "") { name }', "INVALID_NAME"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "code"), WRONG_BELOW)
async def test_wrong_input_below_a_parent(field: str, code: str) -> None:
    """What is wrong below a parent is known before that is refreshed: it comes from the store."""
    refresher = FakeRefresher()
    async with graph_of(ragged_store()) as graph:
        response = await graph.ask(
            '{ repository(name: "base") { name wrong: ' + field + " } }",
            demand=Demand(0),
            refresher=refresher,
        )

        assert {("repository", "wrong"): code} == paths_of(response)
        assert {"repository": {"name": "base", "wrong": None}} == response["data"]
        assert [] == refresher.asked
        assert [("repository",)] == [tuple(stale["path"]) for stale in response["extensions"]["stale"]]
        assert ["INVALID_INPUT"] == [stale["reason"] for stale in response["extensions"]["stale"]]


@pytest.mark.parametrize(
    ("field", "column"),
    [
        ("repository(name: {})", 20),
        ("repository(name: [])", 20),
        ('layers(digests: [["sha256:0"]])', 20),
        ("search(text: {a: 1})", 16),
        ('nodes(ids: ["a", {}])', 14),
        ("repository(name: 1)", 20),
        ('layers(digests: ["sha256:0"])', 20),
    ],
)
async def test_values_of_another_type(field: str, column: int) -> None:
    """A list or an object where a text should be has a place in the query, as any other wrong value has."""
    async with graph_of(ragged_store()) as graph:
        response = await graph.ask("{ " + field + " { __typename } }")

    (error,) = response["errors"]
    assert [{"line": 1, "column": column}] == error["locations"]
    assert error["extensions"]["code"] in ("INVALID_QUERY", "INVALID_DIGEST")


async def test_wrong_input_deep_below_lists() -> None:
    """However deep, by whichever fragment and variable: no catalog, no list of referrers is asked for."""
    refresher = FakeRefresher()
    query = """
        query ($after: String) { registry { repositories(first: 1) { nodes { ...R } } } }
        fragment R on Repository { artifacts { nodes { ... on Artifact { referrers { ...C } } } } }
        fragment C on ArtifactConnection { nodes { referrers(after: $after) { totalCount } } }
    """
    query = query.replace("ArtifactConnection", "ReferrerConnection")
    async with graph_of(ragged_store()) as graph:
        response = await graph.ask(query, {"after": "x"}, demand=Demand(0), refresher=refresher)

        assert [] == refresher.asked
        assert ["INVALID_CURSOR"] == [code for code in codes_of(response) if code != "NOT_OBSERVED"]


async def test_wrong_input_that_nobody_reaches() -> None:
    """What is wrong below null or an empty list is told too: by its place in the query, without a path."""
    async with graph_of(ragged_store(), observed=False) as graph:
        response = await graph.ask(
            '{ repository(name: "unknown") { tags(first: 0) { totalCount } } '
            'registry { repositories(filter: {name: "none"}) { nodes { tag(name: "a b") { name } } } } }',
            demand=Demand(0),
            refresher=FakeRefresher(),
        )

        assert {("repository",): "NOT_OBSERVED", ("registry", "repositories"): "NOT_OBSERVED"} == paths_of(
            response
        )
        assert "wrong" in response["errors"][0]["message"]
        untold = [error for error in response["errors"] if "path" not in error]
        assert {"INVALID_PAGE", "INVALID_NAME"} == {error["extensions"]["code"] for error in untold}
        assert all(error["locations"] for error in untold)


async def test_null_where_none_may_be() -> None:
    """A null that a variable brings to an argument that needs a value is the caller's mistake, told there."""
    refresher = FakeRefresher()
    query = """query ($name: String = "base") {
        repository(name: "base") { name }
        wrong: repository(name: $name) { name }
    }"""
    async with graph_of(ragged_store()) as graph:
        response = await graph.ask(query, {"name": None}, demand=Demand(0), refresher=refresher)

        assert {("wrong",): "INVALID_QUERY"} == paths_of(response)
        assert [3] == [place["line"] for error in response["errors"] for place in error["locations"]]
        assert {"repository": {"name": "base"}, "wrong": None} == response["data"]
        assert [] == refresher.asked


async def test_what_is_left_out_is_not_wrong() -> None:
    """A field that `@skip` or `@include` leaves out is no mistake, and the registry is asked."""
    refresher = FakeRefresher()
    query = """
        query ($no: Boolean!) { repository(name: "base") {
            name
            tags(first: 0) @include(if: $no) { totalCount }
            ... @include(if: $no) { tag(name: "a b") { name } }
            ...T @skip(if: true)
        } }
        fragment T on Repository { layers(last: 0) { totalCount } }
    """
    async with graph_of(ragged_store()) as graph:
        data = await graph.data(query, {"no": False}, demand=Demand(0), refresher=refresher)

        assert {"repository": {"name": "base"}} == data
        assert ["repository"] == [what for what, *_ in refresher.asked]


async def test_arguments_are_read_in_slices() -> None:
    """Reading what a query brings lets others have the event loop, and ends with the time of the request."""
    kinds = ["IMAGE"] * 19_000
    fields = " ".join(
        f"a{number}: artifacts(filter: {{kinds: $kinds}}) {{ totalCount }}" for number in range(40)
    )
    query = f"query ($kinds: [ArtifactKind!]) {{ registry {{ {fields} }} }}"
    async with graph_of(ragged_store()) as graph:
        over = asyncio.get_running_loop().time()
        response = await graph.ask(query, {"kinds": kinds}, deadline=over)

        assert ["TIME_LIMIT"] == codes_of(response)
        assert 40 > len(graph.context.arguments)
        assert [] == graph.statements


@pytest.mark.parametrize("size", [0, -1, 101, 10**9])
async def test_page_sizes_in_variables(size: int) -> None:
    """A page size that a variable brings is checked when it is used: an error at that field."""
    query = "query ($size: Int!) { registry { name repositories(first: $size) { totalCount } } }"
    async with graph_of(ragged_store()) as graph:
        response = await graph.ask(query, {"size": size})

        assert {("registry", "repositories"): "INVALID_PAGE"} == paths_of(response)
        assert "from 1 to 100" in response["errors"][0]["message"]


async def test_long_lists_in_variables() -> None:
    """A thousand look-ups, and not one more."""
    query = "query ($ids: [ID!]!) { registry { name } nodes(ids: $ids) { id } }"
    async with graph_of(ragged_store()) as graph:
        identity = format_id(NodeType.REPOSITORY, "registry.test", "base")
        found = await graph.data(query, {"ids": [identity] * 1000})
        response = await graph.ask(query, {"ids": [identity] * 1001})

        assert [{"id": identity}] * 1000 == found["nodes"]
        assert {("nodes",): "QUERY_TOO_COSTLY"} == paths_of(response)


@pytest.mark.parametrize(
    ("type", "field", "code"),
    [
        ("String!", "repository(name: $text) { name }", "INVALID_NAME"),
        ("String!", "artifact(reference: $text) { digest }", "INVALID_NAME"),
        ("String!", "search(text: $text) { totalCount }", "INVALID_FILTER"),
        ("ID!", "node(id: $text) { id }", "INVALID_ID"),
        ("String", "registry { repositories(after: $text) { totalCount } }", "INVALID_CURSOR"),
        ("String", "registry { repositories(filter: {name: $text}) { totalCount } }", "INVALID_FILTER"),
        ("String", "registry { namespaces(prefix: $text) { totalCount } }", "INVALID_FILTER"),
        (
            "String",
            "registry { artifacts(first: 1) { nodes { referrers(artifactType: $text) { totalCount } } } }",
            "INVALID_FILTER",
        ),
    ],
)
async def test_half_a_character(type: str, field: str, code: str) -> None:
    """JSON can spell half of a surrogate pair; no name, cursor or id holds one."""
    async with graph_of(ragged_store()) as graph:
        response = await graph.ask(f"query ($text: {type}) {{ {field} }}", {"text": "a\ud800"})

        assert [code] == codes_of(response)
        assert len(graph.statements) <= field.count("artifacts")  # its parents


DIGESTS = "layers(digests: $value) { size }"
SINCE = "registry { artifacts(filter: {createdSince: $value}) { totalCount } }"
AT_MOST = "registry { artifacts(filter: {sizeAtMost: $value}) { totalCount } }"

SCALARS = [
    ("[Digest!]!", DIGESTS, ["md5"], "INVALID_DIGEST"),
    ("[Digest!]!", DIGESTS, [7], "INVALID_DIGEST"),
    ("[Digest!]!", DIGESTS, ["sha256:" + "A" * 64], "INVALID_DIGEST"),
    ("DateTime", SINCE, "today", "INVALID_INPUT"),
    ("DateTime", SINCE, 5, "INVALID_INPUT"),
    ("DateTime", SINCE, "2024-01-01T00:00:00", "INVALID_INPUT"),
    ("DateTime", SINCE, "0001-01-01T00:00:00+23:59", "INVALID_INPUT"),
    ("DateTime", SINCE, "2024-01-01T00:00:00Z" + " " * 100, "INVALID_INPUT"),
    ("ByteCount", AT_MOST, -1, "INVALID_INPUT"),
    ("ByteCount", AT_MOST, 2**53, "INVALID_INPUT"),
    ("ByteCount", AT_MOST, 1.5, "INVALID_INPUT"),
    ("ByteCount", AT_MOST, float("inf"), "INVALID_INPUT"),
    ("ByteCount", AT_MOST, float("nan"), "INVALID_INPUT"),
    ("ByteCount", AT_MOST, "5", "INVALID_INPUT"),
    ("ByteCount", AT_MOST, True, "INVALID_INPUT"),
    ("Int", "registry { layers(filter: {sharedByAtLeast: $value}) { totalCount } }", 2**31, "INVALID_QUERY"),
    ("ArtifactOrder", "registry { artifacts(orderBy: $value) { totalCount } }", "NONE", "INVALID_QUERY"),
]


@pytest.mark.parametrize(("type", "field", "value", "code"), SCALARS)
async def test_scalars_in_variables(type: str, field: str, value: object, code: str) -> None:
    """A variable that is not what its type says is refused, with our code where the scalar is ours."""
    async with graph_of(ragged_store()) as graph:
        response = await graph.ask(f"query ($value: {type}) {{ {field} }}", {"value": value})

        assert [code] == codes_of(response)
        assert "data" not in response
        assert [] == graph.statements


DOCUMENTED = re.findall(
    r"^\| `(Digest|DateTime|ByteCount|Int|ArtifactOrder)` \| `(\w+)` \|$",
    (Path(__file__).parents[2] / "docs" / "errors.md").read_text(),
    re.MULTILINE,
)


def written(value: object) -> str:
    """The value as a query writes it."""
    return value if value == "NONE" else json.dumps(value)


@pytest.mark.parametrize(
    ("type", "field", "value", "code"),
    [each for each in SCALARS if not isinstance(each[2], float) or math.isfinite(each[2])],
)
async def test_scalars_in_the_query(type: str, field: str, value: object, code: str) -> None:
    """Written in the query it is refused in the same way: all of the request, as docs/errors.md says."""
    async with graph_of(ragged_store()) as graph:
        response = await graph.ask(
            "{ other: registry { name } " + field.replace("$value", written(value)) + " }"
        )

        assert "data" not in response
        assert [] == graph.statements
    assert {code} == set(codes_of(response))
    assert (type.strip("[]!"), code) in DOCUMENTED
    assert all(error["locations"] for error in response["errors"])


async def test_a_cursor_of_another_list() -> None:
    """A cursor belongs to one list in one order; elsewhere it is refused, not misread."""
    async with graph_of(ragged_store()) as graph:
        data = await graph.data("{ registry { repositories(first: 1) { pageInfo { endCursor } } } }")
        cursor = data["registry"]["repositories"]["pageInfo"]["endCursor"]
        response = await graph.ask(
            "query ($after: String) { registry { repositories(after: $after, orderBy: CHANGED) { totalCount }"
            " layers(after: $after) { totalCount } } }",
            {"after": cursor},
        )

        assert {
            ("registry", "repositories"): "INVALID_CURSOR",
            ("registry", "layers"): "INVALID_CURSOR",
        } == paths_of(response)


async def test_one_bad_id_among_good_ones() -> None:
    """A list of ids answers each on its own: found, unknown (null), malformed (null with an error)."""
    async with graph_of(ragged_store()) as graph:
        ids = [
            format_id(NodeType.REPOSITORY, "registry.test", "base"),
            format_id(NodeType.REPOSITORY, "registry.test", "unknown"),
            "nonsense",
            format_id(NodeType.REPOSITORY, "gone.test", "base"),
            format_id(NodeType.REGISTRY, "other.test"),
        ]
        response = await graph.ask(
            "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename ... on Repository { name } } }",
            {"ids": ids},
        )

        assert [
            {"__typename": "Repository", "name": "base"},
            None,
            None,
            None,
            {"__typename": "Registry"},
        ] == response["data"]["nodes"]
        assert {("nodes", 2): "INVALID_ID"} == paths_of(response)
