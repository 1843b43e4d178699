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

    solve = staticmethod(ops.solve)

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
        codes = self.solve(gram, ops.matmul(weighted, differences))  # (N, components, 1)
        expected = ops.matmul(ops.transpose(codes, (0, 2, 1)), self.axes[None])
        expected = ops.reshape(expected + self.mean, (-1, *means.shape[1:]))
        if block == 1:
            return expected
        return ops.image.resize(expected, (size, size), interpolation="bicubic")

    def compute_output_shape(self, input_shape):
        return input_shape[0]


class EliminatingExpectation(LinearExpectation):
    """The same for runtimes that solve no linear systems, as those of ONNX: by products alone.

    By elimination (Gauss-Jordan), one component after another; without pivoting, as a Gram matrix
    needs none.
    """

    @staticmethod
    def solve(matrix, right):
        """matrix (N, K, K), positive definite; right (N, K, 1) -> (N, K, 1)."""
        count = matrix.shape[1]
        unit = ops.eye(count)

        def eliminate(number, rows):
            row, column = ops.take(rows, [number], axis=1), ops.take(rows, [number], axis=2)
            pivot = ops.take(row, [number], axis=2)
            others = column - ops.transpose(ops.take(unit, [number], axis=0))
            return rows - others * (row / pivot)

        joined = ops.concatenate([matrix, right], axis=2)
        return ops.fori_loop(0, count, eliminate, joined)[:, :, count:]


def completing(generator: keras.Model) -> keras.Model:
    """A one-pass generator as it completes: [whole pictures, what it expected first], (N, S, S, C)
    in [-1, 1]; the pictures alone where it expects nothing."""
    outputs = [generator.output]
    for layer in generator.layers:
        if isinstance(layer, LinearExpectation):
            size = generator.output.shape[1:3]
            outputs.append(ops.image.resize(layer.output, size, interpolation="bicubic"))
    return keras.Model(generator.inputs, [ops.clip(made, -1, 1) for made in outputs])


def eliminating(network: keras.Model) -> keras.Model:
    """A network that computes the same, with the same weights, by layers that need no solver."""

    def own(layer: keras.layers.Layer) -> keras.layers.Layer:
        if not isinstance(layer, LinearExpectation):
            return layer
        return EliminatingExpectation(layer.components, layer.side, layer.caution, name=layer.name)

    clone = keras.models.clone_model(network, clone_function=own)
    for layer in clone.layers:
        if isinstance(layer, EliminatingExpectation):
            layer.set_weights(network.get_layer(layer.name).get_weights())
    return clone
