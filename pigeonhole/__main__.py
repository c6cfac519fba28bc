"""`python -m pigeonhole COMMAND`."""

import importlib
import sys

from pigeonhole import cli

COMMANDS = ("check", "train", "predict", "evaluate", "serve", "import-cifar", "import-mnist")


def main() -> None:
    command = sys.argv.pop(1).replace("-", "_")
    cli.run(importlib.import_module(f"pigeonhole.commands.{command}").main)


if __name__ == "__main__":
    main()
