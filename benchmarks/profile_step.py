"""Where the time of a training step goes, operation by operation, by TensorFlow's profiler.

    python benchmarks/profile_step.py --network standard

Trains the network on noise as training_speed.py does, and prints milliseconds per step of each kind of
operation, and of the single operations that take longest. Operations run side by side, so that the sum is
more than the step. The profiler itself takes a few percent.
"""

import argparse
import collections
import re
import tempfile
import time
from pathlib import Path

import environment
from contenders import PLANS, ours

WARM_UP = 3  # steps
OPERATION = re.compile(r"(?P<name>[\w/.]+):(?P<kind>[A-Z_]\w*)$")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", choices=PLANS, default="standard")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--longest", type=int, default=12, metavar="N", help="single operations (12)")
    options = parser.parse_args()
    train = ours(options.network, WARM_UP + 2 * options.steps, options.precision)
    train(WARM_UP)
    started = time.perf_counter()
    train(options.steps)
    step = (time.perf_counter() - started) / options.steps
    batch = PLANS[options.network].batch
    print("\n".join(environment.lines()))
    print(f"{options.network}: {1000 * step:.1f} ms for a step of {batch}, {batch / step:,.0f} pictures/s")
    by_operation = {key: spent / options.steps for key, spent in profile(train, options.steps).items()}
    by_kind = collections.Counter()
    for (_, kind), spent in by_operation.items():
        by_kind[kind.removeprefix("_Mkl").removeprefix("Native")] += spent
    tell("kind", by_kind.most_common(options.longest), sum(by_kind.values()))
    longest = sorted(by_operation.items(), key=lambda item: -item[1])[: options.longest]
    tell("operation", [(name, spent) for (name, _), spent in longest], sum(by_kind.values()))


def profile(train, steps: int) -> dict[tuple[str, str], float]:
    """(operation's name, its kind) -> milliseconds in so many steps, summed over threads."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            train(steps)
        (file,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(file.read_bytes())
    spent: dict[tuple[str, str], float] = collections.defaultdict(float)
    for plane in space.planes:
        for event in (event for line in plane.lines for event in line.events):
            if found := OPERATION.match(plane.event_metadata[event.metadata_id].name):
                spent[found["name"], found["kind"]] += event.duration_ps / 1e9
    return spent


def tell(what: str, rows: list[tuple[str, float]], total: float) -> None:
    print(f"\n{what:<70} {'ms':>7} {'share':>6}")
    for name, spent in rows:
        print(f"{name:<70} {spent:7.2f} {spent / total:6.1%}")


if __name__ == "__main__":
    main()
