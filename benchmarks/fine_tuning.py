"""Pictures per second in fine-tuning the upper layers of EfficientNet-Lite0: this project beside other ways.

    python benchmarks/fine_tuning.py --side 224

All take the same steps on the same noise: batches of 16, AdamW, blocks 0 to 4 as they are, the statistics of
batch normalisation too. PyTorch takes part where it is installed (pip install torch
efficientnet-lite-pytorch), channels last and in float32 or bfloat16, whichever is faster. "Few" are those
that learn no kernels of depthwise convolutions, as Pigeonhole does by default.

Every contender has a process of its own, and they take turns, so that a computer that slows down slows all
of them; the figures are medians over the rounds, the ratios medians of the rounds' own ratios.
"""

import argparse
import importlib.util
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import environment  # noqa: E402
import numpy as np  # noqa: E402

BATCH, CLASSES, FROZEN_BLOCKS, RATE = 16, 10, 5, 5e-4
WARM_UP = 3  # steps

Step = Callable[[], object]


def pictures(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise uint8 [BATCH, side, side, 3], and labels int64 [BATCH]."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (BATCH, side, side, 3), np.uint8)
    return images, random.integers(0, CLASSES, BATCH)


def _trainer(side: int, few: bool):
    from pigeonhole.quiet import import_tensorflow

    import_tensorflow()
    import tensorflow as tf

    from pigeonhole.data.augmentation import NONE
    from pigeonhole.data.dataset import DataSet
    from pigeonhole.networks import recipes
    from pigeonhole.training import initial_weights, weights_source
    from pigeonhole.training.blueprint import Blueprint

    tf.config.threading.set_intra_op_parallelism_threads(environment.available_cores())
    images, labels = pictures(side)
    names, classes = [f"{index}.png" for index in range(BATCH)], [str(index) for index in range(CLASSES)]
    network = "efficientnet_lite0"
    weights = initial_weights.read(weights_source.find(weights_source.IMAGENET, network), network)
    recipe = replace(
        recipes.fine_tuned(side, BATCH, all_grey=False),
        batch_size=BATCH,
        image_size=side,
        augmentation=NONE,
        frozen_depthwise=few,
    )
    data = DataSet(images, labels, names, classes)
    return Blueprint(network, 0, initial_weights=weights).trainer(recipe, data)


def ours(side: int, few: bool = True) -> Step:
    trainer = _trainer(side, few)
    batch = trainer.batches.batch(0)
    return lambda: trainer.train_on(0, RATE, batch)


def tensorflow(side: int, few: bool) -> Step:
    """The same network's layers one after the other, and Keras' AdamW, in a `tf.function`."""
    trainer = _trainer(side, few)
    import keras
    import tensorflow as tf

    images, labels = pictures(side)
    model, optimizer = trainer.model, keras.optimizers.AdamW(RATE)
    optimizer.build(model.trainable_variables)

    @tf.function(jit_compile=False)
    def step():
        with tf.GradientTape() as tape:
            logits = model(tf.cast(images, tf.float32), training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    return lambda: step().numpy()


def pytorch(side: int, few: bool) -> Step:
    import torch
    from peer_recipes import Task, faster_precision, pytorch_network

    network = pytorch_network(Task([], np.zeros(0), [str(index) for index in range(CLASSES)], 0, 0.0))
    network.eval()  # the statistics stay; dropout would cost nothing
    lower = [network._conv_stem, network._bn0, *network._blocks[:FROZEN_BLOCKS]]
    kept = lower + [part for block in network._blocks for part in _depthwise(block)] * few
    for parameter in (each for part in kept for each in part.parameters(recurse=True)):
        parameter.requires_grad_(False)
    for block in network._blocks[FROZEN_BLOCKS:]:
        block._bn1.bias.requires_grad_(True)
    learnt = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learnt, RATE, fused=True)
    computing = faster_precision(network)
    images, labels = pictures(side)
    values = torch.from_numpy((images.transpose(0, 3, 1, 2) - np.float32(127)) / np.float32(128))
    values = values.contiguous(memory_format=torch.channels_last)
    labels = torch.from_numpy(labels)

    def step():
        optimizer.zero_grad()
        with computing():
            loss = torch.nn.functional.cross_entropy(network(values).float(), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def _depthwise(block) -> list:
    return [block._depthwise_conv, block._bn1]


KINDS: dict[str, Callable[[int], Step]] = {
    "Pigeonhole": ours,
    "Pigeonhole, all kernels": lambda side: ours(side, few=False),
    "TensorFlow": lambda side: tensorflow(side, few=False),
    "TensorFlow, few": lambda side: tensorflow(side, few=True),
    "PyTorch": lambda side: pytorch(side, few=False),
    "PyTorch, few": lambda side: pytorch(side, few=True),
}
OURS = next(iter(KINDS))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=224, metavar="N", help="of the pictures, in pixels (224)")
    parser.add_argument("--steps", type=int, default=10, metavar="N", help="of each round (10)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how often each has its turn (5)")
    parser.add_argument("--contender", choices=KINDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        take_turns(KINDS[options.contender](options.side))
        return
    has_torch = all(map(importlib.util.find_spec, ("torch", "efficientnet_lite_pytorch")))
    kinds = [kind for kind in KINDS if has_torch or "PyTorch" not in kind]
    print(f"{options.side} px, batch {BATCH}, {options.rounds} rounds of {options.steps} steps")
    print("\n".join(environment.lines()), flush=True)
    seconds = measure(kinds, options)
    speeds = {kind: [options.steps * BATCH / each for each in taken] for kind, taken in seconds.items()}
    print(f"\n{'':26} {'pictures/s':>10} {'Pigeonhole is':>14}")
    for kind, found in speeds.items():
        ratio = statistics.median(mine / other for mine, other in zip(speeds[OURS], found, strict=True))
        print(f"{kind:26} {statistics.median(found):10.0f} {ratio:13.2f}x")
        environment.note(f"{options.side} px, {kind}", found, "pictures/s")


def measure(kinds: list[str], options: argparse.Namespace) -> dict[str, list[float]]:
    """The seconds of each contender's rounds."""
    command = [sys.executable, __file__, "--side", str(options.side), "--contender"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    running = {}
    for kind in kinds:
        running[kind] = subprocess.Popen([*command, kind], **pipes)
        if running[kind].stdout.readline() != "ready\n":
            sys.exit(f"{kind}: cannot run here")
    seconds = {kind: [] for kind in running}
    for _ in range(options.rounds):
        for kind, process in running.items():
            print(options.steps, file=process.stdin, flush=True)
            seconds[kind].append(float(process.stdout.readline()))
    for process in running.values():
        process.stdin.close()
        process.wait()
    return seconds


def take_turns(step: Step) -> None:
    """Each number on standard input asks for so many steps, whose seconds are printed."""
    for _ in range(WARM_UP):
        step()
    print("ready", flush=True)
    for line in sys.stdin:
        started = time.perf_counter()
        for _ in range(int(line)):
            step()
        print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main()
