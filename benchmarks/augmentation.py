"""What each way of varying the training pictures gains, and how few pictures suffice.

    python benchmarks/augmentation.py --data training_data --test testing_data

takes folders of photos. Trains network `standard` on 250, 500 and 1,000 of them by the recipe for so many,
varied in one way at a time, in all ways, and in all ways with parts of pictures mixed, which is the default.
Every seed draws pictures of its own, the same for each way. Prints, for each way, the test accuracy, mean
over the seeds, and in brackets by how many points it differs from no variation, with the 95 % interval of
that difference by Student's t where the seeds are several.
"""

import statistics
import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import environment  # noqa: E402
import trial  # noqa: E402
from scipy.stats import t as student  # noqa: E402

from pigeonhole import quiet  # noqa: E402
from pigeonhole.data.augmentation import NONE, Augmentation  # noqa: E402
from pigeonhole.networks import recipes  # noqa: E402
from pigeonhole.networks.registry import NETWORKS  # noqa: E402

SIDE = 96  # pixels
COUNTS = (250, 500, 1_000)
ZOOM = 0.64  # of the area: up to 1.25 times as large
USUAL = NETWORKS["standard"].recipe(SIDE, COUNTS[-1], all_grey=False).augmentation
WAYS = {
    "none": NONE,
    "flip": Augmentation(flip=True),
    "crop": Augmentation(crop=USUAL.crop, aspect=USUAL.aspect),
    "rotate and zoom": Augmentation(rotate=USUAL.rotate, crop=ZOOM),
    "colour": Augmentation(colour=USUAL.colour),
    "all": USUAL,
    "all, mixed": USUAL,
}
MIXED = "all, mixed"


def main() -> None:
    parser = trial.parser(__doc__)
    parser.add_argument(
        "--length", type=float, default=1.0, metavar="SHARE", help="of the recipe's epochs (1)"
    )
    options = parser.parse_args()
    quiet.import_tensorflow()
    train = trial.read(options.data, SIDE)
    test = trial.read(options.test, SIDE, classes=train.class_names)
    seeds = [int(seed) for seed in options.seeds.split(",")]
    from pigeonhole.training import precision  # imports TensorFlow

    computing, _ = precision.choose("auto")
    print("\n".join(environment.lines(computing, f"{options.length:g} of the recipe's epochs")))
    print(f"{test.num_examples:,} test pictures of {', '.join(test.class_names)}; n = {len(seeds)} seeds\n")
    print(f"| varied by | {' | '.join(f'{count:,} pictures' for count in COUNTS)} |")
    print(f"|---|{'---|' * len(COUNTS)}")
    plain: dict[int, list[float]] = {}
    for way in WAYS:
        cells = []
        for count in COUNTS:
            recipe = recipe_for(way, count).times_as_long(options.length)
            reached = [
                trial.run("standard", trial.draw(train, count, seed), test, recipe, seed, computing).accuracy
                for seed in seeds
            ]
            environment.note(f"{count:,}, {way}", reached, "share")
            before = plain.setdefault(count, reached)
            cells.append(told(reached, before if way != "none" else None))
        print(f"| {way} | {' | '.join(cells)} |", flush=True)


def recipe_for(way: str, count: int) -> recipes.Recipe:
    """The recipe for so many pictures, but for how it varies them."""
    usual = NETWORKS["standard"].recipe(SIDE, count, all_grey=False)
    return replace(usual, augmentation=WAYS[way], mix=float(way == MIXED))


def told(reached: list[float], plain: list[float] | None) -> str:
    mean = f"{100 * statistics.mean(reached):.1f} %"
    if plain is None:
        return mean
    gains = [100 * (now - before) for now, before in zip(reached, plain, strict=True)]
    gain = statistics.mean(gains)
    if len(gains) == 1:
        return f"{mean} ({gain:+.1f})"
    half = student.ppf(0.975, len(gains) - 1) * statistics.stdev(gains) / len(gains) ** 0.5
    return f"{mean} ({gain:+.1f}, {gain - half:+.1f} to {gain + half:+.1f})"


if __name__ == "__main__":
    main()
