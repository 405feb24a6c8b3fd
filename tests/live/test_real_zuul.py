"""What zuul-registry does as no other: a ping for writers only, and several manifests under one tag."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from builders import make_image
from live.census import Skopeo
from live.holdings import ALL, BASE, HELD, crawl_once, known_in, write_settings
from live.rigs import ZUUL_WRITER, zuul_registry
from live.seeding import Writer, log_in, push

pytestmark = pytest.mark.live

# Pushed to the tag in this order.
BOTH = (make_image([BASE], docker=True), make_image([BASE]))


@dataclass(frozen=True)
class Zuul:
    """A running zuul-registry that holds HELD, and settings that name repositories of it."""

    url: str
    writer: Writer
    directory: Path

    def settings(self, *include: str, **others: object) -> Path:
        """Settings that name these repositories, in which nobody logs in."""
        chosen = {"include": list(include)} if include else {}
        return write_settings(self.directory / "settings.toml", {"url": self.url, **chosen, **others})


@pytest.fixture(scope="module")
def zuul(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zuul]:
    directory = tmp_path_factory.mktemp("zuul")
    with zuul_registry(directory) as url:
        writer = log_in(url, ZUUL_WRITER)
        for repository, tags in HELD.items():
            for tag, built in tags.items():
                push(url, repository, built, tag, **writer.login)
        for built in BOTH:
            push(url, "two/forms", built, "1", **writer.login)
        yield Zuul(url, writer, directory)


def test_what_is_named_is_read(zuul: Zuul, tmp_path: Path) -> None:
    """Without a login; what it lists among the tags of a repository that is none, digests, is left out."""
    report = crawl_once(zuul.settings(*HELD), tmp_path / "store.db")
    assert (None, {}) == (report.failure, report.trouble_counts)
    assert ALL == known_in(tmp_path / "store.db")
    # The child of the index.
    assert 1 == report.names_dropped


def test_later_crawl(zuul: Zuul, tmp_path: Path) -> None:
    """A later crawl finds all as it was, and fetches nothing anew."""
    settings, store = zuul.settings(*HELD), tmp_path / "store.db"
    for manifests in (5, 0):
        report = crawl_once(settings, store)
        assert (None, {}, manifests) == (report.failure, report.trouble_counts, report.manifests)
    assert ALL == known_in(store)


def test_nothing_is_named(zuul: Zuul, tmp_path: Path) -> None:
    """Who has no login and names nothing is refused; a writer is told that there is no catalog."""
    failure = crawl_once(zuul.settings(), tmp_path / "store.db").failure
    assert failure is not None
    assert "REGISTRY_DENIED" == failure.code
    user, _, password = ZUUL_WRITER.partition(":")
    settings = zuul.settings(username=user, password=password)
    failure = crawl_once(settings, tmp_path / "other.db").failure
    assert failure is not None
    assert "REGISTRY_UNSUPPORTED" == failure.code


def test_tag_that_holds_several(zuul: Zuul, tmp_path: Path) -> None:
    """A tag is what skopeo, which accepts as many types, is told that it is."""
    crawl_once(zuul.settings("two/forms"), tmp_path / "store.db")
    tags, _ = known_in(tmp_path / "store.db")
    seen = Skopeo(zuul.url).inspect("two/forms:1")
    assert {"two/forms": {"1": seen.digest}} == tags
    assert seen.digest in {built.digest for built in BOTH}


def test_name_that_was_never_pushed(zuul: Zuul, tmp_path: Path) -> None:
    """Of any name it says that it has no tags, and so do we."""
    crawl_once(zuul.settings("nobody/knows", *HELD), tmp_path / "store.db")
    tags, counts = known_in(tmp_path / "store.db")
    assert ({**ALL[0], "nobody/knows": {}}, ALL[1]) == (tags, counts)
