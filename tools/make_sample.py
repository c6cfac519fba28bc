"""Write the bundled sample of handwritten digits again, as training_data/ and testing_data/.

The 1,797 scans of 8x8 pixels come with scikit-learn (see CREDITS.md) and are enlarged to 32x32. One in five
of each digit is for testing. Every computer writes the same pixels.
"""

import argparse
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from pigeonhole import cli

if TYPE_CHECKING:
    import numpy as np

    from pigeonhole.data.sources.importing import Picture

SEED = 0
TEST_SHARE = 0.2
SCALE = 4


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train-dir", type=Path, default=Path("training_data"), metavar="FOLDER")
    parser.add_argument("--test-dir", type=Path, default=Path("testing_data"), metavar="FOLDER")
    options = parser.parse_args(arguments)
    from pigeonhole.data.sources import importing, sample

    folders = (options.train_dir, options.test_dir)
    for folder in folders:
        importing.check_folder(folder, sample.CLASSES)
    for folder, pictures in zip(folders, split(), strict=True):
        written = importing.write(folder, sample.CLASSES, pictures)
        print(f"{folder}: {written.new + written.kept:,} digits, fingerprint {sample.fingerprint(folder)}")


def split() -> tuple[list["Picture"], list["Picture"]]:
    """Return the training and the testing pictures, stratified.

    A scan's own hash decides where it goes: no random generator that a later version might change is asked.
    """
    from sklearn.datasets import load_digits

    from pigeonhole.data.sources.importing import Picture
    from pigeonhole.data.sources.sample import CLASSES

    scans, labels = load_digits(return_X_y=True)
    train, test = [], []
    for label, class_name in enumerate(CLASSES):
        rows = sorted((labels == label).nonzero()[0], key=lambda row: draw(scans[row]))
        test_size = round(TEST_SHARE * len(rows))
        for position, row in enumerate(rows):
            picture = Picture(class_name, f"digit_{row + 1:04}.png", enlarge(scans[row].reshape(8, 8)))
            (test if position < test_size else train).append(picture)
    return train, test


def draw(scan: "np.ndarray") -> bytes:
    """Return a number, drawn once and for all, that puts the scans in a random order."""
    return hashlib.sha256(bytes([SEED, *scan.astype(int)])).digest()


def enlarge(scan: "np.ndarray") -> "np.ndarray":
    """Return a scan, float [8,8] in 0..16, as uint8 [32,32] in 0..255, by cubic convolution.

    Keys, "Cubic convolution interpolation for digital image processing", 1981, with a = -1/2. At a scale of 4
    its weights are dyadic fractions, so the result is exact and the same on every computer.
    """
    import numpy as np

    centres = (np.arange(SCALE * len(scan)) + 0.5) / SCALE - 0.5
    distances = np.abs(centres[:, None] - np.arange(-2, len(scan) + 2))
    near = (1.5 * distances - 2.5) * distances**2 + 1
    far = ((-0.5 * distances + 2.5) * distances - 4) * distances + 2
    weights = np.where(distances < 1, near, np.where(distances < 2, far, 0))
    enlarged = weights @ np.pad(scan, 2, mode="edge") @ weights.T
    return np.clip(np.rint(enlarged * 255 / 16), 0, 255).astype(np.uint8)


if __name__ == "__main__":
    cli.run(main)
