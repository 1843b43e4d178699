"""Networks that paint: Johnson's, which knows its styles, and the decoder of AdaIN.

Both take pictures of any size. Borders are reflected, and enlarging is by nearest pixels and a
convolution, which leaves no chequered pattern (Dumoulin et al., arXiv 1610.07629, appendix).
"""

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers

from networks.style_config import StyleConfig
from ops import EPSILON, ConditionalInstanceNorm, adaptive_instance_norm, moments

# Directions of colour, orthonormal: brightness and two of hue, which hardly go together in
# photographs, so that each can be given a style's moments by itself (Reinhard et al. 2001).
DIRECTIONS = np.float32([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt(np.float32([[3], [2], [6]]))


def transformation(config: StyleConfig, seed: int = 0) -> keras.Model:
    """[pictures (N, H, W, 3) in [-1, 1], shares (N, styles)] -> painted pictures, the same.

    H and W are multiples of 4. The image transformation network of Johnson et al. (arXiv
    1603.08155): F filters, halved twice to 4 F, residual blocks, doubled twice. Unlike theirs it
    changes the picture, in the beginning hardly, then norms its colours, see `begin_with`; and its
    outermost convolutions are of 3x3: those of 9x9 learn several times slower.
    """
    conv = _Convolutions(seed)
    picture, shares = inputs = [
        keras.Input((None, None, 3), name="picture"),
        keras.Input((len(config.styles),), name="shares"),
    ]

    def normed(x, width: int, name: str, **options):
        x = conv(x, width, name, **options)
        if config.norm == "batch":
            return layers.BatchNormalization(momentum=0.9, epsilon=EPSILON, name=f"{name}_norm")(x)
        return ConditionalInstanceNorm(len(config.styles), name=f"{name}_norm")([x, shares])

    x = layers.ReLU()(normed(picture, config.filters, "in"))
    for level in (1, 2):
        x = layers.ReLU()(normed(x, config.filters * 2**level, f"down{level}", stride=2))
    for number in range(config.residual):  # (N, H/4, W/4, 4 F)
        inner = layers.ReLU()(normed(x, x.shape[3], f"block{number}_1"))
        x = layers.Add()([x, normed(inner, x.shape[3], f"block{number}_2")])
    for level in (1, 0):
        x = layers.UpSampling2D()(x)
        x = layers.ReLU()(normed(x, config.filters * 2**level, f"up{level}"))
    x = conv.change(directions(picture), x)
    x = ConditionalInstanceNorm(len(config.styles), name="colours")([x, shares])
    return keras.Model(inputs, _pixels(x), name="transformation")


def begin_with(network: keras.Model, styles: Sequence[np.ndarray]) -> None:
    """Have a fresh transformation network paint in the colours of styles, (1, h, w, 3) in [-1, 1]
    each: with their moments."""
    parts = zip(*(moments(directions(style)) for style in styles), strict=True)
    beta, gamma = (keras.ops.concatenate(part)[:, 0, 0] for part in parts)
    network.get_layer("colours").gamma.assign(gamma)
    network.get_layer("colours").beta.assign(beta)


def directions(pictures):
    """(N, H, W, 3), the pixels along DIRECTIONS."""
    return keras.ops.conv(pictures, DIRECTIONS.T[None, None])


def _pixels(x):
    """Back from directions, in [-1, 1]."""
    return keras.ops.clip(keras.ops.conv(x, DIRECTIONS[None, None]), -1, 1)


def decoder(
    config: StyleConfig, channels: Sequence[int], strides: Sequence[int], seed: int = 0
) -> keras.Model:
    """[directions of pixels (N, H, W, 3), *maps (N, H/s, W/s, C), one for each of channels and
    strides s, the coarsest last] -> pictures (N, H, W, 3) in [-1, 1].

    From the coarsest map it doubles until the next one's size, and takes that in beside; what comes
    of it is added to the pixels, whose colours keep their moments. Huang and Belongie (arXiv
    1703.06868) decode one map alone, of 512 channels; one of few channels holds too little of a
    picture. Nor have they norms, which would undo AdaIN; here a picture's features are scaled
    together, without which training diverges.
    """
    conv = _Convolutions(seed)
    inputs = [keras.Input((None, None, width)) for width in (3, *channels)]
    pixels, *finer, x = inputs
    stride, number, x = strides[-1], 0, _scaled(x)
    finer = dict(zip(strides, map(_scaled, finer), strict=False))
    while True:
        width = config.filters * min(stride, 4)
        for _ in range(2):
            x = layers.ReLU()(_scaled(conv(x, width, f"conv{number}")))
            number += 1
        if stride == 1:
            break
        x, stride = layers.UpSampling2D()(x), stride // 2
        if stride in finer:
            x = layers.Concatenate()([x, finer[stride]])
    x = adaptive_instance_norm(conv.change(pixels, x), pixels)
    return keras.Model(inputs, _pixels(x), name="decoder")


def _scaled(x):
    """(N, H, W, C) with a mean square of 1 in each picture; its channels keep their proportions."""
    squares = keras.ops.mean(keras.ops.square(x), axis=(1, 2, 3), keepdims=True)
    return x * keras.ops.rsqrt(squares + EPSILON)


class _Convolutions:
    """Makes 3x3 convolutions with reflected borders, whose initial weights the seed decides, in the
    order made."""

    def __init__(self, seed: int):
        self._seeds = iter(np.random.SeedSequence([seed, 7]).generate_state(200))

    def __call__(self, x, width: int, name: str, stride: int = 1, gain: float = 2.0):
        x = keras.ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
        start = keras.initializers.VarianceScaling(gain, seed=int(next(self._seeds)))
        return layers.Conv2D(width, 3, stride, kernel_initializer=start, name=name)(x)

    def change(self, pictures, x):
        """Pictures changed by what the last features x tell, in the beginning hardly."""
        return layers.Add()([pictures, self(x, 3, "out", gain=1e-4)])
