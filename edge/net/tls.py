"""Whom we trust: contexts for TLS, made once."""

from __future__ import annotations

import errno
import os
import ssl

from edge.net.failures import no_descriptor_left


class Contexts:
    """Contexts by the file of the operator's own roots."""

    def __init__(self) -> None:
        self.made: dict[str | None, ssl.SSLContext] = {}

    def context(self, ca_bundle: str | None) -> ssl.SSLContext:
        """The system's roots (SSL_CERT_FILE and SSL_CERT_DIR heeded), and the operator's own beside them."""
        if ca_bundle not in self.made:
            if no_descriptor_left():            # OpenSSL would trust nobody, without a word
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            context = ssl.create_default_context()
            if ca_bundle is not None:
                context.load_verify_locations(ca_bundle)
            self.made[ca_bundle] = context
        return self.made[ca_bundle]

    def forget(self) -> None:
        """The files are read anew."""
        self.made.clear()
