"""Training pictures per second: this project beside other ways to train the same network.

    python benchmarks/training_speed.py --network tutorial
    python benchmarks/training_speed.py --network standard --plot speed.png

Every contender has a process of its own, and they take turns, so that a computer that slows down slows all
of them; the figures are medians over the rounds, the ratios medians of the rounds' own ratios. PyTorch takes
part where it is installed (pip install torch). The last lines hold the operations per second against what
this computer reaches in multiplying matrices.
"""

import argparse
import importlib.util
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "benchmarks"))

import environment  # noqa: E402
from contenders import KINDS, PLANS, THREADS  # noqa: E402

OURS = next(iter(KINDS))
MATRIX = 2048
HOPELESS = 6  # so many times our step: not worth waiting for


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", choices=PLANS, default="tutorial")
    parser.add_argument("--steps", type=int, default=20, metavar="N", help="of each round (20)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how often each has its turn (5)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the table as a PNG")
    options = parser.parse_args()
    plan = PLANS[options.network]
    kinds = [kind for kind in KINDS if "PyTorch" not in kind or importlib.util.find_spec("torch")]
    title = f"{options.network}, {plan.size} px, batch {plan.batch}"
    print(f"{title}, {options.rounds} rounds of {options.steps} steps")
    print("\n".join(environment.lines(f"{THREADS} threads")), flush=True)
    seconds = measure(kinds, options.network, options.steps, options.rounds)
    pictures = options.steps * plan.batch
    speeds = {kind: [pictures / each for each in taken] for kind, taken in seconds.items()}
    print(f"\n{'':30} {'pictures/s':>10} {'Pigeonhole is':>14}")
    for kind, found in speeds.items():
        ratio = statistics.median(mine / other for mine, other in zip(speeds[OURS], found, strict=True))
        print(f"{kind:30} {statistics.median(found):10.0f} {ratio:13.2f}x")
        environment.note(f"{options.network}, {kind}", found, "pictures/s")
    print_roofline(plan.operations() * statistics.median(speeds[OURS]))
    if options.plot:
        draw(speeds, options.plot, title)


def measure(kinds: list[str], network: str, steps: int, rounds: int) -> dict[str, list[float]]:
    """The seconds of each contender's rounds. What cannot run here, or is hopeless, is named and left out."""
    running = {}
    for kind in kinds:
        process, step = start(kind, network, steps)
        if kind == OURS:
            ours = step
        if step is None:
            print(f"{kind}: cannot run here", flush=True)
        elif step > HOPELESS * ours:
            print(f"{kind}: {step / ours:.0f} times as long for one step, left out", flush=True)
            process.kill()
        else:
            running[kind] = process
    seconds = {kind: [] for kind in running}
    for _ in range(rounds):
        for kind, process in running.items():
            print(steps, file=process.stdin, flush=True)
            seconds[kind].append(float(process.stdout.readline()))
    for process in running.values():
        process.stdin.close()
        process.wait()
    return seconds


def start(kind: str, network: str, most_steps: int) -> tuple[subprocess.Popen, float | None]:
    """A contender's process, and the seconds of one step; None where it ended before."""
    command = [sys.executable, str(ROOT / "benchmarks" / "contenders.py"), kind, network, str(most_steps)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    line = process.stdout.readline()
    return process, float(line) if line else None


def print_roofline(per_second: float) -> None:
    """How much of this computer's rate of multiplying matrices so many operations per second are."""
    from pigeonhole.quiet import import_tensorflow

    import_tensorflow()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    for dtype in (tf.float32, tf.bfloat16):
        rate = matrix_rate(dtype)
        share = f"{per_second / rate:.0%} of the {rate / 1e9:.0f} of {dtype.name} matrices"
        print(f"{per_second / 1e9:.0f} GFLOP/s, {share}")


def matrix_rate(dtype) -> float:
    """Operations per second in multiplying square matrices; the median of several."""
    import tensorflow as tf

    factor = tf.cast(tf.random.stateless_normal([MATRIX, MATRIX], [0, 0]), dtype)
    multiply = tf.function(lambda: tf.matmul(factor, factor), jit_compile=False)
    taken = []
    for _ in range(7):
        started = time.perf_counter()
        multiply()[0, 0].numpy()
        taken.append(time.perf_counter() - started)
    return 2 * MATRIX**3 / statistics.median(taken[2:])


def draw(speeds: dict[str, list[float]], file: Path, title: str) -> None:
    """A bar for each contender, with its slowest and fastest round."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    kinds = list(speeds)[::-1]
    middle = [statistics.median(speeds[kind]) for kind in kinds]
    spread = [
        [median - min(speeds[kind]) for kind, median in zip(kinds, middle, strict=True)],
        [max(speeds[kind]) - median for kind, median in zip(kinds, middle, strict=True)],
    ]
    figure, axes = pyplot.subplots(figsize=(8, 0.5 * len(kinds) + 1.2), layout="constrained")
    axes.barh(kinds, middle, xerr=spread)
    axes.set_xlabel("training pictures per second")
    axes.set_title(title)
    figure.savefig(file, dpi=120)


if __name__ == "__main__":
    main()
