"""What the name of a tag means: its place in version order, and whether it is a referrer tag.

Rules of this file: text in, text or a value out. A version key is ASCII and compared by bytes, so that every
database sorts tags alike without knowing what a version is. The order:

1.  Versions (a digit first, a `v` before it ignored) come before names.
2.  Versions go by their numbers: 1.2 < 1.2.0 < 1.2.1 < 1.10. What follows the numbers after `-` is a
    pre-release and comes before the version without it, as do `rc1`, `beta2` and their like without the `-`
    (3.13.0rc1). Its parts compare by semver 2.0.0, 11.4, but for digits inside a part: rc2 < rc10.
3.  Anything else after the numbers (`_1`, `k` in 1.1.1k, `.Final`) comes after the version without it.
4.  Names compare character by character, but digits by the number they make: pr-9 < pr-10.

Two names may have one key (v1 and 1, 01 and 1): then the order between them is the caller's.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from graph.oci.digest import Digest, parse_digest
from graph.oci.reference import MAX_TAG_NAME_LENGTH, TagName

# Characters of a key: every second character of a name a digit, and each of those two in the key, with its
# marks.
MAX_VERSION_KEY_LENGTH = 3 * MAX_TAG_NAME_LENGTH

# All marks sort before every character of a tag name, the least of which is "-". Among each other: " " ends a
# part, so that a part comes before its continuations; then what may follow the numbers of a version; then the
# lengths of numbers, so that a number comes before text.
_PART_END = " "
_PRE_RELEASE = "!"
_RELEASE_END = '"'
_SUFFIX = "#"
_SHORTEST, _LONGEST = "%", ","
_TEXT = (
    "~"  # sorts after every character of a tag name: parts with text come after numbers, names after versions
)

_STEPS = ord(_LONGEST) - ord(_SHORTEST)
_LENGTHS = tuple(
    _LONGEST * (length // _STEPS) + chr(ord(_SHORTEST) + length % _STEPS)
    for length in range(MAX_TAG_NAME_LENGTH + 1)
)

_DIGITS = re.compile(r"[0-9]+")
_VERSION = re.compile(r"[vV]?([0-9]+(?:\.[0-9]+)*)")
# Python's, PostgreSQL's and Spring's pre-releases have no "-". One letter counts only with a number behind
# it: 1.1.1a of OpenSSL is a later release, 3.13.0a1 of Python an earlier one.
_PRE_RELEASE_WORD = re.compile(
    r"[._]?(?=(?:(?:alpha|beta|rc|cr|pre|preview|dev|snapshot|milestone)(?![a-z])|[abcm][0-9]))",
    re.IGNORECASE,
)


class ReferrerTagForm(StrEnum):
    """Who made a referrer tag: the specification's fallback, or one of cosign's three."""

    FALLBACK = "FALLBACK"
    SIGNATURE = "SIGNATURE"
    ATTESTATION = "ATTESTATION"
    SBOM = "SBOM"


@dataclass(frozen=True, slots=True)
class ReferrerTag:
    """A tag that leads from a subject to its referrers.

    `subject` is None for algorithms with more than 64 digits, such as sha512: the tag holds only the first
    64.
    """

    subject: Digest | None
    form: ReferrerTagForm


_FORMS = {
    "": ReferrerTagForm.FALLBACK,
    ".sig": ReferrerTagForm.SIGNATURE,
    ".att": ReferrerTagForm.ATTESTATION,
    ".sbom": ReferrerTagForm.SBOM,
}
# Only registered algorithms: `main-<git commit>` is an ordinary tag.
_REFERRER_TAG = re.compile(r"(sha256|sha512|blake3)-([0-9a-f]{64})(\.sig|\.att|\.sbom)?")


def version_key(name: str) -> str:
    """The key by which tags are put in version order (above), compared by bytes.

    At most MAX_VERSION_KEY_LENGTH characters, and ASCII if the name is; only the first 128 characters of a
    name count, which is as long as a tag may be.
    """
    name = name[:MAX_TAG_NAME_LENGTH]
    version = _VERSION.match(name)
    if version is None:
        return _TEXT + _DIGITS.sub(_number, name)
    numbers = "".join(map(_number_key, version[1].split(".")))
    end = version.end()
    if end == len(name):
        return numbers + _RELEASE_END
    if name[end] == "-":
        return numbers + _PRE_RELEASE + _pre_release_key(name[end + 1 :])
    word = _PRE_RELEASE_WORD.match(name, end)
    if word is not None:
        return numbers + _PRE_RELEASE + _pre_release_key(name[word.end() :])
    return numbers + _SUFFIX + _DIGITS.sub(_number, name[end:])


def _pre_release_key(text: str) -> str:
    return "".join(
        _number_key(part) if part.isdecimal() else _TEXT + _DIGITS.sub(_number, part) + _PART_END
        for part in text.split(".")
    )


def _number(match: re.Match[str]) -> str:
    return _number_key(match[0])


def _number_key(digits: str) -> str:
    significant = digits.lstrip("0")
    return _LENGTHS[len(significant)] + significant


def parse_referrer_tag(name: TagName) -> ReferrerTag | None:
    """What a referrer tag refers to and how; None for an ordinary tag."""
    match = _REFERRER_TAG.fullmatch(name)
    if match is None:
        return None
    algorithm, encoded, suffix = match.groups(default="")
    subject = None if algorithm == "sha512" else parse_digest(f"{algorithm}:{encoded}")
    return ReferrerTag(subject, _FORMS[suffix])
