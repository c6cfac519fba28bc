"""One network for several threads, which take turns."""

import threading

import numpy as np

from pigeonhole.errors import PigeonholeError
from pigeonhole.features.extractor import Extractor


class SharedExtractor:
    """An extractor that any number of threads may call."""

    def __init__(self, extractor: Extractor):
        self._extractor, self._turn = extractor, threading.Lock()
        self.name, self.digest = extractor.name, extractor.digest
        self.image_size, self.width, self.last = extractor.image_size, extractor.width, extractor.last

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """As the extractor. Raises PigeonholeError once it is closed."""
        with self._turn:
            if self._extractor is None:
                raise PigeonholeError("The labelling has ended.")
            return self._extractor(images)

    def close(self) -> None:
        """Wait for the call that is going on, and free the network's memory."""
        with self._turn:
            if self._extractor is not None:
                self._extractor.close()
            self._extractor = None
