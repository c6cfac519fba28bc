"""Layers, weights and settings for a picture in the style of another, as published and for other networks."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pigeonhole.errors import UsageError

OPTIMIZERS = ("adam", "lbfgs")
STARTS = ("content", "noise")
MOST_SIZE = 2048  # pixels of the longer side that a picture is made in


@dataclass(frozen=True)
class Recipe:
    """How a picture is changed until it has the content of one picture and the style of another.

    content_layers    layer -> its weight among these; so with `style_layers`
    content_weight    of the content loss; `style_weight` and `variation_weight` of the other two
    relative          whether each layer's content loss is divided by the variance of its values, and its
                      style loss by the mean square of the style's Gram matrix: weights then mean the same
                      for every layer, network and size. Without it they are as published
    optimizer         "adam" or "lbfgs"
    rate              levels of 255 by which Adam changes a value at first, `last_rate` times that at the end
    steps             at each size
    sizes             how many sizes, each twice the one before; the last is the picture's own
    start             "content", or "noise": normal around `grey` with the deviation `noise`, in levels
    shift             pixels, up to which the picture is moved at random before each look at it. What repeats
                      in the network's own grid, where its convolutions skip pixels, then averages out
    fitted_style      whether the style's picture is resized to the content's shape, proportions or not
    clipped           whether values stay within 0..255 all along
    """

    content_layers: Mapping[str, float]
    style_layers: Mapping[str, float]
    content_weight: float = 1.0
    style_weight: float = 60.0
    variation_weight: float = 1e-3
    relative: bool = True
    optimizer: str = "adam"
    rate: float = 8.0
    last_rate: float = 0.1
    beta2: float = 0.99
    steps: int = 100
    sizes: int = 3
    start: str = "content"
    noise: float = 32.0
    grey: tuple[float, float, float] = (127.5, 127.5, 127.5)
    shift: int = 8
    fitted_style: bool = False
    clipped: bool = True

    def __post_init__(self) -> None:
        for layers in (self.content_layers, self.style_layers):
            if not all(0 < weight < math.inf for weight in layers.values()):
                raise UsageError("the weight of a layer must be a number above 0")


def _equally(*names: str) -> Mapping[str, float]:
    return MappingProxyType(dict.fromkeys(names, 1 / len(names)))


# After Gatys et al., "A Neural Algorithm of Artistic Style" (2015), with the weights, the start and the
# optimizer of the tutorials on MatConvNet's VGG-19. Their picture is the deviation from its mean colour.
TUTORIAL = Recipe(
    content_layers=_equally("relu4_2", "relu5_2"),
    style_layers=_equally("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
    content_weight=5.0,
    style_weight=500.0,
    variation_weight=100.0,
    relative=False,
    rate=10.0,
    last_rate=1.0,
    beta2=0.999,
    sizes=1,
    start="noise",
    noise=0.256,
    grey=(123.68, 116.779, 103.939),
    shift=0,
    fitted_style=True,
    clipped=False,
)

# EfficientNet-Lite0 before its activations, which cut off what Gram matrices live on.
LITE = Recipe(
    content_layers=_equally("block4_project_bn"),
    style_layers=_equally("stem_bn", "block1_expand_bn", "block3_expand_bn", "block5_expand_bn"),
    content_weight=2.0,
)

AUTO = "auto"
NAMED = ("tutorial", "lite", "spread")
_WIDEST_GRAM = 512  # channels
_STYLE_LAYERS = 4


def choose(name: str, layers: Sequence[tuple[str, int]]) -> Recipe:
    """The recipe of this name for a network with these layers and channels; "auto": the one made for it.

    "spread" takes layers from the first two thirds of any network. Raises UsageError where the network lacks
    the layers of a recipe.
    """
    names = {layer for layer, _ in layers}
    made = {"tutorial": TUTORIAL, "lite": LITE}
    if name == AUTO:
        fitting = (recipe for recipe in made.values() if needed(recipe) <= names)
        return next(fitting, None) or spread(layers)
    if name == "spread":
        return spread(layers)
    if missing := sorted(needed(made[name]) - names):
        raise UsageError(f"--recipe {name}: the network has no layer {missing[0]}; take another --recipe")
    return made[name]


def needed(recipe: Recipe) -> set[str]:
    """The names of the recipe's layers."""
    return set(recipe.content_layers) | set(recipe.style_layers)


def spread(layers: Sequence[tuple[str, int]]) -> Recipe:
    """A recipe for a network of which nothing is known. Raises UsageError where it has too few layers."""
    usable = [name for name, channels in layers if 4 <= channels <= _WIDEST_GRAM]
    convolved = [name for name in usable if "conv" in name.lower()] or usable
    if not convolved:
        raise UsageError("the network has no layer with 4 to 512 channels to take a style from")
    # The last layers of a deep network know things and no strokes; a small one has none of these
    last = len(convolved) - 1 if len(convolved) <= _STYLE_LAYERS else (2 * len(convolved) - 1) // 3
    places = sorted({round(last * part / (_STYLE_LAYERS - 1)) for part in range(_STYLE_LAYERS)})
    style = [convolved[place] for place in places]
    return Recipe(_equally(convolved[last]), _equally(*style), content_weight=2.0)
