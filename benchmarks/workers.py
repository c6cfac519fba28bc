"""What training by several workers costs in communication, and what it would cost on more hosts.

    python benchmarks/workers.py --workers 2 --network standard

Starts so many workers on this machine, each on its share of the cores. In every round all of them first
compute a step on a shard of their own, nothing exchanged, then the same step together. Medians over the
rounds, ratios within a round. Bytes are those that the loopback interface counted (Linux), others' included.

The projection: in a ring all-reduce each of N hosts sends 2 (N - 1) / N times what is summed, so
seconds = 2 (N - 1) / N x bytes / bandwidth, and each of the step's exchanges, which follow one another, takes
2 (N - 1) hops. What is summed is taken from the bytes counted here, a hop is assumed to take 0.2 ms. Every
host computes on as large a shard as each worker here.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

import environment

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

HOSTS = (2, 8, 64)
GIGABITS = (1, 10)
HOP_SECONDS = 0.0002  # assumed: two hosts of one data centre, through the kernel and gRPC
WARM_UP = 5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--network", default="standard")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--shard", type=int, default=125, help="pictures of each worker in a step (125)")
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    from pigeonhole.training.distributed import launcher
    from pigeonhole.training.distributed.cluster import from_environment

    if cluster := from_environment():
        measure(cluster, options)
    else:
        print("\n".join(environment.lines()), flush=True)
        sys.exit(launcher.run([sys.executable, *sys.argv], options.workers))


def measure(cluster, options: argparse.Namespace) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from pigeonhole.quiet import import_tensorflow

    import_tensorflow()
    import numpy as np
    import tensorflow as tf

    from pigeonhole.data.dataset import DataSet
    from pigeonhole.networks.registry import NETWORKS
    from pigeonhole.training.blueprint import Blueprint
    from pigeonhole.training.distributed import workers

    threads = len(os.sched_getaffinity(0))
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    together = workers.join(cluster, print)
    side, pictures = options.image_size, options.shard * together.count
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (pictures, side, side, 3), np.uint8)
    data = DataSet(images, np.arange(pictures) % 10, [str(n) for n in range(pictures)], list("abcdefghij"))
    recipe = NETWORKS[options.network].recipe(side, pictures, all_grey=False)

    def a_step(size: int, shared: "workers.Workers | None"):
        """A function that computes one and the same step, and its network."""
        of_size = recipe.with_given(batch_size=size)
        trainer = Blueprint(options.network, 0).trainer(of_size, data, workers=shared)
        batch = trainer.batches.batch(0)
        return lambda: trainer.train_on(0, 1e-4, batch), trainer.model

    alone, _ = a_step(options.shard, None)
    joint, model = a_step(pictures, together)
    for _ in range(WARM_UP):
        alone()
        joint()
    rounds = []
    for _ in range(options.rounds):
        together.united(np.zeros(1, np.int64))  # all begin at once
        by_oneself = seconds(alone)
        together.united(np.zeros(1, np.int64))
        before = counted_bytes()
        jointly = seconds(joint)
        rounds.append((by_oneself, jointly, counted_bytes() - before))
    if cluster.is_chief:
        exchanges = 1 + 2 * sum("bn" in layer.name for layer in model.layers)
        tell(options, threads, 4 * model.count_params(), exchanges, rounds)


def seconds(step) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def counted_bytes() -> int:
    """What the loopback interface has sent so far."""
    (line,) = [
        line for line in Path("/proc/net/dev").read_text().splitlines() if line.strip().startswith("lo:")
    ]
    return int(line.split()[9])


def tell(options, threads: int, parameter_bytes: int, exchanges: int, rounds) -> None:
    count = options.workers
    alone, joint, counted = (statistics.median(column) for column in zip(*rounds, strict=True))
    share = statistics.median(1 - alone / joint for alone, joint, _ in rounds)
    for figure, column in zip(("alone", "jointly"), zip(*rounds, strict=True), strict=False):
        environment.note(f"{options.network} {figure}", [1e3 * taken for taken in column], "ms")
    each = counted / count
    summed = each / (2 * (count - 1) / count)
    print(
        f"{options.network}, {options.image_size} px, {count} workers of {threads} threads, n = {len(rounds)}"
    )
    print(f"shard of {options.shard} alone   {alone * 1e3:8.1f} ms")
    print(f"the same step jointly {joint * 1e3:8.1f} ms, of it communication and waiting {share:.0%}")
    print(f"sent by each worker   {each / 1e6:8.2f} MB a step; weights have {parameter_bytes / 1e6:.2f} MB")
    print(f"summed                {summed / 1e6:8.2f} MB a step, in {exchanges} exchanges")
    for gigabits in GIGABITS:
        for hosts in HOSTS:
            transfer = 2 * (hosts - 1) / hosts * summed * 8 / (gigabits * 1e9)
            waiting = exchanges * 2 * (hosts - 1) * HOP_SECONDS
            communication = transfer + waiting
            print(
                f"{hosts:3} hosts, {gigabits:2} Gbit/s     {communication * 1e3:8.1f} ms communication "
                f"({transfer * 1e3:.1f} transfer + {waiting * 1e3:.1f} hops), "
                f"{communication / (communication + alone):.0%} of a step, "
                f"{hosts * alone / (alone + communication):.1f} times the pictures/s of one"
            )


if __name__ == "__main__":
    main()
