"""An image's config: what it runs, and how its layers came to be (image-spec, config.md).

Rules of this file: a config is shown, not obeyed, so reading it is lenient where reading a manifest is
strict. Any optional field may be null; one that is not what it should be counts as not given, and never costs
the others. Whoever calls has made sure that the media type is an image config's (`is_image_config`); any
other is opaque. Env, labels and history often hold secrets; hiding them is decided elsewhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from graph.errors import InvalidDigestError, MalformedManifestError
from graph.oci.descriptor import MAX_PLATFORM_LENGTH
from graph.oci.digest import Digest, parse_digest
from graph.oci.document import decode_json, parse_time

T = TypeVar("T")

# Entries of any one list or object in a config. Docker stops at 127 layers, and an environment, set of labels
# or history of a thousand entries is no image's; past it the field counts as not given. The config's text has
# it all the same.
MAX_ENTRIES = 1_000


@dataclass(frozen=True, slots=True)
class History:
    """One instruction of the build. It made a layer unless `is_empty_layer`."""

    created: datetime | None
    created_by: str | None
    author: str | None
    comment: str | None
    is_empty_layer: bool


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What an image says about itself. None and empty mean that it does not say.

    `entrypoint` and `cmd` are None when not given and empty when given so: the latter resets a base image's.
    """

    created: datetime | None
    author: str | None
    os: str | None
    architecture: str | None
    variant: str | None
    os_version: str | None
    env: tuple[str, ...]
    entrypoint: tuple[str, ...] | None
    cmd: tuple[str, ...] | None
    labels: Mapping[str, str]
    user: str | None
    working_dir: str | None
    exposed_ports: tuple[str, ...]
    volumes: tuple[str, ...]
    stop_signal: str | None
    diff_ids: tuple[Digest, ...]
    history: tuple[History, ...]


@dataclass(frozen=True, slots=True)
class ImageSummary:
    """What of a config says which image it is; the rest is read when somebody asks for it."""

    created: datetime | None
    os: str | None
    architecture: str | None
    variant: str | None
    os_version: str | None


def summarize_image_config(data: bytes) -> ImageSummary:
    """The same of the config that the bytes are as `parse_image_config` tells, at a third of the price.

    Raises what that raises.
    """
    document = _decode(data)
    return ImageSummary(
        created=parse_time(document.get("created")),
        os=_platform_text(document.get("os")),
        architecture=_platform_text(document.get("architecture")),
        variant=_platform_text(document.get("variant")),
        os_version=_platform_text(document.get("os.version")),
    )


def parse_image_config(data: bytes) -> ImageConfig:
    """The config that the bytes are.

    Raises MalformedManifestError if they are no JSON object, or one that `decode_json` refuses, and
    ContentTooLargeError past the bytes that it reads; nothing inside an object is an error.
    """
    document = _decode(data)
    run = _mapping(document.get("config"))
    return ImageConfig(
        created=parse_time(document.get("created")),
        author=_text(document.get("author")),
        os=_platform_text(document.get("os")),
        architecture=_platform_text(document.get("architecture")),
        variant=_platform_text(document.get("variant")),
        os_version=_platform_text(document.get("os.version")),
        env=_texts(run.get("Env")) or (),
        entrypoint=_texts(run.get("Entrypoint")),
        cmd=_texts(run.get("Cmd")),
        labels={name: value for name, value in _mapping(run.get("Labels")).items() if isinstance(value, str)},
        user=_text(run.get("User")),
        working_dir=_text(run.get("WorkingDir")),
        exposed_ports=tuple(_mapping(run.get("ExposedPorts"))),
        volumes=tuple(_mapping(run.get("Volumes"))),
        stop_signal=_text(run.get("StopSignal")),
        diff_ids=_diff_ids(_mapping(document.get("rootfs")).get("diff_ids")),
        history=_history(document.get("history")),
    )


def steps_of(config: ImageConfig) -> tuple[History, ...]:
    """The instructions that made a layer each, in the order of the layers (C12)."""
    return tuple(entry for entry in config.history if not entry.is_empty_layer)


def item_of_layer(items: Sequence[T], position: int, layer_count: int) -> T | None:
    """The layer's own item of `steps_of` or `diff_ids`; None unless there is one for every layer.

    Squashed images, buildpacks and ko write fewer or none: a count that differs would pair layers with
    instructions at random.
    """
    return items[position] if len(items) == layer_count else None


def _decode(data: bytes) -> dict[str, Any]:
    document = decode_json(data)
    if not isinstance(document, dict):
        raise MalformedManifestError("an image config is a JSON object")
    return document


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _platform_text(value: Any) -> str | None:
    text = _text(value)
    return None if text is None or len(text) > MAX_PLATFORM_LENGTH else text


def _texts(value: Any) -> tuple[str, ...] | None:
    if isinstance(value, list) and len(value) <= MAX_ENTRIES and all(isinstance(item, str) for item in value):
        return tuple(value)
    return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) and len(value) <= MAX_ENTRIES else {}


def _diff_ids(value: Any) -> tuple[Digest, ...]:
    try:
        return tuple(parse_digest(text) for text in _texts(value) or ())
    except InvalidDigestError:
        return ()  # one gap and the rest would be paired with the wrong layers


def _history(value: Any) -> tuple[History, ...]:
    if not isinstance(value, list) or len(value) > MAX_ENTRIES:
        return ()
    if not all(isinstance(entry, dict) for entry in value):
        return ()  # as with diff_ids: what is left would be paired wrongly
    return tuple(
        History(
            created=parse_time(entry.get("created")),
            created_by=_text(entry.get("created_by")),
            author=_text(entry.get("author")),
            comment=_text(entry.get("comment")),
            is_empty_layer=entry.get("empty_layer") is True,
        )
        for entry in value
    )
