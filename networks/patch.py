"""The one-pass networks' discriminators: judge patches, and the whole, of a completed picture."""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from networks.resnet import instance_norm
from networks.unet import SLOPE
from networks.unet_config import UNetConfig

MAPS = {"residual": 2, "refined": 2, "resnet": 2, "paper": 1}  # of logits, first of the outputs


def discriminator(config: UNetConfig, seed: int = 0) -> keras.Model:
    """[pictures (N, S, S, C), masks (N, S, S, 1)] -> maps of logits, then features; see each.

    The paper's gets the damaged pictures, (N, S, S, C), in place of masks if it `sees_damaged`.
    """
    build = paper_patches if config.network == "paper" else patches_and_whole
    return build(config, seed)


def sees_damaged(config: UNetConfig) -> bool:
    """Whether a discriminator compares with the damaged picture, where no mask tells what it is."""
    return config.network == "paper" and config.damage != "hole"


def scoring(network: keras.Model, config: UNetConfig) -> keras.Model:
    """[pictures, masks] -> how real a discriminator finds each, (N, 1): the sum of the means of its
    maps."""
    maps = keras.tree.flatten(network.outputs)[: MAPS[config.network]]
    means = [ops.mean(keras.layers.Flatten()(logits), axis=1, keepdims=True) for logits in maps]
    return keras.Model(network.inputs, sum(means[1:], means[0]))


def patches_and_whole(config: UNetConfig, seed: int = 0) -> keras.Model:
    """[pictures, masks] -> [patch logits (N, S/4, S/4, 1), whole logit (N, 1), *features].

    Patch logits see fields of 34 pixels (PatchGAN, Isola et al. 2017); the whole logit is of the
    same trunk, halved twice more. The features are the activations between, for feature matching
    (Salimans et al. 2016; Wang et al. 2018). No normalisation: an R1 penalty keeps it smooth.
    """
    conv = _Convolutions(seed, keras.initializers.VarianceScaling, {"scale": 2})
    pictures, masks = inputs = _inputs(config)
    x = ops.concatenate([pictures, masks], axis=3)
    features = []
    for number, (width, stride) in enumerate(((1, 2), (2, 2), (4, 1))):
        x = ops.leaky_relu(conv(x, width * config.d_filters, f"trunk{number}", stride), SLOPE)
        features.append(x)  # (N, S/2, S/2, F), then (N, S/4, S/4, 2 F) and 4 F
    patches = conv(x, 1, "patches", 1)
    for number in range(2):
        x = ops.leaky_relu(conv(x, 4 * config.d_filters, f"whole{number}", 2), SLOPE)
        features.append(x)
    start = keras.initializers.VarianceScaling(1, seed=conv.seed())
    x = keras.layers.Dense(1, kernel_initializer=start, name="whole")(
        keras.layers.GlobalAveragePooling2D()(x)
    )
    return keras.Model(inputs, [patches, x, *features], name="discriminator")


def paper_patches(config: UNetConfig, seed: int = 0) -> keras.Model:
    """[pictures, masks] -> [patch logits (N, S/8 - 2, S/8 - 2, 1)]: the 70-pixel PatchGAN.

    Isola et al. 2017, appendix 6.1.2: C64-C128-C256-C512, 4x4 convolutions, the first three of
    stride 2, batch norm on all but the first. Beside the completed picture it sees the damaged one,
    as theirs sees the input. Small pictures are not halved below 8 pixels.
    """
    pictures, masks = inputs = _inputs(config)
    damaged = masks if sees_damaged(config) else masks * pictures
    x = ops.concatenate([pictures, damaged], axis=3)

    def norm(name: str) -> keras.layers.Layer:
        return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)

    logits = patch_logits(x, config.filters, seed, norm)
    return keras.Model(inputs, [logits], name="discriminator")


def patch_logits(x, filters: int, seed: int, norm: Callable = instance_norm):
    """The layers of paper_patches: (N, S, S, any) -> (N, S/8 - 2, S/8 - 2, 1). norm: makes the
    layer of a name; instance norm is CycleGAN's (Zhu et al. 2017, appendix 7.2)."""
    conv = _Convolutions(seed, keras.initializers.RandomNormal, {"stddev": 0.02})
    for number, width in enumerate((1, 2, 4, 8)):
        stride = 2 if number < 3 and x.shape[1] > 8 else 1
        x = conv(_padded(x), width * filters, f"trunk{number}", stride, "valid")
        if number > 0:
            x = norm(f"trunk{number}_norm")(x)
        x = ops.leaky_relu(x, SLOPE)
    return conv(_padded(x), 1, "patches", 1, "valid")


def _inputs(config: UNetConfig) -> list:
    size = config.image_size
    return [
        keras.Input((size, size, config.channels), name="picture"),
        keras.Input((size, size, config.channels if sees_damaged(config) else 1), name="mask"),
    ]


def _padded(x):
    return ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))


class _Convolutions:
    """Makes 4x4 convolutions whose initial weights the seed decides, in the order made."""

    def __init__(self, seed: int, initializer: type, options: dict):
        self._seeds = iter(np.random.SeedSequence([seed, 3]).generate_state(200))
        self._initializer, self._options = initializer, options

    def seed(self) -> int:
        return int(next(self._seeds))

    def __call__(self, x, width: int, name: str, stride: int, padding: str = "same"):
        start = self._initializer(**self._options, seed=self.seed())
        return keras.layers.Conv2D(width, 4, stride, padding, kernel_initializer=start, name=name)(
            x
        )
