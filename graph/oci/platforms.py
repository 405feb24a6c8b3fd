"""What a node of a platform runs, and which image of an index it pulls.

Rules of this file: pure. A platform is written `os/architecture` or `os/architecture/variant`, as
`docker pull --platform` takes it. Two spellings of one platform are one (`arm64` and `arm64/v8`, `x86_64` and
`amd64`), and a node runs the images of some lesser platforms as well (arm/v7 those of arm/v6, amd64 those of
386), its own first. Both are containerd's rules, which Docker shares: github.com/containerd/platforms,
`normalizeArch` and `normalizeOS` in database.go (07c2124b7fcc) and `Only` in compare.go (122d4d057f95).

The version of an operating system is not compared: who asks about Windows gets the first image listed.
"""

import re
from collections.abc import Iterable, Sequence

from graph.errors import InputError
from graph.oci.descriptor import MAX_PLATFORM_LENGTH, Platform

# What is pulled from an index when nobody says for which platform.
DEFAULT_PLATFORM = Platform("linux", "amd64", None, None)

_PART = re.compile(r"[a-z0-9][a-z0-9_.-]*", re.IGNORECASE | re.ASCII)
_NUMBER = re.compile(r"v?([0-9]{1,3})", re.ASCII)
_ARM64 = re.compile(r"v([0-9]{1,3})(?:\.([0-9]))?", re.ASCII)

_OS_ALIASES = {"macos": "darwin"}
_ARCHITECTURE_ALIASES = {
    "i386": "386",
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "armhf": "arm",
    "armel": "arm",
}
_ARM_VARIANTS = {"armhf": "v7", "armel": "v6"}


def parse_platform(text: str) -> Platform:
    """The platform that the text names, in its usual spelling.

    Raises InputError.
    """
    parts = text.split("/") if len(text) <= 3 * MAX_PLATFORM_LENGTH else []
    if len(parts) not in (2, 3) or any(
        len(part) > MAX_PLATFORM_LENGTH or _PART.fullmatch(part) is None for part in parts
    ):
        raise InputError(
            f"{text[:80]!r} is not a platform: expected os/architecture or os/architecture/variant, such as "
            "linux/amd64 or linux/arm/v7"
        )
    os, architecture, *variants = parts
    return normalize_platform(Platform(os, architecture, variants[0] if variants else None, None))


def format_platform(platform: Platform) -> str:
    """The platform as it is written; what is not known of it as `unknown`."""
    parts = [platform.os or "unknown", platform.architecture or "unknown", platform.variant]
    return "/".join(part for part in parts if part)


def normalize_platform(platform: Platform) -> Platform:
    """The same platform in its usual spelling."""
    os = (platform.os or "").lower()
    written = (platform.architecture or "").lower()
    variant: str | None = (platform.variant or "").lower()
    architecture = _ARCHITECTURE_ALIASES.get(written, written)
    if written == "i386" or (architecture, variant) in (
        ("amd64", "v1"),
        ("arm64", "8"),
        ("arm64", "v8"),
    ):
        variant = None
    elif written in _ARM_VARIANTS:
        variant = _ARM_VARIANTS[written]
    elif architecture == "arm":
        variant = f"v{variant}" if variant in ("5", "6", "7", "8") else variant or "v7"
    return Platform(
        _OS_ALIASES.get(os, os) or None, architecture or None, variant or None, platform.os_version
    )


def runnable_on(platform: Platform) -> list[Platform]:
    """The platforms whose images a node of this one runs, its own first, then the better before the lesser.

    The platform is in its usual spelling.
    """
    pairs = _lesser(platform.architecture or "", platform.variant or "")
    found = [
        normalize_platform(Platform(platform.os, architecture, variant or None, None))
        for architecture, variant in pairs
    ]
    return list(dict.fromkeys(found))


def _lesser(architecture: str, variant: str) -> Iterable[tuple[str, str]]:
    yield architecture, variant
    if architecture == "amd64":
        number = _NUMBER.fullmatch(variant)
        yield from (("amd64", f"v{n}") for n in range(int(number[1]) - 1 if number else 0, 0, -1))
        yield "386", ""
    elif architecture == "arm":
        number = _NUMBER.fullmatch(variant)
        yield from (("arm", f"v{n}") for n in range(int(number[1]) - 1 if number else 0, 4, -1))
    elif architecture == "arm64":
        yield from _lesser_arm64(variant or "v8")


def _lesser_arm64(variant: str) -> Iterable[tuple[str, str]]:
    match = _ARM64.fullmatch(variant)
    major, minor = (int(match[1]), int(match[2] or 0)) if match else (0, 0)
    if major == 9:
        yield from (("arm64", _dotted(9, n)) for n in range(minor - 1, -1, -1))
        minor += 5  # v9.0 grew out of v8.5
        yield "arm64", f"v8.{minor}"
    if major in (8, 9):
        yield from (("arm64", _dotted(8, n)) for n in range(minor - 1, -1, -1))
    is_dotted = variant.startswith(("v8.", "v9."))
    yield from _lesser("arm", "v8" if is_dotted else variant)


def _dotted(major: int, minor: int) -> str:
    return f"v{major}.{minor}" if minor else f"v{major}"


def rank_platform(wanted: Sequence[Platform], offered: Platform | None) -> int | None:
    """How good an image of the offered platform is for a node that runs what is wanted; 0 is best.

    None: it does not run there. An image that tells no platform comes after all that tell one, as
    containers/image has it (`chooseInstance` in internal/manifest/oci_index.go, 04865d91269a).
    """
    if offered is None or (offered.os is None and offered.architecture is None):
        return len(wanted)
    usual = normalize_platform(Platform(offered.os, offered.architecture, offered.variant, None))
    return wanted.index(usual) if usual in wanted else None
