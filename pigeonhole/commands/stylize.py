"""Make a picture with the content of one picture and the style of another.

    pigeonhole stylize photo.jpg painting.jpg --output out.png
    pigeonhole stylize photo.jpg painting.jpg --output out.png --preserve-colours
    pigeonhole stylize photo.jpg one.jpg other.jpg --mix 0.7,0.3 --output out.png
    pigeonhole stylize photo.jpg painting.jpg --network vgg19 --recipe tutorial --output out.png

Ctrl-C ends it early and writes the best picture so far.
"""

import argparse

from pigeonhole import arguments as values
from pigeonhole import extras
from pigeonhole.arguments import Parser, as_path, filled
from pigeonhole.art.recipes import MOST_SIZE

OPTIMIZERS, STARTS = ("adam", "lbfgs"), ("content", "noise")
RECIPES = ("auto", "lite", "tutorial", "spread")
BUNDLED = "efficientnet_lite0"
MOST_STEPS, MOST_SIZES = 10_000, 6


def main(arguments: list[str]) -> int:
    """0 when the picture is written, 130 or 143 when it was stopped before its end."""
    options = parse(arguments)
    extras.require("styling", *extras.modules_of("train"))
    from pigeonhole import quiet

    quiet.import_tensorflow()
    from pigeonhole.jobs import styling

    wish = styling.Wish(
        options.content,
        options.styles,
        options.output,
        options.mix,
        options.size,
        options.network,
        options.recipe,
        changes(options),
        options.preserve_colours,
        options.every,
        options.save_every,
        options.seed,
    )
    return styling.run(wish)


def changes(options: argparse.Namespace) -> dict[str, object]:
    """The settings of the recipe that the flags replace."""
    names = (
        "content_layers", "style_layers", "content_weight", "style_weight", "variation_weight", "optimizer",
        "rate", "steps", "sizes", "start", "shift",
    )  # fmt: skip
    given = {name: getattr(options, name) for name in names}
    found = {name: value for name, value in given.items() if value is not None}
    if options.optimizer == "lbfgs" and options.shift is None:
        found["shift"] = 0  # it compares one step with the last, so that both must be seen alike
    return found


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = Parser("stylize", __doc__, "CONTENT STYLE ... --output FILE")
    add = parser.add_argument
    add("content", type=as_path, metavar="CONTENT", help="the picture that is to be recognised")
    add(
        "styles", nargs="+", type=as_path, metavar="STYLE", help="the picture or pictures whose style it gets"
    )
    add(
        "--output", type=as_path, required=True, metavar="FILE", help="where to write it: .png, .jpg or .webp"
    )
    size = values.Bounds(
        f"a whole number from 16 to {MOST_SIZE:,}", lambda value: 16 <= value <= MOST_SIZE, True
    )
    add("--size", type=size, metavar="PIXELS", help="the longer side (CONTENT's, 512 at most)")
    add("--mix", type=shares, metavar="A,B", help="how much each of several styles counts (all alike)")
    add("--preserve-colours", action="store_true", help="take the style's brightness alone")
    add(
        "--network",
        default=BUNDLED,
        type=filled,
        metavar="NETWORK",
        help=f"vgg19, a file of it (.h5, .mat), a .keras file or a run ({BUNDLED})",
    )
    add("--recipe", choices=RECIPES, default=RECIPES[0], help="layers, weights and settings (the network's)")
    add("--every", type=values.count, default=25, metavar="STEPS", help="print the losses so often (25)")
    add("--save-every", type=values.count, metavar="STEPS", help="write a picture FILE-STEP beside so often")
    add("--seed", type=values.seed, default=0, metavar="N", help="decides all that is random (0)")
    add_recipe(parser.add_argument_group("instead of the recipe's"))
    return parser.parse_args(arguments)


def add_recipe(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    weight = values.Bounds(f"a number from 0 to {values.MOST:,}", lambda value: 0 <= value <= values.MOST)
    add("--content-layers", type=layers, metavar="A,B=2", help="layers, with their weights among themselves")
    add("--style-layers", type=layers, metavar="A,B=2", help="the same for the style")
    add("--content-weight", type=weight, metavar="WEIGHT", help="of the content's loss")
    add("--style-weight", type=weight, metavar="WEIGHT", help="of the style's loss")
    add(
        "--variation-weight",
        type=weight,
        metavar="WEIGHT",
        help="of differences between neighbouring pixels",
    )
    add("--optimizer", choices=OPTIMIZERS, help="what changes the picture")
    add("--rate", type=values.positive, metavar="LEVELS", help="how far Adam goes in a step, of 255")
    add("--steps", type=values.up_to(MOST_STEPS), metavar="N", help="at each size")
    add(
        "--sizes",
        type=values.up_to(MOST_SIZES),
        metavar="N",
        help="coarse to fine, each twice the one before",
    )
    add("--start", choices=STARTS, help="what the picture is made from")
    shift = values.up_to(15, least=0)
    add(
        "--shift",
        type=shift,
        metavar="PIXELS",
        help="move the picture at random before each look, up to this",
    )


def layers(text: str) -> dict[str, float]:
    """Such as `relu1_1,relu2_1=2`: each layer's weight, which together are 1."""
    found = {}
    for part in text.split(","):
        name, _, weight = part.strip().partition("=")
        if not name or name in found:
            raise argparse.ArgumentTypeError(f"{text!r}: give each layer once, separated by commas")
        found[name] = values.positive(weight) if weight else 1.0
    total = sum(found.values())
    return {name: weight / total for name, weight in found.items()}


def shares(text: str) -> list[float]:
    return [values.positive(part.strip()) for part in text.split(",")]
