"""How a list is walked, page by page, and when it is whole: the pager is driven by hand."""

import json
from collections.abc import Callable, Iterator

import pytest

from graph.registry.dialects.oci import OciDialect
from graph.registry.listing import (
    MAX_BARREN_PAGES,
    MAX_PAGES,
    SMALLER_PAGE_SIZE,
    Pager,
    Paging,
    read_page,
)
from graph.settings import RegistrySettings

CATALOG = OciDialect(RegistrySettings(url="https://registry.example")).catalog()
MAX_NAMES = 20_000


def walk(pager: Pager, *pages: tuple[list[str], str | None] | int) -> list[str | None]:
    """The queries of a walk in which each question gets a page, or a status that refuses it."""
    queries = [pager.query]
    for page in pages:
        if isinstance(page, int):
            assert pager.refuse(page)
        else:
            pager.accept(*page)
        queries.append(pager.query)
    return queries


def test_links_are_followed() -> None:
    """The next query is the Link's, and a page without Link is the last, full or not."""
    assert ["n=2", "last=b&n=2", None] == walk(Pager(2), (["a", "b"], "last=b&n=2"), (["c", "d"], None))


def test_short_page_is_the_last() -> None:
    """A page that is not full and has no Link ends the list."""
    assert ["n=2", None] == walk(Pager(2), (["a"], None))


def test_full_page_without_link() -> None:
    """Gitea pages without Link: the list goes on after the last name, until a page is short."""
    assert ["n=2", "n=2&last=b", "n=2&last=d", None] == walk(
        Pager(2), (["a", "b"], None), (["c", "d"], None), (["e"], None)
    )


def test_paging_that_is_ignored() -> None:
    """distribution 2.8 sends every tag whatever is asked: the whole list shows that there are no more."""
    assert ["n=2", None] == walk(Pager(2), (["a", "b", "c"], None))
    assert ["n=2", "n=2&last=b", "", None] == walk(
        Pager(2), (["a", "b"], None), (["a", "b"], None), (["a", "b"], None)
    )


def test_cursor_that_is_ignored() -> None:
    """go-containerregistry cuts its catalog at `n` and ignores `last`: only the whole list has the rest."""
    assert ["n=2", "n=2&last=b", "", None] == walk(
        Pager(2), (["a", "b"], None), (["b", "c"], None), (["a", "b", "c", "d"], None)
    )


@pytest.mark.parametrize("status", [400, 404, 405])
def test_own_cursor_is_refused(status: int) -> None:
    """ECR refuses a cursor it did not make: the whole list shows whether there was more to come."""
    assert ["n=2", "n=2&last=b", "", None] == walk(Pager(2), (["a", "b"], None), status, (["a", "b"], None))


def test_whole_list_that_is_none() -> None:
    """Where neither a cursor nor the whole list works, nobody knows what the list is."""
    pager = Pager(2)
    walk(pager, (["a", "b"], None), (["c", "d"], None), (["c", "d"], None))
    with pytest.raises(ValueError):
        pager.accept(["a", "b"], None)


def test_empty_last_page() -> None:
    """Pulp links to an empty page whenever the one before it was full."""
    assert ["n=2", "x=1", None] == walk(Pager(2), (["a", "b"], "x=1"), ([], None))


def test_empty_list() -> None:
    """A list may be empty."""
    assert ["n=2", None] == walk(Pager(2), ([], None))


@pytest.mark.parametrize("status", [400, 405])
def test_page_size_is_made_smaller(status: int) -> None:
    """A registry that refuses the page size is asked for less, then for whatever it likes."""
    pager = Pager(1000)
    assert ["n=1000", f"n={SMALLER_PAGE_SIZE}", "", None] == walk(pager, status, status, (["a"], None))
    assert pager.page_size is None


def test_page_size_is_given_up() -> None:
    """A registry that refuses every page size refuses the list."""
    pager = Pager(50)
    walk(pager, 400)
    assert not pager.refuse(400)


@pytest.mark.parametrize("status", [400, 404])
def test_restart(status: int) -> None:
    """A list whose cursor was deleted meanwhile starts again, once."""
    pager = Pager(2)
    pages: list[tuple[list[str], str | None] | int] = [(["a", "b"], "last=b"), status, (["a", "c"], "last=c")]
    assert ["n=2", "last=b", "n=2", "last=c"] == walk(pager, *pages)
    assert not pager.refuse(status)


def test_parameters_are_given_up() -> None:
    """404 without a code, as zuul-registry says to any parameter, is not about the repository: once."""
    pager = Pager(1000)
    assert ["n=1000", ""] == walk(pager, 404)
    assert not pager.refuse(404)


@pytest.mark.parametrize(
    ("status", "codes"), [(401, ()), (403, ()), (404, ("NAME_UNKNOWN",)), (500, ()), (None, ())]
)
def test_first_page_is_refused(status: int | None, codes: tuple[str, ...]) -> None:
    """Other refusals of the first page settle it."""
    assert not Pager(1000).refuse(status, codes)


def test_no_page_of_a_vendor_is_asked_for_without_its_size() -> None:
    """A vendor's own list that is not there has no plainer form."""
    assert not Pager(1000, paging=Paging("per_page")).refuse(404)


@pytest.mark.parametrize("status", [401, 405, 429, 500, None])
def test_later_page_is_refused(status: int | None) -> None:
    """Other refusals of a later page settle it too."""
    pager = Pager(2)
    pager.accept(["a", "b"], "last=b")
    assert not pager.refuse(status)


def exhaust(pager: Pager, name: Callable[[int], list[str]], query: Callable[[int], str]) -> Iterator[int]:
    number = 0
    while pager.query is not None:
        pager.accept(name(number), query(number))
        yield number
        number += 1


@pytest.mark.parametrize(
    ("names", "query", "expected"),
    [
        # A link to the page itself, and to the one before.
        (lambda n: [str(n)], lambda n: "n=1", 0),
        (lambda n: [str(n)], lambda n: f"x={n % 2}", 2),
        # A new link each time, and nothing new behind it.
        (lambda n: ["same"], lambda n: f"x={n}", MAX_BARREN_PAGES),
        (lambda n: [], lambda n: f"x={n}", MAX_BARREN_PAGES - 1),
        # Something new each time, for ever.
        (lambda n: [str(n)], lambda n: f"x={n}", MAX_PAGES - 1),
        (lambda n: [f"{n}-{i}" for i in range(MAX_NAMES // 4)], lambda n: f"x={n}", 4),
    ],
)
def test_endless_lists_end(
    names: Callable[[int], list[str]], query: Callable[[int], str], expected: int
) -> None:
    """A list that never ends is cut short, however new each page looks."""
    pages = exhaust(Pager(1, max_names=MAX_NAMES), names, query)
    taken = 0
    with pytest.raises(ValueError):
        for _ in pages:
            taken += 1
    assert expected == taken


def test_some_empty_pages_are_allowed() -> None:
    """A registry may filter after it pages: empty pages between others are no end."""
    pager = Pager(2)
    for number in range(3 * MAX_BARREN_PAGES):
        pager.accept([str(number)] if number % 5 == 0 else [], f"x={number}")
    pager.accept([], None)
    assert pager.query is None


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"repositories": ["a", "b"]}, (["a", "b"], 0, 0)),
        ({"repositories": None}, ([], 0, 0)),
        ({}, ([], 0, 0)),
        ({"repositories": [], "errors": None}, ([], 0, 0)),
        ({"repositories": ["a", None, 7, {}, "b", "B"]}, (["a", "b"], 4, 3)),
        ({"repositories": ["sha256:" + "0" * 64, "sha256:0"]}, ([], 2, 1)),
    ],
)
def test_read_page(document: object, expected: tuple[list[str], int, int]) -> None:
    """Null lists are empty, items that are no valid names are counted, and so are those that may be any."""
    page = read_page(CATALOG, json.dumps(document).encode())
    assert expected == (page.entries, page.dropped, page.doubtful)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'"a"',
        b'{"repositories":"a"}',
        b'{"repositories":{}}',
        b'{"errors":[{"code":"DENIED"}]}',
        b'{"errors":"denied","repositories":["a"]}',
        b'{"a":1,"a":2}',
        b"[" * 9999,
    ],
)
def test_read_no_page(body: bytes) -> None:
    """What is no list is refused."""
    with pytest.raises(ValueError):
        read_page(CATALOG, body)
