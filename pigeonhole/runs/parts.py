"""What a training was before it was lengthened."""

from dataclasses import dataclass, field

from pigeonhole.networks.recipes import Recipe


@dataclass(frozen=True)
class Part:
    """A training as it was when it had come to its end, before it was lengthened.

    `steps`: how many were done by then, fewer than the planned `total_steps` where it stopped early.
    `reached`: what the run's result said.
    """

    steps: int
    total_steps: int
    recipe: Recipe
    reached: dict[str, object] = field(default_factory=dict, compare=False)
