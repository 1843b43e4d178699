"""The two networks of the DCGAN, built from its configuration with Keras' layers."""

from collections.abc import Iterator

import keras
import numpy as np

import ops
from networks import strided
from networks.config import Config

EPSILON = 1e-5


CLASS_WIDTH = 32  # of the embedding of classes that all norms share (Brock et al. 2019)


def generator(config: Config, seed: int = 0) -> keras.Model:
    """z (N, z_dim), or [z, classes (N, K)] -> images (N, S, S, C) in [-1, 1] (Radford et al. 2016);
    seed: of its weights.

    Projection to 4x4, then 5x5 transposed convolutions of stride 2, each with norm and ReLU; tanh.
    classes: rows of 0 and a 1, if the configuration has any.
    """
    make = _Layers(config, seed, "g", spectral=config.g_norm == "spectral")
    first, *widths = config.generator_widths
    z, classes = keras.Input((config.z_dim,), name="z"), make.classes()
    x = make.dense(z, 16 * first, "h0_lin")
    if config.condition == "concat":  # as if the class were joined to z
        x = keras.layers.Add(**make.layer)([x, make.of_class(classes, 16 * first, "h0_lin_class")])
    embedding = None
    if config.condition == "norm":
        embedding = make.of_class(classes, CLASS_WIDTH, "class", deviation=1.0)
    x = keras.layers.Reshape((4, 4, first))(x)  # (N, 4, 4, first)

    def stage(x, i: int, width: int, own: str = ""):
        if embedding is None:
            x = make.norm(x, "none" if config.g_norm == "none" else "batch", f"bn{i}{own}")
        else:
            x = make.class_norm(x, embedding, f"bn{i}{own}")
        x = keras.layers.Activation("relu", name=f"relu{i}{own}", **make.layer)(x)
        x = make.attended(x, own)
        return make.transposed(x, width, f"h{i + 1}{own}")  # twice the height and width

    stages = list(enumerate([*widths, config.channels]))
    shared = len(stages) - config.coupled
    x = _through(stage, x, stages[:shared])
    if config.coupled:
        x = ops.Chosen(name="chosen", **make.layer)(
            [classes, *(_through(stage, x, stages[shared:], own) for own in make.owners())]
        )
    x = keras.layers.Activation("tanh", name="tanh", dtype="float32")(x)
    return keras.Model([z, classes] if config.classes else z, x, name="generator")


def discriminator(config: Config, seed: int = 0) -> keras.Model:
    """Images (N, S, S, C) in [-1, 1], or [images, classes (N, K)] -> one logit per image (N, 1);
    seed: of its weights.

    5x5 convolutions of stride 2 down to 4x4, leaky ReLU, norm on all but the first; then linear.
    """
    make = _Layers(config, seed, "d", spectral=config.d_norm == "spectral")
    side = config.image_size
    image, classes = keras.Input((side, side, config.channels), name="image"), make.classes()

    def stage(x, i: int, width: int, own: str = ""):
        x = make.convolution(x, width, f"h{i}_conv{own}")
        if i == 0 and config.condition == "concat":  # as if the class were joined to the image
            told = make.of_class(classes, width, "h0_conv_class")
            x = keras.layers.Add(**make.layer)([x, keras.layers.Reshape((1, 1, width))(told)])
        if i > 0:
            x = make.norm(x, config.d_norm, f"bn{i}{own}")
        x = keras.layers.Activation(ops.leaky_relu, name=f"lrelu{i}{own}", **make.layer)(x)
        return make.attended(x, own)  # half the size

    x, stages = image, list(enumerate(config.discriminator_widths))
    if config.coupled:
        x = ops.Chosen(name="chosen", **make.layer)(
            [classes, *(_through(stage, x, stages[: config.coupled], o) for o in make.owners())]
        )
    x = _through(stage, x, stages[config.coupled :])
    features = keras.layers.Flatten()(x)
    x = make.dense(features, 1, "lin")
    if config.condition == "norm":
        x = keras.layers.Add(**make.layer)([x, make.projected(features, classes)])
    x = keras.layers.Activation("linear", name="logit", dtype="float32")(x)
    return keras.Model([image, classes] if config.classes else image, x, name="discriminator")


def _through(stage, x, stages: list, own: str = ""):
    for i, width in stages:
        x = stage(x, i, width, own)
    return x


class _Layers:
    """Makes the layers of a network, whose weights the seed decides in the order made."""

    def __init__(self, config: Config, seed: int, network: str, spectral: bool):
        self._config, self._seed, self._network = config, seed, network
        self._spectral, self._made = spectral, 0
        self.layer = {"dtype": config.policy}

    def _normal(self, kind=keras.initializers.RandomNormal, deviation: float = 0.02):
        self._made += 1
        seed = layer_seed(self._seed, self._network, self._made - 1)
        return kind(stddev=deviation, seed=seed)

    def classes(self):
        """An input of classes, if there are any."""
        names = self._config.classes
        return keras.Input((len(names),), name="classes") if names else None

    def owners(self) -> Iterator[str]:
        """What the names of each class's own layers end with. They start alike, so that one z is
        the same picture in each class, until classes ask for differences."""
        made = self._made
        for number in range(len(self._config.classes)):
            self._made = made
            yield f"_class{number}"

    def dense(self, x, width: int, name: str, bias: bool = True):
        kind = ops.SpectralDense if self._spectral else keras.layers.Dense
        start = self._normal()
        return kind(width, use_bias=bias, kernel_initializer=start, name=name, **self.layer)(x)

    def of_class(self, classes, width: int, name: str, deviation: float = 0.02):
        start = self._normal(deviation=deviation)
        return keras.layers.Dense(
            width, use_bias=False, kernel_initializer=start, name=name, **self.layer
        )(classes)

    def transposed(self, x, width: int, name: str):
        kind = ops.SpectralConv2DTranspose if self._spectral else strided.Conv2DTranspose
        start = self._normal()
        return kind(width, 5, 2, "same", kernel_initializer=start, name=name, **self.layer)(x)

    def convolution(self, x, width: int, name: str):
        kind = ops.SpectralConv2D if self._spectral else strided.Conv2D
        start = self._normal(keras.initializers.TruncatedNormal)
        return kind(width, 5, 2, "same", kernel_initializer=start, name=name, **self.layer)(x)

    def norm(self, x, kind: str, name: str, **options):
        match kind:
            case "batch":
                norm, options = keras.layers.BatchNormalization, {"momentum": 0.9} | options
            case "layer":
                norm, options = keras.layers.LayerNormalization, {"axis": (1, 2, 3)}
            case _:
                return keras.layers.Identity(name=name, **self.layer)(x)
        return norm(epsilon=EPSILON, name=name, **options, **self.layer)(x)

    def class_norm(self, x, embedding, name: str):
        """Batch norm, then the class's own gains and shifts (Miyato & Koyama 2018)."""
        x = self.norm(x, "batch", name, center=False, scale=False)
        told = [
            self.of_class(embedding, x.shape[-1], f"{name}_{part}") for part in ("gain", "shift")
        ]
        return ops.ScaleAndShift(name=f"{name}_class", **self.layer)([x, *told])

    def projected(self, features, classes):
        """The features' product with a vector of their class (Miyato & Koyama 2018, equation 4)."""
        told = self.dense(classes, features.shape[-1], "projection", bias=False)
        return keras.layers.Dot(axes=1, **self.layer)([features, told])

    def attended(self, x, own: str = ""):
        """x (N, H, W, C), where it is of the side that is asked for with self-attention beside it,
        from a gain of 0 on (Zhang et al. 2019).

        Kernels are 1x1 and spectrally normalised; as in the authors' program, keys and values are
        halved in size by taking maxima.
        """
        if x.shape[1] != self._config.attention:
            return x
        channels = x.shape[-1]

        def project(y, width: int, part: str):
            start, name = self._normal(), f"attention_{part}{own}"
            return ops.SpectralConv2D(
                max(1, width), 1, use_bias=False, kernel_initializer=start, name=name, **self.layer
            )(y)

        def halved(y):
            return keras.layers.MaxPooling2D(**self.layer)(y)

        queries = project(x, channels // 8, "queries")
        keys = halved(project(x, channels // 8, "keys"))
        values = halved(project(x, channels // 2, "values"))
        seen = ops.Attention(name=f"attention{own}", **self.layer)([queries, keys, values])
        seen = project(seen, channels, "output")
        seen = ops.Gain(name=f"attention_gain{own}", **self.layer)(seen)
        return keras.layers.Add(**self.layer)([x, seen])


def layer_seed(seed: int, network: str, layer: int) -> int:
    """Of the initial weights of a layer, by its number in a network of that letter."""
    return int(np.random.SeedSequence([seed, ord(network), layer]).generate_state(1)[0])
