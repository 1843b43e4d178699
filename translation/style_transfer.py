"""Networks that paint in one pass: in styles that they know (Johnson et al. 2016, Dumoulin et al.
2017), or in any (Huang and Belongie 2017)."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import keras
import numpy as np
import tensorflow as tf

import ops
from networks import imagenet
from networks.style_config import StyleConfig
from networks.transformation import begin_with, decoder, directions, transformation
from pictures import codecs, grids
from training import checkpoint, devices
from training.loop import Preview
from training.state import State
from translation.painting import Loss, Style
from translation.style_recipe import StyleRecipe, both

SHOWN = 8  # pictures of a preview
MULTIPLE = 32  # of the sides of what networks see


class StyleTransfer:
    """Owns the network, its average, which paints, and its optimiser; `state` keeps them, and
    `step`, `traced_step` and `preview` are what training.loop asks for. styles: uint8 (h, w, 3),
    those of the configuration, to train a transformation network."""

    shown = ("content", "style")

    def __init__(
        self,
        config: StyleConfig,
        recipe: StyleRecipe = StyleRecipe(),  # noqa: B008 (frozen)
        strategy: tf.distribute.Strategy | None = None,
        styles: Sequence[np.ndarray] = (),
    ):
        self.config, self.recipe, self._pictures = config, recipe, styles
        self.any_style = config.network == "adain"
        self.strategy = strategy or tf.distribute.get_strategy()
        with self.strategy.scope():
            if self.any_style:
                self.encoder = imagenet.features(config.extractor, config.encoder_blocks)
            network, self.average = self._network(), self._network()
            self.optimizer = keras.optimizers.Adam(recipe.learning_rate)
        self.state = State(
            kind="style",
            config=config,
            recipe=recipe,
            networks={"generator": network, "average": self.average},
            optimizers={"g": (self.optimizer, "generator")},
            strategy=self.strategy,
        )
        self._step = tf.function(self._run, autograph=False)
        self._forward = tf.function(self._painted, autograph=False, reduce_retracing=True)
        self._seen: tuple = ()

    def _network(self) -> keras.Model:
        if self.any_style:
            return decoder(self.config, *_measured(self.encoder), self.recipe.seed)
        network = transformation(self.config, self.recipe.seed)
        if self._pictures:
            begin_with(network, [tf.constant(codecs.to_float(s[None])) for s in self._pictures])
        return network

    @property
    def network(self) -> keras.Model:
        """The one that is trained; restored, its average."""
        return self.state.networks["generator"]

    @classmethod
    def of_checkpoint(cls, saved: checkpoint.Checkpoint) -> "StyleTransfer":
        """The model that checkpoint.load has read. Raises ValueError for one of another kind."""
        saved.must_be("style")
        model = cls(*both(saved.config))
        model.state.restore(saved)
        return model

    # Inference

    def paint(
        self,
        pictures: np.ndarray,
        shares: np.ndarray,
        styles: Sequence[np.ndarray] = (),
        alpha: float = 1.0,
    ) -> np.ndarray:
        """Pictures, uint8 (N, H, W, 3), painted: uint8, the same shape. shares (N, styles): how
        much of each style: of those that the network knows, or with AdaIN of `styles`, uint8
        (h, w, 3); then alpha, from 0 to 1, is how far to go (Huang and Belongie, section 6)."""
        _, height, width, _ = pictures.shape
        around = ((0, 0), (0, -height % MULTIPLE), (0, -width % MULTIPLE), (0, 0))
        x = tf.constant(codecs.to_float(np.pad(pictures, around, mode="symmetric")))
        wanted = [tf.constant(codecs.to_float(style[None])) for style in styles]
        made = self._forward(x, tf.constant(shares, tf.float32), wanted, tf.constant(alpha))
        return codecs.to_bytes(made[:, :height, :width].numpy())

    def _painted(self, pictures, shares, styles, alpha) -> tf.Tensor:
        given = [pictures, shares]
        if self.any_style:
            given = self._normed(pictures, shares, styles, alpha)
        return self.average(given, training=False)

    def _normed(self, pictures, shares, styles, alpha) -> list[tf.Tensor]:
        """Colours and features of pictures with the mixed moments of those of styles, (1 or N, h,
        w, 3) each; 1 - alpha of them as they are."""
        encoded = [self._encoded(style) for style in styles]
        mixed = []
        for number, content in enumerate(self._encoded(pictures)):
            parts = [
                shares[:, k, None, None, None] * ops.adaptive_instance_norm(content, maps[number])
                for k, maps in enumerate(encoded)
            ]
            mixed.append(alpha * sum(parts) + (1 - alpha) * content)
        return mixed

    def _encoded(self, pictures) -> list[tf.Tensor]:
        return [directions(pictures), *self.encoder(pictures)]

    # Training

    @cached_property
    def loss(self) -> Loss:
        """What is minimised; raises ValueError where the extractor's weights are missing."""
        with self.strategy.scope():
            return Loss(self.recipe)

    @cached_property
    def styles(self) -> list[Style]:
        """The styles of a transformation network."""
        return [self.loss.style(tf.constant(codecs.to_float(s[None]))) for s in self._pictures]

    def ready_to_train(self) -> None:
        """Make what painting does not need."""
        assert self.any_style or len(self.styles) == len(self.config.styles)
        _ = self.loss
        self.state.build_optimizers()

    def step(self, batch: tuple, step: tf.Tensor) -> Mapping[str, tf.Tensor]:
        """One update on (pictures (N, S, S, 3), and their styles: shares (N, styles), or for AdaIN
        pictures (N, S, S, 3)); both in [-1, 1]."""
        self.ready_to_train()
        self._seen = batch
        measured = self._step(*batch, step)
        self.state.changed()
        return measured

    def traced_step(self, batch: tuple):
        """The graph of the step."""
        self.ready_to_train()
        return self._step.get_concrete_function(*batch, tf.constant(0, tf.int32))

    def preview(self) -> Preview:
        """Rows of the latest batch: the pictures, AdaIN's styles, and the painted ones."""
        pictures, styles = (devices.local(part)[:SHOWN] for part in self._seen)
        ones = tf.ones((len(pictures), 1))
        given = (ones, [styles]) if self.any_style else (styles, [])
        made = self._forward(tf.constant(pictures), *given, tf.constant(1.0)).numpy()
        rows = [pictures, styles, made] if self.any_style else [pictures, made]
        shown = codecs.to_bytes(np.concatenate(rows))
        return Preview({"painted": grids.grid(shown, len(pictures))}, {})

    def measure(self, batch: tuple) -> dict[str, tf.Tensor]:
        """content, style, variation and loss of a batch as `step` takes it, each (N,)."""
        return self._measured_parts(*batch, training=False)

    def _run(self, pictures, styles, step) -> dict:
        measured = self.strategy.run(self._replica_step, (pictures, styles))
        self.state.update_averages(step, self.recipe.batch_size, self.recipe.ema)
        return {name: self.strategy.reduce("SUM", x, axis=None) for name, x in measured.items()}

    def _replica_step(self, pictures: tf.Tensor, styles: tf.Tensor) -> dict[str, tf.Tensor]:
        context = tf.distribute.get_replica_context()
        count = pictures.shape[0] * context.num_replicas_in_sync
        with tf.GradientTape() as tape:
            parts = self._measured_parts(pictures, styles, training=True)
            means = {name: tf.reduce_sum(x) / count for name, x in parts.items()}
        variables = self.network.trainable_variables
        gradients = tape.gradient(means["loss"], [v.value for v in variables])
        self.optimizer.apply(gradients, variables)
        self.state.share_statistics()
        return means

    def _measured_parts(self, pictures, styles, training: bool) -> dict[str, tf.Tensor]:
        network = self.network if training else self.average
        if self.any_style:
            shares = tf.ones_like(pictures[:, 0, 0, :1])
            # The content to keep is what the decoder is given (Huang and Belongie, equation 12).
            made = network(self._normed(pictures, shares, [styles], 1.0), training=training)
            targets = [self.loss.style(styles)]
            content = self._normed_content(pictures, styles)
        else:
            shares, targets = styles, self.styles
            made = network([pictures, shares], training=training)
            content = self.loss.content(pictures)
        parts = self.loss.parts(made, content, targets, shares)
        return parts | {"loss": self.loss.total(parts)}

    def _normed_content(self, pictures, styles) -> list[tf.Tensor]:
        pairs = zip(self.loss.content(pictures), self.loss.content(styles), strict=True)
        return [ops.adaptive_instance_norm(*pair) for pair in pairs]


def _measured(encoder: keras.Model) -> tuple[list[int], list[int]]:
    """The channels and strides of its maps."""
    maps = encoder(tf.zeros((1, MULTIPLE, MULTIPLE, 3)))
    return [m.shape[3] for m in maps], [MULTIPLE // m.shape[1] for m in maps]


def make_batch(
    config: StyleConfig, seed: int, styles: Sequence[np.ndarray], pictures, numbers
) -> tuple[np.ndarray, np.ndarray]:
    """What a step takes: pictures (N, S, S, 3) and a style for each: the shares of those that the
    network knows, or for AdaIN a part of one of `styles`, uint8 (h, w, 3). What is drawn hangs on
    the seed and a picture's number alone, see data.pipeline."""
    if config.network == "transformation":
        return pictures, np.eye(len(config.styles), dtype=np.float32)[numbers % len(config.styles)]
    drawn = []
    for number in numbers:
        rng = np.random.default_rng([seed, number])
        style = styles[rng.integers(len(styles))]
        top, left = (rng.integers(side - config.image_size + 1) for side in style.shape[:2])
        drawn.append(style[top : top + config.image_size, left : left + config.image_size])
    return pictures, codecs.to_float(np.stack(drawn))
