"""An image's config: what it runs, and which line of its Dockerfile made each layer (concept C12).

Rules of this file: configs are read and parsed in the store's worker thread. What the operator hides is null
with the error HIDDEN, so that nobody takes it for empty, and so is the raw text that has it too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

import strawberry

from graph.errors import HiddenError, NotObservedError
from graph.oci import image
from graph.oci.digest import Digest
from graph.oci.media_types import is_image_config
from graph.schema.batches import Answer
from graph.schema.context import Context
from graph.schema.documents import Label, pairs_of, read_documents, show_text, text_field
from graph.schema.fields import computed
from graph.settings import Hidden
from graph.store import manifests


@dataclass(frozen=True, slots=True)
class ReadConfig:
    """A config that was parsed, its exact text, and the steps of the build that made a layer each."""

    config: image.ImageConfig
    text: str
    steps: tuple[image.History, ...]


async def load_configs(context: Context, keys: Sequence[int], /) -> Sequence[Answer]:
    """The config of each manifest; None where it has none, or none that was fetched."""
    return await read_documents(context, manifests.load_configs, keys, _parse)


def _parse(data: bytes) -> ReadConfig:
    config = image.parse_image_config(data)
    return ReadConfig(config, data.decode(), image.steps_of(config))  # what was parsed is UTF-8


def pick_config(row: Any, _: Context, read: ReadConfig | None) -> Answer:
    """The config of an image manifest; None for one whose config is not an image's."""
    is_image = row.artifact_type is not None and is_image_config(row.artifact_type)
    return NotObservedError("the image's config was not fetched") if read is None and is_image else read


def pick_diff_id(row: Any, _: Context, read: ReadConfig | None) -> Answer:
    """The digest of a layer's uncompressed bytes, where the config tells it."""
    if read is None:
        return None
    return image.item_of_layer(read.config.diff_ids, row.position, row.layer_count)


def pick_created_by(row: Any, context: Context, read: ReadConfig | None) -> Answer:
    """The line of the Dockerfile that made a layer, where the history tells it."""
    check_hidden(context, Hidden.HISTORY)
    step = None if read is None else image.item_of_layer(read.steps, row.position, row.layer_count)
    return None if step is None else show_text(context, step.created_by)


def check_hidden(context: Context, *what: Hidden) -> None:
    """Raise HiddenError if the operator hides any of this."""
    hidden = sorted(context.hide.intersection(what))
    if hidden:
        raise HiddenError(f"this server does not show it (hide: {', '.join(hidden)})")


def _given(
    path: str,
    description: str,
    *,
    hidden: Hidden | None = None,
    show: Any = None,
    is_long: bool = False,
) -> Any:
    """A field that is an attribute of the parsed config."""
    get: Callable[[ReadConfig], Any] = attrgetter(f"config.{path}")

    def compute(read: ReadConfig, context: Context) -> Any:
        if hidden is not None:
            check_hidden(context, hidden)
        value = show_text(context, get(read))
        return value if show is None else show(value)

    return computed(compute, description=description, is_long=is_long)


def _raw(read: ReadConfig, context: Context) -> str:
    check_hidden(context, *Hidden)
    return show_text(context, read.text)


@strawberry.type(description="One step of an image's build: most often a line of its Dockerfile.")
class HistoryEntry:
    """One step of an image's build."""

    created: datetime | None = strawberry.field(description="When it ran. Null: not told.")
    created_by: str | None = text_field("created_by", "What it ran. Null: not told.")
    author: str | None = text_field("author", "Who made it. Null: not told.")
    comment: str | None = text_field("comment", "What was remarked. Null: nothing.")
    is_empty_layer: bool = strawberry.field(
        description="Whether it made no layer, as `ENV` and `LABEL` make none."
    )


@strawberry.type(
    description="What an image says about itself: how to run it and how it was built. Environment, labels "
    "and history often hold secrets; an operator can hide them, and then they are null with the error "
    "`HIDDEN`, and so is `raw`."
)
class ImageConfig:
    """An image's config."""

    created: datetime | None = _given("created", "When the image was made. Null: not told.")
    author: str | None = _given("author", "Who made it. Null: not told.")
    os: str | None = _given("os", "The operating system it runs on. Null: not told.")
    architecture: str | None = _given("architecture", "The architecture it runs on. Null: not told.")
    variant: str | None = _given("variant", "The variant of the architecture. Null: not told.")
    os_version: str | None = _given("os_version", "The version of the operating system. Null: not told.")
    env: list[str] | None = _given(
        "env",
        "Its environment, each as `NAME=value`. Null with an error only.",
        hidden=Hidden.CONFIG_ENV,
        is_long=True,
    )
    entrypoint: list[str] | None = _given(
        "entrypoint",
        "What runs when a container starts. Null: not told; empty: reset to nothing.",
        is_long=True,
    )
    cmd: list[str] | None = _given(
        "cmd",
        "The arguments of the entrypoint, or what runs without one. Null: not told; empty: reset.",
        is_long=True,
    )
    labels: list[Label] | None = _given(
        "labels", "Its labels. Null with an error only.", hidden=Hidden.LABELS, show=pairs_of, is_long=True
    )
    user: str | None = _given("user", "Whom it runs as. Null: not told, which means root.")
    working_dir: str | None = _given("working_dir", "The directory it runs in. Null: not told.")
    exposed_ports: list[str] | None = _given(
        "exposed_ports", "The ports it listens on, such as `8080/tcp`. Null with an error only.", is_long=True
    )
    volumes: list[str] | None = _given(
        "volumes", "The directories it keeps data in. Null with an error only.", is_long=True
    )
    stop_signal: str | None = _given("stop_signal", "The signal that stops it. Null: not told.")
    diff_ids: list[Digest] | None = _given(
        "diff_ids",
        "The digests of its layers' uncompressed bytes, the lowest layer first. Null with an error only.",
        is_long=True,
    )
    history: list[HistoryEntry] | None = _given(
        "history",
        "The steps of its build, the first one first. Null with an error only.",
        hidden=Hidden.HISTORY,
        is_long=True,
    )
    raw: str | None = computed(
        _raw,
        description="The exact text of the config: its digest is the SHA-256 of this. Null with an error "
        "only.",
    )
