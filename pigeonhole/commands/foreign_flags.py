"""The flags that say of a checkpoint of another program what it does not say itself."""

import argparse
from typing import TYPE_CHECKING

from pigeonhole.arguments import names, side

if TYPE_CHECKING:
    from pigeonhole.model.interface import ForeignCheckpoint


def add(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "checkpoints of other programs",
        "what such a checkpoint does not say; the defaults are those of the classic tutorial",
    )
    group.add_argument("--labels", type=names, metavar="A,B", help="class names in the checkpoint's order")
    group.add_argument("--input-tensor", metavar="NAME", help="takes the pictures (x)")
    group.add_argument("--output-tensor", metavar="NAME", help="gives the answers (y_pred)")
    group.add_argument("--logits", action="store_const", const=True, help="the output needs a softmax")
    group.add_argument(
        "--feed", type=_feed, action="append", metavar="NAME=VALUE", help="another input; repeatable"
    )
    group.add_argument("--colour-order", choices=("rgb", "bgr"), help="(bgr)")
    group.add_argument("--scale", type=_factor, metavar="FACTOR", help="multiplies 0..255 (1/255)")
    group.add_argument("--image-size", type=side, metavar="PIXELS", help="(by the input tensor's shape)")
    group.add_argument("--resize", choices=("area", "bilinear"), help="(bilinear)")


def foreign(options: argparse.Namespace) -> "ForeignCheckpoint":
    """What the flags say about a checkpoint of another program."""
    from pigeonhole.model.interface import ForeignCheckpoint

    names = (
        "labels", "input_tensor", "output_tensor", "logits", "colour_order", "scale", "image_size", "resize"
    )  # fmt: skip
    given = {name: getattr(options, name) for name in names}
    return ForeignCheckpoint(**given, feeds=dict(options.feed or ()))


def _factor(text: str) -> float:
    above, _, below = text.partition("/")
    try:
        return float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(
            f"a number or a fraction such as 1/255 is needed, not {text}"
        ) from None


def _feed(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not (name and separator):
        raise argparse.ArgumentTypeError(f"NAME=VALUE is needed, not {text}")
    return name, value
