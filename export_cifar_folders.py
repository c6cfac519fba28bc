"""Write CIFAR-10 or CIFAR-100 as class folders: training_data/<class>/*.png and testing_data/<class>/*.png.

Without --source the python version is downloaded from its official address into downloads/, about 170 MB; a
broken download goes on where it stopped. The program may be killed and run again at any time.
"""

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pigeonhole import cli
from pigeonhole.arguments import count
from pigeonhole.errors import PigeonholeError, UsageError

if TYPE_CHECKING:
    from pigeonhole.cifar import Batch, Cifar
    from pigeonhole.exporting import Picture, Written

DOWNLOADS = Path("downloads")


def main(arguments: list[str]) -> None:
    options = parse(arguments)
    # NumPy and OpenCV come with these: a wrong flag or --help should not wait for them.
    from pigeonhole import cifar, exporting

    source = options.source or download(options.dataset or "cifar10", options.url)
    data = cifar.read(source, options.dataset, options.batches, options.coarse)
    print(f"{source}: {data.version.title}; {describe_checksums(data)}")
    classes = exporting.class_folders(data.classes)
    exports = {options.train_dir: data.train, options.test_dir: [data.test]}
    for folder in exports:
        exporting.check_folder(folder, classes)
    for folder, batches in exports.items():
        exporting.make_room(folder)
        exporting.write_labels(folder, classes, options.overwrite)
        written = exporting.write(
            folder, classes, pictures(batches, classes, options.limit), options.overwrite
        )
        print(f"{folder}: {describe(written, len(classes))}")
    print(f"next: python train.py --data {options.train_dir}")


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options; `batches` as a list of numbers or None. Leaves with status 2 on a wrong one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--source", type=Path, metavar="PATH", help="archive or unpacked folder, python or binary version"
    )
    source.add_argument(
        "--url", help="another address of the archive; its checksums are then reported but not insisted on"
    )
    parser.add_argument(
        "--dataset", choices=("cifar10", "cifar100"), help="default: what the source holds, or cifar10"
    )
    parser.add_argument("--train-dir", type=Path, default=Path("training_data"), metavar="FOLDER")
    parser.add_argument("--test-dir", type=Path, default=Path("testing_data"), metavar="FOLDER")
    parser.add_argument(
        "--limit",
        type=count,
        metavar="N",
        help="only the first N training and the first N testing pictures",
    )
    parser.add_argument(
        "--batches", type=batch_numbers, metavar="1,2,...", help="only these training batches of CIFAR-10"
    )
    parser.add_argument(
        "--coarse", action="store_true", help="CIFAR-100's 20 superclasses instead of its 100 classes"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace files of the same names that have other content"
    )
    options = parser.parse_args(arguments)
    check(options)
    return options


def check(options: argparse.Namespace) -> None:
    """Raise `UsageError` where the options do not go together."""
    train, test = options.train_dir.resolve(), options.test_dir.resolve()
    if train == test or train in test.parents or test in train.parents:
        raise UsageError(
            f"--train-dir {options.train_dir} and --test-dir {options.test_dir} lie in one another"
        )
    if options.source and not options.source.exists():
        raise UsageError(f"--source {options.source} does not exist")
    if options.url and not options.url.startswith(("http://", "https://")):
        raise UsageError(f"--url {options.url} does not begin with http:// or https://")


def batch_numbers(text: str) -> list[int]:
    try:
        numbers = sorted({int(part) for part in text.split(",")})
    except ValueError:
        numbers = []
    if not numbers or not set(numbers) <= {1, 2, 3, 4, 5}:
        raise argparse.ArgumentTypeError(f"{text} is not a list of numbers from 1 to 5")
    return numbers


def download(dataset: str, url: str | None) -> Path:
    """Return the path of the archive, downloaded unless it is there; a `PigeonholeError` says what to do."""
    from pigeonhole import cifar, downloads, exporting

    version = next(
        version for version in cifar.VERSIONS if version.dataset == dataset and version.form == "python"
    )
    address, checksum = (url, None) if url else (version.url, version.archive_md5)
    path = DOWNLOADS / exporting.safe_name(address)
    if path.exists():
        if checksum and downloads.md5(path) != checksum:
            raise PigeonholeError(
                f"{path} is not the published archive: delete it, or use it with --source {path}"
            )
        return path
    try:
        downloads.fetch(address, path, checksum)
    except downloads.DownloadError as error:
        raise PigeonholeError(
            f"{error}; try again, or download it by other means and add --source FILE"
        ) from error
    return path


def pictures(batches: Sequence["Batch"], classes: Sequence[str], limit: int | None) -> list["Picture"]:
    """Return the first `limit` pictures of `batches` under names of their own within their classes."""
    from pigeonhole.exporting import Picture, png_name

    taken = {class_name: set() for class_name in classes}
    rows = (
        row for batch in batches for row in zip(batch.labels, batch.file_names, batch.images, strict=True)
    )
    return [
        Picture(classes[label], png_name(file_name, taken[classes[label]]), image)
        for label, file_name, image in itertools.islice(rows, limit)
    ]


def describe_checksums(data: "Cifar") -> str:
    """Say which of the source's files are the published ones."""
    different = [name for name, is_published in data.published.items() if not is_published]
    if different:
        return f"NOT the published files: {', '.join(different)} (their structure is right)"
    return f"all {len(data.published)} files with a published checksum have it"


def describe(written: "Written", class_count: int) -> str:
    """Say what an export did to one folder."""
    total = written.new + written.kept
    line = (
        f"{total:,} pictures in {class_count} classes ({written.new:,} new, {written.kept:,} there already)"
    )
    return line + (
        f"; beside them {written.others:,} files that are not of this export" if written.others else ""
    )


if __name__ == "__main__":
    cli.run(main)
