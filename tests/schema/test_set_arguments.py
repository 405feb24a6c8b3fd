"""The names of a set are read before anything else is: what they mean, and what is refused."""

import pytest

from graph.errors import (
    GraphError,
    InputError,
    InvalidDigestError,
    InvalidFilterError,
    InvalidNameError,
    InvalidReferenceError,
    QueryTooCostlyError,
    UnknownRegistryError,
)
from graph.oci.digest import Digest
from graph.oci.reference import RegistryName, RepositoryName, TagName
from graph.schema.context import Registries
from graph.schema.sets import MAX_GLOBS, MAX_MEMBERS, FoundSet, NamedSet, parse_set
from graph.store.members import ArtifactAddress, FoundArtifact, FoundRepository, RepositoryPattern
from graph.store.rows import RegistryRow

DIGEST = "sha256:" + "a" * 64
REGISTRIES = Registries(
    [
        RegistryRow(key, RegistryName(name), f"https://{name}", "oci")
        for key, name in ((1, "one.test"), (2, "two.test:5000"))
    ],
    {},
)
WEB = RepositoryName("team/web")


def test_addresses() -> None:
    """An address without a registry is in the argument's, else in the first; the digest decides."""
    texts = ["team/web", "one.test/team/web:v1", f"team/web:v1@{DIGEST}", "TWO.test:5000/team/web"]

    def expected(default: int) -> tuple[ArtifactAddress, ...]:
        return (
            ArtifactAddress(texts[0], default, WEB, TagName("latest"), None),
            ArtifactAddress(texts[1], 1, WEB, TagName("v1"), None),
            ArtifactAddress(texts[2], default, WEB, None, Digest(DIGEST)),
            ArtifactAddress(texts[3], 2, WEB, TagName("latest"), None),
        )

    assert expected(1) == parse_set(REGISTRIES, artifacts=texts).artifacts
    assert expected(2) == parse_set(REGISTRIES, artifacts=texts, registry="two.test:5000").artifacts
    assert expected(1)[:2] == parse_set(REGISTRIES, tags=texts[:2]).tags


def test_repositories() -> None:
    """A name may begin with a configured registry; what looks like another one is a part of the name."""
    texts = ["team/web", "two.test:5000/team/*", "three.test/web", "*/w?b"]

    found = parse_set(REGISTRIES, repositories=texts)

    assert (
        RepositoryPattern(texts[0], 1, "team/web", is_glob=False),
        RepositoryPattern(texts[1], 2, "team/*", is_glob=True),
        RepositoryPattern(texts[2], 1, "three.test/web", is_glob=False),
        RepositoryPattern(texts[3], 1, "*/w?b", is_glob=True),
    ) == found.repositories
    assert found.has_globs
    assert not parse_set(REGISTRIES, repositories=texts[:1]).has_globs


def test_each_name_counts_once() -> None:
    """A name that is given twice is one name."""
    names = ["team/web"] * 3

    assert 2 == parse_set(REGISTRIES, artifacts=names, repositories=names).name_count


def test_empty_lists() -> None:
    """A list of nothing names nothing, and is no mistake; no list at all is one."""
    assert NamedSet() == parse_set(REGISTRIES, artifacts=[], repositories=[])
    with pytest.raises(InputError):
        parse_set(REGISTRIES)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"artifacts": ["Team/web"]}, InvalidNameError),
        ({"artifacts": ["team/web:"]}, InvalidReferenceError),
        ({"artifacts": ["team/web@sha256:12"]}, InvalidDigestError),
        ({"artifacts": ["three.test:1/web"]}, UnknownRegistryError),
        ({"artifacts": ["team/web"], "registry": "three.test"}, UnknownRegistryError),
        ({"tags": [f"team/web@{DIGEST}"]}, InvalidReferenceError),
        ({"repositories": ["team/web:v1"]}, InvalidNameError),
        ({"repositories": ["two.test:5000/"]}, InvalidNameError),
        ({"repositories": [""]}, InvalidNameError),
        ({"repositories": ["*" * 257]}, InvalidFilterError),
        ({"repositories": ["\ud800*"]}, InvalidFilterError),
        ({"repositories": ["team*\0"]}, InvalidFilterError),
        ({"repositories": [f"{number}*" for number in range(MAX_GLOBS + 1)]}, QueryTooCostlyError),
        ({"artifacts": ["web"] * (MAX_MEMBERS + 1)}, QueryTooCostlyError),
        ({"artifacts": ["web"] * MAX_MEMBERS, "repositories": ["web"]}, QueryTooCostlyError),
    ],
)
def test_refused(arguments: dict[str, list[str]], error: type[GraphError]) -> None:
    """A wrong name, or too many of them, is refused with its own error."""
    with pytest.raises(error) as caught:
        parse_set(REGISTRIES, **arguments)  # type: ignore[arg-type]
    assert error is type(caught.value)


def test_what_was_found_counts_once() -> None:
    """Keys come once each, whatever names led to them; every repository of a member is involved."""
    web = FoundRepository(1, 1, WEB, True, True, 3, 2)
    image = FoundArtifact(2, None, 20, is_present=True, is_observed=True)
    gone = FoundArtifact(3, None, 30, is_observed=True)

    found = FoundSet([image, image, gone], [[web], [web]], [FoundArtifact(4, 5, 40, is_present=True)])

    assert [20] == found.artifact_keys
    assert [web] == found.whole_repositories
    assert [1, 2, 3, 4] == found.repository_keys
