"""Photos classified from the weights of EfficientNet-Lite0 as others do it, each in a process of its own.

    python peer_recipes.py KIND TRAIN TEST SEED SECONDS

For peers.py. Prints "trained" when the training has ended, then JSON: `right` of `total` pictures
of the test folder. The kinds that take a time end SECONDS after the start, imports and decoding included. All
start from the weights that Pigeonhole starts from, and use all cores.
"""

import contextlib
import copy
import json
import math
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

STARTED = time.perf_counter()
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

from pigeonhole.data import folders  # noqa: E402
from pigeonhole.data.parallel import available_cores  # noqa: E402
from pigeonhole.features import pretrained  # noqa: E402

SIDE, RESIZED = 224, 256  # pixels
HELD_OUT = 0.2  # to choose the best epoch by

Answer = Callable[[list[Path]], np.ndarray]  # pictures to the indices of their classes, int64 [N]


@dataclass(frozen=True)
class Task:
    """Pictures to learn: `labels` int64 [N] are indices of `classes`. `seconds`: from the process' start."""

    paths: list[Path]
    labels: np.ndarray
    classes: list[str]
    seed: int
    seconds: float

    def left(self) -> float:
        """Seconds."""
        return STARTED + self.seconds - time.perf_counter()


class Pictures:
    """Pictures and labels for a `DataLoader`, decoded anew each time, as `ImageFolder` does it.

    `vary`: a random part, mirrored at random (RandomResizedCrop, RandomHorizontalFlip); else the middle of
    the picture (Resize, CenterCrop). These do what torchvision's do with Pillow's pictures, without
    torchvision. Each picture becomes float32 [3, 224, 224], scaled as the weights want it.
    """

    def __init__(self, paths: list[Path], labels: np.ndarray, vary: bool):
        self.paths, self.labels, self.vary = paths, labels, vary

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> tuple[np.ndarray, int]:
        with Image.open(self.paths[row]) as image:
            shown = (random_part if self.vary else middle)(image.convert("RGB"))
        values = (np.asarray(shown, np.float32) - 127) / 128
        return np.ascontiguousarray(values.transpose(2, 0, 1)), int(self.labels[row])


def middle(image: Image.Image) -> Image.Image:
    """The shorter side resized to 256 pixels, then the middle 224 x 224."""
    shorter = min(image.size)
    width, height = (int(RESIZED * side / shorter) for side in image.size)
    left, top = round((width - SIDE) / 2), round((height - SIDE) / 2)
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    return resized.crop((left, top, left + SIDE, top + SIDE))


def random_part(image: Image.Image) -> Image.Image:
    """8 to 100 % of the area at a ratio of 3:4 to 4:3, resized to 224 x 224 and mirrored by chance."""
    shown = None
    for _ in range(10):
        area = image.width * image.height * random.uniform(0.08, 1)
        ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        width, height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < width <= image.width and 0 < height <= image.height:
            left, top = random.randint(0, image.width - width), random.randint(0, image.height - height)
            part = image.crop((left, top, left + width, top + height))
            shown = part.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            break
    shown = shown or middle(image)  # so long a picture that no part fits
    return shown.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else shown


def pytorch_network(task: Task):
    """The package efficientnet-lite-pytorch's network with the published weights and a new last layer.

    In the channels-last layout, in which it learns about twice as fast on a processor.
    """
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    torch.manual_seed(task.seed)
    torch.set_num_threads(available_cores())
    with contextlib.redirect_stdout(None):  # it tells that it has loaded them
        network = EfficientNet.from_pretrained(pretrained.NETWORK.replace("_", "-"), str(pretrained.file()))
    network._fc = torch.nn.Linear(network._fc.in_features, len(task.classes))
    return network.to(memory_format=torch.channels_last)


def faster_precision(network) -> Callable[[], contextlib.AbstractContextManager]:
    """The context in which the network learns fastest here: bfloat16 by autocast, or float32 as it is."""
    import torch

    def seconds(computing) -> float:
        trial = copy.deepcopy(network)  # whose batch norms may learn from noise
        images = torch.randn(4, 3, SIDE, SIDE).to(memory_format=torch.channels_last)
        taken = []
        for _ in range(3):  # the first one prepares
            began = time.perf_counter()
            with computing():
                loss = trial(images).float().sum()
            loss.backward()
            taken.append(time.perf_counter() - began)
        return min(taken)

    return min((contextlib.nullcontext, lambda: torch.autocast("cpu", torch.bfloat16)), key=seconds)


def batches(pictures: Pictures, size: int, shuffle: bool = False):
    from torch.utils.data import DataLoader

    workers = available_cores()
    return DataLoader(pictures, size, shuffle, num_workers=workers, persistent_workers=shuffle)


def outputs(network, paths: list[Path]) -> np.ndarray:
    """What the network says of pictures, float32 [N, ...]."""
    import torch

    network.eval()
    with torch.no_grad():
        unlabelled = Pictures(paths, np.zeros(len(paths), np.int64), vary=False)
        return torch.cat([network(images) for images, _ in batches(unlabelled, 32)]).numpy()


def pytorch_frozen(task: Task) -> Answer:
    """The 1,280 averaged features of each picture once, and scikit-learn's logistic regression on them.

    The regression has its defaults but for more iterations, and learns from all pictures.
    """
    import torch
    from sklearn.linear_model import LogisticRegression

    network = pytorch_network(task)
    network._fc = torch.nn.Identity()
    head = LogisticRegression(max_iter=1000).fit(outputs(network, task.paths), task.labels)
    return lambda paths: head.predict(outputs(network, paths))


def pytorch_fine_tuned(task: Task) -> Answer:
    """All layers by the recipe of PyTorch's "Transfer Learning for Computer Vision Tutorial".

    SGD at 1e-3 with momentum 0.9, batches of 4, random parts, mirrored. A fifth of the pictures is held out,
    and the weights of the best epoch answer. The tutorial trains 25 epochs and divides the rate by ten after
    every 7; here that schedule is stretched over the time. It learns in bfloat16 where that is faster.
    """
    import torch
    from sklearn.model_selection import train_test_split

    split = train_test_split(
        task.paths, task.labels, test_size=HELD_OUT, stratify=task.labels, random_state=task.seed
    )
    learnt, held_out, learnt_labels, held_out_labels = split
    network = pytorch_network(task)
    optimizer = torch.optim.SGD(network.parameters(), 1e-3, momentum=0.9)
    computing = faster_precision(network)
    loader = batches(Pictures(learnt, learnt_labels, vary=True), 4, shuffle=True)
    whole, fastest = task.left(), math.inf
    best, most_right, validating, over = None, -1, None, False
    while not over:
        network.train()
        stepped = time.perf_counter()
        for images, labels in loader:
            optimizer.param_groups[0]["lr"] = 1e-3 * 0.1 ** int((1 - task.left() / whole) * 25 / 7)
            optimizer.zero_grad()
            with computing():
                loss = torch.nn.functional.cross_entropy(network(images), labels)
            loss.backward()
            optimizer.step()
            before, stepped = stepped, time.perf_counter()
            fastest = min(fastest, (stepped - before) / len(labels))
            # Time must be left for the last validation. Until one was seen: a fourth of what as many pictures
            # took to learn when it was fastest, but at most a fifth of the whole time.
            ahead = min(len(held_out) * fastest / 4, whole / 5) if validating is None else validating
            if over := task.left() < ahead:
                break
        before = time.perf_counter()
        right = int((outputs(network, held_out).argmax(1) == held_out_labels).sum())
        validating = time.perf_counter() - before
        if right > most_right:
            best, most_right = copy.deepcopy(network.state_dict()), right
        over = over or task.left() < validating
    network.load_state_dict(best)
    return lambda paths: outputs(network, paths).argmax(1)


def fastai_fine_tuned(task: Task) -> Answer:
    """fastai's `vision_learner` and `fine_tune` with their defaults, as in its computer vision tutorial.

    Pictures of 460 px, `aug_transforms` to 224, batches of 64, a fifth held out. The body is frozen in the
    first epoch, by the length of which follows how many more there is time for, at least one. It differs in
    this: the network is EfficientNet-Lite0, where the tutorial downloads a ResNet, and lies channels-last.
    """
    import torch
    from fastai.vision import all as fastai

    fastai.set_seed(task.seed)
    labels = dict(zip(task.paths, task.labels.tolist(), strict=True))
    scaled = fastai.Normalize.from_stats([127 / 255] * 3, [128 / 255] * 3, cuda=False)
    vary = [*fastai.aug_transforms(size=SIDE), scaled]
    data = fastai.ImageDataLoaders.from_path_func(
        ".", task.paths, labels.get, HELD_OUT, task.seed, item_tfms=fastai.Resize(460), batch_tfms=vary
    )

    def architecture(pretrained: bool) -> torch.nn.Sequential:
        """What fastai cuts off in front of the last pool."""
        network = pytorch_network(task)
        network.forward = network.extract_features
        return torch.nn.Sequential(network, torch.nn.AdaptiveAvgPool2d(1))

    head = fastai.create_head(1280, len(task.classes))  # its usual one, which cannot count these channels
    learner = fastai.vision_learner(data, architecture, custom_head=head)
    learner.to_channelslast(use_amp=False)
    rate = 2e-3
    with learner.no_bar(), learner.no_logging():  # the two stages of `fine_tune`
        began = time.perf_counter()
        learner.fit_one_cycle(1, slice(rate), pct_start=0.99)
        epochs = task.left() / (time.perf_counter() - began)
        learner.unfreeze()
        learner.fit_one_cycle(max(1, round(epochs)), slice(rate / 200, rate / 2), pct_start=0.3, div=5.0)

    def answer(paths: list[Path]) -> np.ndarray:
        with learner.no_bar():
            return learner.get_preds(dl=data.test_dl(paths))[0].argmax(1).numpy()

    return answer


def keras_tutorial(task: Task) -> Answer:
    """Keras' guide "Transfer learning & fine-tuning": a new head by Adam, then all layers by Adam at 1e-5.

    `compile` and `fit`, mirrored and turned pictures, dropout 0.2, and batch normalisation in inference mode
    throughout, as there. It differs in this: the network is EfficientNet-Lite0 at 224 px, where the guide
    downloads Xception for 150 px; batches are of 32; several classes have a softmax; each of the two stages
    has half of the time, where the guide has two epochs and one; all pictures are learnt, since nothing is
    chosen.
    """
    from pigeonhole.quiet import import_tensorflow

    import_tensorflow()
    import keras
    import tensorflow as tf
    from keras import layers

    keras.utils.set_random_seed(task.seed)
    tf.config.threading.set_intra_op_parallelism_threads(available_cores())
    vary = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)])

    base = keras_base()
    base.trainable = False
    pixels = keras.Input((SIDE, SIDE, 3))
    hidden = layers.Dropout(0.2)(base(pixels, training=False))
    model = keras.Model(pixels, layers.Dense(len(task.classes))(hidden))
    data = tf.data.Dataset.from_tensor_slices(([str(path) for path in task.paths], task.labels))
    data = data.shuffle(len(task.paths), seed=task.seed)
    data = data.map(lambda path, label: (vary(decoded(path), training=True), label), tf.data.AUTOTUNE)
    data = data.batch(32).prefetch(tf.data.AUTOTUNE)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    class Until(keras.callbacks.Callback):
        def __init__(self, left: float):
            super().__init__()
            self.least = left

        def on_train_batch_end(self, step, logs=None):
            self.model.stop_training = task.left() <= self.least

    for rate, least in ((1e-3, task.left() / 2), (1e-5, 0)):
        model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
        model.fit(data, epochs=1_000_000, shuffle=False, verbose=0, callbacks=[Until(least)])
        base.trainable = True

    def answer(paths: list[Path]) -> np.ndarray:
        shown = tf.data.Dataset.from_tensor_slices([str(path) for path in paths])
        return model.predict(shown.map(decoded, tf.data.AUTOTUNE).batch(32), verbose=0).argmax(1)

    return answer


def decoded(path):
    """TensorFlow's way from a path, a string tensor, to pixels float32 [224, 224, 3] of 0 to 255."""
    import tensorflow as tf

    image = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
    return tf.image.resize(image, (SIDE, SIDE))


def keras_base():
    """Pixels float32 [N, 224, 224, 3] to the averaged features [N, 1280], with the published weights."""
    import keras

    from pigeonhole.networks.lite import efficientnet_lite0

    pixels = keras.Input((SIDE, SIDE, 3))
    whole = keras.Model(pixels, efficientnet_lite0(pixels, 1000))
    base = keras.Model(pixels, whole.get_layer("head_mean").output)
    weights = pretrained.read()
    for variable in base.weights:
        variable.assign(weights[variable.path])
    return base


KINDS: dict[str, Callable[[Task], Answer]] = {
    kind.__name__: kind for kind in (pytorch_frozen, pytorch_fine_tuned, fastai_fine_tuned, keras_tutorial)
}


def main(kind: str, train: str, test: str, seed: str, seconds: str) -> None:
    paths, labels, classes = read(Path(train))
    random.seed(int(seed))
    answer = KINDS[kind](Task(paths, labels, classes, int(seed), float(seconds)))
    print("trained", flush=True)
    paths, labels, _ = read(Path(test), classes)
    print(json.dumps({"right": int((answer(paths) == labels).sum()), "total": len(labels)}))


def read(folder: Path, classes: list[str] | None = None) -> tuple[list[Path], np.ndarray, list[str]]:
    """The pictures of class folders, their labels int64 [N], and the classes in their order."""
    tree = folders.scan(folder, classes)
    labels = np.array([tree.classes.index(entry.class_name) for entry in tree.entries])
    return [entry.path for entry in tree.entries], labels, tree.classes


if __name__ == "__main__":
    main(*sys.argv[1:])
