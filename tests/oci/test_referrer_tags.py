"""Referrer tags: the specification's fallback and cosign's three, told from ordinary tags."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.oci.digest import Digest, compute_digest, parse_digest
from graph.oci.reference import TagName, parse_tag_name
from graph.oci.tags import ReferrerTag, ReferrerTagForm, fallback_tag, parse_referrer_tag

HEX = "0123456789abcdef" * 4
SUBJECT = Digest(f"sha256:{HEX}")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"sha256-{HEX}", ReferrerTag(SUBJECT, ReferrerTagForm.FALLBACK)),
        (f"sha256-{HEX}.sig", ReferrerTag(SUBJECT, ReferrerTagForm.SIGNATURE)),
        (f"sha256-{HEX}.att", ReferrerTag(SUBJECT, ReferrerTagForm.ATTESTATION)),
        (f"sha256-{HEX}.sbom", ReferrerTag(SUBJECT, ReferrerTagForm.SBOM)),
        (f"blake3-{HEX}", ReferrerTag(Digest(f"blake3:{HEX}"), ReferrerTagForm.FALLBACK)),
        (f"sha512-{HEX}", ReferrerTag(None, ReferrerTagForm.FALLBACK)),
    ],
)
def test_referrer_tag_says_what_it_refers_to(name: str, expected: ReferrerTag) -> None:
    """The subject is read from the tag; of a sha512 the tag holds only the half, so it is not known."""
    assert expected == parse_referrer_tag(TagName(name))


@pytest.mark.parametrize(
    "name",
    [
        "latest",
        "v1.2.3",
        "sha256",
        f"sha256-{HEX[:-1]}",
        f"sha256-{HEX}0",
        f"sha256-{HEX.upper()}",
        f"SHA256-{HEX}",
        f"sha256-{HEX}.asc",
        f"sha256-{HEX}.sig.sig",
        f"main-{HEX}",
        f"sha-{HEX[:40]}",
        f"git-{HEX}",
        f"x-sha256-{HEX}",
        f"sha256_{HEX}",
    ],
)
def test_any_other_tag_is_ordinary(name: str) -> None:
    """A tag that only looks like one, as of a git commit, is an ordinary tag and shown."""
    assert parse_referrer_tag(TagName(name)) is None


@given(st.binary())
def test_fallback_tag_reads_back(data: bytes) -> None:
    """parse(format(x)) == x, and the tag is one that a registry takes."""
    digest = compute_digest(data)
    tag = fallback_tag(digest)
    assert tag == parse_tag_name(tag)
    assert ReferrerTag(digest, ReferrerTagForm.FALLBACK) == parse_referrer_tag(tag)


@pytest.mark.parametrize(
    ("digest", "tag"),
    [
        # Distribution-spec, "Referrers Tag Schema".
        ("sha512:" + hashlib.sha512(b"").hexdigest(), "sha512-" + hashlib.sha512(b"").hexdigest()[:64]),
        ("test+algorithm+using+algorithm+separators+and+lots+of+characters:" + "x" * 80,
         "test-algorithm-using-algorithm-s-" + "x" * 64),
        ("multihash+base58:Qm=Z_-", "multihash-base58-Qm-Z_-"),
    ],
)  # fmt: skip  # two columns
def test_fallback_tag_is_cut_as_the_specification_says(digest: str, tag: str) -> None:
    """The algorithm keeps 32 characters, the encoded part 64; what a tag may not hold becomes a dash."""
    assert tag == fallback_tag(parse_digest(digest))
    assert tag == parse_tag_name(tag)
