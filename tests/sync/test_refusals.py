"""What a registry wants not to be asked is remembered for as long as it says, and no more than a number."""

from datetime import UTC, datetime, timedelta

from graph.sync.refusals import MAX_QUESTIONS, Refusals

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_wait() -> None:
    """A question waits for its own time, which the last refusal tells."""
    refusals = Refusals()
    refusals.note("repository team", NOW, 600)
    later = NOW + timedelta(seconds=100)
    assert [500, 0] == [refusals.wait(question, later) for question in ("repository team", "tag team")]
    refusals.note("repository team", later, 10)
    assert 10 == refusals.wait("repository team", later)
    assert 0 == refusals.wait("repository team", NOW + timedelta(seconds=600))


def test_what_is_remembered_is_bounded() -> None:
    """The question that was refused longest ago is forgotten first."""
    refusals = Refusals()
    for number in [*range(MAX_QUESTIONS), 0, MAX_QUESTIONS]:
        refusals.note(f"repository team{number}", NOW, 600)
    assert [600, 0, 600] == [refusals.wait(f"repository team{number}", NOW) for number in (0, 1, 2)]
