"""The ways to train that `--network auto` tries after its first answer, and how long each may take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np

from pigeonhole.jobs.backbone import Trained
from pigeonhole.jobs.first_answer import FirstAnswer
from pigeonhole.jobs.setup import PRETRAINED_SIZE, Setup
from pigeonhole.networks.averaging import Averaging
from pigeonhole.networks.building import in_float32
from pigeonhole.networks.recipes import MANY, THUMBNAIL, Recipe
from pigeonhole.networks.registry import NETWORKS, PRETRAINED
from pigeonhole.runs.config import SettledCandidate
from pigeonhole.runs.records import Validation
from pigeonhole.training import initial_weights, precision, weights_source
from pigeonhole.training.blueprint import Blueprint
from pigeonhole.training.initial_weights import InitialWeights
from pigeonhole.training.trainer import Trainer

ENLARGED_MANY = 96  # pixels, of more than MANY thumbnails: each should be seen in the time there is
FEWEST_MISTAKES = 5  # of the first answer on all pictures, out of fold, from which others are tried


@dataclass(frozen=True)
class Candidate:
    """`name`: of its layers in the saved graph. `network`: in the registry. `image_size`: of photos, in
    pixels. `share`: of the time that is left to all candidates from it on; `share_of_thumbnails`: the same,
    since a small network has thumbnails learnt soon. `weights`: what it starts from, at that size; None: from
    its own installed weights, or from random ones."""

    name: str
    network: str
    image_size: int
    share: float
    share_of_thumbnails: float
    title: str
    weights: InitialWeights | None = None

    def share_at(self, image_size: int) -> float:
        """The share for pictures of `image_size` pixels."""
        return self.share if image_size > THUMBNAIL else self.share_of_thumbnails


CANDIDATES = (
    Candidate(
        "tuned", "efficientnet_lite0", PRETRAINED_SIZE, 0.6, 0.8, "upper layers of the pretrained network"
    ),
    Candidate("standard", "standard", 128, 1.0, 1.0, "a small network from nothing"),
)


@dataclass(frozen=True)
class Tried:
    """A candidate that was trained: `model` in float32, its `logits` float32 [v, K] for the validation
    pictures, from which it has learnt nothing, and how long it took. `validations`: those of its
    training. `is_cut_short`: as of `Trainer`."""

    name: str
    title: str
    model: keras.Model
    logits: np.ndarray
    seconds: float
    validations: Sequence[Validation]
    is_cut_short: bool = False


def worth_trying(first: FirstAnswer, setup: Setup) -> Sequence[Candidate]:
    """The candidates that may do better than the first answer: none where it hardly makes a mistake."""
    answers = first.head.log_probabilities.argmax(axis=1)
    mistakes = int((answers != setup.sets.everything.label_indices).sum())
    return () if mistakes < FEWEST_MISTAKES else _all(first.backbone if setup.backbone else None)


def as_told(told: Mapping[str, object], setup: Setup) -> Candidate:
    """The candidate that the chief means, at another worker. `told`: its `name` and `image_size`."""
    meant = next(each for each in _all(setup.backbone) if each.name == told["name"])
    return replace(meant, image_size=told["image_size"])


def _all(backbone: Trained | None) -> Sequence[Candidate]:
    tuned, *others = CANDIDATES
    return (*([tuned] if backbone is None else _further(backbone)), *others)


def _further(backbone: Trained) -> list[Candidate]:
    """The backbone trained further, where its recipe has a way to start from trained weights."""
    network = NETWORKS[backbone.network]
    if not (network.adapts or network.name in PRETRAINED):
        return []
    title = f"{backbone.title}, trained further"
    tuned = CANDIDATES[0]
    return [
        replace(
            tuned,
            network=network.name,
            image_size=backbone.image_size,
            title=title,
            weights=backbone.weights,
        )
    ]


def make(
    setup: Setup,
    candidate: Candidate,
    head: tuple[np.ndarray, np.ndarray] | None,
    known: SettledCandidate | None,
) -> Trainer:
    """A trainer of the candidate with its first weights, made by all workers of the setup together.

    `head`: kernel and bias for the pretrained network's last layer, as it starts; None at workers that get
    the weights from the chief. `known`: what was settled in the run that is resumed or repeated; None: the
    number of steps is still to be set.
    """
    own = own_setup(setup, candidate)
    recipe = known.recipe if known else recipe_of(candidate, own)
    chosen = known.precision if known else _precision(own)
    averaging = Averaging(flip=recipe.augmentation.flip)
    blueprint = Blueprint(candidate.network, own.config.seed, chosen, averaging, own.initial_weights)
    trainer = blueprint.trainer(recipe, own.sets.train, own.sets.valid, own.workers)
    trainer.keeps_by_loss = True  # it will be weighed by its loss, which few pictures tell better
    if own.initial_weights and head:
        trainer.model.layers[-1].set_weights(list(head))
    if known:
        trainer.total_steps = known.total_steps
    return trainer


def settled(candidate: Candidate, trainer: Trainer) -> SettledCandidate:
    """What a repetition needs to know about the candidate."""
    dtypes = {layer.compute_dtype for layer in trainer.model.layers}
    chosen = "bfloat16" if "bfloat16" in dtypes else "float32"
    return SettledCandidate(candidate.name, chosen, trainer.recipe, trainer.total_steps, candidate.network)


def tried(candidate: Candidate, trainer: Trainer) -> Tried:
    """What the trainer has arrived at, after at least one validation."""
    model = in_float32(trainer.model, trainer.best_weights)
    seconds = trainer.validations[-1].seconds
    return Tried(
        candidate.name,
        candidate.title,
        model,
        trainer.best_logits,
        seconds,
        trainer.validations,
        trainer.is_cut_short,
    )


def own_setup(setup: Setup, candidate: Candidate) -> Setup:
    """The same data for the candidate's network, with the weights that it starts from."""
    network, weights = candidate.network, candidate.weights
    if weights is None and NETWORKS[network].has_weights:
        weights = initial_weights.read(weights_source.find(weights_source.IMAGENET, network), network)
    return replace(setup, choice=replace(setup.choice, network=network), initial_weights=weights)


def recipe_of(candidate: Candidate, own: Setup) -> Recipe:
    """The usual recipe of the candidate's network for a short training on the pictures of its `own` setup."""
    count, photos = own.sets.train.num_examples, own.image_size > THUMBNAIL
    recipe = own.recipe_for(count, brief=True, image_size=candidate.image_size if photos else None)
    if candidate.weights is not None:
        return replace(recipe, image_size=candidate.image_size)
    if count > MANY and recipe.image_size > own.image_size:
        return replace(recipe, image_size=ENLARGED_MANY)
    return recipe


def _precision(own: Setup) -> str:
    """As the chief finds it."""
    chosen = None
    if own.workers is None or own.workers.is_chief:
        chosen, _ = precision.choose(own.config.precision, NETWORKS[own.choice.network].depthwise)
    return own.workers.from_chief(chosen) if own.workers else chosen
