"""The shape of EfficientNet-Lite0 (Google, 2020), without Keras: what each block is and which are looked at.

It is EfficientNet-B0 (Tan and Le, 2019) without squeeze-and-excitation and with ReLU6.
"""

from typing import NamedTuple

STEM_WIDTH, HEAD_WIDTH = 32, 1280
MEAN, SCALE = 127.0, 128.0  # the network sees (RGB - MEAN) / SCALE
EPSILON = 1e-3  # of the batch normalisation
MOST = 6.0  # ReLU6 cuts off there
DEPTHS = (2, 4, 7, 10, 14)  # the blocks whose outputs are features, and after them the head's
# Kernel size, stride of the first block, expansion, channels that come out, number of blocks
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)


class Block(NamedTuple):
    """An inverted residual block: 1x1 to `hidden` channels, depthwise convolution, 1x1 to `outputs`."""

    name: str
    kernel: int
    stride: int
    inputs: int
    hidden: int
    outputs: int

    @property
    def expands(self) -> bool:
        return self.hidden != self.inputs

    @property
    def adds(self) -> bool:
        """Whether the block's input is added to its output."""
        return self.stride == 1 and self.inputs == self.outputs


def _blocks() -> tuple[Block, ...]:
    blocks, inputs = [], STEM_WIDTH
    for kernel, first_stride, expansion, outputs, repeats in _STAGES:
        for repeat in range(repeats):
            stride = 1 if repeat else first_stride
            blocks.append(Block(f"block{len(blocks)}", kernel, stride, inputs, inputs * expansion, outputs))
            inputs = outputs
    return tuple(blocks)


BLOCKS = _blocks()
# Channels at each depth. The features are, depth by depth, the means over space and then the maxima.
WIDTHS = (*(BLOCKS[number].outputs for number in DEPTHS), HEAD_WIDTH)
NUM_FEATURES = 2 * sum(WIDTHS)
HEAD_MEANS = slice(NUM_FEATURES - 2 * HEAD_WIDTH, NUM_FEATURES - HEAD_WIDTH)
