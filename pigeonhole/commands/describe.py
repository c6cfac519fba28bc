"""Keep what a checkpoint of another program does not say about itself, so that no command needs it again.

    pigeonhole describe old/model.meta --labels dogs,cats
    pigeonhole describe old/model.meta --labels dogs,cats --output-tensor scores --logits --feed keep_prob=1.0

It is tried on the checkpoint first, and written beside it as contract.json.
"""

from pigeonhole import extras
from pigeonhole.arguments import Parser, filled
from pigeonhole.commands import foreign_flags
from pigeonhole.errors import UsageError
from pigeonhole.terminal import say


def main(arguments: list[str]) -> int:
    """0 when what is said fits the checkpoint and is kept."""
    parser = Parser("describe", __doc__)
    parser.add_argument("model", type=filled, metavar="MODEL", help="a .meta file, its prefix or its folder")
    foreign_flags.add(parser)
    options = parser.parse_args(arguments)
    extras.require("describing a checkpoint", "tensorflow")
    from pigeonhole.model import described
    from pigeonhole.model.classifier import Classifier
    from pigeonhole.runs import search

    run, said = search.find(options.model, "MODEL"), foreign_flags.foreign(options)
    if not run.keeps_files:
        raise UsageError(f"{run}: no folder to write into; name a .meta file or the folder of one")
    if not said.labels:
        raise UsageError("--labels is required: the class names in the checkpoint's order, such as dogs,cats")
    with Classifier.load(run, engine="tensorflow", foreign=said) as classifier:
        preprocessing = classifier.preprocessing
    side = preprocessing.image_size
    say(
        f"takes       {side} x {side} pixels, {preprocessing.colour_order}, times {preprocessing.scale:.4g}",
        f"gives       {', '.join(said.labels)}",
        f"kept        {described.write(said, run)}",
    )
    return 0
