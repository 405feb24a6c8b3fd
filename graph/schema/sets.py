"""The arguments of questions about a set of artifacts, and the members they lead to.

Rules of this file: it reads the arguments, finds what they name in the store and refuses what it cannot find,
all of it in one error; it computes nothing. Questions about sets are answered from the store alone: nothing
is ever refreshed for them, as a set may span thousands of repositories. A set may span registries too.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

import strawberry

from graph.errors import (
    InputError,
    InvalidReferenceError,
    NotObservedError,
    NotStoredError,
    QueryTooCostlyError,
    UnknownMemberError,
)
from graph.oci.reference import LATEST, RegistryName, complete_name, parse_reference, parse_repository_name
from graph.schema.context import Context, Registries
from graph.store.filters import RepositoryFilter
from graph.store.members import (
    ArtifactAddress,
    FoundArtifact,
    FoundRepository,
    RepositoryPattern,
    find_artifacts_by_digest,
    find_artifacts_by_tag,
    find_repositories_by_glob,
    find_repositories_by_name,
)

# Names in one set, and members that its globs may lead to. The largest set takes about a second.
MAX_MEMBERS = 10_000

# Globs in one set: each walks the names that begin as it does, which may be all of a registry.
MAX_GLOBS = 20

# Names that an error about unknown members writes out.
MAX_NAMES_SHOWN = 10


def _argument(description: str) -> Any:
    return strawberry.argument(description=description)


ArtifactsArgument: TypeAlias = Annotated[
    list[str] | None,
    _argument(
        "Artifacts by address: `registry/repository:tag` or `registry/repository@digest`. Without a registry "
        "it is that of the argument `registry`. At most 10,000 names in one set."
    ),
]
RepositoriesArgument: TypeAlias = Annotated[
    list[str] | None,
    _argument(
        "Repositories by their whole names or by patterns, in which `*` stands for any characters, `/` too, "
        "and `?` for one. One that begins with the name of a configured registry and a slash is looked for "
        "there, any other in that of the argument `registry`."
    ),
]
SetRegistryArgument: TypeAlias = Annotated[
    str | None,
    _argument("The registry of names that do not begin with one. Default: the first one configured."),
]


@dataclass(frozen=True, slots=True)
class NamedSet:
    """A set as it was asked for. `tags` are the addresses of tags that a deletion takes away."""

    artifacts: tuple[ArtifactAddress, ...] = ()
    repositories: tuple[RepositoryPattern, ...] = ()
    tags: tuple[ArtifactAddress, ...] = ()

    @property
    def name_count(self) -> int:
        """How many names it has; each counts as a node."""
        return len(self.artifacts) + len(self.repositories) + len(self.tags)

    @property
    def has_globs(self) -> bool:
        """Whether what belongs to it is for the store to say."""
        return any(pattern.is_glob for pattern in self.repositories)


@dataclass(frozen=True, slots=True)
class FoundSet:
    """Where the names of a set lead, each list in the order of the names: a glob leads to any number."""

    artifacts: Sequence[FoundArtifact]
    repositories: Sequence[Sequence[FoundRepository]]
    tags: Sequence[FoundArtifact]

    @property
    def artifact_keys(self) -> list[int]:
        """The present artifacts that are named one by one, each once."""
        keys = (found.artifact_key for found in self.artifacts if found.is_present)
        return list(dict.fromkeys(key for key in keys if key is not None))

    @property
    def whole_repositories(self) -> list[FoundRepository]:
        """The repositories that are named, each once."""
        found = {row.key: row for rows in self.repositories for row in rows}
        return list(found.values())

    @property
    def repository_keys(self) -> list[int]:
        """Every repository involved, each once: those that are named, and those of what is named."""
        homes = (found.repository_key for found in (*self.artifacts, *self.tags))
        named = (row.key for row in self.whole_repositories)
        return list(dict.fromkeys([*named, *(key for key in homes if key is not None)]))


def parse_set(
    registries: Registries,
    *,
    artifacts: Sequence[str] | None = None,
    repositories: Sequence[str] | None = None,
    tags: Sequence[str] | None = None,
    registry: str | None = None,
) -> NamedSet:
    """The set that these arguments ask for; a list that is None names nothing.

    Raises InputError if all lists are None, QueryTooCostlyError if there are too many names, and the errors
    of names and addresses; nothing is read.
    """
    given = [names for names in (artifacts, repositories, tags) if names is not None]
    if not given:
        raise InputError("name what the set is made of: no list of names is given")
    check_member_count(sum(map(len, given)))
    default = registries.by_name(registry).name
    # A name without a registry is in the first of these.
    names = [default, *(name for name in registries.names if name != default)]
    keys = {row.name: row.key for row in registries.rows}
    patterns = tuple(_parse_repository(text, names, keys) for text in dict.fromkeys(repositories or ()))
    globs = sum(pattern.is_glob for pattern in patterns)
    if globs > MAX_GLOBS:
        raise QueryTooCostlyError(globs, MAX_GLOBS, "patterns in one set")
    return NamedSet(
        tuple(_parse_artifact(text, names, keys) for text in dict.fromkeys(artifacts or ())),
        patterns,
        tuple(_parse_tag(text, names, keys) for text in dict.fromkeys(tags or ())),
    )


def check_member_count(count: int, limit: int = MAX_MEMBERS) -> None:
    """Raise QueryTooCostlyError if a set has more members than it may."""
    if count > limit:
        raise QueryTooCostlyError(count, limit, "members of one set")


def _parse_artifact(
    text: str, names: Sequence[RegistryName], keys: dict[RegistryName, int]
) -> ArtifactAddress:
    reference = parse_reference(text, names)
    assert reference.registry is not None  # at least one is configured
    tag = None if reference.digest is not None else reference.tag or LATEST
    return ArtifactAddress(text, keys[reference.registry], reference.repository, tag, reference.digest)


def _parse_tag(text: str, names: Sequence[RegistryName], keys: dict[RegistryName, int]) -> ArtifactAddress:
    address = _parse_artifact(text, names, keys)
    if address.tag is None:
        raise InvalidReferenceError(f"{text!r} is an address by digest, and names no tag")
    return address


def _parse_repository(
    text: str, names: Sequence[RegistryName], keys: dict[RegistryName, int]
) -> RepositoryPattern:
    first, slash, rest = text.partition("/")
    registry = first.lower() if slash and first.isascii() and first.lower() in keys else None
    home = names[0] if registry is None else RegistryName(registry)
    key = keys[home]
    name = text if registry is None else rest
    if "*" in name or "?" in name:
        RepositoryFilter(name=name)  # checks it
        return RepositoryPattern(text, key, name, is_glob=True)
    return RepositoryPattern(text, key, parse_repository_name(complete_name(home, name)), is_glob=False)


async def find_set(context: Context, named: NamedSet, *, allows_absent: bool = False) -> FoundSet:
    """Where the names of a set lead, by at most four statements.

    `allows_absent`: an artifact that is known to be gone is no mistake. Globs lead to present repositories
    alone, and one that matches nothing adds nothing. Each repository that globs lead to counts as a node.

    Raises NotStoredError if a name leads to a repository that nobody ever looked at, else UnknownMemberError
    if it leads to nothing that is there; QueryTooCostlyError if globs lead to too many repositories.
    """
    found = await _find_artifacts(context, [*named.artifacts, *named.tags])
    split = len(named.artifacts)
    repositories = await _find_repositories(context, named.repositories)
    _refuse_unknown(
        named.name_count,
        [
            *_lost_artifacts([*named.artifacts, *named.tags], found, allows_absent=allows_absent),
            *_lost_repositories(named.repositories, repositories),
        ],
    )
    return FoundSet(found[:split], repositories, found[split:])


async def _find_artifacts(context: Context, addresses: Sequence[ArtifactAddress]) -> list[FoundArtifact]:
    by_tag = [(one.registry_key, one.repository, one.tag) for one in addresses if one.tag]
    by_digest = [(one.registry_key, one.repository, one.digest) for one in addresses if one.digest]
    tagged = iter(await context.read(find_artifacts_by_tag, by_tag) if by_tag else ())
    digested = iter(await context.read(find_artifacts_by_digest, by_digest) if by_digest else ())
    return [next(digested if address.tag is None else tagged) for address in addresses]


async def _find_repositories(
    context: Context, patterns: Sequence[RepositoryPattern]
) -> list[list[FoundRepository]]:
    names = [(one.registry_key, one.name) for one in patterns if not one.is_glob]
    globs = [(one.registry_key, RepositoryFilter(name=one.name)) for one in patterns if one.is_glob]
    named = iter(await context.read(find_repositories_by_name, names) if names else ())
    matched: list[list[FoundRepository]] = []
    if globs:
        matched = await context.read(find_repositories_by_glob, globs, MAX_MEMBERS + 1)
        count = sum(map(len, matched))
        check_member_count(count)
        context.charge(count)
    matching = iter(matched)
    found: list[list[FoundRepository]] = []
    for pattern in patterns:
        row = None if pattern.is_glob else next(named)
        found.append(next(matching) if pattern.is_glob else [] if row is None else [row])
    return found


# A name that leads to nothing, and whether somebody looked at the repository it is in.
_Lost: TypeAlias = tuple[str, bool]


def _lost_artifacts(
    addresses: Sequence[ArtifactAddress], found: Sequence[FoundArtifact], *, allows_absent: bool
) -> Iterator[_Lost]:
    for address, one in zip(addresses, found, strict=True):
        if one.tag_key is not None and one.artifact_key is None:
            raise NotObservedError(f"the registry would not say what {address.text} names")
        if one.artifact_key is None or not (one.is_present or allows_absent):
            yield address.text, one.is_observed


def _lost_repositories(
    patterns: Sequence[RepositoryPattern], found: Sequence[Sequence[FoundRepository]]
) -> Iterator[_Lost]:
    for pattern, rows in zip(patterns, found, strict=True):
        if pattern.is_glob:
            continue
        if not rows or not rows[0].is_observed:
            yield pattern.text, False
        elif not rows[0].is_present:
            yield pattern.text, True


def _refuse_unknown(asked: int, lost: Iterable[_Lost]) -> None:
    names = list(lost)
    if not names:
        return
    listed = ", ".join(name for name, _ in names[:MAX_NAMES_SHOWN])
    more = len(names) - MAX_NAMES_SHOWN
    listed += f" and {more} more" if more > 0 else ""
    count = f"{len(names)} of {asked} members"
    if all(is_observed for _, is_observed in names):
        raise UnknownMemberError(f"{count} lead to nothing that is there: {listed}")
    raise NotStoredError(f"{count} are not in the store, which has not seen all their repositories: {listed}")
