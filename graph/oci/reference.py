"""Names and addresses: registries, repositories, tags, and the two forms of an artifact's address.

Rules of this file: text comes in, proof goes out. Each NewType is made by its parser and by nothing else, so
whoever holds one may put it into a URL. Every refusal says which rule of the distribution-spec is broken
(C5). Reading an address needs to know which registries are configured, and nothing about them but their
names.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NewType

from graph.errors import (
    InvalidNameError,
    InvalidReferenceError,
    UnknownRegistryError,
)
from graph.oci.digest import MAX_DIGEST_LENGTH, Digest, parse_digest

RegistryName = NewType("RegistryName", str)
RepositoryName = NewType("RepositoryName", str)
TagName = NewType("TagName", str)

LATEST = TagName("latest")  # meant where no tag is given (C10)

# Characters. Host: DNS allows 253; with `:65535` behind it. Repository: distribution's NameTotalLengthMax.
# Tag: the distribution-spec's grammar.
MAX_REGISTRY_NAME_LENGTH = 259
MAX_REPOSITORY_NAME_LENGTH = 255
MAX_TAG_NAME_LENGTH = 128
# registry "/" repository ":" tag "@" digest
MAX_REFERENCE_LENGTH = (
    MAX_REGISTRY_NAME_LENGTH + MAX_REPOSITORY_NAME_LENGTH + MAX_TAG_NAME_LENGTH + MAX_DIGEST_LENGTH + 3
)

_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
# ASCII alone: lower() would make a plain "k" of the Kelvin sign, and so one host of another.
_HOST = re.compile(
    rf"(?P<host>{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{{1,5}}))?",
    re.ASCII | re.IGNORECASE,
)
_COMPONENT = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]*")
_NOT_IN_COMPONENT = re.compile(r"[^a-z0-9._-]")
_AZURE_SUFFIX = ".azurecr.io"
# What Docker Hub is called, and the namespace that is meant there where an address has none; no repository of
# it is outside a namespace (distribution/reference, normalize.go; docker/docs, docker-hub/repos).
_DOCKER_HUB = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
_OFFICIAL = "library"


@dataclass(frozen=True, slots=True)
class Reference:
    """The address of an artifact. Where `digest` is given it decides, and `tag` is only for show.

    At least one of the two is given. `registry` is None only where no registry is configured.
    """

    registry: RegistryName | None
    repository: RepositoryName
    tag: TagName | None
    digest: Digest | None


def parse_registry_name(text: str) -> RegistryName:
    """The name of a registry: its host and, if it has one, its port, in lower case (C1).

    Raises InvalidNameError, also for an Azure login server with a port: it is given without one (C18).
    """
    if len(text) > MAX_REGISTRY_NAME_LENGTH:
        raise InvalidNameError(
            f"a registry name has at most {MAX_REGISTRY_NAME_LENGTH} characters, this one {len(text)}"
        )
    match = _HOST.fullmatch(text)
    if match is None:
        raise InvalidNameError(f"{text!r} is not the name of a registry: expected host or host:port")
    host, port = match["host"].lower(), match["port"]
    if host.startswith("["):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            raise InvalidNameError(f"{text!r} is not the name of a registry: no IPv6 address") from None
    if port is not None and not 1 <= int(port) <= 65535:
        raise InvalidNameError(f"{text!r} is not the name of a registry: a port is 1 to 65535")
    if port is not None and host.endswith(_AZURE_SUFFIX):
        raise InvalidNameError(f"{text!r}: the login server of an Azure registry is given without a port")
    return RegistryName(text.lower())


def parse_repository_name(text: str) -> RepositoryName:
    """The name of a repository, namespace included (distribution-spec, "Pulling manifests", `<name>`).

    Raises InvalidNameError, with the rule that is broken.
    """
    if len(text) > MAX_REPOSITORY_NAME_LENGTH:
        raise InvalidNameError(
            f"a repository name has at most {MAX_REPOSITORY_NAME_LENGTH} characters, this one {len(text)}"
        )
    if _REPOSITORY.fullmatch(text) is None:
        raise InvalidNameError(f"{text!r} is not the name of a repository: {_broken_rule(text)}")
    return RepositoryName(text)


def parse_name_prefix(text: str) -> str:
    """Text that the name of a repository may start with.

    Raises InvalidNameError, with the rule that every such name would break.
    """
    # Where it ends in the middle of a part, or behind what joins two, a letter makes it a name.
    if text and not (_REPOSITORY.fullmatch(text) or _REPOSITORY.fullmatch(f"{text}x")):
        raise InvalidNameError(f"no repository's name starts with {text!r}: {_broken_rule(f'{text}x')}")
    return text


def complete_name(registry: RegistryName | None, name: str) -> str:
    """The name that is meant by one that a person typed: at Docker Hub, told by its own names, what has no
    namespace is an official image, and `nginx` is `library/nginx`, as docker has it.
    """
    return f"{_OFFICIAL}/{name}" if name and registry in _DOCKER_HUB and "/" not in name else name


def _broken_rule(text: str) -> str:
    if not text:
        return "it is empty"
    if text.startswith("/") or text.endswith("/"):
        return "it must not start or end with '/'"
    if "//" in text:
        return "'//' leaves a part of the path empty"
    if text != text.lower():
        return "it must be lower case"
    for component in text.split("/"):
        stranger = _NOT_IN_COMPONENT.search(component)
        if stranger is not None:
            return f"{stranger[0]!r} is none of a-z, 0-9, '.', '_', '-' and '/'"
        if component[0] in "._-" or component[-1] in "._-":
            return f"the part {component!r} must start and end with a letter or digit"
    return "parts of a path are joined by one '.', one or two '_', or any number of '-'"


def parse_tag_name(text: str) -> TagName:
    """The name of a tag (distribution-spec, "Pulling manifests", `<reference>` as a tag).

    Raises InvalidNameError, with the rule that is broken.
    """
    if len(text) > MAX_TAG_NAME_LENGTH:
        raise InvalidNameError(
            f"a tag name has at most {MAX_TAG_NAME_LENGTH} characters, this one {len(text)}"
        )
    if _TAG.fullmatch(text) is None:
        raise InvalidNameError(f"{text!r} is not the name of a tag: {_broken_tag_rule(text)}")
    return TagName(text)


def parse_tag_prefix(text: str) -> str:
    """Text that the name of a tag may start with.

    Raises InvalidNameError, with the rule that every such name would break.
    """
    if text and _TAG.fullmatch(text) is None:
        raise InvalidNameError(f"no tag's name starts with {text!r}: {_broken_tag_rule(text)}")
    return text


def _broken_tag_rule(text: str) -> str:
    if not text:
        return "it is empty"
    if text[0] in ".-":
        return "it must not start with '.' or '-'"
    return "it may hold only letters, digits, '.', '_' and '-'"


def namespace_of(name: RepositoryName) -> str | None:
    """Everything before the last `/` of the name; None where there is no `/` (C4)."""
    namespace, slash, _ = name.rpartition("/")
    return namespace if slash else None


def ancestors_of(name: RepositoryName) -> tuple[str, ...]:
    """Every namespace that the repository is in, the widest first: `a/b/c` is in `a` and `a/b`."""
    parts = name.split("/")
    return tuple("/".join(parts[:count]) for count in range(1, len(parts)))


def parse_reference(text: str, configured: Sequence[RegistryName]) -> Reference:
    """The artifact that an address names, as a person types it (C17).

    A first part that is the name of a configured registry is the registry; otherwise the whole is a
    repository of the first configured one. No tag and no digest means the tag `latest`. At Docker Hub, told
    by its own names, what has no namespace is an official image: `nginx` is `library/nginx`.

    Raises UnknownRegistryError if the first part can only be a host and none such is configured,
    InvalidReferenceError if the text is no address, and the errors of its parts, names and digest, as they
    are.
    """
    if len(text) > MAX_REFERENCE_LENGTH:
        raise InvalidReferenceError(f"an address has at most {MAX_REFERENCE_LENGTH} characters")
    if "://" in text:
        raise InvalidReferenceError(f"{text!r} is a URL: an address has no scheme, such as registry/name:tag")
    registry, rest = _split_registry(text, configured)
    name, at, digest_text = rest.partition("@")
    name, colon, tag_text = name.partition(":")
    if not name:
        raise InvalidReferenceError(f"{text!r} names no repository")
    if at and not digest_text:
        raise InvalidReferenceError(f"{text!r} ends where a digest should follow")
    if colon and not tag_text:
        raise InvalidReferenceError(f"{text!r} has no tag after ':'")
    repository = parse_repository_name(complete_name(registry, name))
    tag = parse_tag_name(tag_text) if colon else None
    digest = _parse_reference_digest(text, digest_text) if at else None
    if tag is None and digest is None:
        tag = LATEST
    return Reference(registry, repository, tag, digest)


def _split_registry(text: str, configured: Sequence[RegistryName]) -> tuple[RegistryName | None, str]:
    first, slash, rest = text.partition("/")
    if slash:
        host = first.lower() if first.isascii() else first
        for name in configured:
            if name == host:
                return name, rest
        # A digest in the first part cannot be: it has no "/" behind it. Hence a ":" there is a port, or an
        # attempt at one; a dot alone is no proof, because repository names may hold dots.
        if ":" in first or host == "localhost":
            raise UnknownRegistryError(f"the registry {first!r} is not configured here")
    return (configured[0] if configured else None), text


def _parse_reference_digest(text: str, digest_text: str) -> Digest:
    if "@" in digest_text:
        raise InvalidReferenceError(f"{text!r} holds more than one '@'")
    return parse_digest(digest_text)


def format_reference(
    registry: RegistryName | None, repository: RepositoryName, tag_or_digest: TagName | Digest
) -> str:
    """The address that can be pulled, by tag or by digest; `parse_reference` reads it back as it was."""
    # A tag never holds ":", a digest always does.
    mark = "@" if ":" in tag_or_digest else ":"
    name = f"{repository}{mark}{tag_or_digest}"
    return name if registry is None else f"{registry}/{name}"
