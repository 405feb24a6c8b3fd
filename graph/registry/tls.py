"""Whom to believe that they are the registry, and how we show that we are ourselves.

Rules of this file: the system's authorities always count; what the settings name is added. Nothing is
believed unseen unless the settings say so by name.
"""

import ssl

from graph.errors import SettingsError
from graph.settings import RegistrySettings


def make_tls_context(settings: RegistrySettings) -> ssl.SSLContext:
    """The context of every TLS connection that is made for this registry.

    Raises SettingsError when a file that the settings name holds no certificate or no key.
    """
    # Not `create_default_context`: it obeys SSLKEYLOGFILE, and with what is written there whoever recorded a
    # connection can read it.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if settings.ca_file is not None:
        try:
            context.load_verify_locations(cafile=settings.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError([f"ca_file: {settings.ca_file} holds no certificates (PEM)"]) from error
    if settings.client_certificate is not None:
        try:
            context.load_cert_chain(settings.client_certificate, settings.client_key)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(
                [f"client_certificate: {settings.client_certificate} and its key cannot be used"]
            ) from error
    if settings.skip_tls_verification:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
