"""The page a browser gets: GraphiQL, from our own files alone, so that it works with no network at all.

`render_page` gives the page of GET /graphql; the files under `STATIC` belong at /graphiql/ beside it. The
page names them relative to itself, so both may sit under a prefix together.

Rules of this package: standard library only, and nothing here loads from another host. `static/vendor` holds
builds that others published (their licences are in LICENSES.txt) and only scripts/vendor-graphiql writes it.
"""

import json
from collections.abc import Sequence
from pathlib import Path

STATIC = Path(__file__).parent / "static"

# The header to send with the page: whatever finds its way in can load nothing from elsewhere and send nothing
# there. Styles may be inline because GraphiQL's dialogs and menus (react-remove-scroll) add a <style> element
# of their own; its fonts and a few images are data URLs inside its style sheet.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src data:; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def load_examples() -> list[str]:
    """The queries a first visit opens with, one for each question that no registry answers, in order.

    Where they name something it is of the sample registry.
    """
    files = sorted((Path(__file__).parent / "examples").glob("*.graphql"))
    return [file.read_text(encoding="utf-8") for file in files]


def render_page(examples: Sequence[str]) -> str:
    """The page, with a tab for each example query that a first visit opens; later visits find their own tabs.

    A tab is named after its operation. With no example, GraphiQL greets with its own explanation.
    """
    # In a script element only `</script` and `<!--` mean anything, and JSON may write `<` as an escape.
    tabs = json.dumps([{"query": query} for query in examples]).replace("<", "\\u003c")
    return (Path(__file__).parent / "index.html").read_text(encoding="utf-8").replace("{examples}", tabs)
