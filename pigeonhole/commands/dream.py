"""Let a network see more in a picture than is there: what its layers answer to is brought out step by step.

    pigeonhole dream photo.jpg --layer block12_project_bn --levels 4
    pigeonhole dream --layer block15_project_bn --channel 30         out of noise
    pigeonhole dream --list-layers --network runs/NAME
    pigeonhole dream photo.jpg --layer block8_project_bn --zoom 60
    pigeonhole dream --classes runs/NAME            what a run finds most typical of each of its classes

Ctrl-C ends it early and writes what is there.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pigeonhole import arguments as values
from pigeonhole import extras
from pigeonhole.arguments import Parser, as_path, filled
from pigeonhole.terminal import padded, say, width

if TYPE_CHECKING:
    from pigeonhole.art.frozen_graph import Feeding
    from pigeonhole.art.layered import LayeredNetwork

BUNDLED = "efficientnet_lite0"
MOST_STEPS, MOST_OCTAVES, MOST_ZOOMED, MOST_LEVELS = 10_000, 20, 10_000, 10


def main(arguments: list[str]) -> int:
    """0 when the picture is written, 130 or 143 when it was stopped before its end."""
    options = parse(arguments)
    extras.require("dreaming", *extras.modules_of("train"))
    from pigeonhole import quiet

    quiet.import_tensorflow()
    if options.classes:
        return sheet_of_classes(options)
    from pigeonhole.jobs import dreaming

    network = dreaming.open_network(options.network, feeding(options))
    if options.list_layers:
        return list_layers(network)
    return dreamt(options, network)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = Parser("dream", __doc__, "[PICTURE]")
    add = parser.add_argument
    add("picture", nargs="?", type=as_path, metavar="PICTURE", help="the picture to start from (noise)")
    add("--layer", action="append", type=filled, metavar="NAME", help="the layer; several: give it again")
    add(
        "--channel",
        action="append",
        type=values.up_to(values.MOST, least=0),
        metavar="N",
        help="a channel of the layer, from 0 (all); may be given again; with several layers one for each",
    )
    add(
        "--network",
        default=BUNDLED,
        type=filled,
        metavar="NETWORK",
        help=f"the network: a run, a frozen graph FILE.pb, vgg19 or a file of it ({BUNDLED})",
    )
    add("--list-layers", action="store_true", help="print the network's layers and their numbers of channels")
    add("--classes", type=filled, metavar="RUN", help="make the sheet of a run's classes instead")
    add("--output", type=as_path, metavar="FILE", help="where to write it (PICTURE-dream.png, or .gif)")
    add_how(parser.add_argument_group("how it is dreamt"))
    add_feeding(parser.add_argument_group("for a frozen graph of another program"))
    options = parser.parse_args(arguments)
    if options.list_layers + bool(options.classes) + bool(options.layer) != 1:
        parser.error("give --layer NAME, --list-layers or --classes RUN, one of them")
    if not options.layer:
        refuse_others(parser, options)
    return options


def refuse_others(parser: Parser, options: argparse.Namespace) -> None:
    """Leave with status 2 where a flag is given that --list-layers or --classes does not heed."""
    mode, heeded = "--list-layers", {"network", "input_tensor", "scale", "mean"}
    if options.classes:
        mode, heeded = "--classes", {"output", "steps", "seed"}
    given = [
        name
        for name, value in vars(options).items()
        if name not in {"layer", "list_layers", "classes", *heeded} and value != parser.get_default(name)
    ]
    if given:
        named = ["PICTURE" if name == "picture" else f"--{name.replace('_', '-')}" for name in given]
        parser.error(f"{', '.join(named)}: not with {mode}")


def add_how(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--size", type=values.side, metavar="PIXELS", help="resize the longer side to this (224 for noise)")
    steps = values.up_to(MOST_STEPS)
    add("--steps", type=steps, metavar="N", help="of each octave (10; with --classes in all, 128)")
    add(
        "--step-size", type=values.positive, default=1.5, metavar="LEVELS", help="mean change of a step (1.5)"
    )
    octaves = values.up_to(MOST_OCTAVES)
    add("--octaves", type=octaves, default=4, metavar="N", help="sizes, the picture's own included (4)")
    scale = values.Bounds("a number above 1 and up to 10", lambda value: 1 < value <= 10)
    add("--octave-scale", type=scale, default=1.4, metavar="FACTOR", help="between two octaves (1.4)")
    levels = values.up_to(MOST_LEVELS, least=0)
    add(
        "--levels",
        type=levels,
        default=0,
        metavar="N",
        help="finer levels of detail that count as much as the coarsest (0: all as it comes)",
    )
    tile = values.Bounds("a whole number from 64 to 4,096", lambda value: 64 <= value <= 4096, is_whole=True)
    add("--tile", type=tile, default=512, metavar="PIXELS", help="shown to the network at once (512)")
    add(
        "--zoom",
        type=values.up_to(MOST_ZOOMED, least=2),
        metavar="N",
        help="fly into it: N pictures, a GIF",
    )
    add("--seed", type=values.seed, default=0, metavar="N", help="decides noise and tiles (0)")


def add_feeding(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--input-tensor", type=filled, metavar="TENSOR", help="what takes the picture (its only placeholder)")
    add("--scale", type=values.positive, metavar="FACTOR", help="multiplies RGB 0..255 (1)")
    mean = values.Bounds("a number from 0 to 255", lambda value: 0 <= value <= 255)
    add("--mean", type=mean, metavar="LEVEL", help="is then taken off (117)")


def feeding(options: argparse.Namespace) -> "Feeding | None":
    """What the flags say about a frozen graph; None where they say nothing."""
    given = {"input": options.input_tensor, "scale": options.scale, "mean": options.mean}
    given = {name: value for name, value in given.items() if value is not None}
    if not given:
        return None
    from pigeonhole.art.frozen_graph import Feeding

    return Feeding(**given)


def list_layers(network: "LayeredNetwork") -> int:
    layers = network.names()
    wide = max(width(layer.name) for layer in layers)
    say(*(f"{padded(layer.name, wide)} {layer.channels:>7,}" for layer in layers))
    say(f"{padded(f'{len(layers):,} layers', wide)} {sum(layer.channels for layer in layers):>7,} channels")
    return 0


def dreamt(options: argparse.Namespace, network: "LayeredNetwork") -> int:
    from pigeonhole.art import objectives
    from pigeonhole.art.dream import Settings
    from pigeonhole.jobs import dreaming

    settings = Settings(
        options.steps or Settings.steps,
        options.step_size,
        options.octaves,
        options.octave_scale,
        options.tile,
        options.seed,
        options.levels,
    )
    output = options.output or free_name(options.picture, ".gif" if options.zoom else ".png")
    wish = dreaming.Wish(options.picture, output, settings, options.size, options.zoom)
    goals = objectives.goals(options.layer, options.channel or ())
    return dreaming.run(wish, objectives.MeanOfChannels(network, goals))


def sheet_of_classes(options: argparse.Namespace) -> int:
    from pigeonhole.art.typical import Settings
    from pigeonhole.jobs import typical

    settings = Settings(steps=options.steps or Settings.steps, seed=options.seed)
    return typical.run(options.classes, options.output, settings)


def free_name(picture: Path | None, suffix: str) -> Path:
    """Such as `photo-dream.png` in the working directory, with a number where that is there already."""
    stem = f"{picture.stem if picture else 'noise'}-dream"
    names = (f"{stem}{f'-{number}' if number > 1 else ''}{suffix}" for number in range(1, values.MOST))
    return next(Path(name) for name in names if not Path(name).exists())
