"""The page a browser gets: GraphiQL, from our own files alone, so that it works with no network at all.

`render_page` gives the page of GET /graphql; the files under `STATIC` belong at /graphiql/ beside it. The
page names them relative to itself, so both may sit under a prefix together.

Rules of this package: standard library only, and nothing here loads from another host. `static/vendor` holds
builds that others published (their licences are in LICENSES.txt) and only scripts/vendor-graphiql writes it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STATIC = Path(__file__).parent / "static"

# The header to send with the page: whatever finds its way in can load nothing from elsewhere and send nothing
# there. Styles may be inline because GraphiQL's dialogs and menus (react-remove-scroll) add a <style> element
# of their own; its fonts and a few images are data URLs inside its style sheet.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src data:; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class Example:
    """A query that the page opens with, in a tab named after its operation."""

    query: str
    variables: Mapping[str, Any] = field(default_factory=dict)


def render_page(examples: Sequence[Example]) -> str:
    """The page, with a tab for each example that a first visit opens; later visits find their own tabs again.

    With no example, GraphiQL greets with its own explanation.
    """
    tabs = [
        {
            "query": example.query,
            "variables": json.dumps(example.variables, indent=2) if example.variables else None,
        }
        for example in examples
    ]
    # In a script element only `</script` and `<!--` mean anything, and JSON may write `<` as an escape.
    embedded = json.dumps(tabs).replace("<", "\\u003c")
    return (Path(__file__).parent / "index.html").read_text(encoding="utf-8").replace("{examples}", embedded)
