"""What a linear model expects of a picture with a hole, as a layer: on every backend of Keras."""

import keras
from keras import ops

from search.linear import LinearModel


class LinearExpectation(keras.layers.Layer):
    """What a Gaussian model of pictures expects of a picture of which some pixels are known.

    The posterior mean of probabilistic PCA (Tipping & Bishop 1999) given block means of the known
    pixels, `side` blocks a side, solved for each picture's mask; enlarged bicubically to the
    picture's size. The noise is taken `caution` times: what the components leave is alike from
    pixel to pixel, where the model has it independent.

    Inputs: pictures (N, S, S, C) in [-1, 1], 0 where hidden; masks (N, S, S, 1), 1 where known.
    Output: (N, S, S, C), smooth. S is a multiple of `side`.
    """

    def __init__(self, components: int, side: int = 32, caution: float = 30.0, **options):
        super().__init__(trainable=False, **options)
        self.components, self.side, self.caution = components, side, caution

    def build(self, input_shape):
        size = self.side * self.side * input_shape[0][-1]
        self.mean = self.add_weight(shape=(size,), initializer="zeros", name="mean")
        self.axes = self.add_weight(shape=(self.components, size), initializer="zeros", name="axes")
        self.noise = self.add_weight(shape=(), initializer="ones", name="noise")

    def take(self, model: LinearModel) -> None:
        """Take over a model of `side` pixels: its first components, scaled by their deviations."""
        axes = model.components * model.variances[:, None] ** 0.5
        axes = ops.convert_to_numpy(axes)[: self.components]
        missing = self.components - len(axes)  # few pictures have few components
        self.axes.assign(ops.pad(axes, ((0, missing), (0, 0))))
        self.mean.assign(model.mean)
        self.noise.assign(model.noise)

    def call(self, inputs):
        pictures, masks = inputs
        numbers = self.mean.shape[0]
        size, channels = pictures.shape[1], pictures.shape[3]
        block = size // self.side
        share = ops.average_pool(masks, block, block)  # (N, side, side, 1)
        means = ops.average_pool(pictures * masks, block, block) / ops.maximum(share, 1e-6)
        weights = ops.reshape(ops.repeat(share, channels, axis=3), (-1, 1, numbers))
        weighted = self.axes * weights  # (N, components, numbers)
        # Products are made picture by picture: of several at once they would round differently.
        gram = ops.matmul(weighted, ops.transpose(self.axes))
        gram = gram + self.caution * self.noise * ops.eye(self.components)
        differences = ops.reshape(means, (-1, numbers, 1)) - self.mean[:, None]
        codes = ops.solve(gram, ops.matmul(weighted, differences))  # (N, components, 1)
        expected = ops.matmul(ops.transpose(codes, (0, 2, 1)), self.axes[None])
        expected = ops.reshape(expected + self.mean, (-1, *means.shape[1:]))
        if block == 1:
            return expected
        return ops.image.resize(expected, (size, size), interpolation="bicubic")

    def compute_output_shape(self, input_shape):
        return input_shape[0]
