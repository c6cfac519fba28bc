"""The networks, one entry each. It imports neither Keras nor TensorFlow, so that --help can list them.

To add a network, write the function of its layers, give it a recipe and add its entry here. The flags,
training, the table of layers and the saved graph with its readable names follow from these.
"""

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from pigeonhole.networks import recipes
from pigeonhole.networks.recipes import THUMBNAIL, Recipe

_WEIGHTS_URL = "https://storage.googleapis.com/tensorflow/keras-applications/"


@dataclass(frozen=True)
class Application:
    """A network of keras.applications and its ImageNet weights, without the head, as Keras publishes them.

    `function`: its name there. `path`: of the weights file, below Keras' own address. `md5`: of its content.
    """

    function: str
    path: str
    md5: str

    @property
    def url(self) -> str:
        return _WEIGHTS_URL + self.path


@dataclass(frozen=True)
class Network:
    """All that is known about a network, apart from its layers.

    builder        "module.function" of this package: from `pixels`, a Keras tensor [N, S, S, C], RGB 0..255,
                   and the number of classes K to the logits [N, K]
    settings       (image size, number of training pictures, whether all are grey) -> its usual recipe
    image_size     side in pixels at which it looks at pictures by default; None: it follows from theirs
    channels       by default: 1 grey, 3 colour
    smallest_side  in pixels; of smaller pictures nothing would be left behind its layers
    provenance     whose settings the recipe holds: "ours" or "as published"
    added          fields of such a recipe that were never published, and are ours
    remark         what else is to be said of what was published
    adapts         whether few epochs, or trained weights to start from, change the recipe
    dropout        the layers whose rate `--dropout` replaces
    application    where its published weights are downloaded from
    depthwise      whether it computes mostly depthwise convolutions, whose best precision is another
    has_weights    whether its published weights are installed with this program, and are what a training
                   starts from unless told otherwise
    """

    name: str
    builder: str
    settings: Callable[[int, int, bool], Recipe]
    image_size: int | None = None
    channels: int = 3
    smallest_side: int = 1
    provenance: str = "ours"
    added: tuple[str, ...] = ()
    remark: str = ""
    adapts: bool = False
    dropout: tuple[str, ...] = ()
    application: Application | None = None
    depthwise: bool = False
    has_weights: bool = False

    def function(self) -> Callable:
        """The function that builds its layers. Imports Keras."""
        module, _, name = self.builder.partition(".")
        function = getattr(importlib.import_module(f"pigeonhole.networks.{module}"), name)
        return functools.partial(function, self.application.function) if self.application else function

    def usual_size(self, median_side: float) -> int:
        """The side in pixels at which it looks at pictures of this median shorter side by default."""
        thumbnails = median_side <= THUMBNAIL
        if self.has_weights and thumbnails:
            return 32  # its recipe has it enlarge them
        return self.image_size or (32 if thumbnails else 128)

    def recipe(
        self, size: int, num_pictures: int, all_grey: bool, brief: bool = False, trained: bool = False
    ) -> Recipe:
        """The default recipe for so many training pictures at `size` pixels.

        `brief`: for a training of few epochs. `trained`: it starts from trained weights, not random ones.
        """
        made = self.settings(size, num_pictures, all_grey)
        if not trained:
            # In random weights there is nothing to keep.
            made = replace(made, **recipes.NOTHING_FROZEN)
        elif self.adapts:
            made = recipes.from_trained(made)
        return recipes.brief(made, bool(self.dropout)) if brief and self.adapts else made

    def is_brief(self, size: int, num_pictures: int, epochs: float) -> bool:
        """Whether so many epochs are too few for the usual settings: fewer than usual, and few by themselves.

        A network learns its pictures by heart by seeing them again and again, be they many or few.
        """
        usual = self.recipe(size, num_pictures, all_grey=False)
        return self.adapts and epochs < min(usual.epochs, 50 if size > THUMBNAIL else 12)


def _pretrained(
    name: str, image_size: int, application: Application, smallest_side: int = 32, settings=recipes.pretrained
) -> Network:
    return Network(
        name,
        "backbones.backbone",
        settings,
        image_size,
        smallest_side=smallest_side,
        dropout=("dropout",),
        application=application,
    )


_CLASSIC = {"image_size": 32, "provenance": "as published"}
_ENTRIES = (
    Network("standard", "standard.standard", recipes.standard, adapts=True, dropout=("dropout1",)),
    Network("deep", "standard.deep", recipes.deep, adapts=True, smallest_side=9),
    Network("wide", "standard.wide", recipes.wide, adapts=True, smallest_side=9),
    Network(
        "tutorial",
        "standard.tutorial",
        recipes.tutorial,
        128,
        provenance="as published",
        added=("epochs", "patience"),
        remark="batches of 32 in its code, 16 in its text; no length",
    ),
    Network(
        "classic_tiny",
        "classics.classic_tiny",
        recipes.classic_tiny,
        32,
        smallest_side=18,
        dropout=("dropout1",),
    ),
    Network(
        "classic_dropout",
        "classics.classic_dropout",
        recipes.classic_dropout,
        dropout=("dropout1", "dropout2"),
        **_CLASSIC,
    ),
    Network("classic_augmented", "classics.classic_augmented", recipes.classic_augmented, **_CLASSIC),
    Network(
        "classic_mnist",
        "classics.classic_mnist",
        recipes.classic_mnist,
        28,
        channels=1,
        provenance="as published",
    ),
    Network("classic_lrn", "classics.classic_lrn", recipes.classic_lrn, **_CLASSIC),
    Network(
        "efficientnet_lite0",
        "lite.efficientnet_lite0",
        recipes.fine_tuned,
        224,
        dropout=("dropout",),
        depthwise=True,
        has_weights=True,
    ),
    _pretrained(
        "mobilenet_v3_small",
        224,
        Application(
            "MobileNetV3Small",
            "mobilenet_v3/weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5",
            "d3e8ec802a04aa4fc771ee12a9a9b836",
        ),
    ),
    _pretrained(
        "mobilenet_v3_large",
        224,
        Application(
            "MobileNetV3Large",
            "mobilenet_v3/weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5",
            "07fb09a5933dd0c8eaafa16978110389",
        ),
    ),
    _pretrained(
        "efficientnet_v2_b0",
        224,
        Application(
            "EfficientNetV2B0",
            "efficientnet_v2/efficientnetv2-b0_notop.h5",
            "893217f2bb855e2983157299931e43ff",
        ),
    ),
    _pretrained(
        "efficientnet_v2_b3",
        300,
        Application(
            "EfficientNetV2B3",
            "efficientnet_v2/efficientnetv2-b3_notop.h5",
            "f6abf7b5849ac99a89b50dd3fd532856",
        ),
    ),
    _pretrained(
        "inception_v3",
        299,
        Application(
            "InceptionV3",
            "inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "bcbd6486424b2319ff4ef7d526e38f63",
        ),
        smallest_side=75,
    ),
    _pretrained(
        "vgg19",
        224,
        Application(
            "VGG19",
            "vgg19/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "253f8cb515780f3b799900260a226db6",
        ),
        settings=recipes.pretrained_plain,
    ),
)
NETWORKS: dict[str, Network] = {network.name: network for network in _ENTRIES}
DEFAULT = _ENTRIES[0].name
AUTO = "auto"  # no network, but several ways to train of which the best are kept
APPLICATIONS = tuple(network.name for network in _ENTRIES if network.application)
PRETRAINED = tuple(network.name for network in _ENTRIES if network.application or network.has_weights)
