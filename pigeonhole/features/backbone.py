"""The network whose features a head is fitted to: EfficientNet-Lite0 as it comes, or one in its place."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pigeonhole.features import extractor, pretrained
from pigeonhole.features.extractor import Extractor

if TYPE_CHECKING:
    import keras


class Backbone(Protocol):
    """`title`: for people. `image_size`: the side in pixels at which it looks at pictures.

    `takes_any_size`: whether its weights fit any size, so that thumbnails may be shown enlarged to another.
    """

    title: str
    image_size: int
    takes_any_size: bool

    def extractor(self, side: int, threads: int | None) -> Extractor:
        """What computes its features, D for each picture, of pictures of its size or of `side` pixels."""

    def features(self, pixels: "keras.KerasTensor", shown: "keras.KerasTensor") -> "keras.KerasTensor":
        """The same features in Keras, float32 [N, D], with the weights.

        `shown`: pictures of its size, float32 [N, S, S, C], RGB or grey 0..255, made of the input `pixels`.
        """


@dataclass(frozen=True)
class Pretrained:
    """EfficientNet-Lite0 with its weights from ImageNet. Raises PigeonholeError as `pretrained.read` does.

    `engine`: of `extractor.open_pretrained`.
    """

    image_size: int = extractor.IMAGE_SIZE
    engine: str = "onnx"
    title = "the pretrained network"
    takes_any_size = True

    def extractor(self, side: int, threads: int | None) -> Extractor:
        return extractor.open_pretrained(self.image_size, threads, self.engine)

    def features(self, pixels: "keras.KerasTensor", shown: "keras.KerasTensor") -> "keras.KerasTensor":
        import keras

        from pigeonhole.networks import lite

        weights = pretrained.read()
        found = lite.efficientnet_lite0_features(shown)
        for variable in keras.Model(pixels, found).weights:
            variable.assign(weights[variable.path])
        return found
