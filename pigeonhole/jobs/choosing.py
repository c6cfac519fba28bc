"""Which way a training goes: several candidates, or one network."""

import sys
from dataclasses import replace

from pigeonhole.features import pretrained
from pigeonhole.jobs import checks
from pigeonhole.networks.recipes import THUMBNAIL
from pigeonhole.networks.registry import AUTO
from pigeonhole.runs.config import TrainingConfig
from pigeonhole.terminal import say


def decided(config: TrainingConfig) -> TrainingConfig:
    """The config with its network named, where none is asked for and several ways are to be tried.

    So it is for photos, unless a flag says how one network is to be trained. Says so where only the
    pretrained weights are missing for that. Raises UsageError as `folders.scan` does.
    """
    if config.network is not None or checks.about_one_training(config):
        return config
    from pigeonhole.data import folders
    from pigeonhole.jobs import setup

    if config.data is None or not config.data.is_dir():
        return config  # that is told with the other mistakes
    if setup.median_side(folders.scan(config.data, config.classes)) <= THUMBNAIL:
        return config
    if not pretrained.available():
        hint = f"for better answers: pip install {pretrained.REQUIREMENT}"
        say(f"note: no pretrained features; {hint}", to=sys.stderr)
        return config
    return replace(config, network=AUTO)
