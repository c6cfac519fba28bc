"""What a saved model says about itself: how a picture becomes its input and what its output means."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from pigeonhole import __version__
from pigeonhole.errors import PigeonholeError
from pigeonhole.pictures.images import REDUCED, Preprocessing

FORMAT_VERSION = 3  # 2: `rejection`; 3: pictures are averaged as they are, not decoded smaller
MOST_SIDE = 4096  # pixels
MOST_CLASSES = 100_000


@dataclass(frozen=True)
class Contract:
    """The JSON text in the graph's `contract:0`. The class names are in `classes:0`.

    `temperature`: what the logits are divided by before the softmax (Guo et al., "On Calibration of Modern
    Neural Networks", 2017). `golden`: the fingerprint of the golden examples that belong to this model.
    `rejection`: when the graph's `unsure:0` is true (`Rejection.describe`); None in a graph without it.
    """

    network: str
    preprocessing: Preprocessing
    temperature: float
    golden: str
    rejection: dict[str, str | float] | None = None
    format_version: int = FORMAT_VERSION
    pigeonhole: str = __version__

    def to_json(self) -> str:
        fields = asdict(self)
        return json.dumps(fields.pop("preprocessing") | fields, sort_keys=True)

    @staticmethod
    def from_json(text: str) -> "Contract":
        """Raises PigeonholeError when the text is no contract, or that of a newer Pigeonhole."""
        fields = from_json(text)
        if not isinstance(fields, dict):
            raise PigeonholeError("the model's contract is no JSON object")
        version = fields.get("format_version")
        _check("format_version", version)
        if version > FORMAT_VERSION:
            raise PigeonholeError(
                f"the model has format version {version}, and this Pigeonhole {__version__} reads up to "
                f"{FORMAT_VERSION}: install a newer Pigeonhole"
            )
        fields.setdefault("rejection", None)  # format version 1
        if version < 3 and fields.get("resize") == "area":
            fields["resize"] = REDUCED
        if wrong := set(_FIELDS) ^ set(fields):
            raise PigeonholeError(f"the model's contract lacks or adds {_shown(sorted(wrong)[0])}")
        for name, value in fields.items():
            _check(name, value)
        preprocessing = {name: fields.pop(name) for name in Preprocessing.__dataclass_fields__}
        return Contract(preprocessing=Preprocessing(**preprocessing), **fields)


def class_names(values: object) -> tuple[str, ...]:
    """The class names that a model holds. Raises PigeonholeError where they cannot be such."""
    if not (isinstance(values, list | tuple) and all(isinstance(name, str) and name for name in values)):
        raise PigeonholeError("the model's class names are no list of names")
    if not 1 <= len(values) <= MOST_CLASSES or len(set(values)) < len(values):
        raise PigeonholeError(f"the model has {len(values):,} class names, or some of them twice")
    return tuple(values)


def check_fits(contract: Contract, classes: Sequence[str], takes: Sequence, gives: Sequence) -> None:
    """Raise PigeonholeError where the contract is not that of the network.

    `takes` and `gives`: the shapes of the network's input and of its probabilities, the batch first.
    """
    side, channels = contract.preprocessing.image_size, contract.preprocessing.channels
    if list(takes)[1:] != [side, side, channels]:
        raise PigeonholeError(
            f"the contract speaks of pictures of {side} x {side} x {channels}, and the network takes "
            f"{' x '.join(map(str, list(takes)[1:]))}"
        )
    if list(gives)[1:] != [len(classes)]:
        raise PigeonholeError(
            f"there are {len(classes):,} class names, and the network gives "
            f"{' x '.join(map(str, list(gives)[1:]))} answers"
        )


def from_json(text: str) -> object:
    """JSON of a model. Raises PigeonholeError for what is no JSON, also for NaN and for deep nesting."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, TypeError, RecursionError) as error:
        raise PigeonholeError(f"the model's description is no JSON ({error})") from error


def _refuse(text: str) -> None:
    raise ValueError(f"{text} is no number")


def _check(name: str, value: object) -> None:
    is_right, wanted = _FIELDS[name]
    if not is_right(value):
        raise PigeonholeError(f"the model's contract: {name} must be {wanted}, not {_shown(value)}")


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _whole(low: int, high: int) -> tuple[Callable[[object], bool], str]:
    return lambda value: type(value) is int and low <= value <= high, f"a whole number from {low} to {high}"


def _number(low: float, high: float) -> tuple[Callable[[object], bool], str]:
    return lambda value: type(value) in (int, float) and low <= value <= high, f"from {low:g} to {high:g}"


def _one_of(*values: str | int) -> tuple[Callable[[object], bool], str]:
    allowed = {(type(value), value) for value in values}
    wanted = " or ".join(map(str, values))
    return lambda value: isinstance(value, str | int) and (type(value), value) in allowed, wanted


def _text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 200 and value.isprintable()


def _is_rule(value: object) -> bool:
    """What `Rejection.describe` gives, or None."""
    if value is None:
        return True
    if not isinstance(value, dict) or set(value) != {"rule", "threshold", "false_rejection"}:
        return False
    threshold = value["threshold"]
    is_threshold = threshold is None or _number(-1e9, 1e9)[0](threshold)
    return is_threshold and _text(value["rule"]) and _number(0, 1)[0](value["false_rejection"])


# Of each field whether a value is right, and what is wanted, in words.
_FIELDS = {
    "format_version": _whole(1, 1_000_000),
    "image_size": _whole(1, MOST_SIDE),
    "channels": _one_of(1, 3),
    "resize": _one_of("area", "bilinear", REDUCED),
    "colour_order": _one_of("rgb", "bgr"),
    "scale": _number(1e-6, 1e3),
    "temperature": _number(1e-3, 1e3),
    "golden": (lambda value: _text(value) and re.fullmatch("[0-9a-f]{64}", value), "64 hexadecimal digits"),
    "network": (_text, "a name"),
    "pigeonhole": (_text, "a version"),
    "rejection": (_is_rule, "a rule, a threshold and a rate"),
}
