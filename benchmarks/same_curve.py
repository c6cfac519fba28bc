"""Whether several workers learn what one learns: the loss of every step, at the same global batch.

    python benchmarks/same_curve.py --data training_data --network tutorial --learning-rate 3e-5

Trains the same steps by one worker, by two and by four, each a process of its own on this machine, in float32
and without dropout, and prints the largest relative difference of a step's loss to that of one worker. Beside
them one worker whose first weights begin one unit in the last place higher: how much rounding alone grows.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import environment

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

CONTROL = "one, nudged"
KINDS = {"one": 1, "two": 2, "four": 4, CONTROL: 1}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="one folder per class")
    parser.add_argument("--network", default="tutorial")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--fraction", type=float, default=1.0, help="of the pictures (1)")
    parser.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--losses", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.kind:
        train(options)
    else:
        compare(options)


def compare(options: argparse.Namespace) -> None:
    """Train by each kind in processes of its own, and print how far they are apart."""
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for kind in KINDS:
            file = Path(folder, "losses.npy")
            subprocess.run(
                [sys.executable, *sys.argv, "--kind", kind, "--losses", str(file)],
                stdout=subprocess.DEVNULL,
                check=True,
            )
            found[kind] = np.load(file)
    one = found["one"]
    print("\n".join(environment.lines()))
    print(f"{options.network}, batch {options.batch_size}, rate {options.learning_rate:g}, {len(one)} steps")
    print(f"loss {one[:10].mean():.3f} (first ten steps) to {one[-10:].mean():.3f} (last ten)")
    for kind, losses in found.items():
        if kind != "one":
            apart = np.abs(losses / one - 1)
            environment.note(kind, apart.max(), "relative difference of the loss")
            print(
                f"{kind:12} at most {apart.max():.1e} from one worker, {np.median(apart):.1e} in the median"
            )


def train(options: argparse.Namespace) -> None:
    """Train by one kind, and have the chief write the loss of every step."""
    from pigeonhole.training.distributed import launcher
    from pigeonhole.training.distributed.cluster import from_environment

    cluster = from_environment()
    if KINDS[options.kind] > 1 and cluster is None:
        sys.exit(launcher.run([sys.executable, *sys.argv], KINDS[options.kind]))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from pigeonhole.quiet import import_tensorflow

    import_tensorflow()
    import numpy as np
    import tensorflow as tf

    from pigeonhole.data import dataset
    from pigeonhole.networks.registry import NETWORKS
    from pigeonhole.training.blueprint import Blueprint
    from pigeonhole.training.distributed import workers

    for set_threads in (
        tf.config.threading.set_intra_op_parallelism_threads,
        tf.config.threading.set_inter_op_parallelism_threads,
    ):
        set_threads(1)
    together = workers.join(cluster, print) if cluster else None
    sets = dataset.read_train_sets(options.data, options.image_size, fraction=options.fraction)
    recipe = NETWORKS[options.network].recipe(options.image_size, sets.train.num_examples, all_grey=False)
    recipe = recipe.with_given(
        batch_size=options.batch_size, learning_rate=options.learning_rate, dropout=0.0
    )
    trainer = Blueprint(options.network, 0).trainer(recipe, sets.train, workers=together)
    if options.kind == CONTROL:
        weights = trainer.model.trainable_variables[0]
        weights.assign(np.nextafter(weights.numpy(), np.float32(np.inf)))
    trainer.total_steps = options.steps
    losses: list[float] = []
    trainer.learn(lambda progress: losses.append(progress.loss))
    if cluster is None or cluster.is_chief:
        np.save(options.losses, losses)


if __name__ == "__main__":
    main()
