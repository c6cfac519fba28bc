"""The commands, and what each does around its own `main`: one line for an error, and the exit status."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from pigeonhole import extras
from pigeonhole.errors import PigeonholeError
from pigeonhole.interrupts import Terminated, raise_when_terminated
from pigeonhole.terminal import say, shown

INTERRUPTED, TERMINATED = 130, 143
CHECKOUT = Path(__file__).resolve().parents[1]


class Command(NamedTuple):
    """What the command does, and the program of a checkout that does the same."""

    summary: str
    program: str | None = None


COMMANDS = {
    "check": Command("look through a folder of pictures before the training", "dataset.py"),
    "label": Command("label pictures on a page, while a model learns along"),
    "train": Command("train a classifier on a folder of class folders", "train.py"),
    "predict": Command("say what is in pictures", "predict.py"),
    "describe": Command("say once what a checkpoint of another program does not say"),
    "evaluate": Command("test a trained model on a folder of class folders", "evaluate.py"),
    "export": Command("write a trained model for phones, browsers, other runtimes"),
    "dream": Command("let a network see more in a picture than is there", "dream.py"),
    "serve": Command("put trained models behind a web page and an API", "serve.py"),
    "stylize": Command("paint a picture in the style of another", "stylize.py"),
    "import-cifar": Command("write CIFAR-10 or CIFAR-100 as class folders", "export_cifar_folders.py"),
    "import-mnist": Command(
        "write MNIST, Fashion-MNIST or EMNIST as class folders", "export_mnist_folders.py"
    ),
}


def run(main: Callable[[list[str]], int | None]) -> None:
    """Call `main(sys.argv[1:])` and leave the process with its exit status.

    0 done, 1 failure, 2 usage, 130 interrupted (Ctrl-C), 143 terminated (SIGTERM). A `PigeonholeError` or an
    `OSError` (a full disk, a forbidden folder) becomes one line on standard error, never a traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # a file name may hold what the terminal cannot show
    raise_when_terminated()
    try:
        status = main(sys.argv[1:]) or 0
        sys.stdout.flush()
    except PigeonholeError as error:
        status = _say(str(error), error.exit_status)
    except KeyboardInterrupt:
        status = _say("interrupted", INTERRUPTED)
    except Terminated:
        status = _say("terminated", TERMINATED)
    except ModuleNotFoundError as error:
        if error.name not in extras.OPTIONAL:
            raise
        status = _say(str(extras.MissingExtra("this", error.name)), 1)
    except BrokenPipeError:
        # The reader (`| head`) has ended; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except OSError as error:
        status = _say(_told(error), 1)
    sys.exit(status)


def command(name: str) -> str:
    """How the user starts the command `name`, in the way in which this process was started.

    "python predict.py" in a program of a checkout, "python -m pigeonhole predict" after that, and otherwise,
    also within another program, "pigeonhole predict".
    """
    if program := _program(name):
        return f"python {quote(program)}"
    started = Path(sys.argv[0])
    is_module = (started.parent.name, started.name) == ("pigeonhole", "__main__.py")
    return f"python -m pigeonhole {name}" if is_module else f"pigeonhole {name}"


def process(name: str) -> list[str]:
    """What starts the command `name` in another process, in the way in which this process was started."""
    if program := _program(name):
        return [sys.executable, str(program)]
    if Path(sys.argv[0]).stem == "pigeonhole":
        return [sys.executable, sys.argv[0], name]
    return [sys.executable, "-m", "pigeonhole", name]


def as_started(text: str) -> str:
    """The text with each `pigeonhole COMMAND` as `command` puts it."""
    return re.sub(rf"\bpigeonhole ({'|'.join(COMMANDS)})\b", lambda match: command(match[1]), text)


def _program(name: str) -> Path | None:
    """The program that does the same, where this process was started as one of the checkout's programs."""
    started = Path(sys.argv[0])
    is_program = started.name in {each.program for each in COMMANDS.values()}
    if not is_program or started.resolve().parent != CHECKOUT or name not in COMMANDS:
        return None
    program = COMMANDS[name].program
    return started.with_name(program) if program else None


def quote(path: Path) -> str:
    """The path as the user's shell wants it typed; what no terminal should get is escaped."""
    text = str(path)
    if os.name == "nt":
        return subprocess.list2cmdline([text])
    if shown(text) == text:
        return shlex.quote(text)
    escaped = "".join(f"\\{c}" if c in "\\'" else c if shown(c) == c else _escape(c) for c in text)
    return f"$'{escaped}'"


def _escape(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))


def _told(error: OSError) -> str:
    if error.filename:
        return f"{error.strerror or error}: {error.filename}"
    try:
        os.getcwd()
    except FileNotFoundError:
        return "the working directory has been deleted; change to another folder"
    return error.strerror or str(error)


def _say(line: str, status: int) -> int:
    say(f"error: {line}", to=sys.stderr)
    return status
