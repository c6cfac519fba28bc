"""The sections about the network: its layers, what its filters have become, what they answer to a picture."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from operator import itemgetter

import numpy as np

from pigeonhole.evaluation import insight
from pigeonhole.evaluation.predictions import Evaluation
from pigeonhole.model.classifier import Classifier
from pigeonhole.model.interface import Layer
from pigeonhole.pictures.images import as_input
from pigeonhole.pictures.thumbnails import data_uri
from pigeonhole.report import theme
from pigeonhole.report.page import Section, render
from pigeonhole.report.pictures import Limits, lossless_uri, tiled, tiles

COLOURS = ("red", "green", "blue")
SHOWN_FILTERS = 128  # of one input channel
SHOWN_MAPS = 64  # of one convolution
DEEP = 40  # layers, from which on not each change of shape has a box of its own
MOST_NAMES = 4  # below a box


@dataclass(frozen=True)
class Channel:
    """The filters of a convolution as they look at one input channel, and the statistics of their weights."""

    name: str
    src: str
    minimum: float
    maximum: float
    mean: float
    deviation: float


@dataclass(frozen=True)
class Filters:
    """A convolution's filters: the first `channels` of `inputs` input channels, on a scale of ±`peak`."""

    layer: str
    size: str
    inputs: int
    outputs: int
    peak: float
    channels: list[Channel]


@dataclass(frozen=True)
class Inside:
    """What is read from a classifier once: filters float [kh, kw, in, out] and maps [n, h, w, c] by layer.

    `layers`: none of another program's network, of which only the convolutions are known.
    """

    layers: list[Layer]
    filters: dict[str, np.ndarray]
    maps: dict[str, np.ndarray]
    rows: np.ndarray
    evaluation: Evaluation

    @staticmethod
    def of(classifier: Classifier, evaluation: Evaluation, rows: np.ndarray) -> "Inside":
        """`rows`: the pictures of the evaluation whose maps are wanted."""
        names = mapped = insight.shown_convolutions(classifier)
        if names == insight.convolutions(classifier):  # those of a deep network would take most of the page
            mapped = [layer for name in names for layer in insight.mapped_layers(classifier, name)]
        pixels = as_input(evaluation.images[rows], classifier.preprocessing)
        return Inside(
            [] if classifier.is_foreign else classifier.layers,
            {name: insight.filters(classifier, name) for name in names},
            dict(zip(mapped, insight.feature_maps(classifier, pixels, mapped), strict=True)),
            rows,
            evaluation,
        )

    def sections(self, limits: Limits) -> list[Section]:
        """The drawing of the layers and, where there are convolutions, what they have learnt."""
        drawn = [_layers(self.layers, self.evaluation.images.shape[1:])] if self.layers else []
        if self.filters:
            drawn += [self._filters(limits), self._maps(limits)]
        return drawn

    def _filters(self, limits: Limits) -> Section:
        shown = [filters(name, weights, limits.channels) for name, weights in self.filters.items()]
        html = render("filters.html", convolutions=shown, negative=theme.ACCENT_2, positive=theme.ACCENT)
        return Section("filters", "What its filters look for", html)

    def _maps(self, limits: Limits) -> Section:
        shown = [
            (tile, [_sheet(name, maps[place], limits.side) for name, maps in self.maps.items()])
            for place, tile in enumerate(tiles(self.evaluation, self.rows, limits.side))
        ]
        html = render("maps.html", pictures=shown, has_activations=len(self.maps) > len(self.filters))
        return Section("maps", "What it sees, layer by layer", html)


def filters(layer: str, weights: np.ndarray, channels: int) -> Filters:
    """`weights`: float [kh, kw, in, out]. All channels are on one scale, that of the largest weight."""
    if weights.shape[3] == 1:
        weights = weights.swapaxes(2, 3)  # of a depthwise convolution every channel has a filter of its own
    height, width, inputs, outputs = weights.shape
    peak = float(np.abs(weights).max()) or 1.0
    names = COLOURS if inputs == len(COLOURS) else tuple(str(number) for number in range(1, inputs + 1))
    drawn = []
    for index in range(min(inputs, channels)):
        of_channel = weights[:, :, index]
        small = diverging(np.moveaxis(of_channel[..., :SHOWN_FILTERS], -1, 0) / peak)
        drawn.append(
            Channel(
                name=names[index],
                src=lossless_uri(tiled(small, _columns(len(small)))),
                minimum=float(of_channel.min()),
                maximum=float(of_channel.max()),
                mean=float(of_channel.mean()),
                deviation=float(of_channel.std()),
            )
        )
    return Filters(layer, times((height, width)), inputs, outputs, peak, drawn)


def diverging(values: np.ndarray) -> np.ndarray:
    """-1..1 [...] as uint8 [..., 4]: one colour for negative, another for positive, white for nothing."""
    ends = np.where(values[..., None] < 0, theme.rgb(theme.ACCENT_2), theme.rgb(theme.ACCENT))
    strength = np.abs(values)[..., None]
    colours = np.round(255 * (1 - strength) + ends * strength).astype(np.uint8)
    return np.concatenate([colours, np.full_like(colours[..., :1], 255)], axis=-1)


def grey(maps: np.ndarray) -> np.ndarray:
    """What a layer answers, float [h, w, c], as uint8 [c, h, w, 4]: from black, the lowest, to white."""
    low = float(maps.min())
    span = max(float(maps.max()) - low, np.finfo(np.float32).tiny)
    levels = np.round(255 * (np.moveaxis(maps, -1, 0) - low) / span).astype(np.uint8)
    return np.stack([levels, levels, levels, np.full_like(levels, 255)], axis=-1)


def _sheet(layer: str, maps: np.ndarray, side: int) -> tuple[str, str, str]:
    """The layer, the shape of its maps [h, w, c], and the first of them side by side."""
    shown = grey(maps[..., :SHOWN_MAPS])
    sheet = tiled(shown, _columns(len(shown)))
    return layer, times(maps.shape), data_uri(sheet, max(side * 4, *sheet.shape[:2]))


def _columns(count: int) -> int:
    """Twice as many columns as rows, about; a power of two, as the numbers of filters are."""
    return min(count, 2 ** math.ceil(math.log2(count * 2) / 2))


# --- the drawing ---


@dataclass(frozen=True)
class Block:
    """Layers one after the other with one output shape, drawn as a box of these measures, in pixels."""

    layers: list[str]
    shape: str
    parameters: int
    left: float
    width: float
    height: float
    slant: float


TALLEST, DEEPEST, GAP = 120.0, 40.0, 46.0


def blocks(layers: Sequence[Layer], picture: tuple[int, ...]) -> list[Block]:
    """The network from left to right: a box for the picture, and one whenever the shape changes.

    A deep network has a box for each size of its maps instead.
    """
    everything = [Layer("picture", tuple(picture), 0, None), *layers]
    places = _stages(everything) if len(layers) > DEEP else [layer.shape for layer in everything]
    drawn, left = [], 10.0
    for _, placed in groupby(zip(places, everything, strict=True), key=itemgetter(0)):
        drawn.append(_block([layer for _, layer in placed], left, picture[0]))
        left += max(drawn[-1].width + drawn[-1].slant, 62.0) + GAP
    return drawn


def _stages(layers: Sequence[Layer]) -> list[object]:
    """For each layer the height of the highest maps from there on; behind the last maps its shape.

    Within a stage some layers pad, and side branches squeeze each channel to a point: none of them ends it.
    """
    heights = [layer.shape[0] if len(layer.shape) == 3 else 0 for layer in layers]
    to_come = list(accumulate(reversed(heights), max))[::-1]
    return [height or layer.shape for height, layer in zip(to_come, layers, strict=True)]


def _usual_shape(layers: Sequence[Layer]) -> tuple[int, ...]:
    """The shape of the last of those layers that have the most frequent height."""
    sizes = Counter(layer.shape[:-1] for layer in layers)
    (usual, _), *_ = sizes.most_common(1)
    return next(layer.shape for layer in reversed(layers) if layer.shape[:-1] == usual)


def _abridged(names: list[str]) -> list[str]:
    return names if len(names) <= MOST_NAMES else [names[0], f"{len(names) - 2} more", names[-1]]


def _block(layers: Sequence[Layer], left: float, side: int) -> Block:
    shape = _usual_shape(layers)
    names = _abridged([layer.name for layer in layers])
    parameters = sum(layer.parameters for layer in layers)
    depth = math.log2(shape[-1] + 1)
    if len(shape) != 3:
        return Block(names, times(shape), parameters, left, width=9.0, height=12 + 10 * depth, slant=0.0)
    height = TALLEST * (0.15 + 0.85 * shape[0] / side)
    return Block(
        names, times(shape), parameters, left, 6 + min(DEEPEST, 5 * depth), height, slant=0.28 * height
    )


def times(shape: Sequence[int]) -> str:
    """`32 x 32 x 3`, with the proper sign."""
    return "\N{MULTIPLICATION SIGN}".join(map("{:,}".format, shape))


def _layers(layers: Sequence[Layer], picture: tuple[int, ...]) -> Section:
    drawn = blocks(layers, picture)
    html = render(
        "layers.html",
        blocks=drawn,
        layers=[(layer.name, times(layer.shape), layer.parameters) for layer in layers],
        width=drawn[-1].left + 100,
        parameters=sum(layer.parameters for layer in layers),
    )
    return Section("layers", "The network, layer by layer", html)
