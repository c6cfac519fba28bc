"""Named training settings, and how the defaults follow from the data."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from pigeonhole.augment import NONE, Augmentation

THUMBNAIL = 48  # pixels: a picture whose shorter side is no longer has its details at full size only

PRETRAINED = {  # networks of keras.applications, and the side in pixels that they were published for
    "mobilenet_v3_small": 224,
    "mobilenet_v3_large": 224,
    "efficientnet_v2_b0": 224,
    "efficientnet_v2_b3": 300,
}
SMALLEST_SIDE = 32  # pixels, for any of these


@dataclass(frozen=True)
class Recipe:
    """Everything about a training but its data, its network and its seed.

    `image_size` in pixels; `epochs` may be a fraction; `learning_rate` is the schedule's highest; `mix`:
    whether parts of pictures are mixed (`augment.mix`); `patience`: the number of validations without gain
    after which training stops early, None for never. `freeze`: the share of the training, at its beginning,
    in which only the head learns, at most at `head_learning_rate`, None for the same rate.
    """

    image_size: int
    batch_size: int
    epochs: float
    optimizer: str
    schedule: str
    learning_rate: float
    weight_decay: float
    label_smoothing: float
    augmentation: Augmentation
    mix: bool
    patience: int | None
    freeze: float = 0.0
    head_learning_rate: float | None = None

    def with_given(self, augment: bool | None = None, **given) -> "Recipe":
        """This recipe with every setting in `given` that is not None; `augment` False turns variations off.

        `augment` True for a recipe without any takes those of the standard recipe.
        """
        changes = {name: value for name, value in given.items() if value is not None}
        if augment is False:
            changes |= {"augmentation": NONE, "mix": False}
        elif augment and self.augmentation == NONE:
            changes["augmentation"] = _variation(self.image_size > THUMBNAIL, all_grey=False)
        return replace(self, **changes)


def image_size(network: str, median_side: float) -> int:
    """The side in pixels at which `network` looks at pictures of this median shorter side by default."""
    if network in PRETRAINED:
        return PRETRAINED[network]
    if network == "tutorial":
        return 128
    return 32 if median_side <= THUMBNAIL else 96


def recipe(network: str, size: int, num_pictures: int, all_grey: bool) -> Recipe:
    """The default recipe of `network` for so many training pictures at `size` pixels."""
    return _RECIPES[network](size, num_pictures, all_grey)


def _standard(size: int, num_pictures: int, all_grey: bool) -> Recipe:
    """One-cycle AdamW. The fewer the pictures, the more epochs and the smaller the batch.

    There is no early stop: a cycle is at its best at its end. On two cores 40,000 thumbnails and 800 photos
    take about four minutes each.
    """
    photos = size > THUMBNAIL
    usual, at_pictures, growth = (300, 800, 0.5) if photos else (16, 40_000, 0.3)
    return Recipe(
        image_size=size,
        batch_size=_between(16, round(num_pictures / 160) * 10, 50 if photos else 250),
        epochs=_between(5, round(usual * (at_pictures / num_pictures) ** growth), 400),
        optimizer="adamw",
        schedule="one-cycle",
        learning_rate=3e-3 if photos else 5e-3,
        weight_decay=0.05,
        label_smoothing=0.1,
        augmentation=_variation(photos, all_grey),
        mix=photos,
        patience=None,
    )


def _tutorial(size: int, num_pictures: int, all_grey: bool) -> Recipe:
    """The classic settings: Adam at a constant 1e-4, batches of 32, pictures as they are."""
    return Recipe(
        image_size=size,
        batch_size=32,
        epochs=30,
        optimizer="adam",
        schedule="constant",
        learning_rate=1e-4,
        weight_decay=0.0,
        label_smoothing=0.0,
        augmentation=NONE,
        mix=False,
        patience=10,
    )


def _pretrained(size: int, num_pictures: int, all_grey: bool) -> Recipe:
    """One-cycle AdamW in two phases: the head on the network as it comes, then all at a tenth of the rate."""
    return Recipe(
        image_size=size,
        batch_size=_between(8, round(num_pictures / 160) * 8, 32),
        epochs=_between(5, round(20 * (800 / num_pictures) ** 0.5), 40),
        optimizer="adamw",
        schedule="one-cycle",
        learning_rate=3e-4,
        weight_decay=0.05,
        label_smoothing=0.1,
        augmentation=_variation(True, all_grey),
        mix=False,
        patience=None,
        freeze=0.25,
        head_learning_rate=3e-3,
    )


def _variation(photos: bool, all_grey: bool) -> Augmentation:
    """Thumbnails are shifted, photos cropped; both are mirrored and tinted.

    Where all pictures are grey they are mostly scans, digits or letters, which have one right way round.
    """
    if photos:
        return Augmentation(flip=not all_grey, crop=0.3, aspect=0.3, rotate=10, colour=0.15)
    return Augmentation(flip=not all_grey, shift=0.125, rotate=10 if all_grey else 0, colour=0.1)


_RECIPES: dict[str, Callable[[int, int, bool], Recipe]] = {
    "standard": _standard,
    "tutorial": _tutorial,
    **dict.fromkeys(PRETRAINED, _pretrained),
}
NETWORKS = tuple(_RECIPES)


def _between(low: int, value: int, high: int) -> int:
    return max(low, min(value, high))
