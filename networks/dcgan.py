"""The two networks of the DCGAN, built from its configuration with stock Keras layers."""

import keras
import numpy as np

import ops
from networks.config import Config

EPSILON = 1e-5


def generator(config: Config, seed: int = 0) -> keras.Model:
    """z (N, z_dim) -> images (N, S, S, C) in [-1, 1] (Radford et al. 2016); seed: of its weights.

    Projection to 4x4, then 5x5 transposed convolutions of stride 2, each with norm and ReLU; tanh.
    """
    numbers = iter(range(10**6))
    layer = {"dtype": config.policy}

    def normal():
        return keras.initializers.RandomNormal(
            stddev=0.02, seed=layer_seed(seed, "g", next(numbers))
        )

    spectral = config.g_norm == "spectral"
    dense = ops.SpectralDense if spectral else keras.layers.Dense
    transposed = ops.SpectralConv2DTranspose if spectral else keras.layers.Conv2DTranspose
    first, *widths = config.generator_widths
    z = keras.Input((config.z_dim,), name="z")
    x = dense(16 * first, kernel_initializer=normal(), name="h0_lin", **layer)(z)
    x = keras.layers.Reshape((4, 4, first))(x)  # (N, 4, 4, first)
    for i, width in enumerate([*widths, config.channels]):
        x = _norm("batch" if spectral else config.g_norm, f"bn{i}", layer)(x)
        x = keras.layers.Activation("relu", name=f"relu{i}", **layer)(x)
        if x.shape[1] == config.attention:
            x = _attended(x, normal, layer)
        x = transposed(width, 5, 2, "same", kernel_initializer=normal(), name=f"h{i + 1}", **layer)(
            x
        )  # twice the height and width
    x = keras.layers.Activation("tanh", name="tanh", dtype="float32")(x)
    return keras.Model(z, x, name="generator")


def discriminator(config: Config, seed: int = 0) -> keras.Model:
    """Images (N, S, S, C) in [-1, 1] -> one logit per image (N, 1); seed: of its weights.

    5x5 convolutions of stride 2 down to 4x4, leaky ReLU, norm on all but the first; then linear.
    """
    numbers = iter(range(10**6))
    layer = {"dtype": config.policy}
    spectral = config.d_norm == "spectral"
    conv2d = ops.SpectralConv2D if spectral else keras.layers.Conv2D
    dense = ops.SpectralDense if spectral else keras.layers.Dense

    def normal(kind=keras.initializers.RandomNormal):
        return kind(stddev=0.02, seed=layer_seed(seed, "d", next(numbers)))

    x = image = keras.Input((config.image_size, config.image_size, config.channels), name="image")
    for i, width in enumerate(config.discriminator_widths):
        truncated = normal(keras.initializers.TruncatedNormal)
        x = conv2d(width, 5, 2, "same", kernel_initializer=truncated, name=f"h{i}_conv", **layer)(x)
        if i > 0:
            x = _norm(config.d_norm, f"bn{i}", layer)(x)
        x = keras.layers.Activation(ops.leaky_relu, name=f"lrelu{i}", **layer)(x)  # half the size
        if x.shape[1] == config.attention:
            x = _attended(x, normal, layer)
    x = keras.layers.Flatten()(x)
    x = dense(1, name="lin", kernel_initializer=normal(), **layer)(x)
    x = keras.layers.Activation("linear", name="logit", dtype="float32")(x)
    return keras.Model(image, x, name="discriminator")


def _attended(x, normal, layer: dict):
    """Self-attention beside what there is, from a gain of 0 on (Zhang et al. 2019): x (N, H, W, C)
    -> (N, H, W, C). Kernels are 1x1 and spectrally normalised; as in the authors' program, keys and
    values are halved in size by taking maxima."""
    channels = x.shape[-1]

    def project(y, width, part):
        return ops.SpectralConv2D(
            max(1, width),
            1,
            use_bias=False,
            kernel_initializer=normal(),
            name=f"attention_{part}",
            **layer,
        )(y)

    def halved(y):
        return keras.layers.MaxPooling2D(**layer)(y)

    queries = project(x, channels // 8, "queries")
    keys = halved(project(x, channels // 8, "keys"))
    values = halved(project(x, channels // 2, "values"))
    seen = ops.Attention(name="attention", **layer)([queries, keys, values])
    seen = ops.Gain(name="attention_gain", **layer)(project(seen, channels, "output"))
    return keras.layers.Add(**layer)([x, seen])


def layer_seed(seed: int, network: str, layer: int) -> int:
    """Of the initial weights of a layer, by its number in a network of that letter."""
    return int(np.random.SeedSequence([seed, ord(network), layer]).generate_state(1)[0])


def _norm(kind: str, name: str, layer: dict) -> keras.layers.Layer:
    match kind:
        case "batch":
            norm, options = keras.layers.BatchNormalization, {"momentum": 0.9}
        case "layer":
            norm, options = keras.layers.LayerNormalization, {"axis": (1, 2, 3)}
        case _:
            return keras.layers.Identity(name=name, **layer)
    return norm(epsilon=EPSILON, name=name, **options, **layer)
