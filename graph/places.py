"""Where things are that the settings name: registries and vendors' APIs by URL, layouts by path.

Rules of this file: text comes in, a canonical text goes out or a ValueError that says what is wrong. Nothing
is opened, and no path is looked at: it may come to be after the settings were read.
"""

import os
import re
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from graph.errors import InvalidNameError
from graph.oci.reference import parse_registry_name

# Characters of a path; Linux takes no longer one.
MAX_PATH_LENGTH = 4096

# The path below which a vendor's API is, such as GitHub Enterprise's `/api/v3`.
_API_PATH = re.compile(r"(/(?!\.+(/|$))[A-Za-z0-9._-]{1,255}){1,10}")

# To the last "@" of a word: a password may hold one.
_USERINFO = re.compile(r"//[^\s]*@")

# What only has digits behind the colon is a host and its port.
_LAYOUT = re.compile(r"(?P<kind>oci|docker-archive):(?!//)(?P<path>(?![0-9]+$)[^\0]+)")


class LayoutKind(StrEnum):
    """How images are kept on disk; the words are those of skopeo and podman."""

    OCI = "oci"
    DOCKER_ARCHIVE = "docker-archive"


def parse_place(text: str) -> str:
    """The URL of a registry, or `oci:` or `docker-archive:` with an absolute path."""
    layout = parse_layout(text)
    if layout is None:
        return parse_url(text)
    kind, path = layout
    if len(str(path)) > MAX_PATH_LENGTH:
        raise ValueError(f"must have a path of at most {MAX_PATH_LENGTH} characters")
    return f"{kind}:{path}"


def parse_layout(text: str) -> tuple[LayoutKind, Path] | None:
    """The kind and the absolute path of a layout; None for what is none."""
    match = _LAYOUT.fullmatch(text)
    return (LayoutKind(match["kind"]), Path(os.path.abspath(match["path"]))) if match else None


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


def hide_userinfo(text: str) -> str:
    """The text without the user and password of any URL in it."""
    return _USERINFO.sub("//…@", text)


def name_of_place(place: str) -> str:
    """What is called a registry's name unless another is given: host and port, or the name of the file."""
    layout = parse_layout(place)
    return urlsplit(place).netloc if layout is None else layout[1].name
