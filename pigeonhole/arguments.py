"""Flags: how one is declared, those that more than one command has, and the types of their values."""

import argparse
import dataclasses
import difflib
import itertools
import math
import os
import re
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, NoReturn

from pigeonhole import cli
from pigeonhole.errors import UsageError
from pigeonhole.terminal import shown

NEEDS_QUOTES = "a path with a space needs quotes"
MOST_WORDS = 100  # of a command line, in which a path that was cut at its spaces is sought

MOST = 1_000_000_000  # of what has no bound of its own; beyond it lie typing errors and overflows
MOST_DIGITS = 20


class Parser(argparse.ArgumentParser):
    """The parser of one command: its help says how the user starts it, a mistake is told in two lines."""

    def __init__(self, command: str, description: str, operands: str = ""):
        super().__init__(
            prog=cli.command(command),
            usage=f"%(prog)s [flags] {operands}".rstrip(),
            description=cli.as_started(description),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def _check_value(self, action: argparse.Action, value: object) -> None:
        """Refuse what is not among the choices, and name the nearest of them."""
        if action.choices is not None and value not in action.choices:
            choices = [str(choice) for choice in action.choices]
            near = difflib.get_close_matches(str(value), choices, 1, cutoff=0.3)
            meant = f"; did you mean {near[0]}?" if near else "."
            raise argparse.ArgumentError(
                action, f"{value!r}: no such choice{meant} Choose from {', '.join(choices)}"
            )

    def parse_args(self, args: Sequence[str], namespace: Any = None) -> Any:
        """What the arguments say; leaves with status 2 for one that no flag takes."""
        options, unknown = self.parse_known_args(args, namespace)
        if unknown:
            path = unquoted(args)
            self.error(f"{path}: {NEEDS_QUOTES}" if path else f"unrecognized arguments: {' '.join(unknown)}")
        return options

    def error(self, message: str) -> NoReturn:
        """Leave with status 2, saying what is wrong and where help is."""
        self.exit(UsageError.exit_status, f"error: {shown(message)}\nhelp:  {self.prog} --help\n")


def unquoted(arguments: Sequence[str]) -> str | None:
    """The file or folder that is there when some of the arguments are joined by spaces; None without one."""
    for start, end in itertools.combinations(range(min(len(arguments), MOST_WORDS) + 1), 2):
        path = re.sub(r"^--[\w-]+=", "", " ".join(arguments[start:end]))
        if end - start > 1 and os.path.exists(path) and not os.path.exists(arguments[start]):
            return path
    return None


def names(text: str) -> list[str]:
    found = [name.strip() for name in text.split(",")]
    if not all(found) or len(set(found)) != len(found):
        raise argparse.ArgumentTypeError(f"{text!r}: give class names once each, separated by commas")
    return found


def filled(text: str) -> str:
    """The text, unless it is empty, as that of a shell's variable that is not set."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty; name a file or folder, . for the working directory")
    return text


def interval(text: str) -> str:
    """`50steps` or `0.5epochs`, of a number of steps or of epochs; a number alone is one of steps."""
    found = re.fullmatch(r"([0-9.]+) ?(steps?|epochs?|)", text.strip())
    unit = found[2][:4] if found else ""
    try:
        number = float(found[1]) if unit == "epoc" else count(found[1])
        if not 0 < number <= MOST:
            raise ValueError
    except (TypeError, ValueError, argparse.ArgumentTypeError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a number of steps, such as 50, nor one of epochs, such as 0.5epochs"
        ) from None
    return f"{number:g}epochs" if unit == "epoc" else f"{number}steps"


def port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 65535")
    return int(text)


def as_path(text: str) -> Path:
    return Path(filled(text))


@dataclasses.dataclass(frozen=True)
class Bounds:
    """The numbers that a flag takes: its type on a command line, and the check of a value from Python.

    `wanted`: in words. `fits`: false for every other number.
    """

    wanted: str
    fits: Callable[[float], bool]
    is_whole: bool = False

    def __call__(self, text: str) -> float:
        """The number that the text is. Raises ArgumentTypeError."""
        try:
            value = self._whole(text) if self.is_whole else float(text)
        except ValueError:
            value = math.nan
        if not self.fits(value):
            raise argparse.ArgumentTypeError(f"{text!r} is not {self.wanted}")
        return value

    def hold(self, value: object) -> bool:
        """Whether the value is such a number."""
        kinds = int if self.is_whole else int | float
        return isinstance(value, kinds) and not isinstance(value, bool) and self.fits(value)

    @staticmethod
    def _whole(text: str) -> int:
        if not text.isdecimal() or len(text) > MOST_DIGITS:
            raise ValueError
        return int(text)


def up_to(most: int, least: int = 1) -> Bounds:
    """The whole numbers from `least` to `most`."""
    wanted = f"a whole number from {least} to {most:,}"
    return Bounds(wanted, lambda value: least <= value <= most, is_whole=True)


count = up_to(MOST)
MOST_SIDE = 4096  # of a picture, in pixels
side = up_to(MOST_SIDE)
thread_count = up_to(1024)
seed = up_to(2**31 - 1, least=0)
positive = Bounds(f"a number above 0 and up to {MOST:,}", lambda value: 0 < value <= MOST)
share = Bounds("a number between 0 and 1, such as 0.2", lambda value: 0 < value < 1)
part = Bounds("a number above 0 and up to 1", lambda value: 0 < value <= 1)
below_one = Bounds("a number from 0 up and below 1", lambda value: 0 <= value < 1)
not_negative = Bounds("a number from 0 up", lambda value: 0 <= value < math.inf)


class Effect(Enum):
    """What another value of a flag changes. Every flag of a training has one of these classes.

    What a resumed training may not change and what workers must agree on follow from the class.
    """

    OUTCOME = "what the training arrives at"
    LENGTH = "how long the training is, and so what it arrives at"
    WHERE = "where things lie and what computes"
    OUTPUT = "what is shown, measured or written besides"
    CALL = "which run this call is about"


def flag(effect: Effect, group: str, text: str, default: Any = None, **parsing: Any) -> Any:
    """A field of a frozen dataclass that is a flag of a command line, too.

    `group`: the title under which `--help` lists it. `text`: its help. `parsing`: what `add_argument` takes;
    besides, flags with the same `one_of` exclude each other, and `recipe=True` marks a setting of a recipe.
    """
    metadata = {name: parsing.pop(name, None) for name in ("one_of", "recipe")}
    parsing["help"] = text
    return dataclasses.field(
        default=default, metadata={"effect": effect, "group": group, "parsing": parsing, **metadata}
    )


def require_values(config: Any) -> None:
    """Raise UsageError where a dataclass of flags holds a value that its command line would refuse."""
    for field in dataclasses.fields(config):
        value, parsing = getattr(config, field.name), field.metadata["parsing"]
        bounds, choices = parsing.get("type"), parsing.get("choices")
        if value is None and field.default is None:
            continue
        if parsing.get("action") == "append":
            if isinstance(value, list | tuple) and set(value) <= set(choices or value):
                continue
            wanted = f"a list of {' or '.join(map(str, choices or ['values']))}"
        elif isinstance(bounds, Bounds) and not bounds.hold(value):
            wanted = bounds.wanted
        elif choices and value not in list(choices):
            wanted = f"one of {', '.join(map(str, choices))}"
        elif "action" in parsing and not isinstance(value, bool):
            wanted = "True or False"
        else:
            continue
        raise UsageError(f"{field.name}: {value!r} is not {wanted}")


def _data(text: str, default: Any = None, **parsing: Any) -> Any:
    return flag(Effect.OUTCOME, "data", text, default, **parsing)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CacheFlags:
    """Where decoded pixels are kept: the parameters of `cache.of_flags`."""

    cache_dir: Path | None = flag(
        Effect.WHERE, "data", "where decoded pictures are kept", type=as_path, metavar="FOLDER"
    )
    no_cache: bool = flag(
        Effect.WHERE, "data", "keep decoded pictures for this run only", False, action="store_true"
    )

    def __post_init__(self) -> None:
        require_values(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadingFlags(CacheFlags):
    """How a folder of class folders is read: the parameters of `dataset.read_train_sets`."""

    classes: list[str] | None = _data("only these class folders, in this order", type=names, metavar="A,B")
    validation_size: float = _data("set apart for validation (0.2)", 0.2, type=share, metavar="SHARE")
    split: Path | None = _data("take the split from a previous run's split.csv", type=as_path, metavar="FILE")
    fixes: Path | None = _data(
        "take labels from an edited fixes.csv of a previous run", type=as_path, metavar="FILE"
    )
    labels: Path | None = _data(
        "take labels from a labels.csv of pigeonhole label", type=as_path, metavar="FILE"
    )
    fraction: float = _data("train on a seeded, stratified part (1)", 1.0, type=part, metavar="SHARE")
    channels: int | None = _data("1 grey, 3 colour (3, or what the network wants)", type=int, choices=(1, 3))
    seed: int = _data("decides the split and all shuffles (0)", 0, type=seed, metavar="N")


def flags_of(config: type) -> list[dataclasses.Field]:
    """The fields of a dataclass of flags, its own before those that it inherits."""
    fields = {field.name: field for field in dataclasses.fields(config)}
    return [fields[name] for each in config.__mro__ for name in vars(each).get("__annotations__", ())]


def add_flags(
    group: argparse._ActionsContainer, fields: Iterable[dataclasses.Field], only_given: bool = False
) -> None:
    """Add a flag for each of these fields.

    `only_given`: what is parsed are the flags that the user gave, without any defaults.
    """
    exclusive: dict[str, argparse._ActionsContainer] = {}
    for field in fields:
        place, one_of = group, field.metadata["one_of"]
        if one_of:
            if one_of not in exclusive:
                exclusive[one_of] = group.add_mutually_exclusive_group()
            place = exclusive[one_of]
        default = argparse.SUPPRESS if only_given else field.default
        name = f"--{field.name.replace('_', '-')}"
        place.add_argument(name, default=default, **field.metadata["parsing"])


def add_reading_flags(group: argparse._ActionsContainer) -> None:
    """How a folder of class folders is read: the parameters of `dataset.read_train_sets`."""
    add_flags(group, flags_of(ReadingFlags))


def add_cache_flags(group: argparse._ActionsContainer) -> None:
    """Where decoded pixels are kept: the parameters of `cache.of_flags`."""
    add_flags(group, flags_of(CacheFlags))
