"""The address that a server listens at."""

import ipaddress
import socket

from pigeonhole.errors import UsageError

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


def check(host: str, port: int) -> None:
    """Find out before the slow start whether the port can be listened at. Raises UsageError."""
    try:
        with socket.create_server((host, port), family=_family(host)):
            pass
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"--host {host} --port {port}: {reason}; choose another") from None


def hosts(host: str) -> tuple[str, ...] | None:
    """The only names under which a server at this address answers; None: any, since it is not loopback's."""
    return LOOPBACK_NAMES if is_loopback(host) else None


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
