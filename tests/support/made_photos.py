"""Pictures with the structure of photographs, and what is done to copies of them."""

import cv2
import numpy as np


def photo(seed: int, width: int = 320, height: int = 240) -> np.ndarray:
    """Something with the smooth large and weak small structure of a photograph, in colour."""
    random = np.random.default_rng(seed)
    image = np.zeros((height, width, 3), np.float32)
    for cells, strength in ((4, 60), (8, 40), (16, 25), (40, 12)):
        noise = random.normal(0, strength, (cells, cells, 3)).astype(np.float32)
        image += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(image + 128, 0, 255).astype(np.uint8)


def square(image: np.ndarray, size: int = 64) -> np.ndarray:
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)


def as_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def scaled(image: np.ndarray, factor: float) -> np.ndarray:
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)


def cropped(image: np.ndarray, share: float) -> np.ndarray:
    top, left = (int(side * share / 2) for side in image.shape[:2])
    return image[top : image.shape[0] - top, left : image.shape[1] - left]
