"""A previous run that is resumed or repeated: what it was asked for, and what is different now."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pigeonhole.arguments import Effect
from pigeonhole.data.augmentation import Augmentation
from pigeonhole.data.folders import Record
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.networks.recipes import WHOLE_EPOCHS, Recipe
from pigeonhole.networks.registry import AUTO
from pigeonhole.runs import config as configs
from pigeonhole.runs.config import SettledCandidate, TrainingConfig
from pigeonhole.runs.parts import Part
from pigeonhole.runs.run import Run

DECISIVE = configs.named(Effect.OUTCOME, Effect.LENGTH)
NAMED = 3  # pictures, of each kind of change


@dataclass(frozen=True)
class PreviousRun:
    """What the settings of `run` say.

    `options`: the flags by name, as `TrainingConfig` has them, with what was measured in place of what was
    left to be measured. `weights_digest`: of the weights that it started from. `changed_midway`: changes
    since it was begun that the user accepted. `may_restart`, `restarted_after`, `candidates`, `earlier`: as
    of `config.Settled`. `is_lengthened`: whether what the rest says is no longer what the run was asked for,
    but to what it is lengthened now; `total_steps` is then None where it has to be measured. `features`: as
    of `config.Machine`. `image_size`: the side in pixels at which the pictures were read; older runs do not
    say it.
    """

    run: Run
    options: dict[str, object]
    weights_digest: str | None
    recipe: Recipe | None
    total_steps: int | None
    steps_per_epoch: int
    environment: dict[str, str]
    changed_midway: list[str]
    may_restart: bool = False
    restarted_after: int | None = None
    candidates: tuple[SettledCandidate, ...] = ()
    earlier: tuple[Part, ...] = ()
    is_lengthened: bool = False
    features: str = "onnx"
    image_size: int | None = None

    def changed_options(self, config: TrainingConfig, weights_digest: str | None) -> list[str]:
        """A line for each flag that decides the outcome and has another value now."""
        changed = [name for name in DECISIVE if getattr(config, name) != self.options.get(name)]
        lines = [self._told_change(name, config) for name in changed]
        if weights_digest != self.weights_digest:
            flags = ("backbone", "weights")
            others = [name for name in flags if getattr(config, name) != self.options.get(name)]
            given = "backbone" if config.backbone and not config.weights else "weights"
            what = f"what --{given} {getattr(config, given)} holds has changed"
            lines += [self._told_change(name, config) for name in others] or [what]
        return lines

    def _told_change(self, name: str, config: TrainingConfig) -> str:
        before, now = _told(self.options.get(name)), _told(getattr(config, name))
        return f"--{name.replace('_', '-')} was {before}, now {now}"

    def refuse(self, changes: list[str], force: bool) -> None:
        """Raise UsageError, naming the changes since the run was begun, unless they are forced."""
        if changes and not force:
            raise UsageError(
                f"{self.run} was started differently: {'; '.join(changes)}; "
                "--force accepts the changes and another outcome"
            )

    def changed_data(self, records: Iterable[Record], sides: Mapping[str, str]) -> list[str]:
        """A line for each kind of change of the pictures since the run began."""
        before = {row["path"]: (row["class"], row["digest"]) for row in self.run.split()}
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


def read(run: Run) -> PreviousRun:
    """Raises PigeonholeError where the run's settings are missing or not of this kind."""
    file = run.settings_file
    if not file.is_file():
        raise PigeonholeError(
            f"{run}: has no {file.name}: it was stopped before its first step; train again from the start"
        )
    settings = run.settings()
    try:
        machine = settings["machine"]
        measured = {"precision": machine["precision"], "threads": machine["threads"]}
        return PreviousRun(
            run=run,
            # A run that is older than a flag did what is its default.
            options={**configs.DEFAULTS, **configs.parsed(settings["options"]), **measured},
            weights_digest=settings["options"].get("weights_digest"),
            recipe=None if settings["options"]["network"] == AUTO else _recipe(settings["recipe"], settings),
            total_steps=settings["total_steps"],
            steps_per_epoch=settings.get("steps_per_epoch", 1),
            environment={
                **settings["versions"],
                "processor": machine["processor"],
                "workers": str(machine["workers"]),
            },
            changed_midway=settings["changed_midway"],
            may_restart=settings.get("may_restart", False),  # older runs never did
            restarted_after=settings.get("restarted_after"),
            candidates=tuple(
                SettledCandidate(**{**each, "recipe": _recipe(each["recipe"], settings)})
                for each in settings.get("candidates", ())
            ),
            earlier=tuple(
                Part(**{**each, "recipe": _recipe(each["recipe"], settings)})
                for each in settings.get("earlier", ())
            ),
            features=machine.get("features", "onnx"),  # older runs always did
            image_size=settings.get("image_size"),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PigeonholeError(f"{file}: damaged, or of another version ({error})") from error


def _recipe(values: Mapping, settings: Mapping) -> Recipe:
    # Runs that were begun before recipes had these fields say the one among their flags alone.
    balanced = {"balanced": settings["options"]["class_weights"] == "balanced"}
    augmentation = Augmentation(**values["augmentation"])
    return Recipe(**{"validate_every": WHOLE_EPOCHS, **values, "augmentation": augmentation, **balanced})


def _told(value: object) -> str:
    return "not given" if value is None else ",".join(value) if isinstance(value, list) else str(value)


def _told_pictures(kind: str, names: Iterable[str]) -> str:
    names = sorted(names)
    more = ", ..." if len(names) > NAMED else ""
    plural = "s" if len(names) > 1 else ""
    return f"{len(names):,} picture{plural} {kind} ({', '.join(names[:NAMED])}{more})"
