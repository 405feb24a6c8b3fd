"""What to ask about a repository, and what the answers change."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.errors import MalformedManifestError, RegistryDeniedError, RegistryUnknownError
from graph.oci.digest import Digest
from graph.oci.reference import TagName
from graph.store.changes import (
    ArtifactChange,
    Discovery,
    Failure,
    KnownArtifact,
    KnownRepository,
    KnownTag,
    RepositoryChanges,
    TagChange,
)
from graph.sync.plan import (
    FIRST_SECOND_LOOK,
    MAX_INDEX_DEPTH,
    MAX_REFERRER_DEPTH,
    ObservedArtifact,
    ObservedRepository,
    Question,
    is_news,
    is_refusal_known,
    needs_manifest,
    plan_changes,
    plan_children,
    plan_roots,
    plan_subjects,
    plan_unlisted,
    question_of,
)

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOTHING: frozenset[Digest] = frozenset()
DENIED = Failure(RegistryDeniedError.code, "no")
UNKNOWN = Failure(RegistryUnknownError.code, "no")
MALFORMED = Failure(MalformedManifestError.code, "no")


def digest(name: str) -> Digest:
    return Digest(f"sha256:{name}")


def digests(*names: str) -> tuple[Digest, ...]:
    return tuple(map(digest, names))


def artifact(*children: str, **facts: Any) -> KnownArtifact:
    """A present artifact with its manifest, unless `facts` say otherwise."""
    subject = facts.pop("subject", None)
    return KnownArtifact(
        **{
            "has_manifest": True,
            "is_present": facts.get("absent_at") is None,
            "error_code": None,
            "referrers_observed_at": None,
            "subject": None if subject is None else digest(subject),
            "children": digests(*children),
            **facts,
        }
    )


def known(
    artifacts: dict[str, KnownArtifact] | None = None,
    tags: dict[str, str | None | KnownTag] | None = None,
    *,
    crawled_at: datetime | None = NOW - HOUR,
) -> KnownRepository:
    """A repository that was crawled an hour ago."""
    return KnownRepository(
        crawled_at=crawled_at,
        tags={
            TagName(name): target
            if isinstance(target, KnownTag)
            else KnownTag(None if target is None else digest(target), None)
            for name, target in (tags or {}).items()
        },
        artifacts={digest(name): fields for name, fields in (artifacts or {}).items()},
    )


# How a tag is asked for.


@pytest.mark.parametrize(
    ("crawled_at", "tags", "expected"),
    [
        (None, {}, Question.GET),
        (None, {"v1": None}, Question.GET),
        (None, {"v1": "a"}, Question.HEAD),
        (NOW, {}, Question.HEAD),
        (NOW, {"v1": None}, Question.HEAD),
        (NOW, {"v1": "a"}, Question.HEAD),
    ],
)
def test_question(crawled_at: datetime | None, tags: dict[str, str | None], expected: Question) -> None:
    """A first crawl gets what it does not know; else, or where a GET is counted, it is a HEAD first."""
    repository = known(tags=dict(tags), crawled_at=crawled_at)
    assert expected is question_of(repository, TagName("v1"), counts_pulls=False)
    assert Question.HEAD is question_of(repository, TagName("v1"), counts_pulls=True)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (None, True),
        ({}, False),
        ({"has_manifest": False}, True),
        ({"has_manifest": False, "error_code": "REGISTRY_DENIED"}, True),
        ({"has_manifest": False, "error_code": "DIGEST_MISMATCH"}, True),
        ({"has_manifest": False, "error_code": "MALFORMED_MANIFEST"}, False),
        ({"has_manifest": False, "error_code": "CONTENT_TOO_LARGE"}, False),
    ],
)
def test_needs_manifest(fields: dict[str, Any] | None, expected: bool) -> None:
    """Bytes that are stored, or refused for what they are, are not asked for again; any other failure is."""
    assert expected is needs_manifest(None if fields is None else artifact(**fields))


# Children.


def children_of(repository: KnownRepository, *, before: str = "", at: datetime = NOW, asked: str = "") -> str:
    found = plan_children(repository, at, seen_before=set(map(digest, before)), asked=set(map(digest, asked)))
    return "".join(name.removeprefix("sha256:") for name in found)


@pytest.mark.parametrize(
    ("artifacts", "expected"),
    [
        ({"i": artifact("a", "b")}, "ab"),
        ({"i": artifact("a", "b"), "a": artifact()}, "b"),
        ({"i": artifact("a"), "j": artifact("a")}, "a"),
        ({"i": artifact("j"), "j": artifact("a")}, "a"),
        ({"i": artifact("a"), "a": artifact(has_manifest=False, error_code="REGISTRY_DENIED")}, "a"),
        ({"i": artifact("a"), "a": artifact(has_manifest=False, error_code="MALFORMED_MANIFEST")}, ""),
        ({"i": artifact("a", absent_at=NOW)}, ""),
        # Nothing leads into a cycle, which only a broken hash can make.
        ({"i": artifact("j"), "j": artifact("i", "a")}, ""),
        ({"i": artifact("i")}, ""),
    ],
)
def test_children(artifacts: dict[str, KnownArtifact], expected: str) -> None:
    """What a present index lists and nobody has is asked for, once; cycles end."""
    assert expected == children_of(known(artifacts), before="ij")


def test_children_asked_for_are_not_asked_again() -> None:
    """In one look a child is asked for once, whatever came of it."""
    assert "b" == children_of(known({"i": artifact("a", "b")}), asked="a")


def test_children_of_deep_indexes() -> None:
    """Indexes are followed to a depth counted from the top, by the shortest way."""
    names = "abcdefghijkl"
    chain = {name: artifact(below) for name, below in zip(names, names[1:], strict=False)}
    top = dict(list(chain.items())[:MAX_INDEX_DEPTH])
    assert names[MAX_INDEX_DEPTH] == children_of(known(top))
    deeper = dict(list(chain.items())[: MAX_INDEX_DEPTH + 1])
    assert "" == children_of(known(deeper))
    by_another_way = {**deeper, "z": artifact(names[MAX_INDEX_DEPTH])}
    assert names[MAX_INDEX_DEPTH + 1] == children_of(known(by_another_way))


@pytest.mark.parametrize(
    ("days", "expected"),
    [(0.5, ""), (0.99, ""), (1.01, "a"), (1.5, ""), (2.01, "a"), (3, ""), (4.01, "a"), (7, ""), (8.02, "a")],
)
def test_an_absent_child_is_looked_for_now_and_then(days: float, expected: str) -> None:
    """A missing child is asked for again a day after, two days, four: by the first crawl after each."""
    gone_since = NOW - timedelta(seconds=FIRST_SECOND_LOOK * days)
    repository = known({"i": artifact("a"), "a": artifact(has_manifest=False, absent_at=gone_since)})
    assert expected == children_of(repository, before="i")


def test_an_absent_child_of_an_index_that_is_new() -> None:
    """An index that was not there before is a reason to ask for its absent children at once."""
    repository = known({"i": artifact("a"), "a": artifact(absent_at=NOW)})
    assert ("", "a") == (children_of(repository, before="i"), children_of(repository, before=""))


# What is untagged.


def roots_of(repository: KnownRepository, asked: str = "") -> set[str]:
    found = plan_roots(repository, asked=set(map(digest, asked)))
    return {name.removeprefix("sha256:") for name in found}


@pytest.mark.parametrize(
    ("artifacts", "tags", "expected"),
    [
        ({"a": artifact()}, {"v1": "a"}, ""),
        ({"a": artifact()}, {}, "a"),
        ({"a": artifact(absent_at=NOW)}, {}, ""),
        ({"i": artifact("a"), "a": artifact()}, {"v1": "i"}, ""),
        ({"i": artifact("a"), "a": artifact()}, {}, "i"),
        ({"i": artifact("a", absent_at=NOW), "a": artifact()}, {}, "a"),
        ({"i": artifact("j"), "j": artifact("a"), "a": artifact()}, {}, "i"),
        # A referrer is vouched for by its subject only where the list of referrers was read.
        ({"a": artifact(), "r": artifact(subject="a")}, {"v1": "a"}, "r"),
        ({"a": artifact(referrers_observed_at=NOW), "r": artifact(subject="a")}, {"v1": "a"}, ""),
        ({"r": artifact(subject="a")}, {}, "r"),
        # A tag that is listed and answers 404 vouches for nothing.
        ({"a": artifact()}, {"v1": KnownTag(digest("a"), "REGISTRY_UNKNOWN")}, "a"),
        ({"a": artifact()}, {"v1": KnownTag(digest("a"), "REGISTRY_DENIED")}, ""),
        # Only a broken hash makes a cycle; its members vouch for each other and are all asked for.
        ({"i": artifact("j"), "j": artifact("i")}, {}, "ij"),
        ({"i": artifact("j"), "j": artifact("i")}, {"v1": "i"}, ""),
    ],
)
def test_roots(artifacts: dict[str, KnownArtifact], tags: dict[str, Any], expected: str) -> None:
    """What is present, untagged and vouched for by nothing is asked for."""
    assert set(expected) == roots_of(known(artifacts, tags))


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        (None, False),
        (KnownTag(digest("a"), None), False),
        (KnownTag(digest("a"), UNKNOWN.code), True),
        (KnownTag(None, UNKNOWN.code), True),
        (KnownTag(None, DENIED.code), False),
    ],
)
def test_a_refusal_that_is_known(tag: KnownTag | None, expected: bool) -> None:
    """A HEAD is believed where a GET has said the same; of another tag HEAD itself may be refused."""
    tags: dict[str, str | None | KnownTag] = {} if tag is None else {"v1": tag}
    assert expected == is_refusal_known(known(tags=tags), TagName("v1"), UNKNOWN)


def test_roots_asked_for_are_not_asked_again() -> None:
    """In one look a root is asked for once."""
    assert set() == roots_of(known({"a": artifact()}), asked="a")


NAMES = "abcdefgh"


@st.composite
def repositories(draw: st.DrawFn) -> KnownRepository:
    """Any repository of up to eight artifacts, with edges that may form cycles."""
    some = st.sampled_from(NAMES)
    artifacts = {}
    for name in draw(st.sets(some)):
        artifacts[name] = artifact(
            *draw(st.lists(some, max_size=3)),
            subject=draw(st.none() | some),
            absent_at=draw(st.none() | st.just(NOW)),
            referrers_observed_at=draw(st.none() | st.just(NOW)),
        )
    tags = draw(st.dictionaries(st.sampled_from(["v1", "v2"]), some))
    return known(artifacts, dict(tags))


@given(repositories())
def test_every_untagged_artifact_is_vouched_for(repository: KnownRepository) -> None:
    """From the tags and the roots every present artifact is reached, and no root is absent or tagged."""
    present = {name for name, fields in repository.artifacts.items() if fields.is_present}
    roots = set(plan_roots(repository, asked=NOTHING))
    tagged = {tag.digest for tag in repository.tags.values()}
    assert roots <= present - tagged
    reached = (tagged & present) | roots
    while True:
        below = {child for name in reached for child in repository.artifacts[name].children}
        below |= {
            name
            for name in present
            if (subject := repository.artifacts[name].subject) in reached
            and repository.artifacts[subject].referrers_observed_at is not None
        }
        if below & present <= reached:
            break
        reached |= below & present
    assert present == reached


@given(repositories())
def test_every_walk_ends(repository: KnownRepository) -> None:
    """No graph, cycles included, keeps a plan from ending; nothing absent is planned as a subject."""
    wanted = plan_children(repository, NOW, seen_before=NOTHING, asked=NOTHING)
    assert len(set(wanted)) == len(wanted)
    subjects = plan_subjects(repository, NOW, 0, asked=NOTHING)
    assert all(repository.artifacts[name].is_present for name in subjects)


# Referrers.


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, True),
        ({"referrers_observed_at": NOW - timedelta(seconds=99)}, False),
        ({"referrers_observed_at": NOW - timedelta(seconds=100)}, True),
        ({"has_manifest": False}, False),
        ({"absent_at": NOW}, False),
        ({"children": digests("b")}, True),
    ],
)
def test_subjects(fields: dict[str, Any], expected: bool) -> None:
    """A present manifest is a subject to ask about when its list is older than allowed, or was never read."""
    found = plan_subjects(known({"a": artifact(**fields)}), NOW, 100, asked=NOTHING)
    assert (digests("a") if expected else ()) == found


def test_referrers_of_referrers() -> None:
    """Referrers of referrers are followed to a depth."""
    names = "abcdefghijkl"
    chain = {names[0]: artifact()}
    chain |= {name: artifact(subject=above) for above, name in zip(names, names[1:], strict=False)}
    found = plan_subjects(known(chain), NOW, 100, asked=NOTHING)
    assert digests(*names[:MAX_REFERRER_DEPTH]) == found


@pytest.mark.parametrize(
    ("fields", "listed", "tags", "expected"),
    [
        ({"subject": "a"}, "r", {}, False),
        ({"subject": "a"}, "", {}, True),
        ({"subject": "b"}, "", {}, False),
        ({"subject": "a", "absent_at": NOW}, "", {}, False),
        ({"subject": "a"}, "", {"v1": "r"}, False),
    ],
)
def test_unlisted(fields: dict[str, Any], listed: str, tags: dict[str, Any], expected: bool) -> None:
    """A known referrer that its subject's list has left out is asked for, unless a tag names it."""
    repository = known({"a": artifact(), "r": artifact(**fields)}, tags)
    found = plan_unlisted(repository, {digest("a"): digests(*listed)})
    assert (digests("r") if expected else ()) == found


# Changes.


def changes_of(repository: KnownRepository, **observed: Any) -> RepositoryChanges:
    return plan_changes(repository, ObservedRepository(**observed), NOW)


def test_nothing_observed_changes_nothing() -> None:
    """What was not asked for is not named."""
    repository = known({"a": artifact()}, {"v1": "a"})
    assert RepositoryChanges(at=NOW) == changes_of(repository)
    assert not is_news(repository, changes_of(repository))


def test_a_tag_seen_again() -> None:
    """A tag that names what it named is an observation and no news."""
    repository = known({"a": artifact()}, {"v1": "a"})
    changes = changes_of(repository, tags={TagName("v1"): digest("a")})
    assert (
        RepositoryChanges(at=NOW, tags=(TagChange(TagName("v1"), digest("a")),), observed=digests("a"))
        == changes
    )
    assert not is_news(repository, changes)


@pytest.mark.parametrize(
    ("target", "tags"),
    [
        ("b", {"v1": "a"}),
        ("a", {"v1": "b"}),
        ("a", {}),
        ("a", {"v1": None}),
        ("a", {"v1": KnownTag(digest("a"), "REGISTRY_DENIED")}),
    ],
)
def test_a_tag_that_is_news(target: str, tags: dict[str, Any]) -> None:
    """A tag that is new, moved or has recovered is news."""
    repository = known({"a": artifact(), "b": artifact()}, tags)
    assert is_news(repository, changes_of(repository, tags={TagName("v1"): digest(target)}))


def test_a_tag_that_is_refused() -> None:
    """A refused tag names nothing in the change; what it named before is the store's to keep."""
    repository = known({"a": artifact()}, {"v1": "a"})
    changes = changes_of(repository, tags={TagName("v1"): DENIED})
    assert (TagChange(TagName("v1"), None, DENIED),) == changes.tags
    assert () == changes.absent_tags == changes.absent
    assert is_news(repository, changes)
    refused = known({"a": artifact()}, {"v1": KnownTag(digest("a"), DENIED.code)})
    assert not is_news(refused, changes)


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        ({}, set()),
        ({"tags": {TagName("v1"): digest("a")}}, set()),
        ({"listed_tags": {"v1", "v2"}}, set()),
        ({"listed_tags": {"v1"}}, {"v2"}),
        ({"listed_tags": set()}, {"v1", "v2"}),
        ({"missing_tags": {"v2", "never there"}}, {"v2"}),
    ],
)
def test_absent_tags(observed: dict[str, Any], expected: set[str]) -> None:
    """Only a whole list, or a 404 to a tag that nobody listed, makes a tag absent."""
    changes = changes_of(known({"a": artifact()}, {"v1": "a", "v2": "a"}), **observed)
    assert expected == set(changes.absent_tags)
    assert ("listed_tags" in observed) == changes.is_tag_list_complete


def test_an_artifact_that_was_stored_elsewhere() -> None:
    """A tag that names what this repository did not have, and nobody fetched, makes it present."""
    changes = changes_of(known(), tags={TagName("v1"): digest("a")})
    assert (ArtifactChange(digest("a"), Discovery.TAG),) == changes.present


@pytest.mark.parametrize(
    ("facts", "is_kept"),
    [
        ({}, True),
        ({"has_manifest": False, "error_code": MALFORMED.code}, True),
        ({"has_manifest": False, "error_code": DENIED.code}, False),
        ({"has_manifest": False}, False),
    ],
)
def test_an_artifact_that_comes_back(facts: dict[str, Any], is_kept: bool) -> None:
    """An absent artifact that answers is there again; its manifest, or what refuses it, stays."""
    repository = known({"a": artifact(absent_at=NOW, **facts)})
    changes = changes_of(repository, answered=digests("a"))
    assert (digests("a") if is_kept else ()) == changes.observed
    assert (() if is_kept else (ArtifactChange(digest("a"), Discovery.TAG),)) == changes.present
    assert is_news(repository, changes)


def test_an_artifact_with_a_failure() -> None:
    """Why a manifest could not be had goes with the artifact, and how it was found."""
    seen = ObservedArtifact(Discovery.CHILD, "application/json", 5, MALFORMED)
    changes = changes_of(known(), artifacts={digest("a"): seen})
    expected = ArtifactChange(digest("a"), Discovery.CHILD, "application/json", 5, MALFORMED)
    assert (expected,) == changes.present


def test_answered_and_missing() -> None:
    """A HEAD that is answered is an observation; a 404 makes absent, unless something shows it is there."""
    repository = known({"a": artifact(), "b": artifact(), "c": artifact()})
    changes = changes_of(
        repository,
        answered=digests("a"),
        missing=digests("b", "c"),
        tags={TagName("v1"): digest("c")},
    )
    assert (set(digests("a", "c")), digests("b")) == (set(changes.observed), changes.absent)


def test_referrers_observed() -> None:
    """A list that was read marks its subject, and what it names is seen."""
    repository = known({"a": artifact(), "r": artifact(subject="a")}, {"v1": "a"})
    changes = changes_of(repository, referrers={digest("a"): digests("r")})
    assert (digests("a"), digests("r")) == (changes.referrers_observed, changes.observed)
    assert not is_news(repository, changes)


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        ({"is_finished": True}, {"is_crawled": True, "completeness": "BEST_EFFORT"}),
        ({"is_absent": True}, {"is_absent": True}),
        ({"failure": DENIED}, {"error": DENIED}),
    ],
)
def test_how_a_look_ends(observed: dict[str, Any], expected: dict[str, Any]) -> None:
    """A look that asked everything makes the repository crawled; plain OCI never makes it complete."""
    assert RepositoryChanges(at=NOW, **expected) == changes_of(known(), **observed)
