"""The application as a client sees it, over the sample registry and the real store, client and crawl."""

import io
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from fakes.scripted import ScriptedRegistry, answer_error, answer_json, in_turn
from graph.app import Parts, answer, check_logins, create_app, open_parts
from graph.app import crawl as crawl_once
from graph.errors import SettingsError
from graph.oci.reference import parse_registry_name
from graph.registry.in_process import connect_in_process
from graph.sample import SAMPLE_REGISTRY_NAME, SampleRegistry, fill_sample
from graph.settings import load_settings
from graph.sync.crawl import Crawler
from graph.sync.report import CrawlReport
from graph.terminal import print_logins

pytestmark = pytest.mark.anyio

NAME = parse_registry_name(SAMPLE_REGISTRY_NAME)
REPOSITORIES = "{ registry { repositories { totalCount nodes { name } } } }"


async def crawl(parts: Parts) -> None:
    await Crawler(parts.upstreams[0]).crawl()


async def wait(parts: Parts) -> None:
    """Stands where a first crawl would be."""


@asynccontextmanager
async def serve(
    sample: SampleRegistry, *, is_crawled: bool = True, **flags: Any
) -> AsyncIterator[httpx.AsyncClient]:
    settings = load_settings(
        {"registries": [f"http://{NAME}"], "store": ":memory:", "sync_interval": 0, **flags}
    )
    app = create_app(
        settings,
        transports={NAME: connect_in_process(sample)},
        prepare=crawl if is_crawled else wait,
    )
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
    ):
        yield client


@pytest.fixture
def sample() -> SampleRegistry:
    registry = SampleRegistry()
    fill_sample(registry)
    return registry


async def ask(client: httpx.AsyncClient, query: str, headers: Mapping[str, str] | None = None) -> Any:
    response = await client.post("/graphql", json={"query": query}, headers=headers)
    assert 200 == response.status_code
    return response.json()


async def test_warm_query_asks_no_registry(sample: SampleRegistry) -> None:
    """What a crawl has stored is answered without one request."""
    async with serve(sample) as client:
        before = len(sample.requests)
        answer = await ask(client, REPOSITORIES)

    assert before == len(sample.requests)
    assert answer["data"]["registry"]["repositories"]["totalCount"] == len(
        answer["data"]["registry"]["repositories"]["nodes"]
    )


async def test_first_start_refreshes_what_is_asked_for(sample: SampleRegistry) -> None:
    """On an empty store a repository that somebody asks for is looked up at once."""
    async with serve(sample, is_crawled=False) as client:
        answer = await ask(client, '{ repository(name: "acr-helloworld") { tags { nodes { name } } } }')

    assert ["latest", "v1", "v2", "v3"] == [
        tag["name"] for tag in answer["data"]["repository"]["tags"]["nodes"]
    ]


async def test_only_if_cached_on_an_empty_store(sample: SampleRegistry) -> None:
    """A request that forbids asking gets null and NOT_STORED, and no request is sent."""
    async with serve(sample, is_crawled=False) as client:
        answer = await ask(client, REPOSITORIES, {"Cache-Control": "only-if-cached"})

    assert 0 == len(sample.requests)
    assert None is answer["data"]["registry"]["repositories"]
    assert ["NOT_STORED"] == [error["extensions"]["code"] for error in answer["errors"]]


async def test_registry_that_fails_costs_nothing_known(sample: SampleRegistry) -> None:
    """With the registry down a request that wants fresh data gets the stored, and is told it is stale."""
    async with serve(sample, min_refresh_age=0.0) as client:
        sample.faults = lambda request: 503
        answer = await ask(
            client,
            '{ repository(name: "acr-helloworld") { tags { nodes { name } } } }',
            {"Cache-Control": "no-cache"},
        )

    assert 4 == len(answer["data"]["repository"]["tags"]["nodes"])
    assert "errors" not in answer
    assert {"REGISTRY_FAILED"} == {stale["reason"] for stale in answer["extensions"]["stale"]}


async def test_each_registry_has_ages_of_its_own() -> None:
    """What is older than its registry's own `max_age` is asked again, and nothing of another registry."""
    now = [datetime(2026, 5, 1, tzinfo=UTC)]
    samples = {parse_registry_name(f"{name}.example"): SampleRegistry() for name in ("young", "old")}
    for registry in samples.values():
        fill_sample(registry)
    tables = [{"url": f"http://{name}", "dialect": "oci"} for name in samples]
    tables[0] |= {"max_age": 60, "referrers_max_age": 5}
    settings = load_settings(
        {
            "registries": tables,
            "store": ":memory:",
            "sync_interval": 0,
            "max_age": 3600,
            "referrers_max_age": 7200,
        }
    )

    async def crawl_all(parts: Parts) -> None:
        assert [5, 7200] == [upstream.referrers_max_age for upstream in parts.upstreams]
        for upstream in parts.upstreams:
            await Crawler(upstream).crawl()

    app = create_app(
        settings,
        transports={name: connect_in_process(registry) for name, registry in samples.items()},
        clock=lambda: now[0],
        prepare=crawl_all,
    )
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
    ):
        now[0] += timedelta(seconds=120)
        before = [len(registry.requests) for registry in samples.values()]
        for name in samples:
            asked = f'{{ repository(registry: "{name}", name: "acr-helloworld") {{ name }} }}'
            assert "errors" not in await ask(client, asked)
        after = [len(registry.requests) for registry in samples.values()]

    assert [True, False] == [later > earlier for earlier, later in zip(before, after, strict=True)]


@pytest.mark.parametrize(
    ("chosen", "shown"), [({}, True), ({"exclude": ["samples/*"]}, False), ({"include": ["acr-*"]}, False)]
)
async def test_what_the_settings_leave_out_is_told(
    sample: SampleRegistry, chosen: Mapping[str, Any], shown: bool
) -> None:
    """Figures of a registry of which something is left out say that they are lower bounds."""
    registries = [{"url": f"http://{NAME}", **chosen}]
    async with serve(sample, registries=registries) as client:
        answer = await ask(
            client, "{ registry { basis { countsAreLowerBound } repositories { nodes { name } } } }"
        )
        names = [node["name"] for node in answer["data"]["registry"]["repositories"]["nodes"]]

    assert shown is any(name.startswith("samples/") for name in names)
    assert shown is not answer["data"]["registry"]["basis"]["countsAreLowerBound"]


async def test_several_operations_need_a_name(sample: SampleRegistry) -> None:
    """Of several operations none is executed unless one is named: 400, as any request that is refused."""
    asked = {"query": "query A { a: __typename } query B { b: __typename }"}
    accept = {"Accept": "application/graphql-response+json"}
    async with serve(sample) as client:
        unnamed = await client.post("/graphql", json=asked, headers=accept)
        named = await client.post("/graphql", json={**asked, "operationName": "B"}, headers=accept)
        unknown = await client.post("/graphql", json={**asked, "operationName": "C"}, headers=accept)

    for refused in (unnamed, unknown):
        assert 400 == refused.status_code
        assert ["INVALID_QUERY"] == [error["extensions"]["code"] for error in refused.json()["errors"]]
        assert "data" not in refused.json()
    assert (200, {"b": "Query"}) == (named.status_code, named.json()["data"])


async def test_health(sample: SampleRegistry) -> None:
    """Both checks answer while the application runs."""
    async with serve(sample) as client:
        health, readiness = await client.get("/healthz"), await client.get("/readyz")

    assert (200, "ok") == (health.status_code, health.json()["status"])
    assert (200, "ready") == (readiness.status_code, readiness.json()["status"])


async def test_page_and_its_files(sample: SampleRegistry) -> None:
    """Every file that the page names is served, and none from elsewhere."""
    async with serve(sample) as client:
        page = await client.get("/graphql", headers={"Accept": "text/html"})
        names = [
            part.split('"')[0] for attribute in ('src="', 'href="') for part in page.text.split(attribute)[1:]
        ]
        statuses = {name: (await client.get(f"/{name}")).status_code for name in names}

    assert {200} == set(statuses.values())
    assert all(name.startswith("graphiql/") for name in names)


async def test_token_guards_the_data(sample: SampleRegistry, tmp_path: Path) -> None:
    """With a token, data needs it; the page and the checks do not."""
    token = tmp_path / "token"
    token.write_text("t0ken\n")
    async with serve(sample, token_file=token) as client:
        refused = await client.post("/graphql", json={"query": REPOSITORIES})
        let_in = await client.post(
            "/graphql", json={"query": REPOSITORIES}, headers={"Authorization": "Bearer t0ken"}
        )
        page = await client.get("/graphql", headers={"Accept": "text/html"})
        health = await client.get("/healthz")

    assert (401, 200, 200, 200) == (
        refused.status_code,
        let_in.status_code,
        page.status_code,
        health.status_code,
    )
    assert "Bearer" == refused.headers["www-authenticate"]


def test_empty_token_file_is_no_open_door(tmp_path: Path) -> None:
    """An application whose token cannot be read does not start."""
    token = tmp_path / "token"
    token.write_text("")
    with pytest.raises(SettingsError):
        create_app(load_settings({"token_file": token}))


async def test_a_crawl_that_breaks_off_ends_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends the crawl of one registry is raised once the other is crawled, and that is stored."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        (tmp_path / name / "index.json").write_text('{"schemaVersion":2,"manifests":[]}')
    whole = Crawler.crawl

    async def break_off(crawler: Crawler, progress: Any = None) -> CrawlReport:
        if crawler.upstream.client.name == "a":
            raise RuntimeError("a mistake of ours")
        return await whole(crawler, progress)

    monkeypatch.setattr(Crawler, "crawl", break_off)
    settings = load_settings(
        {"registries": [f"oci:{tmp_path}/a", f"oci:{tmp_path}/b"], "store": str(tmp_path / "store.db")}
    )
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        await crawl_once(settings)

    told = await answer(settings, "{ registries { name sync { lastFinishedAt } } }", {})
    assert [("a", False), ("b", True)] == [
        (each["name"], each["sync"]["lastFinishedAt"] is not None) for each in told["data"]["registries"]
    ]


async def test_mistakes_of_one_of_several_registries() -> None:
    """Settings of a registry that cannot be used are told by its number, whoever opens it."""
    registries = [{"url": "https://a.example"}, {"url": "https://b.example", "dialect": "ecr"}]
    settings = load_settings({"registries": registries, "store": ":memory:"})

    for opening in (open_parts(settings).__aenter__(), check_logins(settings)):
        with pytest.raises(SettingsError, match=r"^registries\.1\.dialect: b\.example"):
            await opening


async def test_cors_by_setting(sample: SampleRegistry, tmp_path: Path) -> None:
    """Only the pages of a named origin may read answers, refusals among them."""
    token = tmp_path / "token"
    token.write_text("t0ken")
    async with serve(sample, cors_origins=["https://portal.example"], token_file=token) as client:
        mine = await client.post("/graphql", json={}, headers={"Origin": "https://portal.example"})
        other = await client.post("/graphql", json={}, headers={"Origin": "https://evil.example"})
        preflight = await client.options(
            "/graphql",
            headers={
                "Origin": "https://portal.example",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,content-type,cache-control",
            },
        )

    assert "https://portal.example" == mine.headers["access-control-allow-origin"]
    assert "access-control-allow-origin" not in other.headers
    assert 200 == preflight.status_code


async def test_no_origin_may_read_unless_told(sample: SampleRegistry) -> None:
    """There is no CORS header by default."""
    async with serve(sample) as client:
        response = await client.get("/healthz", headers={"Origin": "https://portal.example"})

    assert "access-control-allow-origin" not in response.headers


async def test_hidden_fields(sample: SampleRegistry) -> None:
    """What the operator hides is null with a code, and the rest of the config is there."""
    query = (
        '{ artifact(reference: "acr-helloworld:v1") { manifest { ... on ImageManifest '
        "{ config { os env labels { name } history { createdBy } raw } } } } }"
    )
    async with serve(sample, hide=["config-env", "labels", "history"]) as client:
        answer = await ask(client, query)

    config = answer["data"]["artifact"]["manifest"]["config"]
    assert {"os": "linux", "env": None, "labels": None, "history": None, "raw": None} == config
    assert {"HIDDEN"} == {error["extensions"]["code"] for error in answer["errors"]}


async def test_a_login_that_nobody_asked_for() -> None:
    """Where anybody is answered the check says so: a wrong password would have been answered too."""
    names = parse_registry_name("open.example"), parse_registry_name("asks.example")
    login = {"username": "alice", "password": "s3cret"}
    settings = load_settings({"registries": [{"url": f"https://{name}", **login} for name in names]})
    refused = answer_error(401, "UNAUTHORIZED", WWW_Authenticate='Basic realm="x"')
    asks = ScriptedRegistry({"/v2/": in_turn(refused, answer_json({}))})
    transports = dict(
        zip(names, (connect_in_process(SampleRegistry()), httpx.ASGITransport(asks)), strict=True)
    )
    output = io.StringIO()
    print_logins(Console(file=output, width=200), await check_logins(settings, transports=transports))

    assert ["answer: ok, without asking who we are", "answer: ok"] == [
        line.strip() for line in output.getvalue().splitlines() if "answer" in line
    ]


async def test_logins_are_checked_each_for_itself() -> None:
    """One registry that refuses us is told with its code, and the others as if it were not there."""
    good, bad = SampleRegistry(), SampleRegistry(faults={"/v2/": 403})
    settings = load_settings({"registries": ["https://good.example", "https://bad.example"]})
    transports = {
        parse_registry_name("good.example"): connect_in_process(good),
        parse_registry_name("bad.example"): connect_in_process(bad),
    }

    checks = await check_logins(settings, transports=transports)

    assert [("good.example", None), ("bad.example", None)] == [(c.registry, c.username) for c in checks]
    assert [None, "REGISTRY_DENIED"] == [c.failure.code if c.failure else None for c in checks]
