"""Whom to believe that they are who they say, and to whom we show who we are.

Rules of this file: the system's authorities always count; what the settings name is added. The client's
certificate is shown, and a certificate is believed unseen where the settings say so by name, at the
registry's own origin only. Everybody else is another one: the storage that it redirects to, a vendor's API,
and the token server too, even where the operator named it. A certificate names us to whoever asks for one,
and the operator has it from the registry; our password goes to the token server, and of all connections
that is the one not to have made with whoever is in between. Who runs one with a private authority names that
in `ca_file`, which counts everywhere.
"""

import ssl
from dataclasses import dataclass

from graph.errors import SettingsError
from graph.registry.origin import Origin
from graph.settings import RegistrySettings


@dataclass(frozen=True, slots=True)
class Trust:
    """How TLS connections are made for one registry, by whom they are made to."""

    origin: Origin
    own: ssl.SSLContext
    others: ssl.SSLContext

    def context_for(self, origin: Origin) -> ssl.SSLContext:
        """The context of a connection to this origin."""
        return self.own if origin == self.origin else self.others


def make_trust(settings: RegistrySettings, origin: Origin) -> Trust:
    """What the settings say of TLS; `origin` is where the registry answers.

    Raises SettingsError when a file that the settings name holds no certificate or no key.
    """
    others = _make_context(settings)
    if settings.client_certificate is None and not settings.skip_tls_verification:
        return Trust(origin, others, others)
    own = _make_context(settings)
    if settings.client_certificate is not None:
        try:
            own.load_cert_chain(settings.client_certificate, settings.client_key)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(
                [f"client_certificate: {settings.client_certificate} and its key cannot be used"]
            ) from error
    if settings.skip_tls_verification:
        own.check_hostname = False
        own.verify_mode = ssl.CERT_NONE
    return Trust(origin, own, others)


def _make_context(settings: RegistrySettings) -> ssl.SSLContext:
    # Not `create_default_context`: it obeys SSLKEYLOGFILE, and with what is written there whoever recorded a
    # connection can read it.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if settings.ca_file is not None:
        try:
            context.load_verify_locations(cafile=settings.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError([f"ca_file: {settings.ca_file} holds no certificates (PEM)"]) from error
    return context
