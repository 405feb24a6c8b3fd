"""A store for each engine that is supported."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from graph.store.engine import Store, open_store


@pytest.fixture(params=["sqlite"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store of one engine; the tests that use it run on every engine in `params`."""
    store = open_store({"sqlite": ":memory:"}[request.param])
    try:
        yield store
    finally:
        store.close()


@pytest.fixture
def db(store: Store) -> Iterator[Connection]:
    """The write transaction of an empty store, thrown away with it."""
    with store.transaction() as db:
        yield db
