"""Imports point one way and each library has one home, read off the source: type-only imports count too."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
# What each part may import: other parts first, then the libraries whose home it is.
# `registry` and `store` do not know each other, and a library that is in no line has no home yet.
MAY_IMPORT = {
    "__init__": "",
    "errors": "",
    "graphiql": "",
    "process": "",
    "elsewhere": "errors",
    "sample": "",
    "oci": "errors | msgspec",
    "places": "errors oci",
    "settings": "errors oci places | pydantic pydantic_settings",
    "registry": "errors oci places settings | httpx httpx_aiohttp aiohttp yarl stamina azure botocore",
    "store": "errors oci places settings | sqlalchemy alembic sqlite3 zstandard",
    "sync": "errors oci settings registry store",
    "schema": "errors oci settings store sync | strawberry graphql",
    "endpoint": "errors schema graphiql process | starlette orjson",
    "app": "errors oci settings registry store sync schema graphiql endpoint process | starlette",
    "server": "errors app process | uvicorn",
    "terminal": "sync app | rich",
    "cli": "errors oci settings registry store sync schema graphiql process app sample server terminal"
    " elsewhere | typer",
    "__main__": "cli",
}
STANDARD = sys.stdlib_module_names - {"sqlite3"}


def imports_of(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(), str(file))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from (f"graph.{alias.name}" for alias in node.names) if module == "graph" else [module]


def violations(root: Path) -> Iterator[str]:
    """One line for each import that a module under `root`/graph may not have."""
    for file in sorted(root.glob("graph/**/*.py")):
        part = file.relative_to(root / "graph").parts[0].removesuffix(".py")
        if part not in MAY_IMPORT:
            yield f"{file.relative_to(root)} is in no layer"
            continue
        parts, _, libraries = MAY_IMPORT[part].partition("|")
        allowed = [
            "graph.__version__",
            *(f"graph.{name}" for name in [part, *parts.split()]),
            *libraries.split(),
        ]
        for name in imports_of(file):
            if name.split(".")[0] not in STANDARD and not f"{name}.".startswith(
                tuple(f"{a}." for a in allowed)
            ):
                yield f"{file.relative_to(root)} may not import {name}"


def test_imports_point_one_way() -> None:
    """No module imports a part above it, or a library whose home is elsewhere."""
    assert [] == list(violations(ROOT))


def test_violations_are_named(tmp_path: Path) -> None:
    """The rule itself finds upward, sideways, relative, type-only, late and homeless imports."""
    for name, source in {
        "helpers.py": "import json",
        "oci/digest.py": "from graph.schema.types import Tag",
        "registry/client.py": "if TYPE_CHECKING:\n    import sqlalchemy.exc",
        "sample/__init__.py": "import json, left_pad\nfrom graph.sample import images",
        "store/engine.py": "from graph import __version__, registry",
        "sync/crawl.py": "def late():\n    from ..store import tables",
    }.items():
        (tmp_path / "graph" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "graph" / name).write_text(source)

    assert [
        "graph/helpers.py is in no layer",
        "graph/oci/digest.py may not import graph.schema.types",
        "graph/registry/client.py may not import sqlalchemy.exc",
        "graph/sample/__init__.py may not import left_pad",
        "graph/store/engine.py may not import graph.registry",
        "graph/sync/crawl.py may not import ..store",
    ] == list(violations(tmp_path))
