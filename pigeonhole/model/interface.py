"""How a restored model is asked: what it is fed, what is fetched from it, and what the answer means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

from pigeonhole.pictures.images import Preprocessing


@dataclass(frozen=True)
class Interface:
    """What to feed a model and what to fetch, by tensor name.

    `output` is [N, K]: logits or probabilities. `unsure`: bool [N], where the model has it. `feeds`: values
    of further inputs. `batch_size`: the only one that the model takes, where there is but one.
    """

    classes: tuple[str, ...]
    preprocessing: Preprocessing
    input: str = "x:0"
    output: str = "y_pred:0"
    unsure: str | None = None
    logits: bool = False
    feeds: Mapping[str, object] = field(default_factory=dict)
    batch_size: int | None = None


@dataclass(frozen=True)
class Layer:
    """A layer: its output's shape without the batch, its number of weights, its kernel's shape if any.

    `activation`: of a convolution, the layer that applies ReLU or the like to what it alone gives.
    """

    name: str
    shape: tuple[int, ...]
    parameters: int
    kernel: tuple[int, ...] | None
    activation: str | None = None


@dataclass(frozen=True, kw_only=True)
class ForeignCheckpoint:
    """What a checkpoint of another program does not say about itself. None stands for the default.

    The defaults are those of the well-known dogs-and-cats tutorial: input `x`, output `y_pred` that holds
    probabilities, blue first, 0..1, plain bilinear resize. `feeds` are further tensors that the output needs.
    """

    labels: Sequence[str] | None = None
    input_tensor: str | None = None  # x
    output_tensor: str | None = None  # y_pred
    logits: bool | None = None  # False
    feeds: Mapping[str, str | float | bool] = field(default_factory=dict)
    colour_order: str | None = None  # bgr
    scale: float | None = None  # 1/255
    image_size: int | None = None  # what the input's shape says
    resize: str | None = None  # bilinear

    def flags(self) -> list[str]:
        """The command-line flags of the fields that were given."""
        given = [entry.name for entry in fields(self) if getattr(self, entry.name) not in (None, {})]
        return ["--feed" if name == "feeds" else f"--{name.replace('_', '-')}" for name in given]
