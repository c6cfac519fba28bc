"""A style without its colours: Gatys et al., "Preserving Color in Neural Artistic Style Transfer" (2016)."""

import numpy as np

from pigeonhole.art.layered import LUMA

FLATTEST = 1.0  # levels; the least deviation that brightness is divided by


def luma(picture: np.ndarray) -> np.ndarray:
    """RGB [H, W, 3] to its brightness, float32 [H, W, 1] (ITU-R BT.601)."""
    return (picture.astype(np.float32) @ np.asarray(LUMA, np.float32))[..., np.newaxis]


def grey(picture: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] without its colours, in uint8 [H, W, 3]."""
    return _levels(np.repeat(luma(picture), 3, axis=2))


def matched(style: np.ndarray, content: np.ndarray) -> np.ndarray:
    """The style in grey, its brightness moved and stretched to the content's mean and deviation."""
    one, other = luma(style), luma(content)
    spread = other.std() / max(one.std(), FLATTEST)
    return _levels(np.repeat((one - one.mean()) * spread + other.mean(), 3, axis=2))


def with_colours_of(picture: np.ndarray, content: np.ndarray) -> np.ndarray:
    """The picture's brightness with the content's colours, uint8 [H, W, 3], which have the same shape.

    In YIQ the brightness is a summand of each of R, G and B, so that their difference is added to all three.
    """
    return _levels(content.astype(np.float32) + luma(picture) - luma(content))


def _levels(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
