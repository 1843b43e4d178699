"""Layers and tensor operations that Keras lacks."""

import keras
import tensorflow as tf


def leaky_relu(x: tf.Tensor) -> tf.Tensor:
    """max(x, 0.2 x), the discriminator's activation (Radford et al. 2016)."""
    return tf.nn.leaky_relu(x, alpha=0.2)


def block_means(images: tf.Tensor, blocks: int) -> tf.Tensor:
    """Means over a blocks x blocks partition: (N, S, S, C) -> (N, blocks, blocks, C).

    S must be a multiple of `blocks`. The low-resolution view of the `lowres` mask.
    """
    side = images.shape[1] // blocks
    return tf.nn.avg_pool2d(images, ksize=side, strides=side, padding="VALID")


class ColumnDense(keras.layers.Dense):
    """A dense layer that multiplies with images as columns, (kernel^T x^T)^T, so that at one batch
    size each is computed alike wherever it stands; CPU kernels round the last rows differently."""

    def call(self, inputs, training=None):
        # The transposition by itself makes the images columns of the gradient's product too.
        product = tf.matmul(self.kernel, tf.transpose(inputs), transpose_a=True)
        return tf.transpose(product) + self.bias


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


class SpectralConv2D(_SpectralNorm, keras.layers.Conv2D):
    """Convolution with a spectrally normalised kernel."""

    def _apply(self, inputs, kernel):
        outputs = self.convolution_op(inputs, tf.cast(kernel, inputs.dtype))
        return outputs + tf.cast(self.bias, outputs.dtype)


class SpectralDense(_SpectralNorm, keras.layers.Dense):
    """Dense layer with a spectrally normalised kernel."""

    def _apply(self, inputs, kernel):
        outputs = inputs @ tf.cast(kernel, inputs.dtype)
        return outputs + tf.cast(self.bias, outputs.dtype)
