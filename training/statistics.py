"""What makes a style: statistics of feature maps that tell nothing of where; their distances.

All take maps as networks.imagenet.features gives them, (N, H, W, C) per block, of any size. Li et
al. 2017 (arXiv 1701.01036) show that they are of one kind: distances between distributions of the
features that a map has at its positions.
"""

from collections.abc import Callable, Sequence
from functools import partial

import tensorflow as tf

import ops

MOST = 1024  # positions compared with each other at once

Kernel = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # (N, P, C), (N, Q, C) -> (N, P, Q)


def gram(maps: tf.Tensor) -> tf.Tensor:
    """Gram matrices (N, C, C) of (N, H, W, C): the mean over positions of f f^T.

    Gatys et al. 2016, equation 3, there the sum, whose square their equation 4 divides by that of
    the number of positions; the mean serves pictures of two sizes too.
    """
    rows = _rows(maps)
    return tf.matmul(rows, rows, transpose_a=True) / tf.cast(tf.shape(rows)[1], rows.dtype)


def gram_loss(maps: tf.Tensor, style: tf.Tensor) -> tf.Tensor:
    """Squared difference of the Gram matrices over 4 C^2, (N,) (Gatys et al. 2016, equation 4)."""
    difference = gram(maps) - gram(style)
    return tf.reduce_mean(tf.square(difference), axis=(1, 2)) / 4


def moments_loss(maps: tf.Tensor, style: tf.Tensor) -> tf.Tensor:
    """Squared differences of mean and deviation of each channel, the mean over channels, (N,) (Li
    et al. 2017, equation 13: what batch norms know)."""
    pairs = zip(ops.moments(maps), ops.moments(style), strict=True)
    return sum(tf.reduce_mean(tf.square(a - b), axis=(1, 2, 3)) for a, b in pairs)


def mmd(maps: tf.Tensor, style: tf.Tensor, kernel: Kernel) -> tf.Tensor:
    """Squared maximum mean discrepancy of the features at all positions, (N,) (Li et al. 2017,
    equation 7).

    Of more than MOST positions every k-th is compared with every k-th of the style; the result is
    the mean over all k ways to begin.
    """
    rows, wanted = _rows(maps), _rows(style)
    ways, sparse = (-(-x.shape[1] // MOST) for x in (rows, wanted))
    wanted = wanted[:, ::sparse]

    def mean(a, b):
        return tf.reduce_mean(kernel(a, b), axis=(1, 2))

    each = [
        mean(some, some) - 2 * mean(some, wanted)
        for some in (rows[:, way::ways] for way in range(ways))
    ]
    return sum(each) / ways + mean(wanted, wanted)


def linear_kernel(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """a.b"""
    return tf.matmul(a, b, transpose_b=True)


def polynomial_kernel(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """(a.b)^2, with which mmd is 4 C^2 times gram_loss."""
    return tf.square(linear_kernel(a, b))


def gaussian_kernel(a: tf.Tensor, b: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
    """exp(-|a - b|^2 / (2 variance))"""
    squares = [tf.reduce_sum(tf.square(x), axis=2, keepdims=True) for x in (a, b)]
    # As one product: sums by broadcasting would round a picture's slope by its place in the batch.
    left = tf.concat([a, squares[0], tf.ones_like(squares[0])], axis=2)
    right = tf.concat([-2 * b, tf.ones_like(squares[1]), squares[1]], axis=2)
    return tf.exp(-tf.nn.relu(linear_kernel(left, right)) / (2 * variance))


def block_loss(kind: str, maps: tf.Tensor, style: tf.Tensor) -> tf.Tensor:
    """The distance of maps (N, H, W, C) from those of a style (N or 1, h, w, C), (N,); kind: one of
    STATISTICS. The Gaussian is as wide as the style's features spread."""
    match kind:
        case "gram":
            return gram_loss(maps, style)
        case "moments":
            return moments_loss(maps, style)
        case "mmd-linear":
            return mmd(maps, style, linear_kernel)
        case "mmd-polynomial":
            return mmd(maps, style, polynomial_kernel)
    spread = tf.reduce_sum(tf.math.reduce_variance(style, axis=(1, 2)), axis=1)[:, None, None]
    return mmd(maps, style, partial(gaussian_kernel, variance=spread))


def units(kind: str, style: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """block_loss of features that are all 0, (N,) per block. Divided by them, blocks, statistics
    and networks weigh alike, whatever the scale of their features."""
    nothing = (tf.zeros_like(block[:, :1, :1]) for block in style)
    return [block_loss(kind, *pair) + 1e-12 for pair in zip(nothing, style, strict=True)]


def content_loss(maps: Sequence[tf.Tensor], content: Sequence[tf.Tensor]) -> tf.Tensor:
    """Mean squared difference of the features, in units of their mean square, the mean over blocks,
    (N,) (Gatys et al. 2016, equation 1, but for the unit)."""
    each = [
        tf.reduce_mean(tf.square(block - wanted), axis=(1, 2, 3))
        / (tf.reduce_mean(tf.square(wanted), axis=(1, 2, 3)) + 1e-12)
        for block, wanted in zip(maps, content, strict=True)
    ]
    return sum(each) / len(each)


def total_variation(pictures: tf.Tensor) -> tf.Tensor:
    """Mean squared difference of neighbouring pixels, both ways, (N,)."""
    ways = pictures[:, 1:] - pictures[:, :-1], pictures[:, :, 1:] - pictures[:, :, :-1]
    return sum(tf.reduce_mean(tf.square(way), axis=(1, 2, 3)) for way in ways)


def _rows(maps: tf.Tensor) -> tf.Tensor:
    """(N, H, W, C) -> (N, H W, C)."""
    shape = tf.shape(maps)
    height, width = maps.shape[1:3]
    count = height * width if height and width else shape[1] * shape[2]
    return tf.reshape(maps, (shape[0], count, maps.shape[3]))
