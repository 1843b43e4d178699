"""A generator and its discriminator as they compute at inference, for samples and searches."""

from collections.abc import Callable
from functools import partial

import keras
import numpy as np
import tensorflow as tf

import ops
from networks import stylegan
from networks.config import Config
from networks.folding import fold, folded
from search.space import Cube, Mapped, Space


class Inference:
    """Both networks with norms folded in, given a class if there are any.

    generator: latents (N, Z) of the space -> images (N, S, S, C); discriminator: images -> logits
    (N, 1). Both are called with training=False, also within a traced function. space: where the
    latents live, z's or the whitened w's of a style-based generator. label: a class by its number.
    `follow` makes all of it that of the weights of the moment.
    """

    def __init__(
        self,
        config: Config,
        generator: keras.Model,
        discriminator: keras.Model,
        label: int | None = None,
    ):
        self._config, self._label, self._version = config, label, None
        self.space: Space = Cube(config.z_dim)
        self._mapping = None
        if config.architecture == "style":
            self._mapping = tf.function(
                self._of_class(stylegan.mapping(generator)), autograph=False, reduce_retracing=True
            )
            generator = stylegan.synthesis(generator)
            pair = folded(generator, ops.ColumnDense), folded(discriminator, ops.ColumnDense)
            self.generator = stylegan.of_latents(pair[0], config)
        else:
            pair = folded(generator, ops.ColumnDense), folded(discriminator)
            self.generator = self._of_class(pair[0])
        self.discriminator = self._of_class(pair[1])
        self._folds = list(zip((generator, discriminator), pair, strict=True))
        self._forward = [  # traced: op by op, a small network costs ten times as much
            tf.function(partial(network, training=False), autograph=False)
            for network in (self.generator, self.discriminator)
        ]

    def _of_class(self, network: keras.Model) -> Callable:
        """The network of one input that is left when the class is given."""
        if self._label is None:
            return network
        row = tf.one_hot([self._label], len(self._config.classes))

        def given(inputs, training: bool = False):
            rows = tf.repeat(row, tf.shape(inputs)[0], axis=0)
            return network([inputs, rows], training=training)

        return given

    def follow(self, version: int) -> None:
        """Take over the weights, unless they have this version already."""
        if self._version == version:
            return
        for network, target in self._folds:
            fold(network, target)
        if self._mapping:
            self.space = Mapped.fit(self._mapped, self._config.z_dim)
            stylegan.set_latents(self.generator, self.space.mean, self.space.root)
        self._version = version

    def _mapped(self, z: np.ndarray) -> np.ndarray:
        """Of a style-based generator, z (N, z_dim) -> w (N, z_dim)."""
        return _in_batches(self._mapping, z, width=min(len(z), 256))

    def generate(self, latents: np.ndarray, width: int | None = None) -> np.ndarray:
        """Latents (N, Z) -> float32 images (N, S, S, C); width: of the batches, see batch_width."""
        return _in_batches(self._forward[0], latents, width)

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Float images (N, S, S, C) in [-1, 1] -> logits (N,)."""
        return _in_batches(self._forward[1], images)[:, 0]


def _in_batches(forward: Callable, inputs: np.ndarray, width: int | None = None) -> np.ndarray:
    count = len(inputs)
    width = width or batch_width(count)
    padded = np.zeros((count + -count % width, *inputs.shape[1:]), np.float32)
    padded[:count] = inputs
    chunks = np.split(padded, len(padded) // width)
    outputs = [forward(tf.constant(chunk)).numpy() for chunk in chunks]
    return np.concatenate(outputs)[:count]


def batch_width(count: int) -> int:
    """How many of `count` images are evaluated at once: 1 if there is one, else always the same.

    On a CPU 8 take 3% longer per image than 32, and fewer are wasted on padding.
    """
    return 1 if count == 1 else 64 if tf.config.list_physical_devices("GPU") else 8
