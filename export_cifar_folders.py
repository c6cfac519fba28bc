"""Turn CIFAR-10 or CIFAR-100 into class folders: `python export_cifar_folders.py`."""

from pigeonhole import cli
from pigeonhole.commands import import_cifar

if __name__ == "__main__":
    cli.run(import_cifar.main)
