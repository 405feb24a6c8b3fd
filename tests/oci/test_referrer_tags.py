"""Referrer tags: the specification's fallback and cosign's three, told from ordinary tags."""

import pytest

from graph.oci.digest import Digest
from graph.oci.reference import TagName
from graph.oci.tags import ReferrerTag, ReferrerTagForm, parse_referrer_tag

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
