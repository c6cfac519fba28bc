"""Turn MNIST, Fashion-MNIST or EMNIST into class folders: `python export_mnist_folders.py`."""

from pigeonhole import cli
from pigeonhole.commands import import_mnist

if __name__ == "__main__":
    cli.run(import_mnist.main)
