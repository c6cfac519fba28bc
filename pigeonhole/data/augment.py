"""Training-time variations of pictures: one affine warp and one colour curve for each picture."""

import cv2
import numpy as np

from pigeonhole.data.augmentation import IN_NETWORK, NONE, Augmentation
from pigeonhole.data.shards import Shard, all_rows

_LEVELS = np.arange(256, dtype=np.float32)[:, None]


def augment(
    images: np.ndarray,
    how: Augmentation,
    rng: np.random.Generator,
    part: Shard | None = None,
    mirrored: np.ndarray | None = None,
) -> np.ndarray:
    """A varied copy of `images` uint8 [N, S, S, C]: same shape and dtype, drawn from `rng` alone.

    `part`: which pictures of a batch these are, if not all; each is then varied as it would be among all.
    `mirrored` bool [batch]: which pictures of the batch to mirror where `how` asks for it; without it each
    is by an even chance.
    What a warp brings in from beyond the edge is the picture mirrored there.
    """
    if how in (NONE, IN_NETWORK):
        return images
    side = images.shape[1]
    part = part or all_rows(len(images))
    if mirrored is None:
        mirrored = rng.random(part.total) < 0.5
    matrices = _warps(mirrored, side, how, rng)[part.positions]
    curves = None
    if how.colour:
        curves = _colour_curves(part.total, images.shape[3], how.colour, rng)[part.positions]
    varied = np.empty_like(images)
    for index, image in enumerate(images):
        warped = cv2.warpAffine(
            image,
            matrices[index],
            (side, side),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        if curves is not None:
            warped = cv2.LUT(warped, curves[index])
        varied[index] = warped.reshape(image.shape)
    return varied


def mix(images: np.ndarray, rng: np.random.Generator, chance: float = 1.0) -> tuple[np.ndarray, float]:
    """Each of `images` uint8 [N, S, S, C] with a part of its opposite in the reversed batch, and its share.

    By an even chance the other picture shines through the whole ("mixup", Zhang et al., 2018) or covers one
    square ("CutMix", Yun et al., 2019). The share is 0.5 to 1; the labels must be mixed alike. `chance`:
    how likely the batch is mixed at all; if it is not, the share is 1.
    """
    if chance < 1 and rng.random() >= chance:
        return images, 1.0
    share = 1 - rng.random() / 2
    if rng.random() < 0.5:
        return _blend(images, share), share
    side = images.shape[1]
    width = round(side * (1 - share) ** 0.5)
    top, left = rng.integers(0, side - width + 1, 2)
    square = np.s_[:, top : top + width, left : left + width]
    mixed = images.copy()
    mixed[square] = images[::-1][square]
    return mixed, 1 - (width / side) ** 2


def _blend(images: np.ndarray, share: float) -> np.ndarray:
    blended = np.empty_like(images)
    for index, (one, other) in enumerate(zip(images, images[::-1], strict=True)):
        blended[index] = cv2.addWeighted(one, share, other, 1 - share, 0).reshape(one.shape)
    return blended


def _warps(mirrored: np.ndarray, side: int, how: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """[N, 2, 3] matrices from a varied picture's coordinates to the original's; `mirrored` is bool [N]."""
    count = len(mirrored)
    kept_area = rng.uniform(how.crop, 1, count)
    stretch = np.exp(rng.uniform(-how.aspect, how.aspect, count) / 2)
    angle = np.radians(rng.uniform(-how.rotate, how.rotate, count))
    mirror = np.where(how.flip & mirrored, -1.0, 1.0)
    scale = np.sqrt(kept_area)
    room = (1 - scale) * side / 2
    offset = rng.uniform(-1, 1, (count, 2)) * (room + how.shift * side)[:, None]
    if how.crop == 1 and not how.aspect and not how.rotate:
        offset = np.round(offset)  # whole pixels: the warp then copies and does not blur
    cosine, sine = np.cos(angle) * scale, np.sin(angle) * scale
    turn = np.array([[cosine * stretch * mirror, -sine], [sine * mirror, cosine / stretch]])
    turn = turn.transpose(2, 0, 1)
    centre = np.full(2, (side - 1) / 2)
    shift = centre + offset - turn @ centre
    return np.concatenate([turn, shift[:, :, None]], axis=2)


def _colour_curves(count: int, channels: int, strength: float, rng: np.random.Generator) -> np.ndarray:
    """[N, 1, 256, C] uint8 lookup tables: contrast about mid-grey, brightness, and a gain per channel."""
    contrast = rng.uniform(-2, 2, (count, 1, 1)) * strength
    balance = rng.uniform(-0.5, 0.5, (count, 1, channels)) * strength
    brightness = rng.uniform(-64, 64, (count, 1, 1)) * strength
    curves = (_LEVELS - 128) * np.exp(contrast + balance) + 128 + brightness
    return np.clip(np.round(curves), 0, 255).astype(np.uint8)[:, None]
