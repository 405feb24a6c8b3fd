"""Digests: their grammar, how bytes are held against them, and the digests of content that is empty.

Rules of this file: a `Digest` is made by `parse_digest` or `compute_digest` and by nothing else, so whoever
holds one may put it into a path. Comparison is of the exact text; an algorithm we cannot compute may be named
but never believed.
"""

import hashlib
import re
from typing import NewType

from graph.errors import DigestMismatchError, InvalidDigestError

Digest = NewType("Digest", str)

# Characters. sha512 takes 135; the longest of the registered algorithms leaves room for one four times as
# long.
MAX_DIGEST_LENGTH = 512

# The two algorithms that the image-spec registers with their lengths, and sha384, which some signers write.
_HEX_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}

_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
_GRAMMAR = re.compile(r"(?P<algorithm>[a-z0-9]+(?:[+._-][a-z0-9]+)*):(?P<encoded>[a-zA-Z0-9=_-]+)")
_HEX = re.compile(r"[0-9a-f]+")

# image-spec, manifest.md, "Guidance for an Empty Descriptor": the two bytes `{}`.
EMPTY_DESCRIPTOR_DIGEST = Digest("sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a")

# Layers without a single file. Builders write one for an instruction that changes nothing, so half of all
# images share them, and their sharing says nothing about the images. A test makes each of them again from its
# bytes.
EMPTY_DIGESTS: frozenset[Digest] = frozenset(
    {
        EMPTY_DESCRIPTOR_DIGEST,
        # No bytes at all: what a client pushes for a file of length 0.
        Digest("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        # The empty tar (1,024 zero bytes) uncompressed: Docker's layer.DigestSHA256EmptyTar.
        Digest("sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"),
        # The same, gzipped by Docker and by distribution's schema 1 converter (digestSHA256GzippedEmptyTar).
        Digest("sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4"),
        # The same, gzipped by Go at its default level, as BuildKit does: WORKDIR and COPY that change
        # nothing.
        Digest("sha256:4f4fb700ef54461cfa02571ae0db9a0dc1e0cdb5577484a6d75e68dc38e8acc1"),
    }
)


def parse_digest(text: str) -> Digest:
    """The digest that the text is (image-spec, descriptor.md, "Digests").

    Unknown algorithms pass when they keep to the grammar; sha256, sha384 and sha512 must have their length in
    lower-case hexadecimal digits.

    Raises InvalidDigestError, with the rule that is broken.
    """
    if _SHA256.fullmatch(text):  # all but a handful
        return Digest(text)
    if len(text) > MAX_DIGEST_LENGTH:
        raise InvalidDigestError(f"a digest has at most {MAX_DIGEST_LENGTH} characters, this one {len(text)}")
    match = _GRAMMAR.fullmatch(text)
    if match is None:
        raise InvalidDigestError(f"{text!r} is not a digest: expected algorithm:encoded, such as sha256:…")
    algorithm, encoded = match["algorithm"], match["encoded"]
    length = _HEX_LENGTHS.get(algorithm)
    if length is not None and (len(encoded) != length or not _HEX.fullmatch(encoded)):
        raise InvalidDigestError(
            f"{text!r} is not a digest: {algorithm} is followed by {length} lower-case hexadecimal digits"
        )
    return Digest(text)


def compute_digest(data: bytes) -> Digest:
    """The sha256 digest of the bytes."""
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def verify_digest(data: bytes, expected: Digest) -> None:
    """Nothing, if the bytes hash to the digest by the digest's own algorithm.

    Raises DigestMismatchError if they do not, or if the algorithm is none that we can compute: what cannot be
    verified is not verified.
    """
    algorithm = expected.partition(":")[0]
    if algorithm not in _HEX_LENGTHS:
        raise DigestMismatchError(expected, "unsupported algorithm")
    actual = f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
    if actual != expected:
        raise DigestMismatchError(expected, actual)
