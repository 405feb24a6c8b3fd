"""Version keys: compared by bytes they put tags in version order."""

import functools
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.oci.tags import MAX_VERSION_KEY_LENGTH, version_key


def key(name: str) -> bytes:
    return version_key(name).encode()


ORDERED = [
    "0",
    "0.0.1",
    "0.9",
    "v1-alpha",
    "1",
    "1.0-rc1",
    "1.0",
    # semver.org, item 11: 1.0.0-alpha < 1.0.0-alpha.1 < … < 1.0.0
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0-rc2",
    "1.0.0-rc10",
    "1.0.0",
    "1.0.0_build.5",
    "1.0.0_build.10",
    "1.0.1",
    "1.1.1",
    "1.1.1a",
    "1.1.1k",
    "v1.2",
    "1.2.0",
    "1.2.3",
    "1.2.10",
    "1.10",
    "3.13.0a1",
    "3.13.0b2",
    "3.13.0rc1",
    "3.13.0rc2",
    "3.13.0rc10",
    "3.13.0",
    "3.13.0.Final",
    "V4.0.RC1",
    "4.0",
    "17beta1",
    "17rc1",
    "17",
    "17.1",
    "2024.1.9",
    "2024.01.10",
    "20240102",
    "20240102153000",
    "100000000000000000000000000000000000000",
    "Main",
    "_",
    "alpine3.9",
    "alpine3.18",
    "edge",
    "latest",
    "pr-9",
    "pr-10",
    "v",
    "version2",
    "version10",
]


@pytest.mark.parametrize(("lesser", "greater"), list(pairwise(ORDERED)))
def test_versions_and_names_come_in_the_order_people_expect(lesser: str, greater: str) -> None:
    """Natural order of numbers, semver precedence, pre-releases before the release, names after versions."""
    assert key(lesser) < key(greater)


@pytest.mark.parametrize(
    ("one", "other"),
    [("v1.2.3", "1.2.3"), ("V1", "1"), ("1.01", "1.1"), ("1.0rc1", "1.0-rc1"), ("pr-007", "pr-7")],
)
def test_names_of_one_version_have_one_key(one: str, other: str) -> None:
    """A `v` and leading zeros make no other version."""
    assert key(one) == key(other)


# An independent comparison, straight from the rules: lists of values, no keys.


def compare_lists(left: list[object], right: list[object]) -> int:
    for one, other in zip(left, right, strict=False):
        if one == other:
            continue
        if isinstance(one, int) != isinstance(other, int):
            return -1 if isinstance(one, int) else 1  # a number comes before text
        if isinstance(one, list) and isinstance(other, list):
            return compare_lists(one, other)
        return -1 if one < other else 1  # type: ignore[operator]  # both int, or both str
    return (len(left) > len(right)) - (len(left) < len(right))


def characters(text: str) -> list[object]:
    """Character by character, but a run of digits is one number."""
    return [int(run) if run.isdigit() else run for run in re.findall(r"\d+|\D", text)]


def compare_names(left: str, right: str) -> int:
    pattern = re.compile(r"[vV]?(\d+(?:\.\d+)*)(.*)", re.DOTALL)
    one, other = pattern.fullmatch(left), pattern.fullmatch(right)
    if one is None or other is None:
        if one is None and other is None:
            return compare_lists(characters(left), characters(right))
        return 1 if one is None else -1
    numbers, others = ([int(number) for number in match[1].split(".")] for match in (one, other))
    if numbers != others:
        shortest = min(len(numbers), len(others))
        if numbers[:shortest] == others[:shortest]:
            return -1 if len(numbers) < len(others) else 1  # 1.2-anything < 1.2 < 1.2_anything < 1.2.0
        return -1 if numbers < others else 1
    (rank, rest), (other_rank, other_rest) = rank_suffix(one[2]), rank_suffix(other[2])
    if rank != other_rank:
        return -1 if rank < other_rank else 1
    if rank == 0:
        return compare_lists(identifiers(rest), identifiers(other_rest))
    return compare_lists(characters(rest), characters(other_rest))


def rank_suffix(suffix: str) -> tuple[int, str]:
    if suffix == "":
        return 1, ""
    if suffix[0] == "-":
        return 0, suffix[1:]
    bare = suffix[1:] if suffix[0] in "._" else suffix
    word = re.match(r"[a-z]*", bare.lower())
    letters = word[0] if word else ""
    known = ("alpha", "beta", "rc", "cr", "pre", "preview", "dev", "snapshot", "milestone")
    followed_by_digit = len(bare) > len(letters) and bare[len(letters)].isdigit()
    if letters in known or (letters in ("a", "b", "c", "m") and followed_by_digit):
        return 0, bare
    return 2, suffix


def identifiers(text: str) -> list[object]:
    """A number, or text taken apart; a part of digits comes before any text."""
    return [int(part) if part.isdigit() else characters(part) for part in text.split(".")]


def sign(left: bytes, right: bytes) -> int:
    return (left > right) - (left < right)


words = st.sampled_from(
    ["rc", "alpha", "beta", "a", "b", "k", "dev", "Final", "rcx", "RC", "build", "v", "x"]
)
numbers = st.integers(0, 12).map(str) | st.from_regex(r"[0-9]{1,24}", fullmatch=True)
marks = st.sampled_from([".", "-", "_", ""])
names = st.lists(st.tuples(marks, numbers | words), min_size=1, max_size=6).map(
    lambda parts: ("".join(mark + part for mark, part in parts)).lstrip(".-") or "0"
) | st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,20}", fullmatch=True)


@given(names, names)
def test_keys_order_names_as_the_rules_compare_them(left: str, right: str) -> None:
    """The order of the keys' bytes is the order that the rules give, ties included."""
    assert compare_names(left, right) == sign(key(left), key(right))


@given(st.lists(names, max_size=12))
def test_keys_sort_as_the_comparison_sorts(some: list[str]) -> None:
    """A database that sorts keys by bytes gives the list that the comparison gives."""
    some = sorted(some)
    assert sorted(some, key=functools.cmp_to_key(compare_names)) == sorted(some, key=key)


semver_identifiers = st.from_regex(r"0|[1-9][0-9]{0,3}|[a-zA-Z-]{1,4}", fullmatch=True)
semvers = st.tuples(
    st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30)),
    st.lists(semver_identifiers, max_size=4),
)


def compare_semver(left: tuple[tuple[int, ...], list[str]], right: tuple[tuple[int, ...], list[str]]) -> int:
    """Semver 2.0.0, item 11, to the letter; identifiers that mix letters and digits are left out above."""
    if left[0] != right[0]:
        return -1 if left[0] < right[0] else 1
    if not left[1] or not right[1]:
        return bool(right[1]) - bool(left[1]) if left[1] != right[1] else 0
    for one, other in zip(left[1], right[1], strict=False):
        if one == other:
            continue
        if one.isdigit() and other.isdigit():
            return -1 if int(one) < int(other) else 1
        if one.isdigit() or other.isdigit():
            return -1 if one.isdigit() else 1
        return -1 if one < other else 1
    return (len(left[1]) > len(right[1])) - (len(left[1]) < len(right[1]))


@given(semvers, semvers)
def test_keys_order_semantic_versions_by_semver(
    left: tuple[tuple[int, ...], list[str]], right: tuple[tuple[int, ...], list[str]]
) -> None:
    """Where a tag is a semantic version, its precedence is semver's."""

    def text(version: tuple[tuple[int, ...], list[str]]) -> str:
        numbers, parts = version
        return ".".join(map(str, numbers)) + ("-" + ".".join(parts) if parts else "")

    expected = compare_semver(left, right)
    assert expected == sign(key(text(left)), key(text(right)))


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=128))
def test_key_is_bounded_ascii(name: str) -> None:
    """A key has a known largest length, and bytes that every database sorts alike."""
    assert version_key(name).isascii()
    assert len(version_key(name)) <= MAX_VERSION_KEY_LENGTH


@pytest.mark.parametrize("pattern", ["1", "1a", "a1", "1.", "a.", "1a.", "9999999a", "0", "1-a.", "-"])
def test_longest_names_keep_the_bound(pattern: str) -> None:
    """The bound holds for the patterns that blow a key up most, and for names beyond any tag's length."""
    assert len(version_key(pattern * 1000)) <= MAX_VERSION_KEY_LENGTH


@given(st.text())
def test_any_text_has_a_key(name: str) -> None:
    """No name breaks the order, not even one that is no tag."""
    assert isinstance(version_key(name), str)
