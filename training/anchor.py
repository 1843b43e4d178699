"""What ties a generator to the faces it learns from: some z's are pictures' own."""

import keras
import numpy as np
import tensorflow as tf

from networks import imagenet
from search.linear import LinearModel


class Anchor:
    """A linear model of the training pictures as an encoder that need not be trained.

    A picture's coordinates along the model's first components, each over its deviation, are close
    to independent and normal, as z's are: they are the picture's z. So z's begin as in Bojanowski
    et al. (arXiv 1707.05776, whose codes start at PCA's), and a generator has two tasks at once, as
    in Larsen et al. (arXiv 1512.09300): to look real, and to show each picture from its z. Pixels
    need only agree along those components: what these do not tell is left to D, and to features of
    ImageNet, where those are asked for.
    """

    def __init__(
        self, linear: LinearModel, z_dim: int, uniform: bool, features: keras.Model | None = None
    ):
        """uniform: z's are uniform in [-1, 1], otherwise standard normal. features: what `unlike`
        compares by."""
        self.linear, self.uniform, self.features = linear, uniform, features
        self.axes = np.float32(linear.components[:z_dim])  # (R, D), R <= z_dim
        self.deviations = np.sqrt(linear.variances[:z_dim]).astype(np.float32)

    def codes(self, pictures: tf.Tensor) -> tf.Tensor:
        """(N, S, S, C) in [-1, 1] -> coordinates along the components (N, R)."""
        block = pictures.shape[1] // self.linear.size
        means = keras.ops.average_pool(pictures, block, block)
        rows = tf.reshape(means, (-1, self.axes.shape[1])) - np.float32(self.linear.mean)
        return rows @ self.axes.T

    def anchored(self, z: tf.Tensor, pictures: tf.Tensor) -> tf.Tensor:
        """z (N, z_dim), every second row that of its picture; coordinates for which there is no
        component stay as they were drawn."""
        own = self.codes(pictures) / self.deviations
        if self.uniform:
            own = tf.math.erf(own / np.sqrt(2))  # by the normal distribution function
        own = tf.concat([own, z[:, own.shape[1] :]], axis=1)
        return tf.where(_chosen(z)[:, None], own, z)

    def distance(self, made: tf.Tensor, pictures: tf.Tensor) -> tf.Tensor:
        """Mean square over pixels of what the components tell of the difference, (N,); 0 for rows
        that `anchored` left alone."""
        squares = tf.reduce_sum((self.codes(made) - self.codes(pictures)) ** 2, axis=1)
        return tf.where(_chosen(made), squares / self.axes.shape[1], 0)

    def unlike(self, made: tf.Tensor, pictures: tf.Tensor) -> tf.Tensor:
        """imagenet.distance of each second row from its picture, (N / 2,)."""
        return imagenet.distance(self.features(made[::2]), self.features(pictures[::2]))


def _chosen(rows: tf.Tensor) -> tf.Tensor:
    return tf.range(tf.shape(rows)[0]) % 2 == 0
