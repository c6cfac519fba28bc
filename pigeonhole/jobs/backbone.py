"""What `--backbone` names: the network whose features the first answer is fitted to."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.features import extractor, pretrained
from pigeonhole.features.extractor import Extractor
from pigeonhole.networks.registry import APPLICATIONS, NETWORKS
from pigeonhole.runs import search
from pigeonhole.runs.config import TrainingConfig
from pigeonhole.training import weights_source
from pigeonhole.training.weights_source import IMAGENET, Source

if TYPE_CHECKING:
    import keras

    from pigeonhole.training.initial_weights import InitialWeights

FLAG = "--backbone"
PUBLISHED = (pretrained.NETWORK, *APPLICATIONS)
CHANNELS = 3
# Of runs whose settings do not say it yet; other candidates bore the name of their network.
_NETWORKS = {"tuned": pretrained.NETWORK}


@dataclass(frozen=True)
class Trained:
    """A network of the registry with trained weights, as a `features.backbone.Backbone`: without its head.

    `weights`: all but the head's. `takes_any_size`: as a published network does; one of a run looks at
    pictures of the size that it was trained with.
    """

    network: str
    weights: "InitialWeights"
    image_size: int
    title: str
    takes_any_size: bool

    def extractor(self, side: int, threads: int | None) -> Extractor:
        """What computes its features of pictures of `side` pixels, as the saved model does: the network
        resizes them itself. By TensorFlow, whose number of threads is set for the whole process."""
        import keras

        from pigeonhole.networks.resizing import Resized

        shown = pixels = keras.Input((side, side, CHANNELS), dtype="float32", name="x")
        if side != self.image_size:
            shown = Resized(self.image_size, name="resized")(shown)
        features, last = self._pooled(pixels, shown)
        model = keras.Model(pixels, features)
        about = f"{self.network} at {self.image_size}"
        digest = extractor.weights_digest(about, side, model.get_weights())
        return extractor.KerasExtractor(model, self.network, last, digest)

    def features(self, pixels: "keras.KerasTensor", shown: "keras.KerasTensor") -> "keras.KerasTensor":
        """See `Backbone`. Raises PigeonholeError where the weights do not fit the network."""
        return self._pooled(pixels, shown)[0]

    def _pooled(self, pixels, shown) -> tuple["keras.KerasTensor", slice]:
        import keras

        from pigeonhole.networks import depths

        classifier = keras.Model(pixels, NETWORKS[self.network].function()(shown, 1))
        self.weights.put_into(classifier, ())
        return depths.pooled(classifier)


def find(config: TrainingConfig) -> Source | None:
    """Where the weights of the backbone are; None for EfficientNet-Lite0 as it comes.

    Raises UsageError and PigeonholeError for what is no backbone or is not there.
    """
    named = config.backbone
    if named is None or named == pretrained.NETWORK:
        return None
    if named in APPLICATIONS:
        return weights_source.find(config.weights or IMAGENET, named)
    if Path(named).suffix in weights_source.FILES:
        raise UsageError(f"{FLAG} {named}: name the file's network, and take the file with --weights")
    if not (Path(named).exists() or (search.RUNS / named).exists()):
        if named in NETWORKS:
            raise UsageError(f"{FLAG} {named}: has no published weights; name a run of it")
        if close := difflib.get_close_matches(named.lower(), PUBLISHED, n=1, cutoff=0.8):
            raise UsageError(f"{FLAG} {named}: no such network or run; did you mean {close[0]}?")
    return weights_source.find(named, None, FLAG)


def read(config: TrainingConfig, source: Source) -> Trained:
    """The backbone that `find` has found. Raises PigeonholeError where nothing can be made of it."""
    from pigeonhole.training import initial_weights

    if config.backbone in APPLICATIONS:
        network = config.backbone
        weights = initial_weights.read(source, network)
        return Trained(network, weights, NETWORKS[network].image_size, network, takes_any_size=True)
    return _of_run(source)


def _of_run(source: Source) -> Trained:
    from pigeonhole.model import metagraph
    from pigeonhole.networks.combining import COMBINED
    from pigeonhole.training.initial_weights import InitialWeights

    with metagraph.restore(source.path) as session:
        contract = metagraph.read_contract(session)
        if contract is None:
            raise PigeonholeError(f"{FLAG} {source.named}: is no run of this program")
        values = metagraph.read_weights(session)
    seen = contract.preprocessing
    if seen.channels != CHANNELS:
        raise PigeonholeError(
            f"{FLAG} {source.named}: looks at grey pictures, of 1 channel, and these are read with "
            f"{CHANNELS}; name a run that was trained with --channels {CHANNELS}"
        )
    try:
        settings, network, start = source.settings(), contract.network, ""
        recipe = settings.get("recipe") or {}
        if network == COMBINED:
            network, recipe, start = _trained_part(source, settings, values)
        size = int(recipe.get("image_size") or seen.image_size)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise PigeonholeError(f"{FLAG} {source.named}: its settings are damaged ({error})") from error
    if network not in NETWORKS:
        raise PigeonholeError(f"{FLAG} {source.named}: is of the network {network}, which is not known here")
    about = f"of {network} for pictures of {seen.image_size} pixels"
    own = {key.removeprefix(start): value for key, value in values.items() if key.startswith(start)}
    weights = InitialWeights(source.named, own, (), about, FLAG)
    return Trained(network, weights, size, source.named, takes_any_size=False)


def _trained_part(
    source: Source, settings: Mapping, values: Mapping[str, object]
) -> tuple[str, Mapping[str, object], str]:
    """Of a run of several ways the first network that was trained and counts in its answers: the network, its
    recipe, and what the names of its layers begin with."""
    for candidate in settings.get("candidates") or ():
        name = candidate["name"]
        if any(key.startswith(f"{name}_") for key in values):
            return candidate.get("network") or _NETWORKS.get(name, name), candidate["recipe"], f"{name}_"
    raise PigeonholeError(
        f"{FLAG} {source.named}: answers by features of a network as it came, and nothing else in it was "
        f"trained; name that network, as the run's own {FLAG} did, or leave the flag out"
    )
