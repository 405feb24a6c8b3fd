"""What a crawl is told of a repository before it asks the registry."""

import pytest
from sqlalchemy import Connection

from builders import make_image, make_index, make_layer, make_sbom
from graph.store.observations import load_known
from store_writes import DENIED, Writer

ONE, TWO = make_image([make_layer("one")]), make_image([make_layer("two")])


@pytest.fixture
def writer(db: Connection) -> Writer:
    return Writer(db)


def test_load_known(writer: Writer) -> None:
    """What is known of a repository is enough to compare it with what its registry says."""
    index, sbom = make_index([ONE]), make_sbom(TWO)
    at = writer.look("web", {"latest": index, "denied": DENIED}, present=[ONE, sbom], is_crawled=True)
    gone_at = writer.look("web", present=[TWO]) and writer.see("web", absent=[TWO])
    known = load_known(writer.db, writer.repository("web"))
    assert at == known.crawled_at
    assert {"latest": index.digest, "denied": None} == {name: tag.digest for name, tag in known.tags.items()}
    assert "REGISTRY_DENIED" == {**known.tags}["denied"].error_code
    facts = {
        digest: (
            artifact.is_present,
            artifact.subject,
            artifact.children,
            artifact.absent_at,
        )
        for digest, artifact in known.artifacts.items()
    }
    assert {
        index.digest: (True, None, (ONE.digest,), None),
        ONE.digest: (True, None, (), None),
        sbom.digest: (True, TWO.digest, (), None),
        TWO.digest: (False, None, (), gone_at),
    } == facts


def test_load_unknown(writer: Writer) -> None:
    """A repository that is not stored is a mistake of the caller."""
    with pytest.raises(KeyError):
        load_known(writer.db, 1)
