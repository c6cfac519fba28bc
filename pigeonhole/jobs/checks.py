"""Mistakes in a training's config that show before any picture is read."""

from dataclasses import dataclass

from pigeonhole.errors import UsageError
from pigeonhole.jobs import backbone, tracking
from pigeonhole.networks.registry import APPLICATIONS, AUTO, DEFAULT, NETWORKS
from pigeonhole.runs import creation
from pigeonhole.runs.config import TrainingConfig
from pigeonhole.runs.previous import PreviousRun
from pigeonhole.training import weights_source
from pigeonhole.training.weights_source import Source


@dataclass(frozen=True)
class NetworkChoice:
    """The network, and where its weights come from. `image_size`: in pixels; None: it follows from the data.

    `weights_digest`: sha256 of the weights; None for random ones. With `auto` both are of the backbone; None
    for the one that is installed.
    """

    network: str
    image_size: int | None
    source: Source | None = None
    weights_digest: str | None = None


def check(
    config: TrainingConfig, previous_run: PreviousRun | None = None, writes: bool = True
) -> NetworkChoice:
    """Find the mistakes now and not after minutes of work. Raises UsageError.

    `writes`: whether this process writes the run.
    """
    _check_paths(config)
    tracking.require(config.track)
    if writes:
        _check_output(config)
    choice = _choose_network(config)
    if previous_run:
        previous_run.refuse(previous_run.changed_options(config, choice.weights_digest), config.force)
    _check_network(config, choice)
    return choice


def _check_paths(config: TrainingConfig) -> None:
    for flag, path in (("--data", config.data), ("--test", config.test)):
        if path is not None and not path.is_dir():
            raise UsageError(f"{flag} {path}: no such folder")
    has_own_split = config.is_resumed or config.repeat is not None
    if config.split is not None and not has_own_split and not config.split.is_file():
        raise UsageError(f"--split {config.split}: no such file")
    for flag, file in (("--fixes", config.fixes), ("--labels", config.labels)):
        if file is not None and not file.is_file():
            raise UsageError(f"{flag} {file}: no such file")
    if config.freeze and not _asked_weights(config):
        raise UsageError(
            "--freeze belongs to --weights: in a network of random weights all layers must learn"
        )


def _check_output(config: TrainingConfig) -> None:
    if config.name is not None:
        creation.check_name(config.output, config.name)
    if not config.is_resumed:
        creation.check_output(config.output)


def _choose_network(config: TrainingConfig) -> NetworkChoice:
    """Network and picture size as asked for, or as they follow from --weights.

    Raises UsageError where those weights cannot be used.
    """
    if config.network == AUTO:
        source = None if about_one_training(config) else backbone.find(config)
        return NetworkChoice(AUTO, None, source, source.digest() if source else None)
    weights = _asked_weights(config)
    if weights is None:
        return NetworkChoice(config.network or DEFAULT, config.image_size)
    source = weights_source.find(weights, config.network)
    of_run = source.settings()
    options, recipe = of_run.get("options", {}), of_run.get("recipe", {})
    return NetworkChoice(
        network=config.network or options.get("network") or DEFAULT,
        image_size=config.image_size or options.get("image_size") or recipe.get("image_size"),
        source=source,
        weights_digest=source.digest(),
    )


def _asked_weights(config: TrainingConfig) -> str | None:
    """What --weights names, or what the network starts from without that flag."""
    has_own = config.network is not None and NETWORKS[config.network].has_weights
    return config.weights or (weights_source.IMAGENET if has_own else None)


def _check_network(config: TrainingConfig, choice: NetworkChoice) -> None:
    """Raise UsageError where the flags do not fit the network, or each other."""
    if choice.network == AUTO:
        if given := about_one_training(config):
            raise UsageError(f"{given[0]}: is about one training; name its network, or leave the flag out")
        return
    if config.quick or config.single:
        raise UsageError(f"--{'quick' if config.quick else 'single'}: belongs to --network {AUTO}")
    if config.backbone is not None:
        raise UsageError(f"--backbone {config.backbone}: belongs to --network {AUTO}")
    network, side = NETWORKS[choice.network], choice.image_size
    if side is not None and side < network.smallest_side:
        raise UsageError(
            f"--image-size {side}: {network.name} needs pictures of at least {network.smallest_side} pixels"
        )
    if config.dropout is not None and not network.dropout:
        raise UsageError(f"--dropout {config.dropout:g}: {network.name} has no dropout layers; leave it out")
    if config.decay_steps is not None and config.schedule != "exponential":
        raise UsageError(f"--decay-steps {config.decay_steps}: belongs to --schedule exponential")


def about_one_training(config: TrainingConfig) -> list[str]:
    """The flags given that tell how one network is to be trained, and so say nothing about several ways."""
    given = {
        **config.recipe_changes,
        "weights": config.weights if config.backbone not in APPLICATIONS else None,
        "image_size": config.image_size,
        "steps": config.steps,
        "channels": config.channels if config.channels == 1 else None,
        "flip_average": config.flip_average,
        "shift_average": config.shift_average,
    }
    return [f"--{name.replace('_', '-')}" for name, value in given.items() if value is not None]
