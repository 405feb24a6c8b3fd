"""An authority of the tests' own: certificates for a server, for a client, and for who signs tokens.

It is made anew for each run and believed by nobody who is not told to.
"""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

# As long as no run of the tests lasts.
LIFETIME = timedelta(days=1)
LOOPBACK = ip_address("127.0.0.1")
# A name that no resolver knows (RFC 6761, 6.2).
NAME = "registry.test"

# All that a key may be for; each has to be said or denied (RFC 5280, 4.2.1.3).
_USES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


@dataclass(frozen=True, slots=True)
class Certified:
    """A certificate, and the key to it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

    @property
    def certificate_pem(self) -> bytes:
        """The certificate alone."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The key, behind no password."""
        form = serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())

    def write(self, directory: Path, name: str) -> tuple[Path, Path]:
        """The files of certificate and key."""
        certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
        certificate.write_bytes(self.certificate_pem)
        key.write_bytes(self.key_pem)
        return certificate, key


class Authority:
    """Signs certificates. `certified` is its own, for whoever is to believe the others."""

    def __init__(self, name: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        uses = dict.fromkeys(_USES, False) | {"key_cert_sign": True, "crl_sign": True}
        builder = (
            _build(self._name, key, self._name)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(**uses), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        self.certified = Certified(builder.sign(key, hashes.SHA256()), key)

    def issue(self, name: str, *, is_rsa: bool = False) -> Certified:
        """A certificate for LOOPBACK and NAME, of an elliptic key unless RSA is wanted."""
        key = rsa.generate_private_key(65537, 2048) if is_rsa else ec.generate_private_key(ec.SECP256R1())
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.certified.key.public_key())
        names = x509.SubjectAlternativeName([x509.IPAddress(LOOPBACK), x509.DNSName(NAME)])
        builder = (
            _build(_name(name), key, self._name)
            .add_extension(names, critical=False)
            .add_extension(issuer, critical=False)
        )
        return Certified(builder.sign(self.certified.key, hashes.SHA256()), key)

    def trust(self) -> ssl.SSLContext:
        """What believes this authority and no other."""
        return ssl.create_default_context(cadata=self.certified.certificate_pem.decode())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _build(
    name: x509.Name, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, issuer: x509.Name
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # A clock may have been set back since.
        .not_valid_before(now - LIFETIME)
        .not_valid_after(now + LIFETIME)
    )
