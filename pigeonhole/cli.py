"""What every program does around its own `main`: one line for an error, and the documented exit status."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from pigeonhole.errors import PigeonholeError

INTERRUPTED = 130


def run(main: Callable[[list[str]], int | None]) -> None:
    """Call `main(sys.argv[1:])` and leave the process with its exit status.

    0 done, 1 failure, 2 usage, 130 interrupted (Ctrl-C), 143 terminated (SIGTERM). A `PigeonholeError` or an
    `OSError` (a full disk, a forbidden folder) becomes one line on standard error, never a traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # a file name may hold what the terminal cannot show
    try:
        status = main(sys.argv[1:]) or 0
        sys.stdout.flush()
    except PigeonholeError as error:
        status = _say(str(error), error.exit_status)
    except KeyboardInterrupt:
        status = _say("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # The reader (`| head`) has gone; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except OSError as error:
        place = f": {error.filename}" if error.filename else ""
        status = _say(f"{error.strerror or error}{place}", 1)
    sys.exit(status)


def quote(path: Path) -> str:
    """The path as the user's shell wants it typed."""
    return subprocess.list2cmdline([str(path)]) if os.name == "nt" else shlex.quote(str(path))


def _say(line: str, status: int) -> int:
    print(f"error: {line}", file=sys.stderr)
    return status
