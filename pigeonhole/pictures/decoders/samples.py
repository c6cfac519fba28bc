"""What all decoders do with decoded samples: 8 bits, colours, and transparency on white."""

from collections.abc import Callable

import cv2
import numpy as np

ROWS = 256  # are converted at one time


def by_rows(convert: Callable[[np.ndarray], np.ndarray], samples: np.ndarray) -> np.ndarray:
    """`convert` of contiguous samples [height, width, ...], some rows at a time, as uint8 [height, width, 3].

    A large picture is not held in several forms: where its samples take three bytes or more for a pixel, they
    are overwritten. A row that is done ends before the first that is not.
    """
    height, width = samples.shape[:2]
    if height <= ROWS:
        return convert(samples)
    shape = (height, width, 3)
    if samples[0, 0].nbytes >= 3:
        image = samples.reshape(-1).view(np.uint8)[: height * width * 3].reshape(shape)
    else:
        image = np.empty(shape, np.uint8)
    for top in range(0, height, ROWS):
        image[top : top + ROWS] = convert(samples[top : top + ROWS])
    return image


def to_8_bits(samples: np.ndarray, maximum: int) -> np.ndarray:
    """uint8 or uint16 samples of 0..`maximum` as uint8 of 0..255, rounded to the nearest."""
    if maximum == 255:
        return samples.astype(np.uint8, copy=False)
    return cv2.convertScaleAbs(samples, alpha=255 / maximum)


def grey_to_rgb(samples: np.ndarray) -> np.ndarray:
    """[height, width] -> [height, width, 3] with every sample three times."""
    return cv2.cvtColor(samples, cv2.COLOR_GRAY2RGB)


def on_white(colours: np.ndarray, alpha: np.ndarray, premultiplied: bool = False) -> np.ndarray:
    """colours * alpha + 255 * (1 - alpha), all uint8: a large picture must not be multiplied in size.

    `premultiplied`: the colours are already multiplied by their alpha.
    """
    alpha = grey_to_rgb(alpha)
    if not premultiplied:
        colours = cv2.multiply(colours, alpha, scale=1 / 255)
    return cv2.add(colours, cv2.bitwise_not(alpha))


def cmyk_to_rgb(inks: np.ndarray) -> np.ndarray:
    """uint8 [height, width, 4] of inks, 255 full, as RGB: (255 - ink) * (255 - black) / 255."""
    light = cv2.bitwise_not(inks)
    return cv2.multiply(np.ascontiguousarray(light[..., :3]), grey_to_rgb(light[..., 3]), scale=1 / 255)
