"""From the weights kept to a finished run: calibrated, able to say "none of these", saved and converted."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pigeonhole.errors import PigeonholeError
from pigeonhole.model import calibration, metagraph, rejection
from pigeonhole.model.export import exporting
from pigeonhole.networks.building import in_float32
from pigeonhole.networks.recipes import Recipe
from pigeonhole.runs.records import Validation
from pigeonhole.statistics import CorrectedAccuracy, selection_corrected
from pigeonhole.training import retraining
from pigeonhole.training.trainer import Trainer

MOST_PICTURES = 20_000


def finish(run: Path, trainer: Trainer, rule: str = rejection.COMBINED) -> str | None:
    """Write the network kept as the run's model; give the reason where no ONNX file could be made.

    `rule`: of `rejection.RULES`. Temperature and limit of certainty follow from the validation pictures.
    """
    model = in_float32(trainer.model, trainer.best_weights)
    said = retraining.outputs(model, trainer.valid.images)
    labels = trainer.valid.label_indices
    temperature = calibration.fit_temperature(said.logits, labels)
    known = _some(trainer.train)
    features = retraining.outputs(model, known.images).features
    rule_for_unsure = rejection.fit(features, known.label_indices, said, temperature, rule=rule)
    fitted = metagraph.Fitted(trainer.best.step, temperature, rule_for_unsure)
    # A stopped training that has been resumed has saved its best before.
    metagraph.save(model, trainer.valid.class_names, run, fitted, replace=True)
    try:
        exporting.export(run)
    except PigeonholeError as error:
        return str(error)
    return None


def _some(data):
    """As many training pictures as it takes to tell where the classes lie."""
    return data.select(np.sort(data.order(0)[:MOST_PICTURES]))


def expected_accuracy(validations: Sequence[Validation], recipe: Recipe) -> CorrectedAccuracy:
    """What the network that these validations chose may be expected to get right of new pictures."""
    return selection_corrected(np.stack([each.valid_right for each in validations]), recipe.settles)
