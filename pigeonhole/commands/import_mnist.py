"""Write MNIST, Fashion-MNIST or EMNIST as class folders of 8-bit grey PNG files.

    pigeonhole import-mnist                      training_data/7/train_00015.png ...
    pigeonhole import-mnist --dataset fashion-mnist
    pigeonhole import-mnist --source FOLDER      idx files, plain or .gz, or a zip of them

Without --source the files are downloaded into downloads/; a broken download goes on where it stopped. The
program may be killed and run again at any time. EMNIST's pictures, which lie on their side in its files, are
written upright.
"""

import argparse

from pigeonhole import cli
from pigeonhole.arguments import Parser, as_path
from pigeonhole.commands.importing_flags import add_export_flags, check_export
from pigeonhole.terminal import say

DATASETS = (
    "mnist", "fashion-mnist", "emnist-byclass", "emnist-bymerge", "emnist-balanced", "emnist-letters",
    "emnist-digits", "emnist-mnist",
)  # fmt: skip


def main(arguments: list[str]) -> None:
    options = parse(arguments)
    # NumPy and OpenCV come with these: a wrong flag or --help should not wait for them.
    from pigeonhole.data.sources import importing, mnist

    source = options.source or mnist.download(options.dataset or DATASETS[0], options.url)
    data = mnist.read(source, options.dataset)
    say(f"{source}: {data.version.title}; {importing.describe_checksums(data.published)}")
    classes = importing.class_folders(data.version.classes)
    exports = {
        options.train_dir: mnist.pictures("train", data.train, classes, options.limit),
        options.test_dir: mnist.pictures("test", data.test, classes, options.limit),
    }
    importing.export(exports, classes, options.overwrite)
    say(f"next: {cli.command('train')} --data {cli.quote(options.train_dir)}")


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options. Leaves with status 2 on a wrong one."""
    parser = Parser("import-mnist", __doc__)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--source", type=as_path, metavar="PATH", help="folder or zip archive of idx files")
    source.add_argument(
        "--url", help="another address of the folder that holds them; what comes must still be as published"
    )
    parser.add_argument(
        "--dataset",
        choices=DATASETS,
        metavar="NAME",
        help=f"{', '.join(DATASETS)}; default: what the source holds, or mnist",
    )
    add_export_flags(parser)
    options = parser.parse_args(arguments)
    check_export(options)
    return options
