"""A run as one zip archive for whoever receives it: model, ONNX file, the rule in words, the report."""

import zipfile
from pathlib import Path

from pigeonhole.model import metagraph
from pigeonhole.model.contract import Contract
from pigeonhole.model.engines import onnx_runtime
from pigeonhole.model.export import onnx_file
from pigeonhole.model.export.exporter import Answer, Source
from pigeonhole.runs import unpacking
from pigeonhole.runs.run import Run

TITLE = "bundle"
PLACE = "bundle.zip"
NEEDS = ("onnx", "tf2onnx")
HAS_INT8 = False
RULE = """\
An image classifier made by Pigeonhole {pigeonhole}
==================================================

Answer with Pigeonhole:     pigeonhole predict --model bundle.zip PICTURE
Answer with ONNX Runtime:   {onnx}, input x, output y_pred, in any language

Classes, in the order of the output: see {labels}.

How a picture becomes the input x, float32 [N, {side}, {side}, {channels}]:

1. Decode it to 8-bit RGB and turn it as its EXIF orientation says. Transparency lies on white; of an
   animation take the first frame.
2. Make it a square of {side} x {side} pixels, not cropped: along an axis that is longer, each new pixel is
   the mean over the area that it covers; along an axis that is shorter, interpolate linearly. Round to whole
   levels.
3. {channels_in_words}
4. Feed the levels 0..255 as they are. Scaling is inside.

The output y_pred float32 [N, K] holds calibrated probabilities. `unsure`, where there is such an output, is
true for a picture that may show none of the classes. The contract, for programs, is in contract.json.
"""


def write(source: Source, place: Path) -> None:
    """Write the archive, with one folder of the run's name in it."""
    run, text = source.run, rule(source.contract)
    files = [*metagraph.files(run.prefix), run.checkpoint_file, run.labels_file, run.seals_file]
    files += [run.result_file, run.report_page]
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            if file.is_file():
                archive.write(file, f"{run.name}/{file.name}")
        if run.onnx_file.is_file():
            archive.write(run.onnx_file, f"{run.name}/{run.onnx_file.name}")
        else:
            archive.writestr(f"{run.name}/{run.onnx_file.name}", onnx_file.content(source))
        archive.writestr(f"{run.name}/contract.json", source.contract.to_json())
        archive.writestr(f"{run.name}/README.txt", text)


def load(place: Path) -> Answer:
    """The probabilities of the archive's ONNX file; its meta graph replays its golden examples first."""
    run = unpacking.unpack(place)
    metagraph.restore(run.prefix).close()
    engine = onnx_runtime.restore(run.onnx_file)
    return lambda pixels: engine.run(["y_pred"], pixels)[0]


def rule(contract: Contract) -> str:
    """How a picture becomes the input, in words."""
    preprocessing = contract.preprocessing
    grey = "Make it grey: 0.299 red + 0.587 green + 0.114 blue, rounded."
    return RULE.format(
        pigeonhole=contract.pigeonhole,
        onnx=Run.onnx_file.name,
        labels=Run.labels_file.name,
        side=preprocessing.image_size,
        channels=preprocessing.channels,
        channels_in_words=grey if preprocessing.channels == 1 else "Keep the order red, green, blue.",
    )
