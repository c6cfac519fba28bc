"""The flags of `train`: those of `TrainingConfig`, parsed."""

from pigeonhole.arguments import Parser, add_flags
from pigeonhole.runs import config


def parse(arguments: list[str], description: str) -> dict[str, object]:
    """The flags that were given, by name. Leaves with status 2 on a wrong one."""
    return vars(parser(description).parse_args(arguments))


def parser(description: str) -> Parser:
    """It knows a flag for each field of `TrainingConfig` and gives no defaults."""
    made = Parser("train", description)
    for title in dict.fromkeys(field.metadata["group"] for field in config.FLAGS):
        fields = [field for field in config.FLAGS if field.metadata["group"] == title]
        add_flags(made.add_argument_group(title), fields, only_given=True)
    return made
