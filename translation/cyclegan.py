"""CycleGAN: from one set of pictures to another and back, without pairs (Zhu et al. 2017)."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Self

import keras
import numpy as np
import tensorflow as tf

from networks import patch, resnet
from pictures import codecs, grids
from training import checkpoint, devices, losses
from training.loop import Preview
from training.state import State
from translation.cycle_recipe import CycleConfig, CycleRecipe, both

SHOWN = 8  # pictures of a preview
WAYS = ("ab", "ba")


class CycleGAN:
    """Owns the generators A to B ("ab") and B to A ("ba"), their averages, a discriminator of each
    set and their optimisers; `state` keeps them, and `step`, `traced_step` and `preview` are what
    training.loop asks for."""

    shown = ("cycle",)

    def __init__(
        self,
        config: CycleConfig,
        recipe: CycleRecipe = CycleRecipe(),  # noqa: B008 (frozen)
        strategy: tf.distribute.Strategy | None = None,
    ):
        self.config, self.recipe = config, recipe
        self.strategy = strategy or tf.distribute.get_strategy()
        if recipe.pool and self.strategy.num_replicas_in_sync > 1:
            raise ValueError(f"pool is {recipe.pool}, which one device keeps; choose 0 for several")
        with self.strategy.scope():
            networks, optimizers, pools = {}, {}, {}
            for number, (way, made) in enumerate((("ab", "b"), ("ba", "a"))):
                seed = 2 * recipe.seed + number
                networks[f"generator_{way}"] = _generator(config, seed)
                networks[f"discriminator_{made}"] = _discriminator(config, seed)
                if recipe.ema:
                    networks[f"average_{way}"] = _generator(config, seed)
                optimizers[f"g_{way}"] = _adam(recipe.g_lr, recipe), f"generator_{way}"
                optimizers[f"d_{made}"] = _adam(recipe.d_lr, recipe), f"discriminator_{made}"
                if recipe.pool:
                    pools[f"pool_{made}"] = _pool(config, recipe.pool)
        self.pools = pools
        self.state = State(
            kind="cyclegan",
            config=config,
            recipe=recipe,
            networks=networks,
            optimizers=optimizers,
            kept=pools,
            strategy=self.strategy,
        )
        self._traced = tf.function(self._step, autograph=False)
        self._forward = {
            way: tf.function(partial(self._translated, way), autograph=False) for way in WAYS
        }
        self._seen: tuple = ()  # the latest batch

    @classmethod
    def restore(cls, folder: Path | str) -> Self:
        """The model that a folder holds. Raises ValueError where there is none."""
        saved = checkpoint.load(folder)
        model = cls(*both(saved.config))
        model.state.restore(saved)
        return model

    @property
    def networks(self) -> Mapping[str, keras.Model]:
        """By name; restored, averages in the places of their generators too."""
        return self.state.networks

    # Inference

    def translate(self, pictures: np.ndarray, way: str, width: int) -> np.ndarray:
        """Pictures (N, S, S, C) in [-1, 1] of one set as ones of the other, by the averaged
        generator: float32 in [-1, 1]. way: "ab" or "ba"; width: pictures computed at once, so that
        companions change no bit."""
        padded = np.pad(np.float32(pictures), ((0, -len(pictures) % width), (0, 0), (0, 0), (0, 0)))
        made = [
            self._forward[way](padded[first : first + width]).numpy()
            for first in range(0, len(padded), width)
        ]
        return np.concatenate(made)[: len(pictures)]

    def _translated(self, way: str, pictures: tf.Tensor) -> tf.Tensor:
        network = self.networks.get(f"average_{way}") or self.networks[f"generator_{way}"]
        return tf.clip_by_value(network(pictures, training=False), -1, 1)

    # Training

    def step(self, batch: tuple, step: tf.Tensor) -> Mapping[str, tf.Tensor]:
        """One update of all networks on pictures (N, S, S, C) of A and as many of B."""
        self.state.build_optimizers()
        self._seen = batch
        measured = self._traced(*batch, step)
        self.state.changed()
        return measured

    def traced_step(self, batch: tuple):
        """The graph of the step."""
        self.state.build_optimizers()
        return self._traced.get_concrete_function(*batch, tf.constant(0, tf.int32))

    def preview(self) -> Preview:
        """Rows of the latest batch: A, as B, and back; B, as A, and back."""
        rows = []
        for part, way in zip(self._seen, WAYS, strict=True):
            pictures = devices.local(part)[:SHOWN]
            there = self.translate(pictures, way, len(pictures))
            rows += [pictures, there, self.translate(there, way[::-1], len(pictures))]
        shown = codecs.to_bytes(np.concatenate(rows))
        return Preview({"translated": grids.grid(shown, len(rows[0]))}, {})

    def _step(self, a: tf.Tensor, b: tf.Tensor, step: tf.Tensor) -> dict:
        measured = self.strategy.run(self._replica_step, (a, b, step))
        if self.recipe.ema:
            self.state.update_averages(step, self.recipe.batch_size, self.recipe.ema)
        return {
            name: self.strategy.reduce("SUM", value, axis=None) for name, value in measured.items()
        }

    def _replica_step(self, a: tf.Tensor, b: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
        recipe = self.recipe
        context = tf.distribute.get_replica_context()
        pictures = {"a": a, "b": b}

        def mean(values):  # this replica's share of the mean over the global batch
            return tf.reduce_sum(values) / (a.shape[0] * context.num_replicas_in_sync)

        # Update both generators.
        made, measured = {}, {}
        with tf.GradientTape() as tape:
            g_loss, cycle, identity = 0.0, 0.0, 0.0
            for source, target in WAYS:
                there, back = (
                    self.networks[f"generator_{w}"] for w in (source + target, target + source)
                )
                made[target] = there(pictures[source], training=True)
                logits = self.networks[f"discriminator_{target}"](made[target], training=True)
                g_loss += mean(losses.generator_loss(recipe.loss, logits))
                cycle += mean(_distance(back(made[target], training=True), pictures[source]))
                if recipe.identity:
                    same = there(pictures[target], training=True)
                    identity += mean(_distance(same, pictures[target]))
            loss = g_loss + recipe.cycle * (cycle + recipe.identity * identity)
        self._update(tape, loss, [f"g_{way}" for way in WAYS])
        measured = {"g_loss": g_loss, "cycle": cycle}
        measured |= {"identity": identity} if recipe.identity else {}

        # Update both discriminators, half of the time by pictures made earlier.
        with tf.GradientTape() as tape:
            d_loss = sum(
                mean(
                    self._discriminator_loss(
                        name, pictures[name], self._pooled(name, made[name], step), step
                    )
                )
                for name in "ab"
            )
        self._update(tape, d_loss, ["d_a", "d_b"])
        return measured | {"d_loss": d_loss}

    def _discriminator_loss(self, name: str, true, fake, step: tf.Tensor) -> tf.Tensor:
        """Of its true and made pictures, and the penalty of wgan-gp: (N,)."""
        recipe, judge = self.recipe, self.networks[f"discriminator_{name}"]
        logits = [judge(pictures, training=True) for pictures in (true, fake)]
        loss = sum(losses.discriminator_losses(recipe.loss, *logits))
        if recipe.loss != "wgan-gp":
            return loss
        seed = tf.stack([recipe.seed, step])
        position = tf.random.stateless_uniform((true.shape[0], 1, 1, 1), seed)
        return loss + recipe.penalty * losses.gradient_penalty(judge, true, fake, position)

    def _pooled(self, name: str, made: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        """What a discriminator sees of pictures just made (N, S, S, C): until the pool is full, and
        then half of the time, those; else earlier ones, whose places they take (Shrivastava et al.
        2017, section 2.3)."""
        made = tf.stop_gradient(made)
        if not self.recipe.pool:
            return made
        pool, count = self.pools[f"pool_{name}"], made.shape[0]
        held, shown = tf.convert_to_tensor(pool), []
        seeds = tf.stack([self.recipe.seed + 2, step]), tf.stack([self.recipe.seed + 3, step])
        chances = tf.random.stateless_uniform((count,), seeds[0])
        places = tf.random.stateless_uniform((count,), seeds[1], 0, self.recipe.pool, tf.int32)
        for number in range(count):
            stored = step * count + number
            full = stored >= self.recipe.pool
            place = tf.where(full, places[number], stored)
            swaps = tf.logical_or(~full, chances[number] < 0.5)
            earlier = tf.gather(held, place)
            shown.append(tf.where(tf.logical_and(full, swaps), earlier, made[number]))
            kept = tf.where(swaps, made[number], earlier)
            held = tf.tensor_scatter_nd_update(held, [[place]], kept[None])
        pool.assign(held)
        return tf.stack(shown)

    def _update(self, tape: tf.GradientTape, loss: tf.Tensor, names: list[str]) -> None:
        parts = [self.state.optimizers[name] for name in names]
        variables = [self.networks[network].trainable_variables for _, network in parts]
        gradients = tape.gradient(loss, [[v.value for v in part] for part in variables])
        for (optimizer, _), own, part in zip(parts, gradients, variables, strict=True):
            optimizer.apply(own, part)


def _generator(config: CycleConfig, seed: int) -> keras.Model:
    """Adds to a picture, (N, S, S, C), and so begins with what it is given."""
    size = config.image_size
    x = keras.Input((size, size, config.channels), name="picture")
    made = resnet.body(x, config.channels, config.filters, config.blocks, seed, norm=True)
    return keras.Model(x, x + made, name="generator")


def _discriminator(config: CycleConfig, seed: int) -> keras.Model:
    x = keras.Input((config.image_size, config.image_size, config.channels), name="picture")
    return keras.Model(x, patch.patch_logits(x, config.d_filters, seed), name="discriminator")


def _pool(config: CycleConfig, count: int) -> keras.Variable:
    size = config.image_size
    return keras.Variable(
        np.zeros((count, size, size, config.channels), np.float32), trainable=False
    )


def _distance(made: tf.Tensor, true: tf.Tensor) -> tf.Tensor:
    return losses.per_image(tf.abs(made - true))


def _adam(learning_rate: float, recipe: CycleRecipe) -> keras.optimizers.Adam:
    return keras.optimizers.Adam(
        learning_rate, beta_1=recipe.beta1, beta_2=recipe.beta2, epsilon=1e-8
    )
