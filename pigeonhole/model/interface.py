"""How a restored model is asked: what it is fed, what is fetched from it, and what the answer means."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pigeonhole.pictures.images import Preprocessing


@dataclass(frozen=True)
class Interface:
    """What to feed a session and what to fetch, by tensor name.

    `output` is [N, K]: logits or probabilities. `unsure`: bool [N], where the model has it. `batch_size`: the
    only one that the model takes, if it is so.
    """

    classes: tuple[str, ...]
    preprocessing: Preprocessing
    input: str = "x:0"
    output: str = "y_pred:0"
    unsure: str | None = None
    logits: bool = False
    feeds: Mapping[str, object] = field(default_factory=dict)
    batch_size: int | None = None
