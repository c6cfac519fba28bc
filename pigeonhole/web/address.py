"""The address that a server listens at."""

import ipaddress
import socket

from pigeonhole.errors import UsageError

QUIET_ZONE = 2  # light modules around a QR code
_HALVES = {(0, 0): "\u2588", (0, 1): "\u2580", (1, 0): "\u2584", (1, 1): " "}  # by upper and lower module

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


def check(host: str, port: int) -> None:
    """Find out before the slow start whether the port can be listened at. Raises UsageError."""
    if not host:  # the socket would listen at every address
        raise UsageError(f"--host '' --port {port}: the address is empty; choose another")
    try:
        with socket.create_server((host, port), family=_family(host)):
            pass
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (while ")[0].lower()  # Python repeats the address
        raise UsageError(f"--host {host} --port {port}: {reason}; choose another") from None


def hosts(host: str) -> tuple[str, ...] | None:
    """The only names under which a server at this address answers; None: any, since it is not loopback's."""
    return LOOPBACK_NAMES if is_loopback(host) else None


def for_phone(host: str, port: int) -> str | None:
    """What a phone in the same network opens to reach a server at this address; None where it cannot."""
    try:
        numeric = ipaddress.ip_address(host)
    except ValueError:  # a name, which others need not know
        return None
    if numeric.is_unspecified:
        numeric = _own_address(_family(host))
    if numeric is None or numeric.is_loopback:
        return None
    return f"http://{f'[{numeric}]' if numeric.version == 6 else numeric}:{port}/"


def qr_code(text: str) -> list[str]:
    """The text as lines of block characters that the camera of a phone can read."""
    import segno

    rows = [bytes(row) for row in segno.make_qr(text, error="l").matrix_iter(border=QUIET_ZONE)]
    if len(rows) % 2:
        rows.append(bytes(len(rows[0])))
    # Light modules are drawn, so that it stands on the dark ground that most terminals have.
    return [
        "".join(_HALVES[upper, lower] for upper, lower in zip(*pair, strict=True))
        for pair in zip(rows[::2], rows[1::2], strict=True)
    ]


def _own_address(family: socket.AddressFamily) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """By which this computer is known in its network; None where it is in none. Nothing is sent."""
    elsewhere = "2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1"  # reserved for documentation
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((elsewhere, 9))
        except OSError:
            return None
        found = ipaddress.ip_address(probe.getsockname()[0].partition("%")[0])
    return None if found.is_unspecified else found


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
