"""Nothing in the package can change a registry, read off the source."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parent.parent.parent / "graph" / "registry"


def nodes() -> list[tuple[str, ast.AST]]:
    return [
        (file.name, node)
        for file in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
    ]


def test_no_method_that_writes() -> None:
    """No method but GET, HEAD and POST is named anywhere, and POST only where tokens are asked for."""
    methods = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"}
    named = {
        (node.value, file)
        for file, node in nodes()
        if isinstance(node, ast.Constant) and node.value in methods
    }
    assert {"GET", "HEAD", "POST"} == {method for method, _ in named}
    # wire.py names it to refuse it for all but token servers.
    assert {"auth.py", "wire.py"} == {file for method, file in named if method == "POST"}


def test_one_way_out() -> None:
    """Requests leave in one place, which sends what `wire.Request` let pass."""
    senders = {
        (file, node.attr)
        for file, node in nodes()
        if isinstance(node, ast.Attribute)
        and node.attr in ("handle_async_request", "request", "AsyncClient", "Client", "Request", "urlopen")
    }
    assert {
        ("exchange.py", "handle_async_request"),
        ("exchange.py", "Request"),
        ("transport.py", "request"),
        ("transport.py", "Request"),  # the type of what it is handed
        ("client.py", "request"),  # RegistryError.request
    } == senders
