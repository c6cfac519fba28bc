"""Whole trainings on small colour pictures as others write them, each in a process of its own.

    python rivals.py KIND PICTURES.npz SECONDS

For classics.py. `PICTURES.npz` holds `train_images` and `test_images` uint8 [N, S, S, 3], `train_labels` and
`test_labels` int64 [N]. Trains for the kind's own length or, where that is less, so many seconds, and prints
JSON: `parameters`, `steps` and `planned`, `seconds` of training without those of testing, `right` of the test
pictures at the end, `curve`: (seconds, test accuracy) after 1, 2, 4, 8, ... steps and at the end.
"""

import contextlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

CLASSES = 10
THREADS = 2


@dataclass
class Race:
    """The clock of one training, which stands still while the network is tested.

    `test`: how many of the test pictures the network answers rightly.
    """

    planned: int
    most_seconds: float
    total: int
    test: Callable[[], int]
    steps: int = 0
    right: int = 0
    curve: list[tuple[float, float]] = field(default_factory=list)
    _testing: float = 0.0
    _started: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._started - self._testing

    def step(self) -> bool:
        """Count one step; whether that was the last."""
        self.steps += 1
        ended = self.steps >= self.planned or self.seconds >= self.most_seconds
        if ended or not self.steps & (self.steps - 1):
            reached = self.seconds
            before = time.perf_counter()
            self.right = self.test()
            self._testing += time.perf_counter() - before
            self.curve.append((reached, self.right / self.total))
        return ended


def keras_example(data: dict[str, np.ndarray], most_seconds: float) -> tuple[int, Race]:
    """The network and the recipe of Keras' example cifar10_cnn.py, to the 50 epochs of which it tells.

    Pairs of convolutions of 32 and of 64, dropout, 512 dense; RMSprop at 1e-4, batches of 32, shifts of a
    tenth and mirroring; float32, and whatever `compile` and `fit` choose.
    """
    import keras
    from keras import layers

    images, labels = data["train_images"], data["train_labels"]
    stack = [
        keras.Input(images.shape[1:]),
        layers.Rescaling(1 / 255),
        layers.RandomTranslation(0.1, 0.1, "nearest"),
        layers.RandomFlip("horizontal"),
    ]
    for filters in (32, 64):
        stack += [
            layers.Conv2D(filters, 3, padding="same", activation="relu"),
            layers.Conv2D(filters, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.25),
        ]
    stack += [layers.Flatten(), layers.Dense(512, activation="relu"), layers.Dropout(0.5)]
    model = keras.Sequential([*stack, layers.Dense(CLASSES)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.RMSprop(1e-4), loss=loss)

    def right() -> int:
        answers = model.predict(data["test_images"], batch_size=500, verbose=0).argmax(1)
        return int((answers == data["test_labels"]).sum())

    epochs, batch = 50, 32
    race = Race(epochs * -(-len(labels) // batch), most_seconds, len(data["test_labels"]), right)

    class Ended(Exception):
        """`stop_training` would finish the epoch first."""

    class Follow(keras.callbacks.Callback):
        def on_train_batch_end(self, step, logs=None):
            if race.step():
                raise Ended

    with contextlib.suppress(Ended):
        model.fit(images, labels, batch_size=batch, epochs=epochs, verbose=0, callbacks=[Follow()])
    return model.count_params(), race


def pytorch(data: dict[str, np.ndarray], most_seconds: float) -> tuple[int, Race]:
    """The layers of `standard` in the usual loop: Adam at 1e-3, batches of 128, mirrored and shifted by up
    to 4 pixels, 30 epochs; float32, channels last."""
    import torch
    from contenders import PLANS, pytorch_network
    from torch.nn import functional

    torch.manual_seed(0)
    torch.set_num_threads(THREADS)
    plan = PLANS["standard"]
    model = pytorch_network(plan)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    layout = {"dtype": torch.float32, "memory_format": torch.channels_last}

    def tensor(images: np.ndarray):
        return torch.from_numpy(images).permute(0, 3, 1, 2)

    train, test = tensor(data["train_images"]), tensor(data["test_images"])
    labels, truth = torch.from_numpy(data["train_labels"]), torch.from_numpy(data["test_labels"])

    def right() -> int:
        model.eval()
        with torch.no_grad():
            answers = [model(part.to(**layout) / 255).argmax(1) for part in test.split(500)]
        model.train()
        return int((torch.cat(answers) == truth).sum())

    def varied(images):
        images = functional.pad(images.to(**layout) / 255, (4, 4, 4, 4))
        down, right = torch.randint(9, (2,)).tolist()
        images = images[:, :, down : down + plan.size, right : right + plan.size]
        mirrored = torch.rand(len(images), 1, 1, 1) < 0.5
        return torch.where(mirrored, images.flip(3), images)

    epochs, batch = 30, 128
    race = Race(epochs * -(-len(labels) // batch), most_seconds, len(truth), right)
    while True:
        for rows in torch.randperm(len(labels)).split(batch):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(varied(train[rows])), labels[rows])
            loss.backward()
            optimizer.step()
            if race.step():
                return sum(weight.numel() for weight in model.parameters()), race


KINDS: dict[str, Callable[[dict[str, np.ndarray], float], tuple[int, Race]]] = {
    "keras_example": keras_example,
    "pytorch": pytorch,
}


def main(kind: str, pictures: str, most_seconds: str) -> None:
    with np.load(pictures) as data:
        parameters, race = KINDS[kind](dict(data), float(most_seconds))
    told = {
        "parameters": parameters,
        "steps": race.steps,
        "planned": race.planned,
        "seconds": race.curve[-1][0],
        "right": race.right,
        "curve": race.curve,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
