"""A camera for Chromium that sees what a film shows, over and over."""

from pathlib import Path

import cv2
import numpy as np

DEVICE = "--use-fake-device-for-media-stream"
WIDTH, HEIGHT = 320, 240  # pixels


def flags(film: Path | None = None) -> tuple[str, ...]:
    """Chromium's, for a camera that it may use without asking; None: its own test picture."""
    always = (DEVICE, "--use-fake-ui-for-media-stream")
    return (*always, f"--use-file-for-fake-video-capture={film}") if film else always


def draw(film: Path, scenes: list[tuple[int, int, int]], frames: int, rate: int) -> Path:
    """A film (YUV4MPEG2) that shows each scene, textures of a BGR colour, for so many frames at this rate."""
    random = np.random.default_rng(0)
    with film.open("wb") as file:
        file.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{rate}:1 Ip A1:1 C420jpeg\n".encode())
        for colour in scenes:
            for _ in range(frames):
                coarse = random.normal(colour, 30, (HEIGHT // 8, WIDTH // 8, 3))
                picture = cv2.resize(np.clip(coarse, 0, 255).astype(np.uint8), (WIDTH, HEIGHT))
                file.write(b"FRAME\n" + cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420).tobytes())
    return film
