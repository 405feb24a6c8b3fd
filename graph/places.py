"""Where things are that the settings name: registries and vendors' APIs by URL, layouts by path.

Rules of this file: text comes in, a canonical text goes out or a ValueError that says what is wrong. Nothing
is opened, and no path is looked at: it may come to be after the settings were read.
"""

import os
import re
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from graph.errors import InvalidNameError
from graph.oci.reference import parse_registry_name

# Characters of a path; Linux takes no longer one.
MAX_PATH_LENGTH = 4096

# The path below which a vendor's API is, such as GitHub Enterprise's `/api/v3`.
_API_PATH = re.compile(r"(/(?!\.+(/|$))[A-Za-z0-9._-]{1,255}){1,10}")

# To the last "@" of a word: a password may hold one.
_USERINFO = re.compile(r"//[^\s]*@")

# As containers-transports(5) has it: the path ends at the next colon, and behind that is the name of one
# image; a layout in a tar is called `oci-archive` there. What only has digits behind the first colon is a
# host and its port.
_LAYOUT = re.compile(
    r"((?P<kind>oci|docker-archive)|oci-archive):(?!//)(?P<path>(?![0-9]+$)[^\0:]+)(:(?P<image>.*))?"
)

# The tag of an image, or its repository with a tag; which of them an archive has is found out there.
_IMAGE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./:+-]{0,511}")


class LayoutKind(StrEnum):
    """How images are kept on disk; the words are those of skopeo and podman."""

    OCI = "oci"
    DOCKER_ARCHIVE = "docker-archive"


class Layout(NamedTuple):
    """Images on disk; `image` names the only one that is meant."""

    kind: LayoutKind
    path: Path
    image: str | None


def parse_place(text: str) -> str:
    """The URL of a registry, or `oci:` or `docker-archive:`, an absolute path, and maybe an image's name."""
    layout = parse_layout(text)
    if layout is None:
        return parse_url(text)
    if len(str(layout.path)) > MAX_PATH_LENGTH:
        raise ValueError(f"must have a path of at most {MAX_PATH_LENGTH} characters")
    if layout.image is None:
        return f"{layout.kind}:{layout.path}"
    if not _IMAGE.fullmatch(layout.image):
        raise ValueError(
            f"{layout.image[:80]!r} is not the tag of an image, nor its repository and tag; write "
            f"{layout.kind}:path or {layout.kind}:path:tag, with no colon in the path"
        )
    return f"{layout.kind}:{layout.path}:{layout.image}"


def parse_layout(text: str) -> Layout | None:
    """What the text says of images on disk, with an absolute path; None for what is no layout."""
    match = _LAYOUT.fullmatch(text)
    if match is None:
        return None
    return Layout(
        LayoutKind(match["kind"] or LayoutKind.OCI), Path(os.path.abspath(match["path"])), match["image"]
    )


def parse_url(url: str) -> str:
    """The origin of a URL that has no more than that; without a scheme it is https."""
    parts = urlsplit(url if "://" in url else f"https://{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be https://host[:port] or http://host[:port]")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user or password; use username and password_file")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("must name the registry only, with no path: repositories are found there")
    try:
        parse_registry_name(parts.netloc)
    except InvalidNameError as error:
        raise ValueError(str(error)) from error
    return f"{parts.scheme}://{parts.netloc.lower()}"


def parse_api_url(url: str) -> str:
    """The URL of a vendor's API, with the path below which it is."""
    parts = urlsplit(url if "://" in url else f"https://{url}")
    path = parts.path.rstrip("/")
    if path and not _API_PATH.fullmatch(path):
        raise ValueError("must have a path of letters, digits, and . _ - between slashes, or none")
    return parse_url(parts._replace(path="").geturl()) + path


def is_netloc(text: str) -> bool:
    """Whether the text is a host, with or without a port, and nothing else."""
    try:
        parts = urlsplit(f"//{text}")
        return bool(parts.hostname) and parts.port != 0 and parts.netloc == text and "@" not in text
    except ValueError:
        return False


def hide_userinfo(text: str) -> str:
    """The text without the user and password of any URL in it."""
    return _USERINFO.sub("//…@", text)


def name_of_place(place: str) -> str:
    """What is called a registry's name unless another is given: host and port, or the name of the file."""
    layout = parse_layout(place)
    return urlsplit(place).netloc if layout is None else layout.path.name
