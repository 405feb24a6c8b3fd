"""Read the exact bytes of manifests and configs, and turn them into what a field gives.

Rules of this file: decoding and parsing runs in the store's worker thread, never on the event loop; one
request holds at most MAX_DOCUMENT_BYTES of documents; a document that cannot be read fails its own field
only. A text that a document brings has no length of its own bound, so every field that shows one counts it,
each time: `text_field`, or `show_text` where it is more than an attribute.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, TypeVar

import strawberry

from graph.errors import GraphError
from graph.schema.context import Context
from graph.schema.fields import computed
from graph.store.visibility import Visibility

T = TypeVar("T")

# Reads the bytes of documents for keys, at most `limit` bytes of them: `load_documents` or `load_configs`.
ReadFunction = Callable[[Any, Visibility, Sequence[int], int], list[bytes | None]]


async def read_documents(
    context: Context, load: ReadFunction, keys: Sequence[int], parse: Callable[[bytes], T]
) -> list[T | GraphError | None]:
    """What `parse` makes of each document; None where there is none.

    Raises QueryTooCostlyError if they are more than the request may still hold.
    """

    def run(db: Any, visibility: Visibility) -> list[T | GraphError | None]:
        # Here, where reads come one after the other: those of one level are all asked for before the first
        # has counted what it holds.
        documents = load(db, visibility, keys, context.document_bytes_left)
        context.document_bytes_left -= sum(len(document) for document in documents if document is not None)
        return [None if document is None else _parsed(document, parse) for document in documents]

    return await context.read(run)


def _parsed(document: bytes, parse: Callable[[bytes], T]) -> T | GraphError:
    try:
        return parse(document)
    except GraphError as error:
        return error


def show_text(context: Context, value: T) -> T:
    """The value of a field, its text counted as shown: a text, or a tuple of texts.

    Anything else is made of fields that count their own. Raises QueryTooCostlyError at the bound.
    """
    context.show(_size_of(value))
    return value


def _size_of(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    return sum(map(_size_of, value)) if isinstance(value, tuple) else 0


def text_field(name: str, description: str) -> Any:
    """A field that is an attribute of its row: a text from a document, counted each time it is shown."""
    get: Callable[[Any], Any] = attrgetter(name)
    return computed(lambda row, context: show_text(context, get(row)), description=description)


@dataclass(frozen=True, slots=True)
class Pair:
    """A name and its value."""

    name: str
    value: str


def pairs_of(values: Mapping[str, str]) -> list[Pair]:
    """The pairs of a mapping, in its order."""
    return [Pair(name, value) for name, value in values.items()]


@strawberry.type(description="A remark that a document carries.")
class Annotation:
    """An annotation."""

    name: str = text_field("name", "What it is about, such as `org.opencontainers.image.source`.")
    value: str = text_field("value", "What it says.")


@strawberry.type(description="A remark that an image's config carries, set by `LABEL` in a Dockerfile.")
class Label:
    """A label."""

    name: str = text_field("name", "What it is about, such as `maintainer`.")
    value: str = text_field("value", "What it says.")
