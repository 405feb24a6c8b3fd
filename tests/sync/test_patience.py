"""Refusals are values; silence in a row is not."""

import pytest

from graph.errors import (
    DigestMismatchError,
    GraphError,
    RegistryDeniedError,
    RegistryFailedError,
    RegistryThrottledError,
    RegistryUnknownError,
    RegistryUnreachableError,
    StoreBusyError,
)
from graph.store.changes import Failure
from graph.sync.patience import MAX_FAILURES_IN_A_ROW, MAX_MESSAGE_LENGTH, Patience, failure_of

pytestmark = pytest.mark.anyio


async def refuse(error: Exception) -> int:
    raise error


async def answer() -> int:
    return 1


async def test_an_answer_is_an_answer() -> None:
    """What came is returned as it came."""
    assert await Patience().ask(answer()) == 1


@pytest.mark.parametrize(
    "error",
    [
        RegistryDeniedError("no"),
        RegistryUnknownError("no"),
        RegistryUnreachableError("no"),
        DigestMismatchError("a", "b"),
    ],
)
async def test_a_refusal_is_a_value(error: GraphError) -> None:
    """One refusal is a failure with the error's code, and the error is kept for who has to raise it."""
    patience = Patience()
    assert Failure(error.code, str(error)) == await patience.ask(refuse(error))
    assert error is patience.last_error


async def test_silence_in_a_row() -> None:
    """So many unanswered requests are put up with; the next is raised."""
    patience = Patience()
    for _ in range(MAX_FAILURES_IN_A_ROW):
        assert isinstance(await patience.ask(refuse(RegistryFailedError("no"))), Failure)
    with pytest.raises(RegistryFailedError):
        await patience.ask(refuse(RegistryFailedError("no")))


@pytest.mark.parametrize("error", [None, RegistryDeniedError("no"), RegistryUnknownError("no")])
async def test_an_answer_ends_the_row(error: Exception | None) -> None:
    """Whatever shows that the registry is there, a refusal too, begins the count anew."""
    patience = Patience()
    for _ in range(3):
        for _ in range(MAX_FAILURES_IN_A_ROW):
            await patience.ask(refuse(RegistryUnreachableError("no")))
        await patience.ask(answer() if error is None else refuse(error))


@pytest.mark.parametrize(
    "error", [RegistryThrottledError("slow down"), StoreBusyError("busy"), KeyError("x")]
)
async def test_what_is_never_a_value(error: Exception) -> None:
    """A registry that wants fewer requests, a store that fails and a mistake of ours are raised at once."""
    with pytest.raises(type(error)):
        await Patience().ask(refuse(error))


def test_manifests_are_counted() -> None:
    """So many manifests may be fetched, and no more."""
    patience = Patience(max_manifests=2)
    assert [True, True, False, False] == [patience.take_manifest() for _ in range(4)]


def test_messages_are_bounded() -> None:
    """A message holds so many characters at most: it may be the registry's."""
    assert MAX_MESSAGE_LENGTH == len(failure_of(RegistryFailedError("x" * 10_000)).message)
