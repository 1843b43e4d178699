"""A style-based generator, narrow enough for a CPU, and its discriminator.

The generator of Karras et al. 2020 (StyleGAN2, 1912.04958): z becomes w by a mapping network, and
w's are the styles of convolutions, which scale the channels they take. Outputs of every resolution
are added up, so nothing has to grow in mid-run. Left out: their filters, bilinear enlarging and
means serving, and the regularisation of path lengths.
"""

import keras
import numpy as np
import tensorflow as tf

import ops
from networks.config import Config
from networks.dcgan import layer_seed

MAPPING_LAYERS = 4
MAPPING_RATE = 0.01  # of the mapping's learning, over that of the rest
MIXED = 0.9  # share of training pictures that have their fine styles from another z
GAIN = 2**0.5  # of activations, which keeps the variance


def generator(config: Config, seed: int = 0) -> keras.Model:
    """z (N, z_dim), or [z, classes (N, K)] -> images (N, S, S, C), in [-1, 1] where they are real;
    seed: of its weights.

    The layer "styles" gives the w of each layer of convolutions, a list of (N, z_dim).
    """
    make = _Layers(config, seed, "g")
    z, classes = keras.Input((config.z_dim,), name="z"), make.classes()
    w = make.normalised(z)
    if config.classes:
        told = make.normalised(make.dense(classes, config.z_dim, "class", bias=False))
        w = keras.layers.Concatenate(**make.layer)([w, told])
    for i in range(MAPPING_LAYERS):
        w = make.activated(make.mapped(w, i))
    styles = Styles(config.style_count, name="styles", **make.layer)(w)

    first, *widths = config.style_widths
    x = make.start(styles[0], first)
    x = make.styled(x, styles[0], first, "h0_conv1")  # (N, 4, 4, first)
    image = make.image(x, styles[1], "h0_image")
    for i, width in enumerate(widths):
        # Of the layers to a resolution the first shares its w with the image before, as theirs do.
        name, (before, own, shown) = f"h{i + 1}", styles[2 * i + 1 : 2 * i + 4]
        x = make.styled(x, before, width, f"{name}_conv0", enlarged=True)  # twice the size
        x = make.styled(x, own, width, f"{name}_conv1")
        added = make.image(x, shown, f"{name}_image")
        image = keras.layers.Add(**make.layer)([make.enlarged(image), added])
    image = keras.layers.Activation("linear", name="image", dtype="float32")(image)
    return keras.Model([z, classes] if config.classes else z, image, name="generator")


def mapping(network: keras.Model) -> keras.Model:
    """Of a generator, z (N, z_dim), or [z, classes] -> w (N, z_dim)."""
    return keras.Model(network.input, network.get_layer("styles").input)


def synthesis(network: keras.Model) -> keras.Model:
    """Of a generator, list of w's (N, z_dim), one for each layer -> images (N, S, S, C)."""
    return keras.Model(network.get_layer("styles").output, network.output)


def of_latents(network: keras.Model, config: Config) -> keras.Model:
    """Whitened w's (N, Z), or one for each layer, (N, L Z) -> images; network: a `synthesis`."""
    latents = keras.Input((None,), name="latents")
    per_layer = PerLayer(config.style_count, config.z_dim, name="per_layer")
    return keras.Model(latents, network(per_layer(latents)))


def set_latents(network: keras.Model, mean: np.ndarray, root: np.ndarray) -> None:
    """Tell a network made by `of_latents` how w's were whitened: w = mean + root @ latent."""
    per_layer = network.get_layer("per_layer")
    per_layer.mean.assign(mean)
    per_layer.root.assign(root)


def discriminator(config: Config, seed: int = 0) -> keras.Model:
    """Images (N, S, S, C), or [images, classes (N, K)] -> one logit per image (N, 1); seed: of its
    weights.

    Residual blocks down to 4x4, there the deviation among the images of the batch as a channel of
    its own, and two dense layers.
    """
    make = _Layers(config, seed, "d")
    *widths, last = config.judging_widths
    side = config.image_size
    image, classes = keras.Input((side, side, config.channels), name="image"), make.classes()
    x = make.convolution(image, widths[0], "from_image", side=1)
    if config.condition == "concat":
        told = make.dense(classes, widths[0], "from_image_class", bias=False)
        x = keras.layers.Add(**make.layer)([x, keras.layers.Reshape((1, 1, widths[0]))(told)])
    x = make.activated(x)
    for i, (width, wider) in enumerate(zip(widths, [*widths[1:], last], strict=True)):
        passed = keras.layers.AveragePooling2D(2, **make.layer)(x)
        passed = make.convolution(passed, wider, f"h{i}_passed", side=1, bias=False)
        x = make.activated(make.convolution(x, width, f"h{i}_conv0"))
        x = make.activated(make.convolution(x, wider, f"h{i}_conv1", stride=2))  # half the size
        x = keras.layers.Add(**make.layer)([x, passed])
        x = keras.layers.Rescaling(0.5**0.5, **make.layer)(x)
    x = Deviation(name="deviation", **make.layer)(x)
    x = make.activated(make.convolution(x, last, "last_conv"))
    x = keras.layers.Flatten()(x)
    features = make.activated(make.dense(x, last, "h_lin"))
    x = make.dense(features, 1, "lin")
    if config.condition == "norm":
        told = make.dense(classes, last, "projection", bias=False)
        product = keras.layers.Dot(axes=1, **make.layer)([features, told])
        product = keras.layers.Rescaling(last**-0.5, **make.layer)(product)
        x = keras.layers.Add(**make.layer)([x, product])
    x = keras.layers.Activation("linear", name="logit", dtype="float32")(x)
    return keras.Model([image, classes] if config.classes else image, x, name="discriminator")


class _Layers:
    """Makes the layers of a network, whose weights the seed decides in the order made."""

    def __init__(self, config: Config, seed: int, network: str):
        self._config, self._seed, self._network = config, seed, network
        self._made = 0
        self.layer = {"dtype": config.policy}

    def seed(self) -> int:
        self._made += 1
        return layer_seed(self._seed, self._network, self._made)

    def classes(self):
        """An input of classes, if there are any."""
        names = self._config.classes
        return keras.Input((len(names),), name="classes") if names else None

    def normalised(self, x):
        return keras.layers.Activation(pixel_norm, **self.layer)(x)

    def activated(self, x):
        return keras.layers.Activation(scaled_leaky_relu, **self.layer)(x)

    def dense(self, x, width: int, name: str, start: float = 0.0, bias: bool = True):
        return ops.EqualDense(
            width,
            use_bias=bias,
            kernel_initializer=_normal(self.seed()),
            bias_initializer=keras.initializers.Constant(start),
            name=name,
            **self.layer,
        )(x)

    def mapped(self, w, number: int):
        return MappingDense(
            self._config.z_dim,
            kernel_initializer=keras.initializers.RandomNormal(
                stddev=1 / MAPPING_RATE, seed=self.seed()
            ),
            name=f"mapping{number}",
            **self.layer,
        )(w)

    def convolution(self, x, width: int, name: str, side: int = 3, stride: int = 1, bias=True):
        return ops.EqualConv2D(
            width,
            side,
            stride,
            "same",
            use_bias=bias,
            kernel_initializer=_normal(self.seed()),
            name=name,
            **self.layer,
        )(x)

    def enlarged(self, x):
        return keras.layers.UpSampling2D(interpolation="bilinear", **self.layer)(x)

    def modulated(self, x, w, width: int, name: str, side: int = 3, demodulate: bool = True):
        style = self.dense(w, x.shape[-1], f"{name}_style", start=1.0)
        layer = ModulatedConv2D(width, side, demodulate, self.seed(), name=name, **self.layer)
        return layer([x, style])

    def start(self, w, width: int):
        return Start(width, self.seed(), name="start", **self.layer)(w)

    def image(self, x, w, name: str):
        return self.modulated(x, w, self._config.channels, name, side=1, demodulate=False)

    def styled(self, x, w, width: int, name: str, enlarged: bool = False):
        x = self.modulated(x, w, width, name)
        x = self.enlarged(x) if enlarged else x
        return self.activated(Noise(self.seed(), name=f"{name}_noise", **self.layer)([x, w]))


def pixel_norm(x: tf.Tensor) -> tf.Tensor:
    """Divides by the root mean square of the last axis (Karras et al. 2018, section 4.2)."""
    return x * tf.math.rsqrt(tf.reduce_mean(tf.square(x), axis=-1, keepdims=True) + 1e-8)


def scaled_leaky_relu(x: tf.Tensor) -> tf.Tensor:
    """Leaky ReLU that keeps the variance."""
    return GAIN * ops.leaky_relu(x)


class MappingDense(ops.EqualDense):
    """A dense layer that learns MAPPING_RATE times as fast, with a kernel drawn from N(0, 1 /
    MAPPING_RATE^2)."""

    def call(self, inputs, training=None):
        return MAPPING_RATE * super().call(inputs)


class Styles(keras.layers.Layer):
    """w (N, Z) -> a list of w's, one for each of `count` layers.

    In training, most pictures have the styles from a layer drawn at random on from the w of their
    neighbour in the batch (Karras et al. 2019, 1812.04948, section 3.1). The draws depend on w.
    """

    def __init__(self, count: int, **options):
        super().__init__(**options)
        self.count = count

    def call(self, w, training=None):
        if not training:
            return [w] * self.count
        mixed, start = tf.unstack(
            tf.random.stateless_uniform((2, tf.shape(w)[0], 1), seed_from(w, 0))
        )
        start = tf.where(mixed < MIXED, 1 + tf.floor(start * (self.count - 1)), self.count)
        other = tf.roll(w, 1, axis=0)
        return [tf.where(number < start, w, other) for number in range(self.count)]

    def compute_output_shape(self, input_shape):
        return [input_shape] * self.count


class PerLayer(keras.layers.Layer):
    """Whitened w's (N, Z), or one for each of `count` layers, one after another, (N, count Z) ->
    the list of w's as the layers take them, (N, Z) each.

    mean (Z,) and root (Z, Z) are those of w; see search.space.Whitening.
    """

    def __init__(self, count: int, size: int, **options):
        super().__init__(trainable=False, **options)
        self.count, self.size = count, size

    def build(self, input_shape):
        self.mean = self.add_weight(shape=(self.size,), initializer="zeros", name="mean")
        self.root = self.add_weight(shape=(self.size,) * 2, initializer="identity", name="root")

    def call(self, latents):
        rows = tf.reshape(latents, (-1, self.size))
        w = ops.by_columns(rows, tf.transpose(self.root)) + self.mean
        w = tf.reshape(w, (tf.shape(latents)[0], -1, self.size))
        w = tf.broadcast_to(w, (tf.shape(latents)[0], self.count, self.size))
        return tf.unstack(w, axis=1)

    def compute_output_shape(self, input_shape):
        return [(input_shape[0], self.size)] * self.count


class Start(keras.layers.Layer):
    """What every picture starts from, 4x4 and learned: anything (N, ...) -> (N, 4, 4, width)."""

    def __init__(self, width: int, seed: int, **options):
        super().__init__(**options)
        self.width, self.seed = width, seed

    def build(self, input_shape):
        shape = (4, 4, self.width)
        self.start = self.add_weight(shape=shape, initializer=_normal(self.seed), name="start")

    def call(self, inputs):
        return tf.repeat(tf.cast(self.start, self.compute_dtype)[None], tf.shape(inputs)[0], axis=0)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 4, 4, self.width)


class ModulatedConv2D(keras.layers.Layer):
    """A convolution whose kernel is scaled for each picture: [x (N, H, W, C), styles (N, C)] ->
    (N, H, W, width) (Karras et al. 2020, section 2.2).

    Input channels are multiplied by the styles. demodulate: output channels are then divided by
    what that makes of unit variance; else a bias is added. The learning rate is equalised.
    """

    def __init__(self, width: int, side: int, demodulate: bool, seed: int, **options):
        super().__init__(**options)
        self.width, self.side, self.demodulate, self.seed = width, side, demodulate, seed

    def build(self, input_shape):
        shape = (self.side, self.side, input_shape[0][-1], self.width)
        self.kernel = self.add_weight(shape=shape, initializer=_normal(self.seed), name="kernel")
        self.scale = float(np.prod(shape[:-1])) ** -0.5
        if not self.demodulate:
            self.bias = self.add_weight(shape=(self.width,), initializer="zeros", name="bias")

    def call(self, inputs):
        x, style = inputs
        kernel = self.scale * tf.convert_to_tensor(self.kernel)
        x = tf.nn.conv2d(x * style[:, None, None], tf.cast(kernel, x.dtype), 1, "SAME")
        if not self.demodulate:
            return x + tf.cast(self.bias, x.dtype)
        squares = tf.reduce_sum(tf.square(kernel), axis=(0, 1))  # (C, width)
        variance = ops.by_columns(tf.square(tf.cast(style, tf.float32)), squares)  # (N, width)
        return x * tf.cast(tf.math.rsqrt(variance + 1e-8), x.dtype)[:, None, None]

    def compute_output_shape(self, input_shape):
        return (*input_shape[0][:-1], self.width)


class Noise(keras.layers.Layer):
    """A bias for each channel, and noise for each place times a strength learned from 0 on:
    [x (N, H, W, C), w (N, Z)] -> (N, H, W, C).

    In training the noise is drawn anew, as w decides; at inference it is always the same picture.
    """

    def __init__(self, seed: int, **options):
        super().__init__(**options)
        self.seed = seed

    def build(self, input_shape):
        _, height, width, channels = input_shape[0]
        self.bias = self.add_weight(shape=(channels,), initializer="zeros", name="bias")
        self.strength = self.add_weight(shape=(), initializer="zeros", name="strength")
        self.fixed = self.add_weight(
            shape=(1, height, width, 1),
            initializer=_normal(self.seed),
            trainable=False,
            name="fixed",
        )

    def call(self, inputs, training=None):
        x, w = inputs
        noise = tf.convert_to_tensor(self.fixed)
        if training:
            shape = tf.concat([tf.shape(x)[:3], [1]], axis=0)
            noise = tf.random.stateless_normal(shape, seed_from(w, self.seed))
        added = tf.convert_to_tensor(self.strength) * noise + tf.convert_to_tensor(self.bias)
        return x + tf.cast(added, x.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape[0]


class Deviation(keras.layers.Layer):
    """Appends a channel that says how much the pictures of a batch differ: (N, H, W, C) ->
    (N, H, W, C + 1) (Karras et al. 2018, section 3).

    It is the mean over places and channels of the standard deviation among the pictures; at
    inference, where every picture stands alone, what it was on average in training.
    """

    def build(self, input_shape):
        self.moving_deviation = self.add_weight(
            shape=(), initializer="ones", trainable=False, name="moving_deviation"
        )

    def call(self, x, training=None):
        deviation = tf.convert_to_tensor(self.moving_deviation)
        if training:
            deviation = mean_deviation(tf.cast(x, tf.float32))
            self.moving_deviation.assign(0.9 * self.moving_deviation + 0.1 * deviation)
        channel = tf.fill(tf.concat([tf.shape(x)[:3], [1]], axis=0), tf.cast(deviation, x.dtype))
        return tf.concat([x, channel], axis=3)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] + 1)


def mean_deviation(x: tf.Tensor) -> tf.Tensor:
    """The mean of the standard deviations among the rows of x (N, ...), a scalar."""
    return tf.reduce_mean(tf.sqrt(tf.math.reduce_variance(x, axis=0) + 1e-8))


def seed_from(w: tf.Tensor, number: int) -> tf.Tensor:
    """A seed, int32 (2,), of draws that hang on w (N, Z) alone: the same whenever a picture is made
    again, by whichever device."""
    some = tf.cast(tf.stack([w[0, 0], w[0, -1]]), tf.float32)
    return tf.random.fold_in(tf.bitcast(some, tf.int32), number)


def _normal(seed: int):
    return keras.initializers.RandomNormal(stddev=1.0, seed=seed)
