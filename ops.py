"""Layers and tensor operations that Keras lacks."""

import keras
import numpy as np
import tensorflow as tf

EPSILON = 1e-5  # added to variances


def leaky_relu(x: tf.Tensor) -> tf.Tensor:
    """max(x, 0.2 x), the discriminator's activation (Radford et al. 2016)."""
    return tf.nn.leaky_relu(x, alpha=0.2)


def block_means(images: tf.Tensor, blocks: int) -> tf.Tensor:
    """Means over a blocks x blocks partition: (N, S, S, C) -> (N, blocks, blocks, C).

    S must be a multiple of `blocks`. The low-resolution view of the `lowres` mask.
    """
    side = images.shape[1] // blocks
    return tf.nn.avg_pool2d(images, ksize=side, strides=side, padding="VALID")


def by_columns(rows: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """rows (N, K) @ matrix (K, M), with the rows as columns, (matrix^T rows^T)^T, so that at one
    batch size each is computed alike wherever it stands; CPU kernels round the last rows
    differently."""
    # The transposition by itself makes the rows columns of the gradient's product too.
    return tf.transpose(tf.matmul(matrix, tf.transpose(rows), transpose_a=True))


class ColumnDense(keras.layers.Dense):
    """A dense layer that multiplies by_columns."""

    def call(self, inputs, training=None):
        product = by_columns(inputs, self.kernel)
        return product + self.bias if self.use_bias else product


def moments(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and deviation of each channel of each picture: (N, H, W, C) -> (N, 1, 1, C) twice.

    The root has a finite slope where a channel does not vary.
    """
    mean, variance = keras.ops.moments(x, axes=(1, 2), keepdims=True)
    return mean, keras.ops.sqrt(variance + EPSILON)


def adaptive_instance_norm(content: tf.Tensor, style: tf.Tensor) -> tf.Tensor:
    """content (N, H, W, C) with the moments of style (N or 1, h, w, C) (Huang and Belongie 2017,
    equation 8)."""
    mean, deviation = moments(content)
    style_mean, style_deviation = moments(style)
    return (content - mean) / deviation * style_deviation + style_mean


class ConditionalInstanceNorm(keras.layers.Layer):
    """Instance norm with a scale and an offset for each of several styles (Dumoulin et al. 2017,
    1610.07629, equation 5).

    Inputs: (N, H, W, C), and how much of each style each picture gets, (N, styles); a mixture has
    the mixed scale and offset. Of one style it is instance norm, which Keras calls group norm with
    groups of one channel.
    """

    def __init__(self, styles: int, **options):
        super().__init__(**options)
        self.styles = styles

    def build(self, input_shape):
        shape = (self.styles, input_shape[0][-1])
        self.gamma = self.add_weight(shape=shape, initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=shape, initializer="zeros", name="beta")

    def call(self, inputs):
        x, shares = inputs
        mean, deviation = moments(x)
        gamma, beta = (tf.matmul(shares, part)[:, None, None] for part in (self.gamma, self.beta))
        return (x - mean) / deviation * gamma + beta


def update_average(averages: list, variables: list, decay: tf.Tensor) -> None:
    """Move each average toward its variable: average = decay * average + (1 - decay) * variable."""
    for average, variable in zip(averages, variables, strict=True):
        average.assign_sub((1 - decay) * (average - variable))


class _SpectralNorm:
    """Divides a layer's kernel by its largest singular value (Miyato et al. 2018, 1802.05957).

    One power iteration per training call keeps the singular vector `u` up to date. Keras's own
    wrapper overwrites the kernel with the divided one, so that no gradient flows through the norm.
    """

    def build(self, input_shape):
        super().build(input_shape)
        self.u = self.add_weight(
            shape=(1, self.kernel.shape[-1]),
            initializer=self.kernel_initializer,
            trainable=False,
            name="u",
        )

    def call(self, inputs, training=None):
        matrix = tf.reshape(self.kernel, (-1, self.kernel.shape[-1]))  # (fan in, fan out)
        u = tf.convert_to_tensor(self.u)
        v = tf.math.l2_normalize(u @ tf.transpose(matrix))  # (1, fan in)
        u = tf.math.l2_normalize(v @ matrix)  # (1, fan out)
        u, v = tf.stop_gradient(u), tf.stop_gradient(v)
        if training:
            self.u.assign(u)
        largest_singular_value = tf.reduce_sum(v @ matrix * u)
        return self._apply(inputs, tf.convert_to_tensor(self.kernel) / largest_singular_value)


class _Conv2D(keras.layers.Conv2D):
    """A convolution, computed by the kernel it is told."""

    def _apply(self, inputs, kernel):
        outputs = self.convolution_op(inputs, tf.cast(kernel, inputs.dtype))
        return outputs + tf.cast(self.bias, outputs.dtype) if self.use_bias else outputs


class _Dense(keras.layers.Dense):
    """A dense layer, computed by the kernel it is told."""

    def _apply(self, inputs, kernel):
        outputs = inputs @ tf.cast(kernel, inputs.dtype)
        return outputs + tf.cast(self.bias, outputs.dtype) if self.use_bias else outputs


class SpectralConv2D(_SpectralNorm, _Conv2D):
    """Convolution with a spectrally normalised kernel."""


class SpectralConv2DTranspose(_SpectralNorm, keras.layers.Conv2DTranspose):
    """Transposed convolution with a spectrally normalised kernel."""

    def _apply(self, inputs, kernel):
        kernel = tf.cast(kernel, inputs.dtype)
        outputs = keras.ops.conv_transpose(inputs, kernel, self.strides, self.padding)
        return outputs + tf.cast(self.bias, outputs.dtype)


class SpectralDense(_SpectralNorm, _Dense):
    """Dense layer with a spectrally normalised kernel."""


class Equalised:
    """Multiplies a kernel drawn from N(0, 1) by 1 / sqrt(fan in) whenever it is used, so that steps
    of Adam, which are of one size, are as large for every layer (Karras et al. 2018, 1710.10196,
    section 4.1)."""

    @property
    def scale(self) -> float:
        """1 / sqrt(fan in)."""
        return float(np.prod(self.kernel.shape[:-1])) ** -0.5

    def call(self, inputs, training=None):
        return self._apply(inputs, self.scale * tf.convert_to_tensor(self.kernel))


class EqualConv2D(Equalised, _Conv2D):
    """Convolution of an equalised learning rate."""


class EqualDense(Equalised, _Dense):
    """Dense layer of an equalised learning rate."""


class Attention(keras.layers.Layer):
    """Each place looks at all others (Zhang et al. 2019, 1805.08318, equations 1 and 2).

    Inputs: queries (N, H, W, K); keys (N, h, w, K) and values (N, h, w, V) of the places looked at.
    Output: (N, H, W, V), means of the values with weights softmax(query . key).
    """

    def call(self, inputs):
        queries, keys, values = (
            tf.reshape(x, (-1, x.shape[1] * x.shape[2], x.shape[3])) for x in inputs
        )
        weights = tf.nn.softmax(tf.matmul(queries, keys, transpose_b=True))  # (N, H W, h w)
        _, height, width, _ = inputs[0].shape
        return tf.reshape(tf.matmul(weights, values), (-1, height, width, values.shape[2]))

    def compute_output_shape(self, input_shape):
        return (*input_shape[0][:3], input_shape[2][3])


class Gain(keras.layers.Layer):
    """Multiplies with a number that is learned, from 0 on: what follows starts without it."""

    def build(self, input_shape):
        self.gain = self.add_weight(shape=(), initializer="zeros", name="gain")

    def call(self, inputs):
        return inputs * tf.cast(self.gain, inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape


class ScaleAndShift(keras.layers.Layer):
    """Of each picture's channels: [x (N, H, W, C), gains (N, C), shifts (N, C)] -> x (1 + gain) +
    shift."""

    def call(self, inputs):
        x, gain, shift = inputs
        return x * (1 + gain[:, None, None]) + shift[:, None, None]

    def compute_output_shape(self, input_shape):
        return input_shape[0]


class Chosen(keras.layers.Layer):
    """[classes (N, K), x_1 (N, ...), ..., x_K (N, ...)] -> of each row that of its class."""

    def call(self, inputs):
        classes, *x = inputs
        together = tf.stack(x, axis=1)  # (N, K, ...)
        return tf.gather(together, tf.argmax(classes, axis=1), axis=1, batch_dims=1)

    def compute_output_shape(self, input_shape):
        return input_shape[1]
