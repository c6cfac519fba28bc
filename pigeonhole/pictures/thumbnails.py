"""Small copies of decoded pictures: as files, and inside a page as data URIs."""

import base64

import cv2
import numpy as np

from pigeonhole.pictures import images

QUALITY = 82  # of WebP and JPEG, 1 to 100


def data_uri(image: np.ndarray, side: int = 128) -> str:
    """uint8 [S, S, C], RGB or grey, as a WebP data URI of at most `side` pixels."""
    return as_uri(_encoded(image, side, ".webp", [cv2.IMWRITE_WEBP_QUALITY, QUALITY]), "webp")


def jpeg(image: np.ndarray, side: int) -> bytes:
    """uint8 [S, S, C], RGB or grey, as a JPEG file of at most `side` pixels: larger than WebP, four times as
    fast."""
    return _encoded(image, side, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_OPTIMIZE, 1])


def as_uri(file: bytes, kind: str) -> str:
    """A picture file as a data URI. `kind`: such as "jpeg"."""
    return f"data:image/{kind};base64,{base64.b64encode(file).decode('ascii')}"


def _encoded(image: np.ndarray, side: int, suffix: str, options: list[int]) -> bytes:
    if image.shape[0] > side:
        image = images.resize(image, side)
    if image.ndim == 3 and image.shape[2] == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(suffix, image, options)[1].tobytes()
