"""How fast photos become features, beside a plain loop of the same network, and what int8 changes in them.

    python benchmarks/features.py --data training_data --pictures 400

Every contender reads the same files anew, all cores at work, and they take turns; medians over the rounds.
"the store" is what `train` and `label` do: files are checked against their digests and decoded, and the
features of each picture, and except among very many also of its mirror image, are computed and written to
the disk. Each row says how many times as fast as the plain loop of as many views it is. The plain loop reads
with cv2.imread, resizes, and has ONNX Runtime compute in float32, one picture in a thread for each core; it
keeps nothing. The survey of the folder is not counted, and the file cache of the operating system is warm.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "benchmarks"))

import cv2  # noqa: E402
import environment  # noqa: E402
import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402

from pigeonhole.data import cache, folders  # noqa: E402
from pigeonhole.data.folders import Record  # noqa: E402
from pigeonhole.data.parallel import available_cores  # noqa: E402
from pigeonhole.features import extractor, onnx_graph, pretrained, store  # noqa: E402
from pigeonhole.features.extractor import Extractor  # noqa: E402
from pigeonhole.pictures.images import Preprocessing  # noqa: E402

SIZE = extractor.IMAGE_SIZE


def plain_loop(records: list[Record], mirrored: bool) -> Callable[[], None]:
    """The loop that one writes without this program."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        onnx_graph.build(pretrained.read(), SIZE), options, providers=["CPUExecutionProvider"]
    )

    def compute(record: Record) -> list[np.ndarray]:
        image = cv2.resize(cv2.imread(str(record.entry.path)), (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        views = [image, image[:, ::-1].copy()] if mirrored else [image]
        return [session.run(None, {"x": view[np.newaxis]})[0] for view in views]

    def run() -> None:
        cv2.setNumThreads(1)
        with ThreadPoolExecutor(available_cores()) as pool:
            list(pool.map(compute, records))

    return run


def stored(records: list[Record], opened: Extractor, mirrored: bool) -> Callable[[], None]:
    def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            store.read(records, opened, cache.Cache(Path(folder)), progress=False, mirrored=mirrored)

    return run


def network_alone(records: list[Record], opened: Extractor, mirrored: bool) -> Callable[[], None]:
    """As many views as the store's, of pixels that are there."""
    count = len(records) * (1 + mirrored)
    views = np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)

    def run() -> None:
        opened(views)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="one folder per class")
    parser.add_argument("--pictures", type=int, default=400, metavar="N", help="at most, of the folder (400)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="how often each has its turn (3)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found, _ = cache.Cache(Path(folder)).survey(folders.scan(options.data), Preprocessing(8))
    records = [record for record in found if not record.skipped]
    records = records[:: max(1, len(records) // options.pictures)][: options.pictures]
    print("\n".join(environment.lines()))
    print(f"{len(records):,} pictures, {SIZE} px, {options.rounds} rounds, medians", flush=True)
    int8, float32 = (extractor.open_pretrained(engine=engine) for engine in (extractor.INT8, "onnx"))
    for mirrored in (False, True):
        contenders = {
            "plain loop": plain_loop(records, mirrored),
            "the store, float32": stored(records, float32, mirrored),
            "the store, int8": stored(records, int8, mirrored),
            "its network alone, float32": network_alone(records, float32, mirrored),
            "its network alone, int8": network_alone(records, int8, mirrored),
        }
        title = "with mirror images" if mirrored else "without mirror images"
        compare(title, contenders, len(records), options.rounds)
    agreement(records, int8, float32)


def compare(title: str, contenders: dict[str, Callable[[], None]], count: int, rounds: int) -> None:
    wall: dict[str, list[float]] = {name: [] for name in contenders}
    processor: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            started, used = time.perf_counter(), time.process_time()
            run()
            wall[name].append(time.perf_counter() - started)
            processor[name].append(time.process_time() - used)
    usual = statistics.median(wall["plain loop"])
    print(f"\n{title:36} {'pictures/s':>10} {'processor ms':>12} {'to the plain loop':>17}")
    for name in contenders:
        seconds, used = statistics.median(wall[name]), statistics.median(processor[name])
        ratio = f"{usual / seconds:16.2f}x"
        environment.note(f"{name}, {title}", [count / taken for taken in wall[name]], "pictures/s")
        print(f"{name:36} {count / seconds:10,.0f} {1000 * used / count:12.2f} {ratio}")


def agreement(records: list[Record], int8: Extractor, float32: Extractor) -> None:
    with tempfile.TemporaryDirectory() as folder:
        kept = cache.Cache(Path(folder))
        one, other = (np.asarray(store.read(records, each, kept).plain) for each in (int8, float32))
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    cosine = np.mean((one * other).sum(axis=1) / lengths)
    print(f"\ncosine of a picture's features in int8 and in float32: mean {cosine:.4f}")


if __name__ == "__main__":
    main()
