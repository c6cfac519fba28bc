"""Several workers, each a process with its own processor or GPUs, that train one network together.

Every worker computes on its shard of each global batch. What they exchange are sums: of gradients, of
batch-norm statistics and of the few figures of a step. The seed, the order of pictures, the variations and
the weights are the same at all of them, so that the same global batch means the same at any number.
"""

import contextlib
import faulthandler
import json
import os
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from pigeonhole.data.shards import Shard, shard
from pigeonhole.errors import PigeonholeError
from pigeonhole.interrupts import Stopped, StopRequest
from pigeonhole.networks.layers import counting, dropout_feed
from pigeonhole.training.distributed import rendezvous
from pigeonhole.training.distributed.cluster import Cluster

JOINING_SECONDS = 300  # from when all have answered to when TensorFlow has connected them
SIGNALS = (2, 15)  # SIGINT and SIGTERM, whose numbers are the same everywhere

# Images, labels and their share to the loss of each picture and the number of right answers.
Loss = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


class Here(NamedTuple):
    """This worker's part of a global batch of `total` pictures, the shards of its replicas one after another.

    `images` uint8 [n, S, S, C], `labels` int32 [n], `positions` int32 [n] in the global batch; shard number i
    is from `bounds[i]` to before `bounds[i + 1]`. `share`: as in `batches.Batch`.
    """

    images: np.ndarray
    labels: np.ndarray
    positions: np.ndarray
    bounds: np.ndarray
    total: int
    share: np.float32


def _here_spec(model: keras.Model, replicas: int) -> Here:
    """What a compiled step takes of `Here`."""
    number = tf.TensorSpec([None], tf.int32)
    return Here(
        images=tf.TensorSpec(model.input.shape, tf.uint8),
        labels=number,
        positions=number,
        bounds=tf.TensorSpec([replicas + 1], tf.int32),
        total=tf.TensorSpec([], tf.int32),
        share=tf.TensorSpec([], tf.float32),
    )


def _at_least_one(images, labels, positions):
    """A shard's pictures, labels and positions, and 1.0; or one blank picture of class 0, and 0.0, where it
    has none: oneDNN's convolution gives an empty batch the wrong number of channels.
    """
    blanks = tf.cast(tf.equal(tf.size(labels), 0), tf.int32)
    pad = [[0, blanks]]
    images = tf.pad(images, [*pad, *[[0, 0]] * 3])
    return images, tf.pad(labels, pad), tf.pad(positions, pad), tf.cast(1 - blanks, tf.float32)


class WorkerLost(PigeonholeError):
    """Another worker has ended or cannot be reached; the training cannot go on without it."""


class Workers:
    """All replicas of `strategy`: the workers of `cluster`, or the GPUs of this one machine."""

    def __init__(self, strategy: tf.distribute.Strategy, cluster: Cluster | None = None):
        self.strategy = strategy
        self.cluster = cluster
        self.index = cluster.index if cluster else 0
        self.count = len(cluster.addresses) if cluster else 1
        self.replicas = strategy.num_replicas_in_sync
        self.agreed_signal = 0
        self._own_signal: Callable[[], int] = lambda: 0
        self._sum_words = self._compile_sum()

    @property
    def is_chief(self) -> bool:
        return self.index == 0

    @property
    def replicas_here(self) -> int:
        return self.replicas // self.count

    def shards(self, total: int) -> list[Shard]:
        """For each replica of this worker its part of a global batch of `total` pictures."""
        first = self.index * self.replicas_here
        return [shard(total, first + number, self.replicas) for number in range(self.replicas_here)]

    def listen(self, own_signal: Callable[[], int]) -> None:
        """Tell the others, with each step, the signal (0 for none) that this process has received."""
        self._own_signal = own_signal

    @property
    def own_signal(self) -> int:
        """The signal that this process has received, 0 for none."""
        return self._own_signal()

    def united(self, array: np.ndarray) -> np.ndarray:
        """The complete array of which every worker has a part and zeros elsewhere, to the bit."""
        if self.count == 1:
            return array
        # Where all but one have zero bits, a sum of words is the word of that one, of whatever dtype.
        words = np.zeros(-(-array.nbytes // 8), np.int64)
        words.view(np.uint8)[: array.nbytes] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        with self._losses_named():
            total = self._sum_words(words).numpy()
        return total.view(np.uint8)[: array.nbytes].view(array.dtype).reshape(array.shape)

    def gather(self, value: object) -> list:
        """What each worker gave, in their order; `value` is anything that JSON can hold."""
        return [json.loads(text) for text in self._gather_bytes(json.dumps(value).encode())]

    def from_chief(self, value: object) -> object:
        """The chief's value at every worker, whatever the others gave. Anything that JSON can hold."""
        return self.gather(value if self.is_chief else None)[0]

    def bytes_from_chief(self, content: bytes) -> bytes:
        """The chief's bytes at every worker."""
        return self._gather_bytes(content if self.is_chief else b"")[0]

    def _gather_bytes(self, content: bytes) -> list[bytes]:
        lengths = np.zeros(self.count, np.int64)
        lengths[self.index] = len(content)
        lengths = self.united(lengths)
        ends = np.cumsum(lengths)
        everything = np.zeros(int(ends[-1]), np.uint8)
        start = int(ends[self.index] - lengths[self.index])
        everything[start : start + len(content)] = np.frombuffer(content, np.uint8)
        everything = self.united(everything)
        return [everything[end - length : end].tobytes() for end, length in zip(ends, lengths, strict=True)]

    def require_the_same(self, facts: Mapping[str, object]) -> None:
        """Raise PigeonholeError at every worker, naming what differs, unless all gave the same."""
        everyone = self.gather(dict(facts))
        for index, theirs in enumerate(everyone[1:], 1):
            for name, value in everyone[0].items():
                if theirs.get(name) != value:
                    raise PigeonholeError(
                        f"{self.cluster.name(index)} differs from the chief: {name} is {theirs.get(name)}, "
                        f"not {value}; all workers need the same data, flags and versions"
                    )

    def compile_step(self, model: keras.Model, optimizer: keras.optimizers.Optimizer, loss_of_batch: Loss):
        """One training step of all workers: a function of a `Batch` and (seed, step) int32 [2].

        It returns the loss, summed over all shards and divided by the pictures of the global batch, and the
        number of right answers. `loss_of_batch`: as `steps.loss_of` makes it.
        """
        step = self._compile_step(model, optimizer, loss_of_batch)

        def on_batch(batch, seed: np.ndarray) -> tuple[float, int]:
            bounds = np.cumsum([0, *(len(part.positions) for part in batch.shards)], dtype=np.int32)
            positions = np.concatenate([part.positions for part in batch.shards]).astype(np.int32)
            signals = np.array([self.own_signal == number for number in SIGNALS], np.float32)
            here = Here(batch.images, batch.labels, positions, bounds, batch.total, batch.share)
            with self._losses_named():
                loss, right, *heard = step(here, seed, signals).numpy().tolist()
            # Termination, heard anywhere, goes before Ctrl-C.
            self.agreed_signal = max(
                (number for number, times in zip(SIGNALS, heard, strict=True) if times), default=0
            )
            return loss, round(right)

        return on_batch

    def _compile_step(self, model: keras.Model, optimizer: keras.optimizers.Optimizer, loss_of_batch: Loss):
        """The gradients, the figures and the signals of a step travel as one vector."""
        weights = model.trainable_variables
        sizes = [int(np.prod(weight.shape)) for weight in weights]
        here = self.replicas_here
        signature = [_here_spec(model, here), tf.TensorSpec([2], tf.int32)]

        @tf.function(
            jit_compile=False, input_signature=[*signature, tf.TensorSpec([len(SIGNALS)], tf.float32)]
        )
        def step(batch: Here, seed, signals):
            def on_shard():
                context = tf.distribute.get_replica_context()
                number = context.replica_id_in_sync_group % here
                rows = slice(batch.bounds[number], batch.bounds[number + 1])
                images, labels, positions, counted = _at_least_one(
                    batch.images[rows], batch.labels[rows], batch.positions[rows]
                )
                masks = dropout_feed(seed=seed, rows=positions, total=batch.total)
                with tf.GradientTape() as tape, masks, counting(counted):
                    losses, right = loss_of_batch(images, labels, batch.share)
                    loss = counted * tf.reduce_sum(losses) / tf.cast(batch.total, tf.float32)
                gradients = tape.gradient(loss, weights)
                heard = tf.where(tf.equal(number, 0), signals, tf.zeros_like(signals))
                figures = tf.concat([[loss, counted * tf.cast(right, tf.float32)], heard], 0)
                parts = [*(tf.reshape(gradient, [-1]) for gradient in gradients), figures]
                return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.concat(parts, 0))

            summed = self.strategy.experimental_local_results(self.strategy.run(on_shard))[0]
            *gradients, figures = tf.split(summed, [*sizes, 2 + len(SIGNALS)])
            # Outside of the replicas the optimizer adds nothing up again.
            shaped = [tf.reshape(flat, weight.shape) for flat, weight in zip(gradients, weights, strict=True)]
            optimizer.apply(shaped, weights)
            return figures

        return step

    def _compile_sum(self):
        here = self.replicas_here

        @tf.function(jit_compile=False, input_signature=[tf.TensorSpec([None], tf.int64)])
        def sum_words(words):
            def on_replica():
                context = tf.distribute.get_replica_context()
                first = tf.equal(context.replica_id_in_sync_group % here, 0)
                mine = tf.where(first, words, tf.zeros_like(words))
                return context.all_reduce(tf.distribute.ReduceOp.SUM, mine)

            return self.strategy.experimental_local_results(self.strategy.run(on_replica))[0]

        return sum_words

    @contextlib.contextmanager
    def _losses_named(self) -> Iterator[None]:
        """Turn TensorFlow's error about a worker that does not answer into one line that names it."""
        try:
            yield
        except tf.errors.OpError as error:
            unreachable = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)
            unreachable += (tf.errors.DeadlineExceededError, tf.errors.InternalError)
            if self.cluster is None or not isinstance(error, unreachable):
                raise
            raise WorkerLost(
                f"{self._lost(error.message)} was lost; start all workers, or fewer, again with --resume"
            ) from error

    def _lost(self, message: str) -> str:
        """The first worker but this one that TensorFlow's message mentions."""
        for task in re.findall(r"/job:\w+/replica:\d+/task:\d+", message):
            if task in self.cluster.tasks and self.cluster.tasks.index(task) != self.index:
                return self.cluster.name(self.cluster.tasks.index(task))
        return "another worker"


class StopTogether(StopRequest):
    """A `StopRequest` by which a signal at any worker stops all of them, after the same step."""

    def __init__(self, workers: Workers):
        super().__init__()
        self._workers = workers
        workers.listen(lambda: self._received or 0)

    @property
    def exit_status(self) -> int:
        return 128 + self._workers.agreed_signal if self._workers.agreed_signal else 0

    def check(self) -> None:
        """Raise `Stopped` if the workers have heard of a signal in the last step."""
        if self._workers.agreed_signal:
            raise Stopped


def join(cluster: Cluster, say: Callable[[str], None]) -> Workers:
    """Meet the cluster's other workers. Must come before TensorFlow computes anything in this process."""
    rendezvous.wait_for_all(cluster, say)
    ring = tf.distribute.experimental.CommunicationImplementation.RING
    auto = tf.distribute.experimental.CommunicationImplementation.AUTO
    by = auto if tf.config.list_physical_devices("GPU") else ring
    options = tf.distribute.experimental.CommunicationOptions(implementation=by)
    on_termination = signal.getsignal(signal.SIGTERM)
    with open(os.devnull, "w") as nowhere:
        # TensorFlow waits in native code, where only this watchdog can end a process.
        faulthandler.dump_traceback_later(JOINING_SECONDS, exit=True, file=nowhere)
        try:
            strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
        finally:
            faulthandler.cancel_dump_traceback_later()
    signal.signal(signal.SIGTERM, on_termination)  # TensorFlow has set a handler that only takes a note
    return Workers(strategy, cluster)


def gpus_of_this_machine() -> Workers | None:
    """All GPUs of this machine as one worker; None where there is at most one."""
    if len(tf.config.list_physical_devices("GPU")) < 2:
        return None
    return Workers(tf.distribute.MirroredStrategy())
