"""A store for each engine that is supported."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from graph.store.engine import Store, open_store
from store_builders import ENGINES


@pytest.fixture(params=ENGINES)
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store of one engine; the tests that use it run on every one."""
    store = open_store(ENGINES[request.param])
    try:
        yield store
    finally:
        store.close()


@pytest.fixture
def db(store: Store) -> Iterator[Connection]:
    """The write transaction of an empty store, thrown away with it."""
    with store.transaction() as db:
        yield db
