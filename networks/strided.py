"""5x5 convolutions of stride 2, and transposed ones, by what takes a CPU the least time.

oneDNN's convolutions lose half of their speed for single pictures where maps are small and channels
many, and for any number where channels are few. There the same sums come from matrix products, and
from 3x3 convolutions of a map whose 2x2 blocks lie in its channels. Variables are those of Keras'
layers, and so are results but for rounding. On GPUs, in 16 bits and for other kernels it is Keras'
layers that compute, and in training in place of products, which save a batch nothing.
"""

from functools import cache

import keras
import numpy as np
import tensorflow as tf

SMALL = 4  # side of the smaller map up to which products take less time
FEW = 4  # channels of the larger map up to which blocks do


class Conv2D(keras.layers.Conv2D):
    """(N, 2 S, 2 S, C) -> (N, S, S, filters)."""

    def call(self, inputs, training=None):
        if not _is_ours(self) or inputs.shape[1] % 2:
            return super().call(inputs)
        if inputs.shape[1] <= 2 * SMALL and not training:
            outputs = _products(inputs, self.kernel)
        elif inputs.shape[-1] <= FEW:
            kernel = _of_blocks(self.kernel)  # (3, 3, 4, C, filters)
            kernel = tf.reshape(kernel, (3, 3, 4 * inputs.shape[-1], self.filters))
            outputs = tf.nn.conv2d(tf.nn.space_to_depth(inputs, 2), kernel, 1, "SAME")
        else:
            return super().call(inputs)
        return outputs + self.bias if self.use_bias else outputs


class Conv2DTranspose(keras.layers.Conv2DTranspose):
    """(N, S, S, C) -> (N, 2 S, 2 S, filters)."""

    def call(self, inputs, training=None):
        if not _is_ours(self):
            return super().call(inputs)
        if inputs.shape[1] <= SMALL and not training:
            outputs = _transposed_products(inputs, self.kernel)
        elif self.filters <= FEW:
            kernel = _of_blocks(self.kernel)[::-1, ::-1]  # (3, 3, 4, filters, C)
            kernel = tf.transpose(kernel, (0, 1, 4, 2, 3))
            kernel = tf.reshape(kernel, (3, 3, inputs.shape[-1], 4 * self.filters))
            outputs = tf.nn.depth_to_space(tf.nn.conv2d(inputs, kernel, 1, "SAME"), 2)
        else:
            return super().call(inputs)
        return outputs + self.bias if self.use_bias else outputs


def _is_ours(layer: keras.layers.Layer) -> bool:
    shape = layer.kernel_size, layer.strides, layer.padding, layer.compute_dtype
    linear = layer.activation is keras.activations.linear
    on_cpu = not tf.config.list_physical_devices("GPU")
    return shape == ((5, 5), (2, 2), "same", "float32") and linear and on_cpu


def _products(large: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """A convolution: what lies below the kernel everywhere, times the kernel, (5, 5, C, F)."""
    side, (*_, channels, filters) = large.shape[1] // 2, kernel.shape
    below = tf.matmul(_meetings(side).T, tf.reshape(large, (-1, 4 * side**2, channels)))
    rows = tf.reshape(below, (-1, side**2, 25 * channels))  # a product for each picture
    small = tf.matmul(rows, tf.reshape(kernel, (25 * channels, filters)))
    return tf.reshape(small, (-1, side, side, filters))


def _transposed_products(small: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """A transposed one: every place times the kernel, (5, 5, F, C), summed where it falls."""
    side, (*_, filters, channels) = small.shape[1], kernel.shape
    rows = tf.reshape(small, (-1, side**2, channels))  # a product for each picture
    apart = tf.matmul(rows, tf.reshape(kernel, (25 * filters, channels)), transpose_b=True)
    large = tf.matmul(_meetings(side), tf.reshape(apart, (-1, 25 * side**2, filters)))
    return tf.reshape(large, (-1, 2 * side, 2 * side, filters))


@cache
def _meetings(side: int) -> np.ndarray:
    """Float32 (4 side^2, 25 side^2): which place of the large map each element of the kernel meets
    at each place of the small one, as padding "same" has it."""
    meets = np.zeros((2 * side, side, 5), np.float32)
    for place in range(side):
        for tap in range(5):
            if 0 <= 2 * place + tap - 1 < 2 * side:
                meets[2 * place + tap - 1, place, tap] = 1
    return np.einsum("ais,bjt->abijst", meets, meets).reshape(4 * side**2, 25 * side**2)


def _of_blocks(kernel: tf.Tensor) -> tf.Tensor:
    """(5, 5, A, B) -> (3, 3, 4, A, B): of 3x3 blocks of 2x2, what meets each of their places."""
    meets = np.zeros((3, 2, 5), np.float32)
    for block in range(3):
        for place in range(2):
            if 0 <= 2 * block + place - 1 < 5:
                meets[block, place, 2 * block + place - 1] = 1
    meets = np.einsum("axs,byt->abxyst", meets, meets).reshape(36, 25)
    *_, a, b = kernel.shape
    return tf.reshape(tf.matmul(meets, tf.reshape(kernel, (25, a * b))), (3, 3, 4, a, b))
