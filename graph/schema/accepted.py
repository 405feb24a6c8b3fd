"""Keep the documents of queries that were accepted: what is asked again is neither parsed nor validated.

Rules of this file: only what passed every rule is kept, and how much is kept is bounded by its size. What is
not kept is freed with its answer: parsing and validating make cycles of tens of thousands of objects, and
looking for those of a few dozen large queries stops the process for half a second. Strawberry's own caches
keep 128 documents of any size, the refused ones too.
"""

from collections import OrderedDict
from collections.abc import Iterator

from graphql import DocumentNode
from strawberry.extensions import SchemaExtension

from graph.schema.context import Limits
from graph.schema.limits import find_excess
from graph.schema.validation import validate

# Bytes of all documents kept together: ten of the largest that may be asked, or a hundred of ordinary size.
MAX_KEPT_BYTES = 10_000_000

# Of a token and what is parsed from it, as measured; and of a character of the text at most.
TOKEN_BYTES = 500
CHARACTER_BYTES = 4


class AcceptedQueries:
    """The documents used last, by the text of the query; one for a schema, since its rules accepted them."""

    def __init__(self, max_bytes: int = MAX_KEPT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._documents: OrderedDict[str, tuple[DocumentNode, int]] = OrderedDict()
        self.bytes = 0  # of all that are kept

    def __len__(self) -> int:
        return len(self._documents)

    def find(self, query: str) -> DocumentNode | None:
        """The document of this text, if it is kept."""
        found = self._documents.get(query)
        if found is None:
            return None
        self._documents.move_to_end(query)
        return found[0]

    def put(self, query: str, document: DocumentNode) -> None:
        """Keep a document; what was used longest ago makes room for it."""
        size = document.token_count * TOKEN_BYTES + len(query) * CHARACTER_BYTES
        if query in self._documents or size > self._max_bytes:
            return
        self._documents[query] = (document, size)
        self.bytes += size
        while self.bytes > self._max_bytes:
            _, (_, freed) = self._documents.popitem(last=False)
            self.bytes -= freed


class KeepAccepted(SchemaExtension):
    """Find the document of a request among those accepted before, or check it. One for each request."""

    def __init__(self, accepted: AcceptedQueries, limits: Limits) -> None:
        self._accepted = accepted
        self._limits = limits
        self._is_known = False

    def on_parse(self) -> Iterator[None]:
        """Leave nothing to parse where the text is known."""
        context = self.execution_context
        known = self._accepted.find(context.query) if context.query else None
        if known is not None:
            context.graphql_document = known
            self._is_known = True
        yield
        if known is None and context.graphql_document is not None:
            unlink_tokens(context.graphql_document)

    def on_validate(self) -> Iterator[None]:
        """Leave nothing to validate, and keep what was found without fault."""
        context = self.execution_context
        document = context.graphql_document
        if self._is_known or document is None:
            errors = []
        else:
            schema = context.schema._schema
            excess = find_excess(schema, document, self._limits)
            errors = [excess] if excess else validate(schema, document, context.validation_rules)
            if not errors and context.query:
                self._accepted.put(context.query, document)
        context.pre_execution_errors = errors
        yield


def unlink_tokens(document: DocumentNode) -> None:
    """Cut the links from each token to the next and back: a cycle, and the document holds its tokens.

    Nothing follows them once a document is parsed; errors are located by the offsets of nodes.
    """
    token = document.loc.start_token if document.loc is not None else None
    while token is not None:
        following = token.next
        token.prev = token.next = None
        token = following
