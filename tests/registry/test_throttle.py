"""When requests go out after one was refused."""

import pytest

from graph.registry.throttle import FIRST_INTERVAL, FIRST_WAIT, GROWTH, RECOVERY, Throttle


def test_nothing_refused() -> None:
    """Nobody waits."""
    throttle = Throttle(60)
    throttle.note_sent(10)
    throttle.note_answer()
    assert (0.0, 0.0) == (throttle.interval, throttle.held_for(10))
    assert throttle.wait(10) <= 0


def test_told() -> None:
    """Everybody waits as long as the registry says, then goes one after the other."""
    throttle = Throttle(60)
    throttle.note_refusal(0, 1, 5)
    assert (5, 5) == (throttle.wait(1), throttle.held_for(1))
    throttle.note_sent(6)
    assert [FIRST_INTERVAL] == [pytest.approx(throttle.wait(6))]
    assert 0 == throttle.held_for(6)


def test_shorter_word() -> None:
    """A second refusal never shortens the wait."""
    throttle = Throttle(60)
    throttle.note_refusal(0, 1, 30)
    throttle.note_refusal(0, 2, 1)
    assert 29 == throttle.held_for(2)


def test_told_too_long() -> None:
    """A wait beyond the longest holds nobody else back."""
    throttle = Throttle(60)
    throttle.note_refusal(0, 1, 61)
    assert (0.0, 0.0) == (throttle.interval, throttle.held_for(1))


def test_untold() -> None:
    """Without a word waits grow until there is an answer."""
    throttle = Throttle(60)
    now, waits = 0.0, []
    for _ in range(9):
        throttle.note_refusal(now, now, None)
        waits.append(throttle.held_for(now))
        now += waits[-1]
    assert [1, 2, 4, 8, 16, 32, 60, 60, 60] == waits
    throttle.note_answer()
    throttle.note_refusal(now, now, None)
    assert FIRST_WAIT == throttle.held_for(now)


def test_refused_together() -> None:
    """What was under way together is one refusal, and so are those that follow without an answer."""
    throttle = Throttle(60)
    for number in range(16):
        throttle.note_refusal(0, 1 + number / 16, None)
    assert (FIRST_INTERVAL, FIRST_WAIT) == (throttle.interval, throttle.held_for(1.9375))
    throttle.note_refusal(3, 4, None)
    assert FIRST_INTERVAL == throttle.interval


def test_interval() -> None:
    """A refusal after an answer doubles the time between requests, up to the longest wait; answers shorten
    it until it is none.
    """
    throttle = Throttle(60)
    intervals = []
    for number in range(13):
        throttle.note_refusal(number, number, 0)
        intervals.append(throttle.interval)
        throttle.note_answer()
    step = GROWTH * RECOVERY
    expected = [min(FIRST_INTERVAL * step**number, 60) for number in range(13)]
    assert expected == pytest.approx(intervals)
    answers = 0
    while throttle.interval:
        throttle.note_answer()
        answers += 1
    assert 430 == answers  # 60 s × 0.98 × 0.98^430 is less than 10 ms
