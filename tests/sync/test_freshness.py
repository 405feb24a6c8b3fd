"""How old is too old, in the words of RFC 9111."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.sync.freshness import (
    FIRST_BACK_OFF,
    LONGEST_BACK_OFF,
    CacheControl,
    Demand,
    Freshness,
    age_of,
    demand_of,
    judge,
    parse_cache_control,
    wait_before_crawl,
)

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, CacheControl()),
        ("", CacheControl()),
        ("max-age=60", CacheControl(max_age=60)),
        ("max-age=0", CacheControl(max_age=0)),
        ("Max-Age=60", CacheControl(max_age=60)),
        ('max-age="60"', CacheControl(max_age=60)),
        ("no-cache", CacheControl(no_cache=True)),
        ("only-if-cached", CacheControl(only_if_cached=True)),
        ("no-cache, max-age=60", CacheControl(max_age=60, no_cache=True)),
        (" ,, max-age=60 , only-if-cached,", CacheControl(max_age=60, only_if_cached=True)),
        ("max-age=60, max-age=0", CacheControl(max_age=0)),
        ("max-age=0, max-age=60", CacheControl(max_age=0)),
        ("max-age=" + "9" * 900, CacheControl(max_age=2**31)),
        ("max-age=000000000000060", CacheControl(max_age=60)),
    ],
)
def test_directives_are_read(value: str | None, expected: CacheControl) -> None:
    """The three directives are read in any case, order and form; a huge number is the largest one."""
    assert expected == parse_cache_control(value)


@pytest.mark.parametrize(
    "value",
    [
        "no-store",
        "max-stale=5, min-fresh=3, no-transform",
        "max-age",
        "max-age=",
        "max-age=-1",
        "max-age=1.5",
        "max-age=soon",
        "max-age=٣",
        'private="no-cache, max-age=0"',
        "x-no-cache",
        "no-cache-please",
    ],
)
def test_other_directives_are_ignored(value: str) -> None:
    """A directive that is unknown, or whose number cannot be read, asks for nothing."""
    assert CacheControl() == parse_cache_control(value)


@given(st.text(max_size=2000))
def test_any_text_is_a_header(value: str) -> None:
    """No header, however broken, is an error."""
    parsed = parse_cache_control(value)
    assert parsed.max_age is None or 0 <= parsed.max_age <= 2**31


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", Demand(300)),
        ("max-age=60", Demand(60)),
        ("max-age=86400", Demand(86400)),
        ("max-age=0", Demand(10)),
        ("no-cache", Demand(10)),
        ("no-cache, max-age=86400", Demand(10)),
        ("only-if-cached", Demand(300, may_refresh=False)),
        ("only-if-cached, max-age=5", Demand(10, may_refresh=False)),
    ],
)
def test_demand(value: str, expected: Demand) -> None:
    """The header decides, the setting where it is silent; nothing under min_refresh_age is too old."""
    assert expected == demand_of(parse_cache_control(value), max_age=300, min_refresh_age=10)


@pytest.mark.parametrize(
    ("age", "demand", "expected"),
    [
        (0, Demand(10), Freshness.FRESH),
        (9.999, Demand(10), Freshness.FRESH),
        (10, Demand(10), Freshness.REFRESH),
        (-3600, Demand(10), Freshness.FRESH),
        (10, Demand(10, may_refresh=False), Freshness.STALE),
        (None, Demand(10), Freshness.REFRESH),
        (None, Demand(10, may_refresh=False), Freshness.NOT_STORED),
    ],
)
def test_judge(age: float | None, demand: Demand, expected: Freshness) -> None:
    """An answer is fresh while its age is below the lifetime (RFC 9111, 4.2)."""
    observed_at = None if age is None else NOW - timedelta(seconds=age)
    assert expected == judge(observed_at, NOW, demand)


def test_age() -> None:
    """What was never observed is infinitely old; a clock that went back makes nothing younger than new."""
    assert math.inf == age_of(None, NOW)
    assert age_of(NOW - timedelta(seconds=90), NOW) == 90.0
    assert age_of(NOW + timedelta(seconds=90), NOW) == 0.0


@pytest.mark.parametrize(("ago", "expected"), [(None, 0.0), (0, 900.0), (600, 300.0), (5000, 0.0)])
def test_wait_after_success(ago: float | None, expected: float) -> None:
    """The interval is counted from the end of the last crawl; without one a crawl is due at once."""
    finished_at = None if ago is None else NOW - timedelta(seconds=ago)
    assert expected == wait_before_crawl(finished_at, NOW, interval=900, failures=0, chance=0.5)


@given(failures=st.integers(1, 10**6), chance=st.floats(0, 1), interval=st.floats(0, 10**6))
def test_wait_after_failure(failures: int, chance: float, interval: float) -> None:
    """Each failure doubles the wait up to a bound, of which chance takes at most half."""
    wait = wait_before_crawl(NOW, NOW, interval=interval, failures=failures, chance=chance)
    whole = wait_before_crawl(NOW, NOW, interval=interval, failures=failures, chance=0)
    assert whole / 2 <= wait <= whole <= max(interval, LONGEST_BACK_OFF)
    assert whole >= FIRST_BACK_OFF
    if failures == 3:
        assert whole == 4 * FIRST_BACK_OFF
