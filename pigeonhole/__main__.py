"""`pigeonhole COMMAND`, also as `python -m pigeonhole COMMAND`."""

import difflib
import importlib
import sys

from pigeonhole import __version__, cli
from pigeonhole.errors import UsageError
from pigeonhole.terminal import say


def main() -> None:
    """The console script."""
    cli.run(dispatch)


def dispatch(arguments: list[str]) -> int | None:
    """Call the command that the first argument names with the others; its exit status."""
    name = arguments[0] if arguments else "--help"
    if name in ("-h", "--help"):
        say(*overview())
        return 0 if arguments else UsageError.exit_status
    if name == "--version":
        say(f"pigeonhole {__version__}")
        return 0
    if name not in cli.COMMANDS:
        near = difflib.get_close_matches(name, cli.COMMANDS, 1, cutoff=0.5)
        meant = f"; did you mean {near[0]}?" if near else ""
        say(f"error: {name}: no such command{meant}", f"help:  {_program()} --help", to=sys.stderr)
        return UsageError.exit_status
    module = importlib.import_module(f"pigeonhole.commands.{name.replace('-', '_')}")
    return module.main(arguments[1:])


def overview() -> list[str]:
    """The lines of `pigeonhole --help`."""
    lines = [f"  {name:<14}{command.summary}" for name, command in cli.COMMANDS.items()]
    return [
        f"usage: {_program()} COMMAND ...",
        "",
        "Pictures sorted into folders in, a trained image classifier out.",
        "",
        *lines,
        "",
        f"{_program()} COMMAND --help   what a command can do",
        f"{_program()} --version        which version this is",
    ]


def _program() -> str:
    return cli.command("").rstrip()


if __name__ == "__main__":
    main()
