"""Decoded pictures inside a page: as data URIs."""

import base64

import cv2
import numpy as np

from pigeonhole.pictures import images

QUALITY = 82  # of WebP, 1 to 100


def data_uri(image: np.ndarray, side: int = 128) -> str:
    """uint8 [S, S, C], RGB or grey, as a WebP data URI of at most `side` pixels."""
    if image.shape[0] > side:
        image = images.resize(image, side)
    if image.ndim == 3 and image.shape[2] == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(".webp", image, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])[1]
    return f"data:image/webp;base64,{base64.b64encode(encoded).decode('ascii')}"
