"""Digests: the grammar of descriptor.md, verification, and the digests of empty content."""

import gzip
import hashlib
import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.errors import DigestMismatchError, InvalidDigestError
from graph.oci.digest import (
    EMPTY_DESCRIPTOR_DIGEST,
    EMPTY_DIGESTS,
    MAX_DIGEST_LENGTH,
    Digest,
    compute_digest,
    parse_digest,
    verify_digest,
)

GOOD = [
    "sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b",
    "sha384:" + "0a" * 48,
    "sha512:" + "b" * 128,
    # descriptor.md: "SHOULD allow digests with unrecognized algorithms to pass validation"
    "multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8",
    "sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564",
    "blake3:" + "c" * 64,
    "a:b",
    "a.b_c-d+e:=_-",
    "x:" + "y" * (MAX_DIGEST_LENGTH - 2),
]

BAD = [
    "",
    ":",
    "sha256",
    "sha256:",
    ":" + "a" * 64,
    "sha256:" + "a" * 63,
    "sha256:" + "a" * 65,
    "sha256:" + "A" * 64,
    "sha256:" + "g" * 64,
    "sha384:" + "a" * 64,
    "sha512:" + "a" * 127,
    "SHA256:" + "a" * 64,
    "sha256-" + "a" * 64,
    " sha256:" + "a" * 64,
    "sha256:" + "a" * 64 + "\n",
    "sha256:" + "a" * 64 + "/../../x",
    "sha256:" + "a" * 63 + "\u0660",  # a decimal digit, but not ASCII
    "a..b:c",
    "a_:c",
    "x:a b",
    "x:a%2f",
    "x:" + "y" * (MAX_DIGEST_LENGTH - 1),
]


@pytest.mark.parametrize("text", GOOD)
def test_digest_of_the_grammar_is_read_as_it_stands(text: str) -> None:
    """A digest is its own text: nothing is normalised."""
    assert text == parse_digest(text)


@pytest.mark.parametrize("text", BAD)
def test_digest_outside_the_grammar_is_refused(text: str) -> None:
    """What is no digest never becomes one, because digests go into paths."""
    with pytest.raises(InvalidDigestError):
        parse_digest(text)


def test_refusal_of_an_endless_digest_does_not_repeat_it() -> None:
    """A message is bounded whatever the input is."""
    with pytest.raises(InvalidDigestError) as caught:
        parse_digest("sha256:" + "a" * 10_000_000)
    assert len(str(caught.value)) < 200


@given(st.text())
def test_parsing_any_text_gives_a_digest_or_an_input_error(text: str) -> None:
    """No text breaks the parser, and what it accepts it accepts again."""
    try:
        digest = parse_digest(text)
    except InvalidDigestError:
        return
    assert digest == parse_digest(digest)


@given(st.binary())
def test_computed_digest_parses_and_verifies(data: bytes) -> None:
    """The digest we compute is a digest, and that of the bytes."""
    digest = compute_digest(data)
    assert digest == parse_digest(digest)
    verify_digest(data, digest)


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_verification_uses_the_algorithm_of_the_digest(algorithm: str) -> None:
    """A digest is verified by its own algorithm; other bytes do not pass."""
    digest = parse_digest(f"{algorithm}:{hashlib.new(algorithm, b'data').hexdigest()}")
    verify_digest(b"data", digest)
    with pytest.raises(DigestMismatchError) as caught:
        verify_digest(b"other", digest)
    assert digest == caught.value.expected
    assert f"{algorithm}:{hashlib.new(algorithm, b'other').hexdigest()}" == caught.value.actual


def test_digest_of_an_unknown_algorithm_never_verifies() -> None:
    """What we cannot compute we do not believe."""
    with pytest.raises(DigestMismatchError) as caught:
        verify_digest(b"", parse_digest("blake3:" + "a" * 64))
    assert "unsupported algorithm" == caught.value.actual


EMPTY_TAR = bytes(1024)
# Docker's and Go's gzipped empty tar differ in the header alone: its time, and so its check.
GO_GZIP = bytes.fromhex("1f8b08000000000000ff621805a360148c5800080000ffff2eafb5ef00040000")
DOCKER_GZIP = bytes.fromhex("1f8b080000096e8800ff621805a360148c5800080000ffff2eafb5ef00040000")


def test_every_empty_digest_is_that_of_empty_content() -> None:
    """The list of empty digests holds what can be shown to be empty, and nothing else."""
    assert EMPTY_TAR == gzip.decompress(GO_GZIP) == gzip.decompress(DOCKER_GZIP)
    with tarfile.open(fileobj=io.BytesIO(EMPTY_TAR)) as archive:
        assert [] == archive.getnames()
    made = {compute_digest(data) for data in (b"{}", b"", EMPTY_TAR, GO_GZIP, DOCKER_GZIP)}
    assert made == EMPTY_DIGESTS
    assert Digest(compute_digest(b"{}")) == EMPTY_DESCRIPTOR_DIGEST
