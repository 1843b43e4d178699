"""The one-pass generators: a picture with a hole to the whole picture, in stock Keras layers.

Written with Keras layers and keras.ops alone: they run on every backend of Keras.
"""

import re

import keras
import numpy as np
from keras import ops

from networks import resnet
from networks.expectation import LinearExpectation
from networks.unet_config import UNetConfig

SLOPE = 0.2  # of leaky ReLU, as Isola et al. 2017


def generator(config: UNetConfig, seed: int = 0) -> keras.Model:
    """The network of a configuration.

    [pictures (N, S, S, C), masks (N, S, S, 1), fidelity (N, 1), hints (N, S, S, C), trust (N, 1)]
    -> pictures (N, S, S, C). Pictures are in [-1, 1], 0 where hidden; masks are 1 where known;
    fidelity is 0 for a sharp result, 1 for a smooth one. Where trust is 1, hints say roughly what
    the hole shall show; where it is 0 they are not read.
    """
    builders = {
        "residual": unet,
        "refined": refined_unet,
        "resnet": residual_blocks,
        "paper": paper_unet,
    }
    return builders[config.network](config, seed)


def residual_blocks(config: UNetConfig, seed: int = 0) -> keras.Model:
    """networks.resnet between what the residual network begins with and what it adds to."""
    inputs = _inputs(config)
    filled, x = _begun(config, inputs)
    x = resnet.body(x, config.channels, config.filters, config.blocks, seed)
    return keras.Model(inputs, filled + x, name="generator")


def unet(config: UNetConfig, seed: int = 0) -> keras.Model:
    """A U-Net (Ronneberger et al. 2015) with residual blocks (He et al. 2016, the second form).

    Skips at every resolution, a wide bottleneck at a sixteenth of the size, so that weights of one
    size fit another from 64 pixels on; no normalisation. Its output is added to
    the picture filled with what a linear model expects, or with the hint; the last layer starts at
    zero, so that an untrained network gives just that.
    """
    inputs = _inputs(config)
    made, _ = _residual_unet(config, _Convolutions(seed), inputs)
    return keras.Model(inputs, made, name="generator")


def refined_unet(config: UNetConfig, seed: int = 0) -> keras.Model:
    """`unet` at half the size, whose weights stay as they are, and a smaller one that refines what
    it has made: the two stages of Wang et al. 2018 (arXiv 1711.11585, section 3.1).

    The second is given the picture filled with the first's result, enlarged, by how much that
    misses what is known, and at half the size the first's last features. Its weights begin with
    "refine"; its last layer starts at zero.
    """
    pictures, masks, fidelity, hints, trust = inputs = _inputs(config)
    share = ops.average_pool(masks, 2)  # of each block of 2 x 2, what is known
    known = ops.cast(share >= 0.5, masks.dtype)
    means = known * ops.average_pool(pictures * masks, 2) / ops.maximum(share, 0.25)
    small = [means, known, fidelity, ops.average_pool(hints, 2), trust]
    made, features = _residual_unet(config.half, _Convolutions(seed), small)
    for layer in keras.Model(inputs, made).layers:
        layer.trainable = False

    conv = _Convolutions(seed, part=4)
    wide, wider, widest = config.widths(2)
    size = config.image_size
    enlarged = ops.image.resize(made, (size, size), interpolation="bicubic")
    unexpected = masks * (pictures - enlarged)
    filled = enlarged + unexpected
    plane = masks * 0 + fidelity[:, None, None]
    x = ops.concatenate([filled, masks, unexpected, plane], axis=3)
    x = full = conv(x, wide, "refine_in")
    x = conv(_active(x), wider, "refine_down1", kernel=4, stride=2)
    x = conv(_active(ops.concatenate([x, features], axis=3)), wider, "refine_join")
    x = halved = _residual(conv, x, "refine_residual1")
    x = conv(_active(x), widest, "refine_down2", kernel=4, stride=2)
    x = _residual(conv, x, "refine_residual2")
    x = conv.transposed(_active(x), wider, "refine_up2")
    x = conv(_active(ops.concatenate([x, halved], axis=3)), wider, "refine_up2_join")
    x = conv.transposed(_active(x), wide, "refine_up1")
    x = conv(_active(ops.concatenate([x, full], axis=3)), wide, "refine_up1_join")
    x = conv(_active(x), config.channels, "refine_out", start="zeros")
    return keras.Model(inputs, filled + x, name="generator")


def freeze(network: keras.Model, level: int) -> None:
    """Of `unet`, layers at 1 / 2^level of the picture's size and below are trained no more."""
    for layer in network.layers:
        found = re.match(r"(down|up)(\d+)", layer.name)
        if found and int(found[2]) >= level:
            layer.trainable = False


def _residual_unet(config: UNetConfig, conv: "_Convolutions", inputs: list) -> tuple:
    """What `unet` makes of its inputs, and its last features, (N, S, S, filters)."""
    levels = min(4, config.image_size.bit_length() - 3)  # halvings, at most to 4x4
    widths = config.widths(levels)
    filled, x = _begun(config, inputs)
    x = conv(x, widths[0], "in")
    skips = []
    for level in range(1, levels + 1):
        skips.append(x)
        x = conv(_active(x), widths[level], f"down{level}", kernel=4, stride=2)  # half the size
        x = _residual(conv, x, f"down{level}_residual")
        if level >= levels - 1:
            x = _residual(conv, x, f"down{level}_residual2")
    for level in reversed(range(levels)):
        x = conv.transposed(_active(x), widths[level], f"up{level}")  # twice the size
        x = ops.concatenate([x, skips[level]], axis=3)
        x = conv(_active(x), widths[level], f"up{level}_join")
        if level >= levels - 2:
            x = _residual(conv, x, f"up{level}_residual")
    made = filled + conv(_active(x), config.channels, "out", start="zeros")
    return made, x


def _begun(config: UNetConfig, inputs: list) -> tuple:
    """The picture filled, (N, S, S, C), to which a network adds; and all that it sees."""
    pictures, masks, fidelity, hints, trust = inputs
    trusted = masks * 0 + trust[:, None, None]
    if config.guide == "linear":
        layer = LinearExpectation(config.components, min(32, config.image_size), name="expectation")
        expected = layer([pictures, masks]) * (1 - trusted) + hints * trusted
    else:
        expected = hints * trusted
    unexpected = masks * (pictures - expected)
    filled = expected + unexpected
    planes = [masks * 0 + fidelity[:, None, None], trusted]
    return filled, ops.concatenate([filled, masks, unexpected, *planes], axis=3)


def _residual(conv: "_Convolutions", x, name: str):
    inner = conv(_active(x), x.shape[3], f"{name}_1")
    return x + conv(_active(inner), x.shape[3], f"{name}_2", start="zeros")


def paper_unet(config: UNetConfig, seed: int = 0) -> keras.Model:
    """The U-Net of Isola et al. 2017 (appendix 6.1.1): batch norm, dropout, tanh.

    4x4 convolutions of stride 2 down to 1x1 and up again, skips by concatenation; no norm on the
    first and, as 1x1 leaves nothing to normalise, the innermost; dropout of a half in the three
    innermost layers of the way up. It takes the picture alone, and reads nothing else.
    """
    conv = _Convolutions(seed, normal=True)
    pictures, *others = inputs = _inputs(config)
    levels = config.image_size.bit_length() - 1
    widths = config.widths(levels)[:levels]  # at half the size, a quarter, ... 1x1
    x, skips = pictures, []
    for level, width in enumerate(widths):
        x = conv(x if level == 0 else _active(x), width, f"down{level}", kernel=4, stride=2)
        if 0 < level < levels - 1:
            x = _batch_norm(f"down{level}_norm")(x)
        skips.append(x)
    x = skips.pop()
    for level in reversed(range(1, levels)):
        x = conv.transposed(ops.relu(x), widths[level - 1], f"up{level}")
        x = _batch_norm(f"up{level}_norm")(x)
        if level >= levels - 3:
            x = keras.layers.Dropout(0.5, seed=seed + level, name=f"up{level}_dropout")(x)
        x = ops.concatenate([x, skips.pop()], axis=3)
    x = conv.transposed(ops.relu(x), config.channels, "up0")
    for other in others:  # the same inputs as the other network's
        x = x + 0 * (other if len(other.shape) == 4 else other[:, None, None])
    return keras.Model(inputs, ops.tanh(x), name="generator")


def _inputs(config: UNetConfig) -> list:
    size = config.image_size
    return [
        keras.Input((size, size, config.channels), name="picture"),
        keras.Input((size, size, 1), name="mask"),
        keras.Input((1,), name="fidelity"),
        keras.Input((size, size, config.channels), name="hint"),
        keras.Input((1,), name="trust"),
    ]


def _active(x):
    return ops.leaky_relu(x, SLOPE)


def _batch_norm(name: str) -> keras.layers.Layer:
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)


class _Convolutions:
    """Makes convolutions whose initial weights the seed decides, in the order they are made."""

    def __init__(self, seed: int, normal: bool = False, part: int = 2):
        self.seeds = iter(np.random.SeedSequence([seed, part]).generate_state(200))
        self.normal = normal

    def __call__(self, x, width: int, name: str, kernel: int = 3, stride: int = 1, start=None):
        return keras.layers.Conv2D(
            width, kernel, stride, "same", kernel_initializer=start or self._start(), name=name
        )(x)

    def transposed(self, x, width: int, name: str):
        """Twice the height and width."""
        return keras.layers.Conv2DTranspose(
            width, 4, 2, "same", kernel_initializer=self._start(), name=name
        )(x)

    def _start(self) -> keras.initializers.Initializer:
        seed = int(next(self.seeds))
        if self.normal:
            return keras.initializers.RandomNormal(stddev=0.02, seed=seed)
        return keras.initializers.VarianceScaling(2, seed=seed)
