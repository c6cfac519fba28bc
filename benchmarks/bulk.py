"""How fast `predict` answers for many photos, beside a plain loop, other arrangements, and what could be.

    python benchmarks/bulk.py --photos FOLDER --model runs/NAME            # pictures/s of every contender
    python benchmarks/bulk.py --photos FOLDER --model runs/NAME --examples
    python benchmarks/bulk.py --photos FOLDER --model runs/NAME --memory 1000 10000 100000

The photos of the folder (JPEG, best of 500 x 375) are hard-linked, or copied, into a temporary folder until
there are `--count` of them. `--model` takes a run or an ONNX file with Pigeonhole's metadata, such as one in
int8.

Each contender works in a process of its own on the same files, and they take turns; medians over the rounds,
without the start of Python and the loading of the model. "wall" is pictures per second on the clock,
"processor" pictures per second of processor time, times the cores: on a machine with other work the second
tells more, since it does not count waiting. "decoding" and "network" are the two halves alone; "both halves"
is what they allow together, one after the other on the same cores. The arrangements differ in who answers
(threads that decode and answer with one session of one thread, as the product does; one session of several
threads behind decoding threads; processes) and in how many pictures are answered at a time.

`--examples` runs `predict` and the examples for Ray and Spark, where these are installed, as whole commands.
`--memory` has `predict --csv` answer for folders of these sizes, and tells the most memory that it held.
"""

import argparse
import json
import multiprocessing
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "benchmarks"))

import environment  # noqa: E402

from pigeonhole.data.parallel import available_cores  # noqa: E402

ROUNDS = 5
CORES = available_cores()
OUTPUTS = ["y_pred", "unsure"]


def model_file(model: str) -> Path:
    from pigeonhole.runs import search

    return Path(model) if model.endswith(".onnx") else search.find(model).onnx_file


def session(model: str, threads: int):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(
        model_file(model).read_bytes(), options, providers=["CPUExecutionProvider"]
    )


def classifier(model: str):
    """The product's, with one thread; the golden examples are not replayed, which int8 need not pass."""
    from pigeonhole.model.classifier import Classifier
    from pigeonhole.model.engines.onnx_runtime import OnnxRuntime

    return Classifier(OnnxRuntime(session(model, 1)))


def outputs(runtime) -> list[str]:
    return [output.name for output in runtime.get_outputs() if output.name in OUTPUTS]


def decoder(model: str) -> Callable:
    import cv2

    from pigeonhole.pictures import images

    cv2.setNumThreads(1)
    preprocessing = classifier(model).preprocessing
    return lambda file: images.preprocess(Path(file).read_bytes(), preprocessing)


def batches(files: list[str], size: int) -> list[list[str]]:
    return [files[start : start + size] for start in range(0, len(files), size)]


def plain_loop(files: list[str], model: str) -> Callable[[], None]:
    """cv2.imread, cv2.resize, and a call of ONNX Runtime, with threads as it likes, for each picture."""
    import cv2
    import numpy as np

    runtime, side = session(model, 0), classifier(model).preprocessing.image_size
    names = outputs(runtime)

    def work() -> None:
        for file in files:
            image = cv2.resize(cv2.imread(file)[..., ::-1], (side, side), interpolation=cv2.INTER_AREA)
            runtime.run(names, {"x": image[np.newaxis].astype(np.float32)})

    return work


def decoding(files: list[str], model: str) -> Callable[[], None]:
    decode = decoder(model)

    def work() -> None:
        with ThreadPoolExecutor(CORES) as pool:
            for _ in pool.map(decode, files):
                pass

    return work


def network(files: list[str], model: str) -> Callable[[], None]:
    import numpy as np

    runtime, decode = session(model, 1), decoder(model)
    names = outputs(runtime)
    pixels = [decode(file)[np.newaxis].astype(np.float32) for file in files[:64]]

    def work() -> None:
        with ThreadPoolExecutor(CORES) as pool:
            for _ in pool.map(lambda n: runtime.run(names, {"x": pixels[n % 64]}), range(len(files))):
                pass

    return work


def product(files: list[str], model: str) -> Callable[[], None]:
    """All that `predict --csv` does, without its start."""
    from pigeonhole.jobs.bulk.job import BulkConfig, BulkJob
    from pigeonhole.jobs.prediction import Why

    loaded, folder = classifier(model), str(Path(files[0]).parent)

    def work() -> None:
        with tempfile.TemporaryDirectory() as place:
            done = BulkJob(BulkConfig(csv=Path(place, "out.csv")), [folder]).run(loaded, "0", Why())
        assert done.answered == len(files)

    return work


def threads(files: list[str], model: str, size: int) -> Callable[[], None]:
    """As the product: each thread decodes and answers; one session of one thread."""
    import numpy as np

    runtime, decode = session(model, 1), decoder(model)
    names = outputs(runtime)

    def answer(some: list[str]) -> None:
        runtime.run(names, {"x": np.stack([decode(file) for file in some]).astype(np.float32)})

    def work() -> None:
        with ThreadPoolExecutor(CORES) as pool:
            for _ in pool.map(answer, batches(files, size)):
                pass

    return work


def one_session(files: list[str], model: str, size: int) -> Callable[[], None]:
    """Decoding threads in front of one session of as many threads as there are cores."""
    import numpy as np

    runtime, decode = session(model, CORES), decoder(model)
    names, room = outputs(runtime), threading.BoundedSemaphore(4)

    def read(some: list[str]) -> np.ndarray:
        with room:
            return np.stack([decode(file) for file in some]).astype(np.float32)

    def work() -> None:
        with ThreadPoolExecutor(CORES) as pool:
            for pixels in pool.map(read, batches(files, size)):
                runtime.run(names, {"x": pixels})

    return work


def _process(files: list[str], model: str, ready, start) -> None:
    work = threads_of_one(files, model)
    ready.release()
    start.wait()
    work()


def threads_of_one(files: list[str], model: str) -> Callable[[], None]:
    import numpy as np

    runtime, decode = session(model, 1), decoder(model)
    names = outputs(runtime)

    def work() -> None:
        for file in files:
            runtime.run(names, {"x": decode(file)[np.newaxis].astype(np.float32)})

    return work


def processes(files: list[str], model: str) -> Callable[[], None]:
    """As many processes as cores, each with a session of one thread and its share of the files."""
    context = multiprocessing.get_context("spawn")
    ready, start = context.Semaphore(0), context.Event()
    workers = [
        context.Process(target=_process, args=(files[number::CORES], model, ready, start))
        for number in range(CORES)
    ]
    for worker in workers:
        worker.start()
    for _ in workers:
        ready.acquire()

    def work() -> None:
        start.set()
        for worker in workers:
            worker.join()

    return work


CONTENDERS: dict[str, Callable[[list[str], str], Callable[[], None]]] = {
    "plain loop": plain_loop,
    "decoding": decoding,
    "network": network,
    "predict --csv": product,
    **{
        f"{title}, {size} at a time": lambda files, model, way=way, size=size: way(files, model, size)
        for title, way in (("threads", threads), ("one session", one_session))
        for size in (1, 8, 32)
    },
    "processes": processes,
}


def measure(name: str, folder: Path, model: str) -> dict[str, float]:
    """Pictures per second of the clock, and of processor time times the cores."""
    files = sorted(str(path) for path in folder.iterdir())
    work = CONTENDERS[name](files, model)
    wall, used = time.perf_counter(), processor_seconds()
    work()
    return {
        "wall": len(files) / (time.perf_counter() - wall),
        "processor": CORES * len(files) / (processor_seconds() - used),
    }


def processor_seconds() -> float:
    """Of this process and of those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def fill(folder: Path, photos: list[Path], count: int) -> Path:
    """So many photos in one folder, by hard links where they are on its disk."""
    folder.mkdir()
    copies = [shutil.copy(photo, folder / f"{n:07}{photo.suffix}") for n, photo in enumerate(photos[:count])]
    for number in range(len(copies), count):
        original = Path(copies[number % len(copies)])
        os.link(original, folder / f"{number:07}{original.suffix}")
    return folder


def in_new_process(name: str, folder: Path, model: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--photos", str(folder), "--model", model, "--contender", name]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return json.loads(done.stdout)


def compare(folder: Path, model: str, rounds: int) -> Iterator[str]:
    found: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    for number in range(rounds):
        for name in CONTENDERS:
            found[name].append(in_new_process(name, folder, model))
            print(f"round {number + 1}  {name:<24} {found[name][-1]}", file=sys.stderr, flush=True)
    medians = {
        name: {kind: statistics.median(each[kind] for each in results) for kind in ("wall", "processor")}
        for name, results in found.items()
    }
    for name, results in found.items():
        environment.note(name, [each["wall"] for each in results], "pictures/s")
    medians["both halves"] = {
        kind: 1 / (1 / medians["decoding"][kind] + 1 / medians["network"][kind])
        for kind in ("wall", "processor")
    }
    yield f"{'pictures/s':<26}{'wall':>9}{'processor':>11}"
    for name, speeds in medians.items():
        yield f"{name:<26}{speeds['wall']:>9,.0f}{speeds['processor']:>11,.0f}"
    ours = medians["predict --csv"]
    for other in ("both halves", "plain loop"):
        ratios = [ours[kind] / medians[other][kind] for kind in ("wall", "processor")]
        yield f"predict --csv / {other:<14}" + "".join(f"{ratio:>9.2f}x" for ratio in ratios)


def memory(place: Path, photos: list[Path], model: str, sizes: list[int]) -> Iterator[str]:
    """The most that a process of `predict` held, for folders of these sizes."""
    yield f"{'files':>10}{'MB':>8}{'pictures/s':>12}"
    for size in sizes:
        folder = fill(place / str(size), photos, size)
        command = [sys.executable, str(ROOT / "predict.py"), str(folder), "--model", model, "--csv"]
        started = time.perf_counter()
        with subprocess.Popen([*command, str(place / f"{size}.csv")], stdout=subprocess.DEVNULL) as job:
            _, status, usage = os.wait4(job.pid, 0)
            job.returncode = os.waitstatus_to_exitcode(status)
        assert job.returncode == 0
        speed = size / (time.perf_counter() - started)
        yield f"{size:>10,}{usage.ru_maxrss / 1024:>8,.0f}{speed:>12,.0f}"
        shutil.rmtree(folder)


def with_examples(place: Path, photos: list[Path], model: str, count: int) -> Iterator[str]:
    """Pictures per second of `predict` and of the examples for clusters on this machine, as whole commands.

    "steady": of the pictures beyond the first tenth, so that starts do not count.
    """
    sizes = (count // 10, count)
    folders = [fill(place / str(size), photos, size) for size in sizes]
    programs = {
        "predict --parquet": lambda pictures, out: [
            "predict.py",
            pictures,
            "--model",
            model,
            "--parquet",
            out,
        ],
        "Ray Data": lambda pictures, out: ["examples/ray_predict.py", pictures, model, out],
        "Spark": lambda pictures, out: ["examples/spark_predict.py", pictures, model, out],
    }
    yield f"{'':<20}{'seconds':>9}{'pictures/s':>12}{'steady':>9}"
    for name, command in programs.items():
        seconds = []
        for size, folder in zip(sizes, folders, strict=True):
            out = str(place / f"{size}.{name.split()[0]}")
            started = time.perf_counter()
            subprocess.run(
                [sys.executable, *command(str(folder), out)],
                cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True,
            )  # fmt: skip
            seconds.append(time.perf_counter() - started)
        steady = (sizes[1] - sizes[0]) / (seconds[1] - seconds[0])
        yield f"{name:<20}{seconds[1]:>9.1f}{count / seconds[1]:>12,.0f}{steady:>9,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--memory", type=int, nargs="+", metavar="FILES")
    parser.add_argument("--examples", action="store_true")
    parser.add_argument("--scratch", type=Path, help="where the temporary folder may lie")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)  # in a new process
    options = parser.parse_args()
    if options.contender:
        print(json.dumps(measure(options.contender, options.photos, options.model)))
        return
    photos = sorted(path for path in options.photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    print("\n".join(environment.lines(f"n = {options.rounds}")), flush=True)
    with tempfile.TemporaryDirectory(dir=options.scratch) as place:
        if options.memory:
            lines = memory(Path(place), photos, options.model, options.memory)
        elif options.examples:
            lines = with_examples(Path(place), photos, os.path.abspath(options.model), options.count)
        else:
            folder = fill(Path(place, "photos"), photos, options.count)
            lines = compare(folder, options.model, options.rounds)
        for line in lines:
            print(line, flush=True)


if __name__ == "__main__":
    main()
