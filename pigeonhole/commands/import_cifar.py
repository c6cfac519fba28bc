"""Write CIFAR-10 or CIFAR-100 as class folders: training_data/<class>/*.png and testing_data/<class>/*.png.

Without --source the python version is downloaded from its official address into downloads/, about 170 MB; a
broken download goes on where it stopped. The program may be killed and run again at any time.
"""

import argparse

from pigeonhole import cli
from pigeonhole.arguments import Parser, as_path
from pigeonhole.commands.importing_flags import add_export_flags, check_export
from pigeonhole.terminal import say


def main(arguments: list[str]) -> None:
    options = parse(arguments)
    # NumPy and OpenCV come with these: a wrong flag or --help should not wait for them.
    from pigeonhole.data.sources import cifar, importing

    source = options.source or cifar.download(options.dataset or "cifar10", options.url)
    data = cifar.read(source, options.dataset, options.batches, options.coarse)
    say(f"{source}: {data.version.title}; {importing.describe_checksums(data.published)}")
    classes = importing.class_folders(data.classes)
    sides = {options.train_dir: data.train, options.test_dir: [data.test]}
    exports = {folder: cifar.pictures(batches, classes, options.limit) for folder, batches in sides.items()}
    importing.export(exports, classes, options.overwrite)
    say(f"next: {cli.command('train')} --data {cli.quote(options.train_dir)}")


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options; `batches` as a list of numbers or None. Leaves with status 2 on a wrong one."""
    parser = Parser("import-cifar", __doc__)
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--source", type=as_path, metavar="PATH", help="archive or unpacked folder, python or binary version"
    )
    source.add_argument(
        "--url", help="another address of the archive; its checksums are then reported but not insisted on"
    )
    parser.add_argument(
        "--dataset", choices=("cifar10", "cifar100"), help="default: what the source holds, or cifar10"
    )
    add_export_flags(parser)
    parser.add_argument(
        "--batches", type=batch_numbers, metavar="1,2,...", help="only these training batches of CIFAR-10"
    )
    parser.add_argument(
        "--coarse", action="store_true", help="CIFAR-100's 20 superclasses instead of its 100 classes"
    )
    options = parser.parse_args(arguments)
    check_export(options)
    return options


def batch_numbers(text: str) -> list[int]:
    try:
        numbers = sorted({int(part) for part in text.split(",")})
    except ValueError:
        numbers = []
    if not numbers or not set(numbers) <= {1, 2, 3, 4, 5}:
        raise argparse.ArgumentTypeError(f"{text} is not a list of numbers from 1 to 5")
    return numbers
