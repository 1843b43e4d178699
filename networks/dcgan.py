"""The two networks of the DCGAN, built from its configuration with stock Keras layers."""

import dataclasses

import keras
import numpy as np

import ops
from networks.config import Config

EPSILON = 1e-5
_STATISTICS = ("gamma", "beta", "moving_mean", "moving_variance")


def generator(config: Config, dense: type = keras.layers.Dense) -> keras.Model:
    """z (N, z_dim) -> images (N, S, S, C) in [-1, 1] (Radford et al. 2016).

    Projection to 4x4, then 5x5 transposed convolutions of stride 2, each with norm and ReLU; tanh.
    dense: the class of the projection's layer.
    """
    seeds = iter(range(10**6))
    layer = {"dtype": keras.DTypePolicy(_policy(config))}

    def normal():
        return keras.initializers.RandomNormal(stddev=0.02, seed=_seed(config, "g", next(seeds)))

    first, *widths = config.generator_widths
    z = keras.Input((config.z_dim,), name="z")
    x = dense(16 * first, kernel_initializer=normal(), name="h0_lin", **layer)(z)
    x = keras.layers.Reshape((4, 4, first))(x)  # (N, 4, 4, first)
    for i, width in enumerate([*widths, config.channels]):
        x = _norm(config.g_norm, f"bn{i}", layer)(x)
        x = keras.layers.Activation("relu", name=f"relu{i}", **layer)(x)
        x = keras.layers.Conv2DTranspose(
            width, 5, 2, "same", kernel_initializer=normal(), name=f"h{i + 1}", **layer
        )(x)  # twice the height and width
    x = keras.layers.Activation("tanh", name="tanh", dtype="float32")(x)
    return keras.Model(z, x, name="generator")


def discriminator(config: Config) -> keras.Model:
    """Images (N, S, S, C) in [-1, 1] -> one logit per image (N, 1).

    5x5 convolutions of stride 2 down to 4x4, leaky ReLU, norm on all but the first; then linear.
    """
    seeds = iter(range(10**6))
    layer = {"dtype": keras.DTypePolicy(_policy(config))}
    spectral = config.d_norm == "spectral"
    conv2d = ops.SpectralConv2D if spectral else keras.layers.Conv2D
    dense = ops.SpectralDense if spectral else keras.layers.Dense

    def normal(kind):
        return {"kernel_initializer": kind(stddev=0.02, seed=_seed(config, "d", next(seeds)))}

    x = image = keras.Input((config.image_size, config.image_size, config.channels), name="image")
    for i, width in enumerate(config.discriminator_widths):
        truncated = normal(keras.initializers.TruncatedNormal)
        x = conv2d(width, 5, 2, "same", name=f"h{i}_conv", **truncated, **layer)(x)
        if i > 0:
            x = _norm(config.d_norm, f"bn{i}", layer)(x)
        x = keras.layers.Activation(ops.leaky_relu, name=f"lrelu{i}", **layer)(x)  # half the size
    x = keras.layers.Flatten()(x)
    x = dense(1, name="lin", **normal(keras.initializers.RandomNormal), **layer)(x)
    x = keras.layers.Activation("linear", name="logit", dtype="float32")(x)
    return keras.Model(image, x, name="discriminator")


def _policy(config: Config) -> str:
    return "mixed_bfloat16" if config.precision == "bfloat16" else "float32"


def _seed(config: Config, network: str, layer: int) -> int:
    return int(np.random.SeedSequence([config.seed, ord(network), layer]).generate_state(1)[0])


def _norm(kind: str, name: str, layer: dict) -> keras.layers.Layer:
    match kind:
        case "batch":
            norm, options = keras.layers.BatchNormalization, {"momentum": 0.9}
        case "layer":
            norm, options = keras.layers.LayerNormalization, {"axis": (1, 2, 3)}
        case _:
            return keras.layers.Identity(name=name, **layer)
    return norm(epsilon=EPSILON, name=name, **options, **layer)


def for_inference(config: Config) -> Config:
    """The configuration of the networks that `fold` fills: without batch and spectral norm."""
    d_norm = "layer" if config.d_norm == "layer" else "none"
    return dataclasses.replace(config, loss="gan", g_norm="none", d_norm=d_norm)


def fold(weights: dict[str, np.ndarray], network: keras.Model, name: str) -> None:
    """Make a network of for_inference's compute what the one of these weights does at inference.

    weights: by name, as "generator/h1/kernel"; name: which of them. A norm with fixed statistics
    scales and shifts each channel, so it moves into the kernel and bias before it, computed in
    float64: fewer operations, and less rounding, in every evaluation of a search.
    """
    for variable in network.weights:
        layer, part = variable.path.split("/")
        value = weights[f"{name}/{layer}/{part}"]
        if part in ("kernel", "bias"):
            value = _fold(weights, f"{name}/{layer}", part, value)
        variable.assign(value)


def _fold(weights: dict[str, np.ndarray], layer: str, part: str, value: np.ndarray) -> np.ndarray:
    """The kernel or bias of "network/layer" with the norm that follows it, if one does."""
    value = value.astype(np.float64)
    if part == "kernel" and f"{layer}/u" in weights:
        matrix = value.reshape(-1, value.shape[-1])
        u = weights[f"{layer}/u"].astype(np.float64)  # (1, fan out)
        v = u @ matrix.T
        value = value / np.linalg.norm(v / np.linalg.norm(v) @ matrix)
    network, name = layer.split("/")
    number = name.removeprefix("h").split("_")[0]
    norm = {k: weights.get(f"{network}/bn{number}/{k}") for k in _STATISTICS}
    if norm["moving_mean"] is None:
        return value
    norm = {k: v.astype(np.float64) for k, v in norm.items()}
    scale = norm["gamma"] / np.sqrt(norm["moving_variance"] + EPSILON)
    if part == "kernel":
        if network != "discriminator" and value.ndim == 4:  # transposed: (height, width, out, in)
            return value * scale[:, None]
        return value * np.resize(scale, value.shape[-1])  # the projection makes 4x4 positions
    shift = norm["beta"] - norm["moving_mean"] * scale
    return value * np.resize(scale, value.size) + np.resize(shift, value.size)
