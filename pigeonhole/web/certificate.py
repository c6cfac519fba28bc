"""The certificate and key of a server that answers by https."""

import ssl
from pathlib import Path
from typing import NamedTuple

from pigeonhole.errors import UsageError


class Tls(NamedTuple):
    """PEM files: a certificate, with those that vouch for it, and its private key without a password."""

    certificate: Path
    key: Path


def checked(certificate: Path | None, key: Path | None) -> Tls | None:
    """The files of --certificate and --key; None without them. Raises UsageError where they do not do."""
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise UsageError("--certificate and --key: give both, or neither")
    for flag, file in (("--certificate", certificate), ("--key", key)):
        if not file.is_file():
            raise UsageError(f"{flag} {file}: no such file")
    try:
        # Without a password that is given, the library would ask for it on the terminal.
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key, password="")
    except (OSError, ValueError):
        raise UsageError(
            f"--certificate {certificate} --key {key}: not a certificate and its key; both are PEM files, "
            "the key without a password"
        ) from None
    return Tls(certificate, key)
