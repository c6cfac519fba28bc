"""Which settings of the workbench teach most, by training pictures alone: how its constants were chosen.

    python benchmarks/labelling_settings.py --sets dogs=TRAIN weather=TRAIN signs=TRAIN ants=TRAIN

Each setting is tried as labelling.py does without TEST: a third of TRAIN is held out, another one for each
seed. The figure is the mean accuracy there after 5 to 120 labels in the proposed order, each of these numbers
counting alike; `gain` is over the first setting. Of settings that differ by chance alone, the simplest is to
be kept.
"""

import argparse
import json
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import environment  # noqa: E402
import labelling  # noqa: E402
from labelling_orders import METHODS  # noqa: E402

from pigeonhole.data import cache  # noqa: E402
from pigeonhole.features.extractor import open_pretrained  # noqa: E402
from pigeonhole.labelling import coordinates, learner, proposals  # noqa: E402

MARKS = 5, 10, 15, 20, 30, 40, 60, 80, 120
SETTINGS = {
    "as it is": {},
    **{
        f"exponent {exponent}, last layer x{weight}": {
            (coordinates, "EXPONENT"): exponent,
            (coordinates, "LAST_WEIGHT"): weight,
        }
        for exponent, weight in ((0.5, 3), (0.5, 2), (0.5, 1), (0, 1), (0.25, 1), (0.75, 1), (0.9, 1))
    },
    **{f"first penalty {number}": {(learner, "FIRST_PENALTY"): number} for number in range(3)},
    **{f"{number} first labels": {(proposals, "FIRST"): number} for number in (5, 10, 15, 20, 30)},
    **{f"{number} candidates": {(proposals, "CANDIDATES"): number} for number in (1, 3, 5, 10, 20)},
}


def main() -> None:
    options = _parser().parse_args()
    kept, opened = cache.of_flags(options.cache_dir, False), open_pretrained()
    sets = {name: labelling.read(train, None, opened, kept) for name, train in options.sets}
    found: dict[str, dict[str, list[float]]] = {}
    print("\n".join(environment.lines(f"n = {options.seeds} seeds")))
    print(f"| setting | {' | '.join(sets)} | mean | gain |\n|---|" + "---|" * (len(sets) + 2))
    for setting, values in SETTINGS.items():
        if options.only and setting not in options.only:
            continue
        with changed(values):
            found[setting] = {name: taught(seen, options.seeds) for name, seen in sets.items()}
        print(line(setting, found), flush=True)
        environment.note(setting, [value for values in found[setting].values() for value in values], "share")
        options.results.write_text(json.dumps(found, indent=1) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", type=_set, nargs="+", required=True, metavar="NAME=TRAIN")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds 0 to N-1 (3)")
    parser.add_argument("--only", choices=SETTINGS, nargs="+", metavar="SETTING", help="(all)")
    parser.add_argument("--cache-dir", metavar="FOLDER")
    parser.add_argument("--results", type=Path, default=Path("labelling_settings.json"), metavar="FILE")
    return parser


def _set(text: str) -> tuple[str, Path]:
    name, _, train = text.partition("=")
    if not name or not train or not Path(train).is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=TRAIN, a folder of class folders")
    return name, Path(train)


@contextmanager
def changed(values: dict):
    before = {(module, name): getattr(module, name) for module, name in values}
    try:
        for (module, name), value in values.items():
            setattr(module, name, value)
        yield
    finally:
        for (module, name), value in before.items():
            setattr(module, name, value)


def taught(seen: labelling.Seen, seeds: int) -> list[float]:
    """The mean accuracy for each seed, 0..1."""
    propose, found = METHODS["proposed"], []
    for seed in range(seeds):
        steps = labelling.labelled(seen.pictures(seed), propose, seed, MARKS)
        found.append(float(np.mean([true for _, _, true in steps])))
    return found


def line(setting: str, found: dict[str, dict[str, list[float]]]) -> str:
    """Of the gain over the first setting: the mean, and the standard error over all sets and seeds."""
    now = np.array(list(found[setting].values()))  # [sets, seeds]
    gains = now - np.array(list(next(iter(found.values())).values()))
    error = np.std(gains) / np.sqrt(gains.size)
    cells = [f"{100 * value:.1f}" for value in (*now.mean(axis=1), now.mean())]
    return f"| {setting} | {' | '.join(cells)} | {100 * gains.mean():+.2f} ± {100 * error:.2f} |"


if __name__ == "__main__":
    main()
