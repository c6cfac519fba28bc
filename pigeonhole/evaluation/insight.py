"""What a saved network has learnt: its layers, their weights, what they answer to and where it looks.

Everything is read from the restored graph, whose layers go by name: the output of each is `LAYER/output:0`
and the weights of a convolution are `LAYER/kernel:0`. Of a checkpoint of another program these are the
convolutions alone.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import product

import cv2
import numpy as np

from pigeonhole.data.parallel import available_cores, in_parallel
from pigeonhole.errors import UsageError
from pigeonhole.model.classifier import Classifier
from pigeonhole.model.engines.engine import ONNX
from pigeonhole.pictures import images

_OUTPUT, _KERNEL = "/output", "/kernel"
MOST_SHOWN = 8  # convolutions
DIMMED, LIFTED = 0.5, 40  # what played no part becomes grey: so much of its brightness, and so much more
TINTED = 0.6  # how strongly the hottest place is tinted
# Side of the patch that hides a part of the picture, as a share of the picture's. A network of photos takes
# too long for many places.
_COVERED, _COVERED_OF_PHOTOS = 1 / 5, 1 / 4
_PHOTO = 100  # pixels
_OVERLAP = 2  # patches that every pixel lies under, along each axis
_COPIES = 16  # pictures with a patch that are asked about together
_LEAST_FALL = 1e-3  # of log-odds; in a batch of another size the same picture's differ by some 1e-5


def convolutions(classifier: Classifier) -> list[str]:
    """The names of the layers with kernels over space, in order."""
    return [layer.name for layer in classifier.layers if layer.kernel and len(layer.kernel) == 4]


def shown_convolutions(classifier: Classifier) -> list[str]:
    """Those worth a drawing: all; of a deep network some from its beginning to its end that look at more than
    one place."""
    every = convolutions(classifier)
    if len(every) <= MOST_SHOWN:
        return every
    wide = [layer.name for layer in classifier.layers if layer.name in every and layer.kernel[0] > 1]
    return [wide[place] for place in np.linspace(0, len(wide) - 1, MOST_SHOWN).round().astype(int)]


def filters(classifier: Classifier, layer: str) -> np.ndarray:
    """A convolution's weights, float32 [height, width, input channels, filters]. Raises UsageError."""
    return classifier.constant(f"{_known(classifier, layer)}{_KERNEL}")


def mapped_layers(classifier: Classifier, convolution: str) -> list[str]:
    """The layers with a convolution's feature maps: itself, and its activation where that is a layer."""
    found = next(layer for layer in classifier.layers if layer.name == _known(classifier, convolution))
    return [found.name, found.activation] if found.activation else [found.name]


def feature_maps(classifier: Classifier, pixels: np.ndarray, layers: Sequence[str]) -> list[np.ndarray]:
    """What convolutions, or the activations behind them, answer to preprocessed pictures [N, S, S, C]:
    float32 [N, height, width, filters] of each.

    Raises UsageError when there is no such convolution.
    """
    activations = [each.activation for each in classifier.layers]
    names = [layer if layer in activations else _known(classifier, layer) for layer in layers]
    if not names:
        return []
    found = classifier.fetch(pixels, [f"{name}{_OUTPUT}" for name in names])
    # Of each picture there may be several variants, the first as it is.
    return [maps[:: len(maps) // len(pixels)] for maps in found]


def occlusion(
    classifier: Classifier,
    pixels: np.ndarray,
    class_indices: np.ndarray,
    check: Callable[[], None] = lambda: None,
    threads: int | None = None,
) -> np.ndarray:
    """How much of each picture's answer hangs on each place, float32 [N, S, S], 0 to 1 in each picture.

    As `occluded`, by the log-odds that a classifier gives. `pixels`: preprocessed, [N, S, S, C];
    `class_indices`: N, each one's class in question. `threads`: None for one on each core; with ONNX Runtime
    each computes a picture at a time, so the classifier is best loaded with one thread for an answer.
    """
    return occluded(lambda covered: _log_odds(classifier, covered, class_indices, threads), pixels, check)


def occluded(
    log_odds: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray, check: Callable[[], None] = lambda: None
) -> np.ndarray:
    """How much of each picture's answer hangs on each place, float32 [N, S, S], 0 to 1 in each picture.

    log_odds  gives those of the class in question, float [M * N], for M copies of `pixels`, which are
              [N, S, S, C], one after the other
    check     is called for each place of the patch, and may raise to stop

    A patch in the picture's own mean colour is moved over the picture, a fifth of its side wide, a quarter in
    photos. What counts at a pixel is by how much the log-odds of the class fall, on average, while the pixel
    is covered (Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2014). A place that
    speaks against the class counts as 0. The patch has some 80 to 120 places.

    Grad-CAM (Selvaraju et al., 2017) is cheaper, but averages gradients over the picture. Where dense layers
    read each place with weights of their own, as in these networks, its peak missed the drawn object in half
    of 300 pictures, and this method's in none.
    """
    falls, times = np.zeros(pixels.shape[:3], np.float32), np.zeros(pixels.shape[1:3], np.float32)
    if not len(pixels):
        return falls
    uncovered = log_odds(pixels)
    colour = pixels.mean(axis=(1, 2), keepdims=True).astype(pixels.dtype)
    places = list(_patches(pixels.shape[1]))
    at_once = max(1, _COPIES // len(pixels))
    for group in (places[start : start + at_once] for start in range(0, len(places), at_once)):
        covered = np.tile(pixels, (len(group), 1, 1, 1))
        for copies, place in zip(np.split(covered, len(group)), group, strict=True):
            check()
            copies[:, *place] = colour
        for found, place in zip(np.split(log_odds(covered), len(group)), group, strict=True):
            falls[:, *place] += (uncovered - found)[:, None, None]
            times[place] += 1
    heat = falls / times
    heat[heat < _LEAST_FALL] = 0
    return heat / np.maximum(heat.max(axis=(1, 2), keepdims=True), np.finfo(np.float32).tiny)


def as_logits(probabilities: np.ndarray) -> np.ndarray:
    """Their logarithms, float32, which the softmax makes the same probabilities of; never infinite."""
    return np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))


def spotlight(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """uint8 [S, S, 3] tinted where `heat`, float [S, S] 0..1, is high, from violet to yellow; grey elsewhere.

    The tint, not the brightness, tells: dark pictures show it as well as light ones.
    """
    grey = image.mean(axis=2, keepdims=True) * DIMMED + LIFTED
    tint = cv2.applyColorMap(np.round(heat * 255).astype(np.uint8), cv2.COLORMAP_PLASMA)[..., ::-1]
    warmth = TINTED * np.sqrt(heat[..., None], dtype=np.float32)
    return np.clip(np.round(tint * warmth + grey * (1 - warmth)), 0, 255).astype(np.uint8)


def spoke_for(
    classifier: Classifier,
    pixels: np.ndarray,
    class_index: int,
    check: Callable[[], None] = lambda: None,
    threads: int | None = None,
) -> np.ndarray:
    """One preprocessed picture [S, S, C] as uint8 [S, S, 3], tinted where it speaks for the class.

    As `occlusion`, of which `check` and `threads` are. Raises PigeonholeError for a model without logits.
    """
    (heat,) = occlusion(classifier, pixels[np.newaxis], np.array([class_index]), check, threads)
    return spotlight(images.shown(pixels, classifier.preprocessing), heat)


def _known(classifier: Classifier, layer: str) -> str:
    names = convolutions(classifier)
    if layer not in names:
        choices = f"choose from {', '.join(names)}" if names else f"the engine {classifier.engine} shows none"
        raise UsageError(f"--layer {layer}: the network has no such convolution; {choices}")
    return layer


def _patches(side: int) -> Iterator[tuple[slice, slice]]:
    """Places of the patch, which also hangs over the edges: rows and columns."""
    width = max(2, round(side * (_COVERED_OF_PHOTOS if side > _PHOTO else _COVERED)))
    stride = width // _OVERLAP
    spans = [slice(max(0, start), start + width) for start in range(stride - width, side, stride)]
    return product(spans, spans)


def _log_odds(
    classifier: Classifier, pixels: np.ndarray, class_indices: np.ndarray, threads: int | None
) -> np.ndarray:
    """float32 [M * N], of the class of each of N pictures against all others, for M copies of them; from
    logits, since probabilities saturate.

    Of a checkpoint of another program the probabilities are what there is.
    """
    logits = _logits(classifier, pixels, threads)
    chosen = np.arange(len(logits)), np.tile(class_indices, len(logits) // len(class_indices))
    own = logits[chosen]
    logits[chosen] = -np.inf
    return own - np.logaddexp.reduce(logits, axis=1)


def _logits(classifier: Classifier, pixels: np.ndarray, threads: int | None) -> np.ndarray:
    if classifier.is_foreign:
        return as_logits(classifier.predict_pixels(pixels))
    if classifier.engine != ONNX:
        return classifier.fetch(pixels, ["logits"])[0]

    def one(number: int) -> np.ndarray:
        return classifier.fetch(pixels[number : number + 1], ["logits"])[0]

    # On two cores this was 1.5 times as fast as a batch that shares the threads.
    return np.concatenate(list(in_parallel(one, range(len(pixels)), threads or available_cores())))
