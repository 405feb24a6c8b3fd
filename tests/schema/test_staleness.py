"""How old an answer may be: what refreshes, what does not, and what is told when it could not be."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from graph.errors import RegistryDeniedError, RegistryUnknownError, RegistryUnsupportedError
from graph.schema.context import Limits
from graph.sync.freshness import Demand
from requests_to_graph import FakeRefresher, Graph, codes_of, graph_of, paths_of
from schema_stores import ragged_store
from store_builders import NOW, StoreBuilder

pytestmark = pytest.mark.anyio

LATER = NOW + timedelta(seconds=500)
FIVE_MINUTES = Demand(300)
ONLY_IF_CACHED = Demand(300, may_refresh=False)
ISO_NOW = "2024-05-01T12:00:00Z"


async def ask_later(graph: Graph, query: str, refresher: FakeRefresher | None, **more: Any) -> Any:
    more.setdefault("demand", FIVE_MINUTES)
    return await graph.ask(query, refresher=refresher, clock=lambda: LATER, **more)


def unseen_store() -> StoreBuilder:
    """A registry whose catalog named one repository that nobody has looked at."""
    builder = StoreBuilder()
    builder.repository(builder.registry("registry.test"), "listed")
    return builder


# The field, what it asks of sync, and where its answer is.
REFRESHING = [
    ('repository(name: "base") { name }', ("repository", 1, "base"), ["repository"]),
    ('artifact(reference: "base:1.0") { kind }', ("tag", 1, "base", "1.0"), ["artifact"]),
    ("registry { repositories { nodes { name } } }", ("catalog", 1), ["registry", "repositories"]),
]


@pytest.mark.parametrize(("query", "asked", "path"), REFRESHING)
async def test_what_is_too_old_is_refreshed(query: str, asked: tuple[Any, ...], path: list[str]) -> None:
    """A field older than the request allows asks its registry, then answers from what is stored."""

    async def succeed(*_: Any) -> None: ...

    refresher = FakeRefresher(succeed)
    async with graph_of(ragged_store()) as graph:
        response = await ask_later(graph, "{" + query + "}", refresher)

        assert [asked] == refresher.asked
        assert "errors" not in response
        assert "stale" not in response["extensions"]
        assert graph.context.age() is None
        # What is looked up by its name is read before it is asked for, too.
        assert (1 if asked[0] == "catalog" else 2) == len(graph.statements)


@pytest.mark.parametrize(("query", "asked", "path"), REFRESHING)
async def test_what_cannot_be_refreshed_is_answered_and_told(
    query: str, asked: tuple[Any, ...], path: list[str]
) -> None:
    """A registry that is down costs nothing already known: the answer is the stored one, listed as stale."""
    refresher = FakeRefresher()
    async with graph_of(ragged_store()) as graph:
        response = await ask_later(graph, "{" + query + "}", refresher)

        assert [asked] == refresher.asked
        assert "errors" not in response
        assert [
            {
                "path": path,
                "registry": "registry.test",
                "repository": asked[2] if len(asked) > 2 else None,
                "observedAt": ISO_NOW,
                "reason": "REGISTRY_UNREACHABLE",
            }
        ] == response["extensions"]["stale"]
        assert 500 == graph.context.age()


@pytest.mark.parametrize(
    ("below", "asked"),
    [
        ("tags { nodes { name } }", []),  # what `repository` asked for itself
        ('tag(name: "1.0") { name }', ["tag"]),
        ("artifacts { nodes { digest } }", []),
        ("artifacts { nodes { referrers { state } } }", ["referrers"]),
    ],
)
async def test_fields_of_a_repository_are_told(below: str, asked: list[str]) -> None:
    """Tags, a tag, artifacts and referrers are refreshable too; each answer that is old is in the list."""
    refresher = FakeRefresher()
    async with graph_of(ragged_store()) as graph:
        response = await ask_later(graph, '{ repository(name: "base") { ' + below + " } }", refresher)

        told = {stale["path"][1] for stale in response["extensions"]["stale"] if len(stale["path"]) == 2}
        assert {below.split("(")[0].split(" ")[0]} == told
        assert ["repository", *asked] == [what[0] for what in refresher.asked]


async def test_what_is_computed_never_refreshes() -> None:
    """Layers, and everything across repositories, answer from the store, whatever their age."""
    query = """{
      registry {
        namespaces { totalCount }
        artifacts { nodes { manifest { digest } tags { totalCount } } }
        layers { nodes { repositories { totalCount } artifacts { totalCount } } }
        sync { state }
        basis { scope }
      }
      search(text: "e") { totalCount }
    }"""
    refresher = FakeRefresher()
    async with graph_of(ragged_store()) as graph:
        response = await ask_later(graph, query, refresher, demand=Demand(0))

        assert [] == refresher.asked
        assert "stale" not in response["extensions"]


async def test_young_answers_are_not_refreshed() -> None:
    """Nothing is asked while what is stored is young enough; the age of the answer is known."""
    refresher = FakeRefresher()
    async with graph_of(ragged_store()) as graph:
        await ask_later(
            graph, '{ repository(name: "base") { tags { totalCount } } }', refresher, demand=Demand(501)
        )

        assert [] == refresher.asked
        assert 500 == graph.context.age()


async def test_a_refresh_is_seen_by_the_same_request() -> None:
    """What a refresh stored is what the field answers, and what the levels below it see."""
    async with graph_of(unseen_store(), observed=False) as graph:

        async def look(kind: str, registry_key: int, name: str) -> None:
            def write(db: Any) -> None:
                db.exec_driver_sql(
                    "UPDATE repository SET observed_at = ?, completeness = 'BEST_EFFORT' WHERE name = ?",
                    (int(LATER.timestamp() * 1_000_000), name),
                )

            await graph.store.write(write)

        refresher = FakeRefresher(look)
        response = await ask_later(
            graph, '{ repository(name: "listed") { observedAt tags { nodes { name } } } }', refresher
        )

        assert {"observedAt": "2024-05-01T12:08:20Z", "tags": {"nodes": []}} == response["data"]["repository"]
        assert [("repository", 1, "listed")] == refresher.asked


async def test_one_thing_is_refreshed_once_in_a_request() -> None:
    """Fields of one level and of later ones share one refresh of a repository, and its failure."""
    refresher = FakeRefresher()
    async with graph_of(ragged_store()) as graph:
        await ask_later(
            graph,
            '{ repository(name: "base") { tags { nodes { artifact { repository { tags { totalCount } } } } }'
            " artifacts { totalCount } } }",
            refresher,
        )

        assert [("repository", 1, "base")] == refresher.asked


async def test_refreshes_are_limited() -> None:
    """A request causes so many refreshes and no more; the rest is answered from the store, and told."""
    refresher = FakeRefresher()
    async with graph_of(ragged_store()) as graph:
        response = await ask_later(
            graph,
            "{ registry { repositories { nodes { tags { totalCount } } } } }",
            refresher,
            limits=Limits(refreshes_per_request=3),
        )

        assert [
            ("catalog", 1),
            ("repository", 1, "base"),
            ("repository", 1, "deep/er/one"),
        ] == refresher.asked
        reasons = Counter(stale["reason"] for stale in response["extensions"]["stale"])
        assert {"REGISTRY_UNREACHABLE": 3, "REFRESH_LIMIT": 3} == reasons


async def test_only_if_cached() -> None:
    """Nobody is asked: what is stored is answered and told if old; what is not is null, NOT_STORED."""
    refresher = FakeRefresher()
    async with graph_of(ragged_store()) as graph:
        response = await ask_later(
            graph,
            '{ repository(name: "base") { name } unknown: repository(name: "unknown") { name } }',
            refresher,
            demand=ONLY_IF_CACHED,
        )

        assert [] == refresher.asked
        assert {"repository": {"name": "base"}, "unknown": None} == response["data"]
        assert {("unknown",): "NOT_STORED"} == paths_of(response)
        assert ["ONLY_IF_CACHED"] == [stale["reason"] for stale in response["extensions"]["stale"]]


@pytest.mark.parametrize("error", [RegistryDeniedError("no"), RegistryUnknownError("what?")])
async def test_nothing_stored_tells_what_the_registry_said(error: Exception) -> None:
    """With nothing to answer with, the field is null and has the registry's own code."""

    async def refuse(*_: Any) -> None:
        raise error

    async with graph_of(ragged_store()) as graph:
        response = await ask_later(
            graph,
            '{ repository(name: "unknown") { name } artifact(reference: "unknown") { kind } }',
            FakeRefresher(refuse),
        )

        code = error.code  # type: ignore[attr-defined]
        assert {("repository",): code, ("artifact",): code} == paths_of(response)


async def test_a_fault_of_sync_fails_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected exception in a refresh is logged; the field answers from the store."""

    async def break_down(*_: Any) -> None:
        raise KeyError("secret")

    async with graph_of(ragged_store()) as graph:
        response = await ask_later(graph, '{ repository(name: "base") { name } }', FakeRefresher(break_down))

        assert {"repository": {"name": "base"}} == response["data"]
        assert ["INTERNAL"] == [stale["reason"] for stale in response["extensions"]["stale"]]
        assert "secret" not in str(response)
        assert ["refreshing repository base failed"] == [record.message for record in caplog.records]


async def test_a_slow_registry_is_not_waited_for() -> None:
    """A refresh that takes too long is given up, by the asker only; the stored answer comes in time."""

    async def wait(*_: Any) -> None:
        await asyncio.Event().wait()

    async with graph_of(ragged_store()) as graph:
        response = await ask_later(
            graph,
            '{ repository(name: "base") { name } }',
            FakeRefresher(wait),
            limits=Limits(refresh_timeout=0.01),
        )

        assert {"repository": {"name": "base"}} == response["data"]
        assert ["REFRESH_TIMEOUT"] == [stale["reason"] for stale in response["extensions"]["stale"]]


async def test_a_slow_registry_does_not_use_up_the_time() -> None:
    """A refresh is waited for only half of the time that is left: the rest is for the answer."""

    async def wait(*_: Any) -> None:
        await asyncio.Event().wait()

    async with graph_of(ragged_store()) as graph:
        response = await ask_later(
            graph,
            '{ repository(name: "base") { name tags { totalCount } } }',
            FakeRefresher(wait),
            deadline=asyncio.get_running_loop().time() + 1.0,
        )

        assert [] == codes_of(response)
        assert 1 == response["data"]["repository"]["tags"]["totalCount"]


async def test_first_start() -> None:
    """On an empty store every field tells what is not known: null and NOT_OBSERVED, never an empty list."""
    builder = StoreBuilder()
    builder.registry("registry.test")
    query = """{
      registry {
        name
        repositories { totalCount }
        namespaces { totalCount }
        artifacts { totalCount }
        layers { totalCount }
        sync { state lastFinishedAt progress repositoriesKnown error }
        capabilities { name state }
        basis { completeness countsAreLowerBound oldestObservedAt }
      }
      search(text: "a") { totalCount }
      repository(name: "a") { name }
      artifact(reference: "a") { kind }
    }"""
    async with graph_of(builder, observed=False) as graph:
        response = await ask_later(graph, query, None)

        nothing = ["repositories", "namespaces", "artifacts", "layers"]
        assert {
            **{("registry", name): "NOT_OBSERVED" for name in nothing},
            **{(name,): "NOT_OBSERVED" for name in ("search", "repository", "artifact")},
        } == paths_of(response)
        registry = response["data"]["registry"]
        assert {
            "state": "NEVER",
            "lastFinishedAt": None,
            "progress": None,
            "repositoriesKnown": 0,
            "error": None,
        } == registry["sync"]
        assert {"completeness": "UNKNOWN", "countsAreLowerBound": True, "oldestObservedAt": None} == registry[
            "basis"
        ]
        assert {"UNKNOWN"} == {capability["state"] for capability in registry["capabilities"]}


async def test_a_repository_nobody_has_looked_at() -> None:
    """A repository that is only listed is shown; its lists are unknown, not empty."""
    async with graph_of(unseen_store()) as graph:
        response = await graph.ask(
            "{ registry { repositories { nodes { name observedAt completeness tags { totalCount } "
            "artifacts { totalCount } layers { totalCount } tag { name } } } } }",
            refresher=FakeRefresher(),
        )

        base = ("registry", "repositories", "nodes", 0)
        assert {
            (*base, "tags"): "REGISTRY_UNREACHABLE",
            (*base, "artifacts"): "REGISTRY_UNREACHABLE",
            (*base, "tag"): "REGISTRY_UNREACHABLE",
            (*base, "layers"): "NOT_OBSERVED",
        } == paths_of(response)
        assert {"name": "listed", "observedAt": None, "completeness": "UNKNOWN"}.items() <= response["data"][
            "registry"
        ]["repositories"]["nodes"][0].items()


@pytest.mark.parametrize(
    ("act", "state", "codes"),
    [
        ("succeed", "KNOWN", []),
        (RegistryUnsupportedError("no such list"), "UNSUPPORTED", []),
        (RegistryDeniedError("no"), None, ["REGISTRY_DENIED"]),
    ],
)
async def test_referrers_tell_their_state(act: Any, state: str | None, codes: list[str]) -> None:
    """Known, or not to be known, or not known: an empty page means none only in the first case."""

    async def answer(kind: str, *_: Any) -> None:
        if kind == "referrers" and isinstance(act, Exception):
            raise act

    async with graph_of(ragged_store()) as graph:
        response = await graph.ask(
            '{ artifact(reference: "base:1.0") { referrers { state nodes { kind } } } }',
            refresher=FakeRefresher(answer),
        )

        assert codes == codes_of(response)
        expected = None if state is None else {"state": state, "nodes": []}
        assert expected == response["data"]["artifact"]["referrers"]


async def test_referrers_found_by_other_ways() -> None:
    """What the crawl found is shown although the registry could not be asked; the state says so."""
    async with graph_of(ragged_store()) as graph:
        response = await graph.ask(
            '{ artifact(reference: "team/web:v1") { referrers { state nodes { kind } totalCount } } }',
            refresher=FakeRefresher(),
        )

        assert {"state": "UNKNOWN", "nodes": [{"kind": "SIGNATURE"}], "totalCount": 1} == response["data"][
            "artifact"
        ]["referrers"]
        assert ["REGISTRY_UNREACHABLE"] == [stale["reason"] for stale in response["extensions"]["stale"]]
        assert [None] == [stale["observedAt"] for stale in response["extensions"]["stale"]]


async def test_each_registry_has_its_own_age() -> None:
    """What is young enough for one registry may be too old for another."""
    builder = StoreBuilder()
    for name in ("one.test", "two.test"):
        builder.repository(builder.registry(name), "web", observed_at=NOW)
    query = """{
      one: repository(registry: "one.test", name: "web") { name }
      two: repository(registry: "two.test", name: "web") { name }
    }"""
    refresher = FakeRefresher()
    async with graph_of(builder) as graph:
        await ask_later(graph, query, refresher, demand=Demand(1_000), demands={2: FIVE_MINUTES})

    assert [("repository", 2, "web")] == refresher.asked
