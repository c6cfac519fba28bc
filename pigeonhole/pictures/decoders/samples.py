"""What all decoders do with decoded samples: 8 bits, colours, and transparency on white."""

import cv2
import numpy as np


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
