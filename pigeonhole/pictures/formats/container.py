"""What every format's reader returns, and the ways in which it fails."""

from dataclasses import dataclass

from pigeonhole.errors import PigeonholeError

MOST_PIXELS = 200_000_000
NAMES = {
    "jpeg": "JPEG",
    "png": "PNG",
    "gif": "GIF",
    "webp": "WebP",
    "tiff": "TIFF",
    "bmp": "BMP",
    "ppm": "PPM",
    "avif": "AVIF",
    "heic": "HEIC",
    "jpegxl": "JPEG XL",
}


class ImageError(PigeonholeError):
    """These bytes cannot become a picture. `str(error)` is the short reason, without a file name."""


class TruncatedError(Exception):
    """The file ends before its container does."""


class DamagedError(Exception):
    """The container contradicts its own format."""


@dataclass(frozen=True)
class Container:
    """What a container says, as stored: `width` and `height` are those before `orientation` is applied."""

    format: str  # a key of NAMES
    width: int
    height: int
    orientation: int = 1  # EXIF 2.32, tag 0x0112: 1 to 8
    maximum: int = 255  # the value of a decoded sample at full brightness
    grey: bool = False
    cmyk: bool = False
    palette: bool = False
    transparent: bool = False  # has an alpha channel or a transparent colour, used or not
    animated: bool = False  # more than one frame or page
    transparent_grey: int | None = None  # the one grey, of 0..`maximum`, that stands for "transparent"
    page: int = 0  # which directory of a TIFF holds the picture
    camera: str = ""  # EXIF 2.32, tags 0x010F and 0x0110: maker and model, if it says

    @property
    def shown_size(self) -> tuple[int, int]:
        """Width and height after `orientation` is applied."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)

    @property
    def name(self) -> str:
        """The format's name for a reader."""
        return NAMES[self.format]
