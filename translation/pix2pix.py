"""pix2pix: damaged picture to whole picture, learned from pairs (Isola et al. 2017)."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Self

import keras
import numpy as np
import tensorflow as tf

from networks import imagenet, patch, unet
from networks.expectation import completing
from networks.unet_config import UNetConfig
from pictures import codecs, grids
from training import checkpoint, devices, losses
from training.loop import Preview
from training.state import State
from translation.recipe import (
    PENALTY_EVERY,
    PERCEPTUAL_PIXELS,
    Recipe,
    both,
)
from translation.running import in_chunks

SHOWN = 16  # pictures of a preview


class Pix2Pix:
    """Owns the generator, its average, the discriminator and their optimisers; `state` keeps them,
    and `step`, `traced_step` and `preview` are what training.loop asks for."""

    shown = ("l1",)

    def __init__(
        self,
        config: UNetConfig,
        recipe: Recipe = Recipe(),  # noqa: B008 (frozen)
        strategy: tf.distribute.Strategy | None = None,
    ):
        self.config, self.recipe = config, recipe
        self.strategy = strategy or tf.distribute.get_strategy()
        with self.strategy.scope():
            generator = unet.generator(config, recipe.seed)
            if recipe.freeze:
                unet.freeze(generator, recipe.freeze)
            self.discriminator = patch.discriminator(config, recipe.seed)
            self.average = unet.generator(config, recipe.seed) if recipe.ema else None
            self.features: keras.Model | None = None  # of ImageNet, only to train
            self.g_optimizer = _adam(recipe.g_lr, recipe)
            self.d_optimizer = _adam(recipe.d_lr, recipe)
        networks = {"generator": generator, "discriminator": self.discriminator}
        self.state = State(
            kind="pix2pix",
            config=config,
            recipe=recipe,
            networks=networks | ({"average": self.average} if self.average else {}),
            optimizers={
                "g": (self.g_optimizer, "generator"),
                "d": (self.d_optimizer, "discriminator"),
            },
            strategy=self.strategy,
        )
        self._traced = {  # with the adversarial part or without, with D's penalty or without
            key: tf.function(partial(self._step, *key), autograph=False)
            for key in ((False, False), (True, False), (True, True))
        }
        self._forward = tf.function(self._generated, autograph=False)
        self._seen: tuple = ()  # the latest batch

    @classmethod
    def restore(cls, folder: Path | str, warn: Callable = lambda message: None) -> Self:
        """The model that a folder holds, ready to complete. Raises ValueError where there is
        none."""
        saved = checkpoint.load(folder, warn)
        model = cls(*both(saved.config))
        model.state.restore(saved)
        return model

    @property
    def generator(self) -> keras.Model:
        """The one that is trained; restored, its average."""
        return self.state.networks["generator"]

    # Inference

    def inference(self) -> tuple[keras.Model, keras.Model]:
        """What completes, by the averaged generator, and what scores, each as a network by itself:
        see networks.expectation.completing and networks.patch.scoring."""
        generator = self.average or self.generator
        return completing(generator), patch.scoring(self.discriminator, self.config)

    def complete(
        self,
        pictures: np.ndarray,
        masks: np.ndarray,
        fidelity: float,
        width: int,
        hints: np.ndarray | None = None,
    ) -> np.ndarray:
        """The whole pictures, float32 (N, S, S, C) in [-1, 1], by the averaged generator.

        pictures (N, S, S, C) in [-1, 1], masks (N, S, S, 1), 1 = known; what is hidden is never
        read. fidelity: from 0, sharp, to 1, smooth. hints (N, S, S, C): roughly what the holes
        shall show, blurred as what a linear model expects, which is the default. width: pictures
        computed at once; it decides the rounding, and at one width companions and position change
        no bit.
        """
        return in_chunks(self._completed, pictures, masks, fidelity, width, hints)

    def expected(self, pictures: np.ndarray, masks: np.ndarray) -> np.ndarray:
        """What the linear model in front of the residual network expects of pictures (N, S, S, C)
        with masks (N, S, S, 1): float32 (N, S, S, C) in [-1, 1]."""
        layer = self.generator.get_layer("expectation")
        known = np.where(masks > 0, pictures, 0).astype(np.float32)
        made = [layer([known[i : i + 1], masks[i : i + 1]]) for i in range(len(known))]
        return np.clip(np.concatenate(made), -1, 1)

    def _completed(self, *inputs: np.ndarray) -> np.ndarray:
        return self._forward(*map(tf.constant, inputs)).numpy()

    def _generated(self, *inputs: tf.Tensor) -> tf.Tensor:
        network = self.average or self.generator
        return tf.clip_by_value(network(list(inputs), training=False), -1, 1)

    def score(self, pictures: np.ndarray, masks: np.ndarray) -> np.ndarray:
        """How real D finds each of pictures (N, S, S, C) completed in masks' holes: (N,), the sum
        of the means of its maps of logits."""
        judged = [
            self._score(pictures[i : i + 1], masks[i : i + 1], training=False)
            for i in range(len(pictures))  # one by one: companions change no bit
        ]
        return np.concatenate(judged)[:, 0]

    # Training

    def ready_to_train(self) -> None:
        """Make what no completion needs. Raises ValueError where the ImageNet network's weights are
        asked for and missing."""
        if self.recipe.perceptual and self.features is None:
            with self.strategy.scope():
                self.features = imagenet.features_at_least(
                    PERCEPTUAL_PIXELS, self.config.image_size, self.config.channels
                )
        self.state.build_optimizers()

    def step(self, batch: tuple, step: tf.Tensor) -> Mapping[str, tf.Tensor]:
        """One update of both networks on what damage.make_pairs makes: (pictures, masks), or with
        the damaged pictures (pictures, masks, damaged)."""
        self.ready_to_train()
        self._seen = batch
        measured = self._traced_for(self.state.position.step)(*batch, step)
        self.state.changed()
        return measured

    def _traced_for(self, step: int) -> Callable:
        recipe = self.recipe
        adversarial = bool(recipe.adversarial) and step >= recipe.adversarial_from
        penalised = adversarial and bool(recipe.r1) and step % PENALTY_EVERY == 0
        return self._traced[adversarial, penalised]

    def traced_step(self, batch: tuple):
        """The graph of the present step."""
        self.ready_to_train()
        traced = self._traced_for(self.state.position.step)
        return traced.get_concrete_function(*batch, tf.constant(0, tf.int32))

    def preview(self) -> Preview:
        """Rows of the latest batch: damaged, completed sharp, smooth, and true."""
        pictures, masks, *damaged = (devices.local(part)[:SHOWN] for part in self._seen)
        seen = damaged[0] if damaged else np.where(masks > 0, pictures, 0)
        rows = [seen]
        for fidelity in (0.0, 1.0):
            made = self.complete(seen, masks, fidelity, width=len(pictures))
            rows.append(made if damaged else np.where(masks > 0, pictures, made))
        shown = codecs.to_bytes(np.concatenate([*rows, pictures]))
        return Preview({"completed": grids.grid(shown, len(pictures))}, {})

    def _step(self, adversarial: bool, penalised: bool, *batch_and_step) -> dict:
        measured = self.strategy.run(self._replica_step, (adversarial, penalised, *batch_and_step))
        *_, step = batch_and_step
        if self.average:
            recipe = self.recipe
            self.state.update_averages(step, recipe.batch_size, recipe.ema)
        return {
            name: self.strategy.reduce("SUM", value, axis=None) for name, value in measured.items()
        }

    def _replica_step(
        self, adversarial: bool, penalised: bool, true: tf.Tensor, masks: tf.Tensor, *rest
    ) -> dict[str, tf.Tensor]:
        recipe = self.recipe
        *damaged, step = rest
        seen = damaged[0] if damaged else true * masks
        beside = seen if patch.sees_damaged(self.config) else masks  # what D gets besides
        context = tf.distribute.get_replica_context()
        count = true.shape[0]
        smooth = round(recipe.smooth * count)
        hinted = round(recipe.hinted * count) if self.config.guide == "linear" else 0
        adversarial = adversarial and smooth < count
        numbers = tf.range(count)[:, None]
        fidelity = tf.cast(numbers < smooth, tf.float32)
        trust = tf.cast(numbers >= count - hinted, tf.float32)

        def mean(values):  # this replica's share of the mean over the global batch
            return tf.reduce_sum(values) / (count * context.num_replicas_in_sync)

        # Update G.
        _seed_dropout(self.generator, recipe.seed, step)
        with tf.GradientTape() as tape:
            inputs = [seen, masks, fidelity, self._hints(true), trust]
            made = self.generator(inputs, training=True)
            if recipe.whole:
                completed, distance = made, losses.per_image(tf.abs(made - true))
            else:
                completed = masks * true + (1 - masks) * made
                distance = losses.completion_l1(made, true, masks, known=recipe.known)
            loss = recipe.l1 * mean(distance)
            measured = {"l1": mean(distance)}
            sharp = completed[smooth:], true[smooth:], beside[smooth:]
            if self.features and smooth < count:
                unlike = imagenet.distance(self.features(sharp[0]), self.features(sharp[1]))
                loss += recipe.perceptual * mean(unlike)
                measured["perceptual"] = mean(unlike)
            if adversarial:
                g_loss, matching = self._generator_losses(*sharp)
                loss += recipe.adversarial * mean(g_loss)
                loss += recipe.feature_matching * mean(matching)
                measured |= {"g_loss": mean(g_loss), "feature_matching": mean(matching)}
        _update(self.generator, self.g_optimizer, tape, loss, recipe.clip_norm)
        if not adversarial:
            self.state.share_statistics()
            return measured

        # Update D, by the pictures that G has just been judged on.
        sharp = [tf.stop_gradient(part) for part in sharp]
        with tf.GradientTape() as tape:
            d_loss = mean(self._discriminator_loss(*sharp, penalised))
            loss = recipe.d_weight * d_loss
        _update(self.discriminator, self.d_optimizer, tape, loss, recipe.clip_norm)
        self.state.share_statistics()
        return measured | {"d_loss": d_loss}

    def _hints(self, true: tf.Tensor) -> tf.Tensor:
        """What the linear model makes of whole pictures: rough, and right."""
        if self.config.guide == "none":
            return tf.zeros_like(true)
        return self.generator.get_layer("expectation")([true, tf.ones_like(true[..., :1])])

    def _generator_losses(self, completed, true, masks) -> tuple[tf.Tensor, tf.Tensor]:
        """Of G, and the distance of D's features of the completed from the true, each (N,)."""
        maps, features = self._judged(completed, masks)
        _, wanted = self._judged(true, masks)
        g_loss = sum(losses.generator_loss(self.recipe.loss, logits) for logits in maps)
        if not features:
            return g_loss, tf.zeros_like(g_loss)
        pairs = zip(features, wanted, strict=True)
        distances = [
            losses.per_image(tf.abs(mine - tf.stop_gradient(other))) for mine, other in pairs
        ]
        return g_loss, sum(distances) / len(distances)

    def _discriminator_loss(self, completed, true, masks, penalised: bool) -> tf.Tensor:
        """Its losses on true and completed pictures over all its maps, and its penalty: (N,)."""
        recipe = self.recipe
        real, fake = (self._judged(pictures, masks)[0] for pictures in (true, completed))
        pairs = zip(real, fake, strict=True)
        loss = sum(sum(losses.discriminator_losses(recipe.loss, *pair)) for pair in pairs)
        if penalised:
            penalty = losses.r1_penalty(lambda x: self._score(x, masks), true)
            loss += PENALTY_EVERY * recipe.r1 * penalty
        return loss

    def _score(self, pictures: tf.Tensor, masks: tf.Tensor, training: bool = True) -> tf.Tensor:
        """The sum of the means of D's maps, (N, 1)."""
        maps, _ = self._judged(pictures, masks, training)
        return sum(losses.per_image(logits) for logits in maps)[:, None]

    def _judged(self, pictures, masks, training: bool = True) -> tuple[list, list]:
        """D's maps of logits, and its features."""
        outputs = keras.tree.flatten(self.discriminator([pictures, masks], training=training))
        count = patch.MAPS[self.config.network]
        return outputs[:count], outputs[count:]


def _update(
    network: keras.Model,
    optimizer: keras.Optimizer,
    tape: tf.GradientTape,
    loss: tf.Tensor,
    clip_norm: float,
) -> None:
    variables = network.trainable_variables
    gradients = tape.gradient(loss, [v.value for v in variables])
    if clip_norm:  # of the whole gradient: Keras would clip each replica's share of it
        context = tf.distribute.get_replica_context()
        gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        gradients, _ = tf.clip_by_global_norm(gradients, clip_norm)
        gradients = [gradient / context.num_replicas_in_sync for gradient in gradients]
    optimizer.apply(gradients, variables)  # which adds up what the replicas have


def _seed_dropout(network: keras.Model, seed: int, step: tf.Tensor) -> None:
    """What dropout draws depends on the step alone, so that a resumed run draws the same."""
    for number, layer in enumerate(network.layers):
        if isinstance(layer, keras.layers.Dropout):
            state = layer.seed_generator.state
            state.assign(tf.cast(tf.stack([(seed + number) % 2**31, step]), state.dtype))


def _adam(learning_rate: float, recipe: Recipe) -> keras.optimizers.Adam:
    return keras.optimizers.Adam(
        learning_rate,
        beta_1=recipe.beta1,
        beta_2=recipe.beta2,
        epsilon=1e-8,
    )
