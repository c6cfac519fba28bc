"""Ways in which a training fails though nothing is wrong with the program or the files."""

from pigeonhole.errors import PigeonholeError

_LOWER = 0.1  # of the rate that was too high


class Diverged(PigeonholeError):
    """The loss, or an answer to a validation picture, is no longer a number: the weights have grown without
    limit, and no later step mends that. `step`: the last one of which all was well; `rate`: the highest
    learning rate."""

    def __init__(self, step: int, rate: float):
        super().__init__(
            f"the loss is no longer a number after step {step:,}; train with a lower learning rate, "
            f"such as --learning-rate {_LOWER * rate:.1g}"
        )
