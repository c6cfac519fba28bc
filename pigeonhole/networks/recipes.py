"""The training settings of each network, and how they follow from the data."""

import math
from dataclasses import dataclass, replace

from pigeonhole.data.augmentation import IN_NETWORK, NONE, Augmentation

THUMBNAIL = 48  # pixels: a picture whose shorter side is no longer has its details at full size only
OPTIMIZERS = ("adam", "adamw", "muon", "sgd", "momentum")
WHOLE_EPOCHS = "whole epochs"  # `validate_every` of runs from before there were at least so many
SCHEDULES = ("constant", "exponential", "one-cycle", "cosine")
_STRONG_DECAY = 0.6
_CAUTIOUS_RATE = 5e-4
MANY = 20_000  # pictures
# Changes to a recipe: for random weights, in which there is nothing to keep.
NOTHING_FROZEN = {
    "freeze": 0.0,
    "frozen_statistics": False,
    "frozen_until": None,
    "frozen_depthwise": False,
}
_RATE_FROM_TRAINED = 0.3  # of that from random weights


@dataclass(frozen=True)
class Recipe:
    """Everything about a training but its data, its network and its seed. By default: Adam at a
    constant rate, pictures as they are, no early stop.

    `image_size` in pixels: what the network resizes pictures of another size to; the length is `steps` or,
    where that is None, `epochs`, which may be a fraction;
    `learning_rate` is the schedule's highest, and falls tenfold after every `decay_steps` (None: a third of
    the training) if the schedule is `exponential`; `weight_decay`: what a step at rate r takes from each
    weight is r times this share of it; `mix`: by what chance a step's pictures are mixed (`augment.mix`);
    `patience`: the number of validations without gain after which training stops early, None for never;
    `dropout`: what replaces the rates of the network's dropout layers, None for their own. `freeze`: the
    share of the training, at its beginning, in which only the head learns, at most at `head_learning_rate`,
    None for the same rate. `frozen_statistics`: whether batch normalisation goes by the statistics that it
    began with, and learns its factors and offsets alone. `frozen_until`: the name of the last layer that
    never learns, nor does any before it. `frozen_depthwise`: whether depthwise convolutions, and the factors
    of the normalisation behind them, keep what they began with. `brief`: whether the settings are those for
    a training of few epochs. `balanced`: whether every class counts the same in the loss, however many
    pictures it has. `validate_every`: `50steps` or `0.5epochs`; None: `Schedule` says when.

    `draw`: how the pictures of a step are chosen. `epochs`: each comes once before any comes again;
    `same-order`: so, and in every epoch in the order of the first; `afresh`: each batch is drawn from all,
    none twice in it; `with-replacement`: each picture is.
    """

    image_size: int
    batch_size: int
    epochs: float | None = None
    optimizer: str = "adam"
    schedule: str = "constant"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    augmentation: Augmentation = NONE
    mix: float = 0.0
    patience: int | None = None
    steps: int | None = None
    decay_steps: int | None = None
    dropout: float | None = None
    draw: str = "epochs"
    freeze: float = 0.0
    head_learning_rate: float | None = None
    frozen_statistics: bool = False
    frozen_until: str | None = None
    frozen_depthwise: bool = False
    brief: bool = False
    balanced: bool = False
    validate_every: str | None = None

    @property
    def settles(self) -> bool:
        """Whether the learning rate falls to nothing, by which later weights are better but for chance."""
        return self.schedule in ("one-cycle", "cosine")

    def steps_per_epoch(self, num_pictures: int) -> int:
        """How many batches it takes to show as many pictures as there are."""
        return math.ceil(num_pictures / self.batch_size)

    def length(self, num_pictures: int) -> float:
        """The steps of a training on so many pictures, not yet rounded."""
        return self.steps or self.epochs * self.steps_per_epoch(num_pictures)

    def times_as_long(self, factor: float) -> "Recipe":
        """This recipe, but longer or shorter."""
        if self.steps:
            return replace(self, steps=max(1, round(self.steps * factor)))
        return replace(self, epochs=self.epochs * factor)

    def with_given(self, augment: bool | None = None, **given) -> "Recipe":
        """This recipe with every setting in `given` that is not None; `augment` False turns variations off.

        `augment` True for a recipe without any takes those of the standard recipe. Given `epochs` take the
        place of `steps`. A given Adam or AdamW in place of Muon halves the rate, unless that is given too.
        """
        changes = {name: value for name, value in given.items() if value is not None}
        if "epochs" in changes:
            changes["steps"] = None
        if self.optimizer == "muon" and changes.get("optimizer") in ("adam", "adamw"):
            changes = {"learning_rate": self.learning_rate / 2, **changes}
        if augment is False:
            changes |= {"augmentation": NONE, "mix": 0.0}
        elif augment and self.augmentation == NONE:
            changes["augmentation"] = _variation(self.image_size > THUMBNAIL, all_grey=False)
        return replace(self, **changes)


def standard(size: int, num_pictures: int, all_grey: bool) -> Recipe:
    """One-cycle Muon. The fewer the pictures, the more epochs and the smaller the batch.

    There is no early stop: a cycle is at its best at its end. By the strong weight decay of photos kernels
    stop growing early, so that steps go on turning them as far as the learning rate says.
    """
    photos = size > THUMBNAIL
    usual, at_pictures, growth = (100, 800, 0.2) if photos else (16, 40_000, 0.3)
    if photos and num_pictures < at_pictures:
        growth = 0.4
    return Recipe(
        image_size=size,
        batch_size=_between(16, round(num_pictures / (160 if photos else 320)) * 10, 50 if photos else 125),
        epochs=_between(5, round(usual * (at_pictures / num_pictures) ** growth), 400),
        optimizer="muon",
        schedule="one-cycle",
        learning_rate=6e-3 if photos else 1e-2,
        weight_decay=_STRONG_DECAY if photos else 0.05,
        label_smoothing=0.1,
        augmentation=_variation(photos, all_grey),
        mix=0.5 if photos else 0.0,
    )


def from_trained(usual: Recipe) -> Recipe:
    """For weights that have learnt something before: the full rate would wipe out most of it."""
    return replace(usual, learning_rate=usual.learning_rate * _RATE_FROM_TRAINED)


def after_a_standstill(failed: Recipe) -> Recipe:
    """For a second attempt where the loss did not move: AdamW at a low rate, or at a lower one still."""
    is_low = failed.optimizer == "adamw" and failed.learning_rate <= 2 * _CAUTIOUS_RATE
    rate = failed.learning_rate / 10 if is_low else _CAUTIOUS_RATE
    return replace(failed, optimizer="adamw", learning_rate=rate)


def brief(usual: Recipe, with_dropout: bool) -> Recipe:
    """What keeps a long training from learning its pictures by heart only holds a brief one back.

    So pictures are not mixed; half as many photos a step make twice as many steps; thumbnails are shifted
    half as far and not tinted, and less drops out. Grey ones were as well served by the usual variation.
    """
    settings = replace(usual, mix=0.0, brief=True)
    if usual.image_size > THUMBNAIL:
        return replace(settings, batch_size=max(8, usual.batch_size // 2))
    if usual.augmentation.flip:
        varied = replace(usual.augmentation, shift=usual.augmentation.shift / 2, colour=0)
        settings = replace(settings, augmentation=varied)
    return replace(settings, dropout=0.1 if with_dropout else None)


def deep(size: int, num_pictures: int, all_grey: bool) -> Recipe:
    """As the standard network, and one and a half times as many epochs."""
    usual = standard(size, num_pictures, all_grey)
    return usual.times_as_long(1.5)


def wide(size: int, num_pictures: int, all_grey: bool) -> Recipe:
    """As `deep`, in batches twice as large, which a processor works through faster.

    So wide a network soon has thumbnails by heart: it needs the weight decay of photos, and no tint.
    """
    usual = deep(size, num_pictures, all_grey)
    wide = replace(usual, batch_size=2 * usual.batch_size)
    if size > THUMBNAIL:
        return wide
    untinted = replace(wide.augmentation, colour=0)
    return replace(wide, weight_decay=_STRONG_DECAY, label_smoothing=0.2, augmentation=untinted)


def tutorial(size: int, num_pictures: int, all_grey: bool) -> Recipe:
    """The classic settings: Adam at a constant 1e-4, batches of 32, pictures as they are.

    Its text says batches of 16, its code 32. It names no length: 30 epochs and the early stop are ours.
    """
    return Recipe(size, batch_size=32, epochs=30, learning_rate=1e-4, patience=10)


def classic_tiny(size: int, num_pictures: int, all_grey: bool) -> Recipe:
    """Ours, since none was published: Adam at a constant 1e-3, batches of 128, 30 epochs."""
    return Recipe(size, batch_size=128, epochs=30)


def classic_dropout(size: int, num_pictures: int, all_grey: bool) -> Recipe:
    """Adam at a constant 1e-3, batches of 256, 50 epochs; the published code never shuffles."""
    return Recipe(size, batch_size=256, epochs=50, draw="same-order")


def classic_augmented(size: int, num_pictures: int, all_grey: bool) -> Recipe:
    """Adam at a constant 1e-4, 100,000 steps of 64 pictures, each batch drawn from all."""
    return Recipe(
        size, batch_size=64, steps=100_000, draw="afresh", learning_rate=1e-4, augmentation=IN_NETWORK
    )


def classic_mnist(size: int, num_pictures: int, all_grey: bool) -> Recipe:
    """Momentum 0.9 at a constant 0.005, 500 steps of 100 pictures drawn with replacement."""
    return Recipe(
        size, batch_size=100, steps=500, draw="with-replacement", optimizer="momentum", learning_rate=0.005
    )


def classic_lrn(size: int, num_pictures: int, all_grey: bool) -> Recipe:
    """Gradient descent at a constant 0.1, 20,000 steps of 128 pictures.

    The published code means the rate to fall tenfold after every 250 steps, but never advances the counter
    that it reads, so that the constant is what was run. `--schedule exponential` is what was intended.
    """
    return Recipe(
        size,
        batch_size=128,
        steps=20_000,
        optimizer="sgd",
        learning_rate=0.1,
        decay_steps=250,
        augmentation=IN_NETWORK,
    )


def pretrained(size: int, num_pictures: int, all_grey: bool) -> Recipe:
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
        freeze=0.25,
        head_learning_rate=3e-3,
    )


def pretrained_plain(size: int, num_pictures: int, all_grey: bool) -> Recipe:
    """As `pretrained` at a third of its rates: without batch normalisation nothing keeps values in bounds."""
    usual = pretrained(size, num_pictures, all_grey)
    return replace(usual, learning_rate=1e-4, head_learning_rate=1e-3)


def fine_tuned(size: int, num_pictures: int, all_grey: bool) -> Recipe:
    """One-cycle AdamW for EfficientNet-Lite0 with trained weights. Its blocks 0 to 4 stay as they are.

    These see edges and textures that serve all pictures, and are half of the work: without their gradients a
    given time is enough for larger pictures, which gain most. Batch normalisation keeps its statistics, which
    few pictures would spoil, and depthwise convolutions their kernels: without the gradients of these, which
    take a fifth of a step, it learns as much in each epoch. Thumbnails are enlarged, since the network
    knows how things look when larger.
    """
    photos = size > THUMBNAIL
    highest, enough = (1e-3, 1200) if photos else (5e-4, 1600)  # fewer pictures are soon learnt by heart
    return Recipe(
        image_size=size if photos else enlarged_side(num_pictures),
        batch_size=16 if num_pictures <= MANY else 32,
        epochs=_between(3, round(10 * (800 / num_pictures) ** 0.5), 20),
        optimizer="adamw",
        schedule="one-cycle",
        learning_rate=highest * min(1.0, num_pictures / enough),
        weight_decay=0.05,
        label_smoothing=0.1,
        augmentation=_variation(photos, all_grey),
        frozen_statistics=True,
        frozen_until="block4_add",
        frozen_depthwise=True,
    )


def enlarged_side(num_pictures: int) -> int:
    """The side in pixels to which a network with trained weights resizes that many thumbnails."""
    return 160 if num_pictures <= MANY else 128


def _variation(photos: bool, all_grey: bool) -> Augmentation:
    """Thumbnails are shifted, photos cropped; both are mirrored and tinted.

    Where all pictures are grey they are mostly scans, digits or letters, which have one right way round.
    """
    if photos:
        return Augmentation(flip=not all_grey, crop=0.3, aspect=0.3, rotate=10, colour=0.15)
    return Augmentation(flip=not all_grey, shift=0.125, rotate=10 if all_grey else 0, colour=0.1)


def _between(low: int, value: int, high: int) -> int:
    return max(low, min(value, high))
