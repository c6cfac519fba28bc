"""An earlier run that is to be gone on with or repeated: what it was asked for, and what is different now."""

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pigeonhole.data.augment import Augmentation
from pigeonhole.data.folders import Record
from pigeonhole.errors import PigeonholeError
from pigeonhole.networks.recipes import Recipe
from pigeonhole.runs import runs

FLAGS = ("resume", "repeat", "force")
SPLIT = "split.csv"
PATHS = ("data", "test", "split", "fixes", "cache_dir")
LENGTHS = ("epochs", "steps", "minutes")
# What decides the outcome. The rest says where things lie, and what is looked at beside the training.
DECISIVE = (
    "classes", "validation_size", "split", "fixes", "fraction", "channels", "seed", "network", "image_size",
    *LENGTHS, "batch_size", "optimizer", "schedule", "decay_steps", "learning_rate", "weight_decay",
    "label_smoothing", "dropout", "augment", "class_weights", "patience", "precision", "threads",
    "weights_digest", "freeze", "flip_average", "shift_average",
)  # fmt: skip
NAMED = 3  # pictures, of each kind of change


@dataclass(frozen=True)
class Earlier:
    """What the settings.json of `run` says. `options`: the flags by name, with what was measured in place of
    what was left to be measured. `changed_midway`: changes since it was begun that the user accepted."""

    run: Path
    options: dict[str, object]
    recipe: Recipe
    total_steps: int
    environment: dict[str, str]
    changed_midway: list[str]

    def changed_options(self, options: Mapping[str, object]) -> list[str]:
        """A line for each flag that decides the outcome and has another value now."""
        return [
            self._told_change(name, options)
            for name in DECISIVE
            if _plain(options[name]) != _plain(self.options.get(name))
        ]

    def _told_change(self, name: str, options: Mapping[str, object]) -> str:
        if name == "weights_digest":
            name = "weights"
            if options[name] == self.options.get(name):
                return f"what --weights {options[name]} holds has changed"
        return f"--{name.replace('_', '-')} was {_told(self.options.get(name))}, now {_told(options[name])}"

    def changed_data(self, records: Iterable[Record], sides: Mapping[str, str]) -> list[str]:
        """A line for each kind of change of the pictures since the run began."""
        with (self.run / SPLIT).open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            before = {row["path"]: (row["class"], row["digest"]) for row in csv.DictReader(file)}
        now = {
            record.entry.name: (record.entry.class_name, record.digest)
            for record in records
            if record.entry.name in sides
        }
        both = before.keys() & now.keys()
        kinds = {
            "new": now.keys() - before.keys(),
            "missing": before.keys() - now.keys(),
            "of another class": {name for name in both if before[name][0] != now[name][0]},
            "of other content": {name for name in both if before[name][1] != now[name][1]},
        }
        return [_told_pictures(kind, names) for kind, names in kinds.items() if names]

    def changed_environment(self, environment: Mapping[str, str]) -> list[str]:
        """A line for each version, and the processor, that is another now."""
        return [
            f"{name} was {self.environment.get(name)}, now {now}"
            for name, now in environment.items()
            if self.environment.get(name) != now
        ]


def read(run: Path) -> Earlier:
    """Raises PigeonholeError where the run's settings are missing or not of this kind."""
    file = run / runs.SETTINGS
    try:
        settings = json.loads(file.read_text("utf-8"))
        options = {
            name: Path(value) if name in PATHS and value is not None else value
            for name, value in settings["options"].items()
        }
        machine, recipe = settings["machine"], settings["recipe"]
        # Runs that were begun before recipes had this field say it among their flags alone.
        balanced = {"balanced": options["class_weights"] == "balanced"}
        options |= {"precision": machine["precision"], "threads": machine["threads"]}
        return Earlier(
            run=run,
            options=options,
            recipe=Recipe(**{**recipe, "augmentation": Augmentation(**recipe["augmentation"]), **balanced}),
            total_steps=settings["total_steps"],
            environment={
                **settings["versions"],
                "processor": machine["processor"],
                "workers": str(machine["workers"]),
            },
            changed_midway=settings["changed_midway"],
        )
    except FileNotFoundError as error:
        raise PigeonholeError(
            f"{run}: has no {runs.SETTINGS}, so it ended before it began; train anew"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PigeonholeError(f"{file}: damaged, or of another version ({error})") from error


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def _told(value: object) -> str:
    return "not given" if value is None else ",".join(value) if isinstance(value, list) else str(value)


def _told_pictures(kind: str, names: Iterable[str]) -> str:
    names = sorted(names)
    more = ", ..." if len(names) > NAMED else ""
    plural = "s" if len(names) > 1 else ""
    return f"{len(names):,} picture{plural} {kind} ({', '.join(names[:NAMED])}{more})"
