"""The command `ocigraph`: settings in; an application, a crawl or an answer out.

Rules of this file: what a person types and reads. An error of ours ends as one message and the exit code of
its group (docs/errors.md), never as a traceback.
"""

import asyncio
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from graph import __version__
from graph.app import Parts, answer, check_logins, crawl, create_app
from graph.elsewhere import ask_server
from graph.errors import (
    GraphError,
    InputError,
    InvalidQueryError,
    SettingsError,
    StoreError,
)
from graph.oci.reference import RegistryName, parse_registry_name
from graph.process import tune_process
from graph.registry.in_process import connect_in_process
from graph.registry.problems import find_problems
from graph.sample import SAMPLE_REGISTRY_NAME, SampleRegistry, fill_sample, rebuild_v2
from graph.schema.definition import print_sdl
from graph.server import run_server
from graph.settings import Settings, load_settings
from graph.store.engine import inspect_store, name_of
from graph.store.recount import MAX_DIFFERENCES, recount
from graph.sync.crawl import Crawler
from graph.sync.report import Progress
from graph.terminal import (
    Console,
    TaskID,
    make_progress_bar,
    make_recount_bar,
    print_logins,
    print_report,
    show_progress,
)

EXIT_DIFFERENCES = 1
EXIT_REGISTRY = 3

# The query that `ocigraph demo` suggests: it shows a layer that repositories share.
DEMO_QUERY = (
    "{ registry { layers(first: 3, orderBy: SAVED_BYTES) "
    "{ nodes { size repositoryCount savedBytes repositories { nodes { name } } } } } }"
)

app = typer.Typer(
    name="ocigraph",
    help="One GraphQL endpoint over any OCI registry, which shows the layers that its repositories share.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

# What is typed here as a number is read by the settings, which tell of it beside every other mistake.
Urls = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="URL",
        help="The registries to read, such as https://registry.example.com or http://localhost:5000.",
    ),
]
File = Annotated[
    Path | None,
    typer.Option("--settings", metavar="FILE", help="A TOML file with settings; see docs/settings.md."),
]
StoreUrl = Annotated[
    str | None,
    typer.Option("--store", metavar="URL", help="Where what is known is kept: a path, or :memory:."),
]
Host = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="The address to listen on. Default: 127.0.0.1.")
]
Port = Annotated[
    str | None,
    typer.Option(metavar="NUMBER", help="The port to listen on; 0 takes a free one. Default: 8000."),
]

TokenFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="A file with the bearer token that requests bring.")
]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; exits with 0, or with the exit code of what went wrong."""
    # Other libraries tell only what went wrong; what we do is ours to tell.
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("graph").setLevel(logging.INFO)
    # It tells of each retry without saying of what; what became of them is told by us.
    logging.getLogger("stamina").setLevel(logging.ERROR)
    try:
        app(arguments)
    except SettingsError as error:
        for problem in error.problems:
            print(f"ocigraph: {problem}", file=sys.stderr)
        sys.exit(error.exit_code)
    except GraphError as error:
        store = f"store {error.store}: " if isinstance(error, StoreError) and error.store else ""
        print(f"ocigraph: {store}{error} [{error.code}]", file=sys.stderr)
        sys.exit(error.exit_code)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"ocigraph {__version__}")
        raise typer.Exit


@app.callback()
def start(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """One GraphQL endpoint over any OCI registry, which shows the layers that its repositories share."""


@app.command()
def serve(
    urls: Urls = None,
    file: File = None,
    store: StoreUrl = None,
    host: Host = None,
    port: Port = None,
    max_age: Annotated[
        str | None,
        typer.Option(metavar="S", help="Seconds after which an answer is refreshed when asked for."),
    ] = None,
    sync_interval: Annotated[
        str | None, typer.Option(metavar="S", help="Seconds between crawls; 0: do not crawl.")
    ] = None,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="An origin whose pages may ask; may be given again."),
    ] = None,
    token_file: TokenFile = None,
    hide: Annotated[
        str | None,
        typer.Option(metavar="WHAT", help="What to keep back: config-env, labels, history, with commas."),
    ] = None,
) -> None:
    """Serve the API and keep up with the registries, in one process.

    Credentials come from OCIGRAPH_USERNAME and OCIGRAPH_PASSWORD_FILE, or from the settings file.
    """
    flags = {
        "registries": urls or None,
        "store": store,
        "host": host,
        "port": port,
        "max_age": max_age,
        "sync_interval": sync_interval,
        "cors_origins": cors_origin or None,
        "token_file": token_file,
        "hide": hide,
    }
    settings = _load_for_registries(flags, file)
    names = ", ".join(registry.name for registry in settings.registries)
    run_server(
        create_app(settings),
        settings.host,
        settings.port,
        lambda address: f"Serving {names} at {address}/graphql",
    )


@app.command()
def sync(urls: Urls = None, file: File = None, store: StoreUrl = None) -> None:
    """Crawl the registries once, and tell what was found.

    Exits with 0 when all of it could be read, with 3 when a registry or a repository could not.
    """
    settings = _load_for_registries({"registries": urls or None, "store": store}, file)
    console = Console(stderr=True)
    with make_progress_bar(console) as bar:
        tasks: dict[RegistryName, TaskID] = {}

        def tell(registry: RegistryName, now: Progress) -> None:
            if registry not in tasks:
                tasks[registry] = bar.add_task(registry, total=None, details="")
            show_progress(bar, tasks[registry], now)

        tune_process()
        reports = asyncio.run(crawl(settings, progress=tell))
    for report in reports:
        print_report(console, report)
    if any(report.failure is not None or report.repositories_failed for report in reports):
        raise typer.Exit(EXIT_REGISTRY)


@app.command()
def demo(host: Host = None, port: Port = None) -> None:
    """Serve a sample registry that is part of this program; nothing is kept, nothing outside is reached."""
    name = parse_registry_name(SAMPLE_REGISTRY_NAME)
    registry = SampleRegistry()
    fill_sample(registry)
    flags = {
        "registries": [{"url": f"http://{name}", "dialect": "oci"}],
        "store": ":memory:",
        "host": host,
        "port": port,
        "max_age": 1e9,  # the sample does not change once it is served
        "sync_interval": 0,
    }
    settings = load_settings(flags)

    async def prepare(parts: Parts) -> None:
        (upstream,) = parts.upstreams
        await Crawler(upstream).crawl()
        # Seen to move, a tag leaves an artifact behind that no registry would list.
        rebuild_v2(registry)
        await Crawler(upstream).crawl()

    application = create_app(settings, transports={name: connect_in_process(registry)}, prepare=prepare)
    run_server(application, settings.host, settings.port, _describe_demo)


@app.command()
def query(
    text: Annotated[
        str,
        typer.Argument(metavar="FILE|-|'{…}'", help="A file with a query, - for standard input, or a query."),
    ],
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="A server to ask, such as http://127.0.0.1:8000/graphql. Default: the store alone.",
        ),
    ] = None,
    variables: Annotated[str, typer.Option(metavar="JSON", help="The variables of the query.")] = "{}",
    operation: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which of several operations in the text to execute.")
    ] = None,
    token_file: TokenFile = None,
    file: File = None,
    store: StoreUrl = None,
) -> None:
    """Print the answer to a query as JSON.

    Without --url only what the store knows is told, and no registry is asked. Exits with 1 when the answer
    has errors.
    """
    document = _read_query(text)
    values = _read_variables(variables)
    settings = load_settings({"store": store, "token_file": token_file}, file)
    if url is None:
        response = asyncio.run(answer(settings, document, values, operation))
    else:
        asked = {"query": document, "variables": values, "operationName": operation}
        response = ask_server(url, settings.read_token(), asked)
    print(json.dumps(response, indent=2, ensure_ascii=False))
    if response.get("errors"):
        codes = (
            {error.get("extensions", {}).get("code") for error in response["errors"]} if url is None else ()
        )
        if StoreError.code in codes:
            print(f"ocigraph: the store is {name_of(settings.store)}", file=sys.stderr)
        raise typer.Exit(1)


@app.command()
def verify(file: File = None, store: StoreUrl = None) -> None:
    """Recount every figure that the store keeps, and tell which differ.

    Nothing is written or mended, and `serve` may go on meanwhile: what is recounted is the store as it was at
    the start. Exits with 0 when every figure is right, with 1 when one is not.
    """
    settings = load_settings({"store": store}, file)
    console = Console(stderr=True)
    with inspect_store(settings.store) as db, make_recount_bar(console) as bar:
        tasks: dict[str, TaskID] = {}

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)

        differences = recount(db, tell)
    for each in differences:
        print(f"{each.place}: stored {each.stored}, counted {each.counted}")
    if differences:
        more = "at least " if len(differences) == MAX_DIFFERENCES else ""
        print(f"{more}{len(differences)} figures differ from a recount", file=sys.stderr)
        raise typer.Exit(EXIT_DIFFERENCES)
    print("every figure equals a recount")


@app.command()
def login_check(urls: Urls = None, file: File = None) -> None:
    """Say as whom each registry is asked, where that is written down, and whether the registry agrees.

    No secret is shown. Exits with 0 when every registry answers, with 3 when one does not.
    """
    settings = _load_for_registries({"registries": urls or None}, file)
    checks = asyncio.run(check_logins(settings))
    print_logins(Console(), checks)
    if any(check.failure is not None for check in checks):
        raise typer.Exit(EXIT_REGISTRY)


@app.command()
def schema() -> None:
    """Print the schema in GraphQL's schema definition language."""
    print(print_sdl(), end="")


def _load_for_registries(flags: Mapping[str, Any], file: Path | None) -> Settings:
    return load_settings(flags, file, needs_registries=True, find_problems=find_problems)


def _describe_demo(address: str) -> str:
    url = f"{address}/graphql"
    return f"""
A sample registry is served at {url}

Open it in a browser, or try:

  curl -s {url} -H 'Content-Type: application/json' \\
    -d '{json.dumps({"query": DEMO_QUERY})}'

Ctrl-C ends it.
"""


def _read_query(text: str) -> str:
    document = text
    if text == "-":
        document = sys.stdin.read()
    elif text.strip() and "{" not in text:
        try:
            document = Path(text).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{text} is neither a query nor a file that can be read: {error}") from error
    if not document.strip():
        raise InvalidQueryError("the query is empty")
    return document


def _read_variables(text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except ValueError as error:
        raise InputError(f"--variables is not valid JSON: {error}") from error
    if not isinstance(values, dict):
        raise InputError("--variables is not a JSON object")
    return values
