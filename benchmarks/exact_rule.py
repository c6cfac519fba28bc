"""How far the tool's answers are from those of a client that decodes pictures and does nothing else.

    python benchmarks/exact_rule.py runs/NAME FOLDER --pictures 2000

The client gives ONNX Runtime whole pictures, decoded by OpenCV at full size; the model resizes them by the
exact rule (docs/rule.md). Prints how many answers are equal and the largest change of a probability. Then it
prints what the rule costs: milliseconds of the processor to decode and resize one of these JPEGs, now and as
it was until format version 3, when they were decoded smaller.
"""

import argparse
import statistics
import time
from pathlib import Path

import cv2
import environment
import numpy as np
import onnxruntime

from pigeonhole import Classifier
from pigeonhole.pictures.images import REDUCED, Preprocessing, preprocess
from pigeonhole.runs.run import Run

ROUNDS = 5
SIZES = (32, 64, 96, 128, 224)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=400)
    options = parser.parse_args()
    paths = sorted(path for path in options.folder.rglob("*") if path.suffix in (".jpg", ".jpeg"))
    paths = paths[:: max(1, len(paths) // options.pictures)][: options.pictures]
    print("\n".join(environment.lines(f"n = {ROUNDS}")))
    compare(options.run, paths)
    for size in SIZES:
        now, before = (cost(paths[:50], size, rule) for rule in ("area", REDUCED))
        environment.note(f"{size} px", now, "ms")
        print(f"{size:4} px   {now:6.2f} ms   before {before:6.2f} ms   {now / before:.2f} times")


def compare(run: Path, paths: list[Path]) -> None:
    """Print how the answers of the tool and of the client differ."""
    session = onnxruntime.InferenceSession(Run(run).onnx_file)
    with Classifier.load(run, engine="onnx") as classifier:
        tool = classifier.predict(paths)
    pictures = (cv2.imread(str(path), cv2.IMREAD_COLOR_RGB) for path in paths)
    given = (picture[np.newaxis].astype(np.float32) for picture in pictures)
    client = np.concatenate([session.run(["y_pred"], {"x": x})[0] for x in given])
    environment.note("largest change", np.abs(tool - client).max(), "probability")
    equal = int((tool.argmax(axis=1) == client.argmax(axis=1)).sum())
    print(
        f"{equal:,} of {len(paths):,} answers equal; the largest change is {np.abs(tool - client).max():.4f}"
    )


def cost(paths: list[Path], size: int, rule: str) -> float:
    """Milliseconds of one processor for one picture."""
    files, preprocessing = [path.read_bytes() for path in paths], Preprocessing(size, resize=rule)
    rounds = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for data in files:
            preprocess(data, preprocessing)
        rounds.append((time.process_time() - start) / len(files))
    return 1000 * statistics.median(rounds)


if __name__ == "__main__":
    main()
