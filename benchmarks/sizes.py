"""Recipes that fit the number of pictures, beside one that is always the same.

    python benchmarks/sizes.py --data training_data --test testing_data

takes CIFAR-10 as class folders. Trains network `standard` on 100, 1,000, 10,000 and 50,000 of its pictures
by the default recipe for so many and by a fixed one as it is often met: Adam at 1e-3, 30 epochs, batches of
32, mirrored and shifted by up to a tenth. Every seed draws pictures of its own, the same for both. Prints
accuracy on all test pictures and training seconds, medians over the seeds.
"""

import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import environment  # noqa: E402
import trial  # noqa: E402

from pigeonhole import quiet  # noqa: E402
from pigeonhole.data.augmentation import Augmentation  # noqa: E402
from pigeonhole.networks import recipes  # noqa: E402
from pigeonhole.networks.registry import NETWORKS  # noqa: E402

SIDE = 32  # pixels
COUNTS = (100, 1_000, 10_000, 50_000)
FIXED = recipes.Recipe(
    image_size=SIDE,
    batch_size=32,
    epochs=30,
    optimizer="adam",
    schedule="constant",
    learning_rate=1e-3,
    weight_decay=0.0,
    label_smoothing=0.0,
    augmentation=Augmentation(flip=True, shift=0.1),
    mix=0.0,
    patience=None,
)


def main() -> None:
    parser = trial.parser(__doc__)
    parser.add_argument("--counts", default=",".join(map(str, COUNTS)), help="of pictures to train on")
    options = parser.parse_args()
    quiet.import_tensorflow()
    train = trial.read(options.data, SIDE)
    test = trial.read(options.test, SIDE, classes=train.class_names)
    seeds = [int(seed) for seed in options.seeds.split(",")]
    from pigeonhole.training import precision  # imports TensorFlow

    computing, _ = precision.choose("auto")
    print("\n".join(environment.lines(computing)))
    print(f"{test.num_examples:,} test pictures of {len(test.class_names)} classes; n = {len(seeds)} seeds\n")
    print("| pictures | recipe | test accuracy | seconds | fixed recipe | seconds |")
    print("|---|---|---|---|---|---|")
    for count in map(int, options.counts.split(",")):
        usual = NETWORKS["standard"].recipe(SIDE, count, all_grey=False)
        cells = [f"{count:,}", f"{usual.epochs:g} epochs, batches of {usual.batch_size}"]
        for title, recipe in (("usual", usual), ("fixed", FIXED)):
            trials = [
                trial.run("standard", trial.draw(train, count, seed), test, recipe, seed, computing)
                for seed in seeds
            ]
            environment.note(f"{count:,}, {title}", [each.accuracy for each in trials], "share")
            accuracy = statistics.median(each.accuracy for each in trials)
            seconds = statistics.median(each.seconds for each in trials)
            cells += [f"{100 * accuracy:.1f} %", f"{seconds:,.0f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
