"""Residual blocks at a quarter of the size, between convolutions down and pixel shuffles up.

Written with Keras layers and keras.ops alone: they run on every backend of Keras.
"""

import keras
import numpy as np
from keras import ops

SLOPE = 0.2  # of leaky ReLU


def body(x, channels: int, filters: int, blocks: int, seed: int = 0, norm: bool = False):
    """(N, S, S, any) -> (N, S, S, channels), zeros before training.

    The generator of Johnson et al. (arXiv 1603.08155), as CycleGAN has it (Zhu et al., arXiv
    1703.10593, appendix 7.2): F filters of 7x7, halved twice to 4 F, residual blocks, doubled
    twice, 7x7. Its borders are reflected. From SRGAN (Ledig et al., arXiv 1609.04802) are the pixel
    shuffle that doubles and the skip over all blocks. norm: instance norm after each convolution.
    """
    conv = _Convolutions(seed, norm)
    x = _active(conv(x, filters, "in", kernel=7))
    for level in (1, 2):
        x = _active(conv(x, filters * 2**level, f"down{level}", stride=2))
    begun = x  # (N, S/4, S/4, 4 F)
    for number in range(blocks):
        inner = _active(conv(x, x.shape[3], f"block{number}_1"))
        x = x + conv(inner, x.shape[3], f"block{number}_2")
    x = conv(x, x.shape[3], "blocks") + begun
    for level in (1, 0):
        x = _active(_shuffled(conv(x, 4 * filters * 2**level, f"up{level}")))
    return conv(x, channels, "out", kernel=7, last=True)


def _active(x):
    return ops.leaky_relu(x, SLOPE)


def _shuffled(x):
    """(N, H, W, 4 C) -> (N, 2 H, 2 W, C): Shi et al., arXiv 1609.05158, equation 4."""
    _, height, width, channels = x.shape
    x = ops.reshape(x, (-1, height, width, 2, 2, channels // 4))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (-1, 2 * height, 2 * width, channels // 4))


class _Convolutions:
    """Makes convolutions with reflected borders, whose initial weights the seed decides, in the
    order made."""

    def __init__(self, seed: int, norm: bool):
        self._seeds = iter(np.random.SeedSequence([seed, 5]).generate_state(400))
        self._norm = norm

    def __call__(self, x, width: int, name: str, kernel: int = 3, stride: int = 1, last=False):
        around = (kernel // 2, kernel // 2)
        x = ops.pad(x, ((0, 0), around, around, (0, 0)), mode="reflect")
        start = keras.initializers.VarianceScaling(2, seed=int(next(self._seeds)))
        x = keras.layers.Conv2D(
            width, kernel, stride, kernel_initializer="zeros" if last else start, name=name
        )(x)
        if not self._norm or last:
            return x
        return instance_norm(f"{name}_norm")(x)


def instance_norm(name: str) -> keras.layers.Layer:
    """Of each picture and channel by itself (Ulyanov et al., arXiv 1607.08022)."""
    return keras.layers.GroupNormalization(-1, epsilon=1e-5, name=name)
