"""VGG-19 without its dense layers (Simonyan and Zisserman, 2015), by the names of the published network."""

from keras import layers

BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))  # channels and convolutions of each
CONVOLUTIONS = tuple(
    f"conv{block}_{number}" for block, (_, count) in enumerate(BLOCKS, 1) for number in range(1, count + 1)
)
MEAN = (123.68, 116.779, 103.939)  # of R, G and B in ImageNet; taken off each pixel


def vgg19(pixels, mean=MEAN) -> list:
    """Pixels [N, H, W, 3], RGB 0..255, to the output of every layer: `conv1_1`, `relu1_1` ... `pool5`."""
    hidden = layers.Rescaling(1.0, [-value for value in mean], name="scale")(pixels)
    outputs = []
    for block, (channels, count) in enumerate(BLOCKS, 1):
        for number in range(1, count + 1):
            hidden = layers.Conv2D(channels, 3, padding="same", name=f"conv{block}_{number}")(hidden)
            outputs.append(hidden)
            hidden = layers.ReLU(name=f"relu{block}_{number}")(hidden)
            outputs.append(hidden)
        hidden = layers.MaxPooling2D(2, padding="same", name=f"pool{block}")(hidden)
        outputs.append(hidden)
    return outputs
