"""What a saved model says about itself: how a picture becomes its input and what its output means."""

import json
from dataclasses import asdict, dataclass

from pigeonhole import __version__
from pigeonhole.errors import PigeonholeError
from pigeonhole.pictures.images import Preprocessing

FORMAT_VERSION = 2  # 2: `rejection`


@dataclass(frozen=True)
class Contract:
    """The JSON text in the graph's `contract:0`. The class names lie beside it, in `classes:0`.

    `temperature`: what the logits are divided by before the softmax (Guo et al., "On Calibration of Modern
    Neural Networks", 2017). `golden`: the fingerprint of the golden examples that belong to this model.
    `rejection`: when the graph's `unsure:0` is true (`Rejection.describe`); None in a graph without it.
    """

    network: str
    preprocessing: Preprocessing
    temperature: float
    golden: str
    rejection: dict[str, str | float] | None = None
    format_version: int = FORMAT_VERSION
    pigeonhole: str = __version__

    def to_json(self) -> str:
        fields = asdict(self)
        return json.dumps(fields.pop("preprocessing") | fields, sort_keys=True)

    @staticmethod
    def from_json(text: str) -> "Contract":
        """Raises PigeonholeError when the text is no contract, or that of a newer Pigeonhole."""
        try:
            fields = json.loads(text)
            version = fields["format_version"]
            if version > FORMAT_VERSION:
                raise PigeonholeError(
                    f"the model has format version {version}, and this Pigeonhole {__version__} reads up to "
                    f"{FORMAT_VERSION}: install Pigeonhole {fields['pigeonhole']}"
                )
            preprocessing = Preprocessing(
                **{name: fields.pop(name) for name in Preprocessing.__dataclass_fields__}
            )
            return Contract(preprocessing=preprocessing, **fields)
        except (ValueError, TypeError, KeyError) as error:
            raise PigeonholeError(f"the model's contract cannot be read ({error})") from error
