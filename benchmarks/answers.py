"""Measure what the questions that no registry answers cost on a store of 460,000 repositories.

    .venv/bin/python -m benchmarks.answers /tmp/large.sqlite3

Rules of this file: each question is a GraphQL query about another random member, asked of the schema as the
server asks it, with no HTTP. *In the store* is the time its statements and the functions of `graph.store`
around them take in the worker thread; *whole* is from the query to its answer. Every row is called a few
times first, so that the file is in the operating system's cache.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import Connection, text

from benchmarks.reads import connect
from benchmarks.report import describe_machine, print_head, print_row, quantile
from graph.app import utc_now
from graph.schema.context import Context, Limits, Registries
from graph.schema.definition import GraphSchema, build_schema
from graph.schema.execution import execute
from graph.store.engine import Snapshot, open_store
from graph.store.registries import load_registries
from graph.store.visibility import Visibility
from graph.sync.freshness import Demand

WARM_UP = 5
CALLS = 500
# Random members of each kind that rows draw from.
MEMBERS = 1_000


@dataclass(frozen=True, slots=True)
class Members:
    """What questions are asked about, by address."""

    images: Sequence[str]
    repositories: Sequence[str]
    namespaces: Sequence[str]
    on_hottest_layer: Sequence[str]
    hot_base: str
    hot_base_repositories: Sequence[str]
    most_tags: str


def _texts(db: Connection, sql: str, **parameters: Any) -> list[str]:
    return [str(value) for value in db.execute(text(sql), parameters).scalars()]


def draw_members(db: Connection, random: Random) -> Members:
    """Return random members of a store, and those that much is shared with."""
    (artifacts,) = db.execute(text("SELECT MAX(id) FROM artifact")).scalars()
    keys = json.dumps([random.randint(1, artifacts) for _ in range(MEMBERS * 3)])
    address = """
        SELECT r.name || '@' || b.digest FROM json_each(:keys) AS k
        JOIN artifact AS a ON a.id = k.value AND a.absent_at IS NULL AND {}
        JOIN repository AS r ON r.id = a.repository_id JOIN blob AS b ON b.id = a.manifest_id
    """
    name = """
        SELECT DISTINCT r.name FROM json_each(:keys) AS k
        JOIN artifact AS a ON a.id = k.value JOIN repository AS r ON r.id = a.repository_id
    """
    hottest = """
        SELECT r.name || '@' || b.digest FROM
            (SELECT id FROM blob WHERE is_layer AND artifact_count > 0 AND NOT is_empty
                ORDER BY repository_count DESC LIMIT 1) AS hot
        JOIN artifact_blob AS u ON u.blob_id = hot.id JOIN artifact AS a ON a.id = u.artifact_id
        JOIN repository AS r ON r.id = a.repository_id JOIN blob AS b ON b.id = a.manifest_id
        LIMIT 1000
    """
    # The image whose least shared layer is shared most: all of it is a base of others.
    base, base_key = db.execute(
        text(
            """
            SELECT r.name || '@' || b.digest, l.blob_id FROM
                (SELECT id FROM blob WHERE is_layer AND artifact_count > 0 AND NOT is_empty
                    ORDER BY repository_count DESC LIMIT 20) AS hot
            JOIN manifest_layer AS l ON l.blob_id = hot.id
            JOIN artifact AS a ON a.manifest_id = l.manifest_id
            JOIN repository AS r ON r.id = a.repository_id JOIN blob AS b ON b.id = a.manifest_id
            JOIN manifest_layer AS every ON every.manifest_id = l.manifest_id
            JOIN blob AS each ON each.id = every.blob_id AND NOT each.is_empty
            GROUP BY a.id HAVING COUNT(DISTINCT each.id) >= 3
            ORDER BY MIN(each.repository_count) DESC LIMIT 1
            """
        )
    ).one()
    return Members(
        images=_texts(db, address.format("a.kind = 'IMAGE'"), keys=keys),
        repositories=_texts(db, name, keys=keys),
        namespaces=_texts(
            db,
            "SELECT n.name FROM json_each(:keys) AS k JOIN namespace AS n ON n.id = k.value",
            keys=keys,
        ),
        on_hottest_layer=_texts(db, hottest),
        hot_base=base,
        hot_base_repositories=_texts(
            db,
            "SELECT r.name FROM repository_blob AS h JOIN repository AS r ON r.id = h.repository_id "
            "WHERE h.blob_id = :key LIMIT 100",
            key=base_key,
        ),
        most_tags=_texts(db, "SELECT name FROM repository ORDER BY tag_count DESC LIMIT 1")[0],
    )


@dataclass(frozen=True, slots=True)
class Question:
    """One row: a query, and what to ask it about."""

    name: str
    query: str
    variables: Callable[[Members, Random], dict[str, Any]] = lambda of, random: {}


def one_of(kind: str) -> Callable[[Members, Random], dict[str, Any]]:
    """Another member of a kind each time."""
    return lambda of, random: {"of": random.choice(getattr(of, kind))}


_LAYERS = "{ registry { layers(first: 20%s, orderBy: SAVED_BYTES) { nodes { size savedBytes } } } }"
_STORAGE = "storedBytes exclusiveBytes logicalBytes artifactCount layerCount basis { completeness }"
_RELATED = "related(first: 10) { edges { node { id } layerCount overlapBytes } }"
_REPOSITORY = "query ($of: String!) { repository(name: $of) { %s } }"
_ARTIFACT = "query ($of: String!) { artifact(reference: $of) { %s } }"
_MATRIX = "query ($of: [String!]) { overlap(repositories: $of) { layerCounts overlapBytes } }"
_DELETION = (
    "query ($of: [String!]) { deletion(artifacts: $of) { bytesFreed bytesFreedByNamedOnly "
    "steps { nodes { digest reason } } basis { exclusiveIsUpperBound } } }"
)
_PULL = (
    "query ($of: String!, $has: [String!]) { pull(artifact: $of, present: { artifacts: $has }) "
    "{ fetched { size } layerBytes documentBytes } }"
)
_UNTAGGED = "untagged { dangling { artifactCount storedBytes exclusiveBytes } }"
_CLEAN_UP = (
    "artifacts(first: 20, filter: { untagged: DANGLING }, orderBy: EXCLUSIVE_BYTES) "
    "{ nodes { digest exclusiveBytes } }"
)

QUESTIONS = (
    Question("ranking: layers by saved bytes", _LAYERS % ""),
    Question("ranking: shared by 2 or more", _LAYERS % ", filter: { sharedByAtLeast: 2 }"),
    Question("storage of the registry", f"{{ registry {{ storage {{ {_STORAGE} }} }} }}"),
    Question(
        "storage of the registry, TAGGED", f"{{ registry {{ storage(scope: TAGGED) {{ {_STORAGE} }} }} }}"
    ),
    Question("storage of a repository", _REPOSITORY % f"storage {{ {_STORAGE} }}", one_of("repositories")),
    Question(
        "storage of the repository with most tags",
        _REPOSITORY % f"storage {{ {_STORAGE} }}",
        lambda of, _: {"of": of.most_tags},
    ),
    Question("storage of an artifact", _ARTIFACT % f"storage {{ {_STORAGE} }}", one_of("images")),
    Question(
        "storage of 50 repositories",
        f"query ($of: [String!]) {{ storage(repositories: $of) {{ {_STORAGE} }} }}",
        lambda of, random: {"of": random.sample(of.repositories, 50)},
    ),
    Question(
        "storage of a namespace",
        f"query ($of: [String!]) {{ storage(repositories: $of) {{ {_STORAGE} }} }}",
        lambda of, random: {"of": [f"{random.choice(of.namespaces)}/*"]},
    ),
    Question(
        "ranking: layers of a repository by saved bytes",
        _REPOSITORY % "layers(first: 20, orderBy: SAVED_BYTES) { nodes { size savedBytes } }",
        one_of("repositories"),
    ),
    Question("related of a repository", _REPOSITORY % _RELATED, one_of("repositories")),
    Question("related of an artifact", _ARTIFACT % _RELATED, one_of("images")),
    Question("related of an image on the hottest layer", _ARTIFACT % _RELATED, one_of("on_hottest_layer")),
    Question("related of a hot base image", _ARTIFACT % _RELATED, lambda of, _: {"of": of.hot_base}),
    Question(
        "matrix of 50 repositories", _MATRIX, lambda of, random: {"of": random.sample(of.repositories, 50)}
    ),
    Question(
        "matrix of 50 repositories on a hot base",
        _MATRIX,
        lambda of, random: {"of": random.sample(of.hot_base_repositories, 50)},
    ),
    Question("deletion of an artifact", _DELETION, one_of("images")),
    Question(
        "deletion of an image on the hottest layer",
        _DELETION,
        lambda of, random: {"of": [random.choice(of.on_hottest_layer)]},
    ),
    Question("deletion of a hot base image", _DELETION, lambda of, _: {"of": [of.hot_base]}),
    Question("pull of an artifact", _PULL, one_of("images")),
    Question(
        "pull of an image on the hottest layer, the base present",
        _PULL,
        lambda of, random: {"of": random.choice(of.on_hottest_layer), "has": [of.hot_base]},
    ),
    Question("pull of a hot base image", _PULL, lambda of, _: {"of": of.hot_base}),
    Question("untagged of a repository", _REPOSITORY % _UNTAGGED, one_of("repositories")),
    Question("untagged of the registry", f"{{ registry {{ {_UNTAGGED} }} }}"),
    Question("dangling of a repository by exclusive bytes", _REPOSITORY % _CLEAN_UP, one_of("repositories")),
    Question("dangling of the registry by exclusive bytes", f"{{ registry {{ {_CLEAN_UP} }} }}"),
)


class _Timed:
    """A snapshot that adds up how long its reads take, where they run."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.seconds = 0.0

    @property
    def statements(self) -> list[str]:
        return self._snapshot.statements

    async def read(self, function: Callable[..., Any], /, *args: Any) -> Any:
        def timed(*arguments: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                self.seconds += time.perf_counter() - began

        return await self._snapshot.read(timed, *args)

    async def renew(self) -> None:
        await self._snapshot.renew()


async def measure(
    store: Any, schema: GraphSchema, registries: Registries, question: Question, of: Members, seconds: float
) -> tuple[list[float], list[float], int]:
    """Return the seconds in the store and the whole seconds of each call, and the statements of the last."""
    random = Random(1)
    inside: list[float] = []
    whole: list[float] = []
    statements = 0
    started = time.perf_counter()
    for number in range(-WARM_UP, CALLS):
        variables = question.variables(of, random)
        began = time.perf_counter()
        async with store.snapshot() as snapshot:
            timed = _Timed(snapshot)
            context = Context(
                snapshot=timed,
                registries=registries,
                refresher=None,
                demand=Demand(float("inf")),
                clock=utc_now,
                limits=Limits(),
            )
            answer = await execute(schema, context, question.query, variables)
        if "errors" in answer:
            raise SystemExit(f"{question.name}: {answer['errors'][0]}")
        if number >= 0:
            inside.append(timed.seconds)
            whole.append(time.perf_counter() - began)
            statements = max(statements, len(timed.statements))
        if number >= WARM_UP and time.perf_counter() - started > seconds:
            break
    return inside, whole, statements


async def measure_all(path: Path, only: str, seconds: float) -> None:
    """Print the table."""
    with connect(path) as db:
        of = draw_members(db, Random(1))
    store = open_store(str(path))
    try:
        async with store.snapshot() as snapshot:
            rows = await snapshot.read(load_registries, Visibility.everything())
        registries = Registries(rows, {row.key: utc_now() for row in rows})
        schema = build_schema(Limits())
        print(f"{describe_machine()}\n")
        print_head(
            ("question (milliseconds)", "calls", "statements", "p50 in the store", "p95", "p50 whole", "p95")
        )
        for question in QUESTIONS:
            if only in question.name:
                inside, whole, statements = await measure(store, schema, registries, question, of, seconds)
                shown = [
                    f"{quantile(times, share) * 1e3:.2f}"
                    for times in (inside, whole)
                    for share in (0.5, 0.95)
                ]
                print_row([question.name, f"{len(inside):,}", str(statements), *shown])
    finally:
        store.close()


def main() -> None:
    """Measure every question, and print the table."""
    parser = argparse.ArgumentParser(description="Measure the questions that no registry answers.")
    parser.add_argument("store", type=Path, help="what benchmarks.synthetic wrote")
    parser.add_argument("--only", default="", help="rows with this text in their names")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each row, at most")
    arguments = parser.parse_args()
    asyncio.run(measure_all(arguments.store, arguments.only, arguments.seconds))


if __name__ == "__main__":
    main()
