"""Whether pixels were handed over blue first: a model is more certain of them with blue and red exchanged.

How probable the best class is does not tell this: networks are as sure of themselves with exchanged colours.
Certainty does, which measures how much a picture is like those that the model has learnt from. Of pictures
that are like none of these it may be a little higher either way, however many they are. So the gain has to be
large, and not merely beyond chance.
"""

from collections.abc import Callable

import numpy as np

FEWEST, MOST = 64, 128  # pictures that are asked about
LIMIT = 1.0  # standard deviations between pictures, of which the mean gain must be more


def seems_reversed(certainty: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray) -> bool:
    """Whether the model is much more certain of pixels [N, S, S, 3] with their channels reversed.

    `certainty` gives float32 [n] for n pictures. False where there are too few to tell, or grey ones.
    """
    if len(pixels) < FEWEST:
        return False
    part = pixels[np.linspace(0, len(pixels) - 1, min(MOST, len(pixels))).astype(int)]
    gain = certainty(part[..., ::-1]) - certainty(part)
    return bool(gain.mean() > LIMIT * gain.std(ddof=1))
