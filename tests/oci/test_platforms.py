"""Platforms: how they are written, which spellings are one, and what a node of each runs."""

import pytest

from graph.errors import InputError
from graph.oci.descriptor import Platform
from graph.oci.platforms import (
    DEFAULT_PLATFORM,
    format_platform,
    normalize_platform,
    parse_platform,
    rank_platform,
    runnable_on,
)


@pytest.mark.parametrize(
    ("text", "usual"),
    [
        ("linux/amd64", "linux/amd64"),
        ("Linux/X86_64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("linux/i386", "linux/386"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/8", "linux/arm64"),
        ("linux/arm64/v9", "linux/arm64/v9"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/6", "linux/arm/v6"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("macos/arm64", "darwin/arm64"),
        ("windows/amd64", "windows/amd64"),
    ],
)
def test_spellings(text: str, usual: str) -> None:
    """Each spelling of a platform is read as the usual one, as containerd has it."""
    assert usual == format_platform(parse_platform(text))


@pytest.mark.parametrize(
    "text",
    ["", "linux", "/amd64", "linux/", "linux//v8", "a/b/c/d", "linux/amd 64", "l\u0131nux/amd64", "x" * 9000],
)
def test_what_is_no_platform(text: str) -> None:
    """Two or three words with slashes between them, and nothing else, are a platform."""
    with pytest.raises(InputError):
        parse_platform(text)


@pytest.mark.parametrize(
    ("node", "runs"),
    [
        ("linux/amd64", ["linux/amd64", "linux/386"]),
        ("linux/amd64/v3", ["linux/amd64/v3", "linux/amd64/v2", "linux/amd64", "linux/386"]),
        ("linux/arm/v7", ["linux/arm/v7", "linux/arm/v6", "linux/arm/v5"]),
        ("linux/arm/v5", ["linux/arm/v5"]),
        ("linux/arm64", ["linux/arm64", "linux/arm/v8", "linux/arm/v7", "linux/arm/v6", "linux/arm/v5"]),
        (
            "linux/arm64/v8.1",
            [
                *("linux/arm64/v8.1", "linux/arm64"),
                *("linux/arm/v8", "linux/arm/v7", "linux/arm/v6", "linux/arm/v5"),
            ],
        ),
        (
            "linux/arm64/v9.1",
            [
                *("linux/arm64/v9.1", "linux/arm64/v9", "linux/arm64/v8.6", "linux/arm64/v8.5"),
                *("linux/arm64/v8.4", "linux/arm64/v8.3", "linux/arm64/v8.2", "linux/arm64/v8.1"),
                *("linux/arm64", "linux/arm/v8", "linux/arm/v7", "linux/arm/v6", "linux/arm/v5"),
            ],
        ),
        ("linux/s390x", ["linux/s390x"]),
        ("windows/amd64", ["windows/amd64", "windows/386"]),
    ],
)
def test_what_a_node_runs(node: str, runs: list[str]) -> None:
    """A node runs its own platform first, then the lesser ones in containerd's order."""
    assert runs == list(map(format_platform, runnable_on(parse_platform(node))))


def test_ranks() -> None:
    """The better platform ranks lower, another operating system not at all, no platform last."""
    wanted = runnable_on(parse_platform("linux/arm64"))

    ranks = [
        rank_platform(wanted, Platform("linux", "arm64", "v8", None)),
        rank_platform(wanted, Platform("linux", "arm", None, None)),
        rank_platform(wanted, None),
        rank_platform(wanted, Platform(None, None, None, None)),
        rank_platform(wanted, Platform("windows", "arm64", None, "10.0.1")),
        rank_platform(wanted, Platform("linux", None, None, None)),
    ]

    assert [0, 2, 5, 5, None, None] == ranks


def test_the_version_of_the_system_is_kept_but_not_compared() -> None:
    """A Windows image matches whatever its version; what is shown of it keeps the version."""
    offered = Platform("windows", "amd64", None, "10.0.20348.1")

    assert 0 == rank_platform(runnable_on(parse_platform("windows/amd64")), offered)
    assert "10.0.20348.1" == normalize_platform(offered).os_version


def test_the_default_is_in_its_usual_spelling() -> None:
    """What is taken where no platform is given needs no normalizing."""
    assert DEFAULT_PLATFORM == normalize_platform(DEFAULT_PLATFORM)
