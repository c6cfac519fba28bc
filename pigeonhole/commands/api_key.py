"""The key that every request to a server must carry: its flags, and where it is found."""

import argparse
import os

from pigeonhole.arguments import as_path
from pigeonhole.errors import UsageError

KEY_VARIABLE = "PIGEONHOLE_API_KEY"


def add_key_flags(group: argparse._ActionsContainer) -> None:
    """What requests to a server must carry: the parameters of `find_key`."""
    group.add_argument(
        "--api-key",
        type=_key,
        metavar="KEY",
        help=f"what every request must carry ({KEY_VARIABLE} in the environment, or none)",
    )
    group.add_argument(
        "--api-key-file", type=as_path, metavar="FILE", help="a file with that key; ps shows --api-key to all"
    )


def find_key(options: argparse.Namespace) -> str | None:
    """The key that requests must carry: from its file, its flag or its variable; None where there is none.

    An empty variable counts as none: compose files set it so where the user sets no key. Raises UsageError.
    """
    if options.api_key_file is None:
        return options.api_key or os.environ.get(KEY_VARIABLE, "").strip() or None
    try:
        key = options.api_key_file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(f"--api-key-file {options.api_key_file}: {reason.lower()}") from None
    if not key or "\n" in key:
        raise UsageError(f"--api-key-file {options.api_key_file}: the file must hold one line, the key")
    return key


def _key(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("the key is empty; give one, or leave the flag out to serve without")
    return text
