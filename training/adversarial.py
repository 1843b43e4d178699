"""One step of two networks that learn from each other, on one replica."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import keras
import tensorflow as tf

from networks.config import Config
from training import losses
from training.anchor import Anchor
from training.augment import augment, fold_in
from training.recipe import Recipe


class Part(NamedTuple):
    """Rows of a batch that are computed at once: real images, z (N, z_dim), a seed of draws; and a
    list of the classes (N, K) of both the real and the generated ones, empty without classes."""

    real: tf.Tensor
    z: tf.Tensor
    seed: tf.Tensor
    classes: list[tf.Tensor]


class Judged(NamedTuple):
    """Losses of D on real and on generated images and its penalty, each (N,), and its logits."""

    real_loss: tf.Tensor
    fake_loss: tf.Tensor
    penalty: tf.Tensor
    real_logits: tf.Tensor
    fake_logits: tf.Tensor


@dataclass(frozen=True)
class Adversaries:
    """A generator, z (N, z_dim) -> images (N, S, S, C), a discriminator, images -> logits (N, ...),
    and how they are trained. With classes (N, K) both take them as a second input."""

    config: Config
    recipe: Recipe
    generator: keras.Model
    discriminator: keras.Model
    g_optimizer: keras.Optimizer
    d_optimizer: keras.Optimizer

    def step(self, batch, step: tf.Tensor, z: tf.Tensor | None, anchor: Anchor | None) -> dict:
        """D's steps, then G's with the last z. batch: this replica's images (d_steps * N, S, S, C),
        or (images, classes); step, int32, decides every draw; z: (N, z_dim), drawn unless given.
        anchor: what recipe.anchor and recipe.perceptual weigh.

        Returns "losses", this replica's shares of means over the global batch, and "tensors": the
        last z and D's logits.
        """
        recipe = self.recipe
        real, *classes = batch if isinstance(batch, tuple) else (batch,)
        context = tf.distribute.get_replica_context()
        size = tf.shape(real)[0] // recipe.d_steps
        global_size = tf.cast(size * context.num_replicas_in_sync, tf.float32)
        seed = tf.stack([recipe.seed % 2**31, step])  # the draws of this step, on every replica
        own = fold_in(seed, 1 + tf.cast(context.replica_id_in_sync_group, tf.int32))  # on this one

        def mean(values):  # this replica's share of the mean over the global batch
            return tf.reduce_sum(values) / global_size

        # Every replica draws the global z and takes its rows: any number of replicas sees the same.
        zs = [z] if z is not None else self._draw_global_z(size, context, seed)
        batches = zip(*(tf.split(x, recipe.d_steps) for x in (real, *classes)), strict=True)
        for i, (z, (reals, *labels)) in enumerate(zip(zs, batches, strict=True)):
            parts = self._parts(reals, z, own, labels, anchor)
            judged, made = self._update_discriminator(parts, mean, i, step)
        for i in range(recipe.g_steps):
            # First with the images D has just seen: no other forward pass is needed.
            g_loss = self._update_generator(parts, mean, i, made if i == 0 else None, anchor)

        d_loss_real, d_loss_fake = mean(judged.real_loss), mean(judged.fake_loss)
        return {
            "losses": {
                "d_loss_real": d_loss_real,
                "d_loss_fake": d_loss_fake,
                "d_loss": d_loss_real + d_loss_fake + mean(judged.penalty),
                "g_loss": g_loss,
            },
            "tensors": {
                "z": z,
                "real_logits": judged.real_logits,
                "fake_logits": judged.fake_logits,
            },
        }

    def _draw_global_z(self, size: tf.Tensor, context, seed: tf.Tensor) -> list[tf.Tensor]:
        replicas, number = context.num_replicas_in_sync, context.replica_id_in_sync_group
        shape = (self.recipe.d_steps, size * replicas, self.config.z_dim)
        if self.config.architecture == "style":
            z = tf.random.stateless_normal(shape, fold_in(seed, 0))
        else:
            z = tf.random.stateless_uniform(shape, fold_in(seed, 0), -1, 1)
        return tf.unstack(z[:, number * size : (number + 1) * size])

    def _parts(
        self,
        real: tf.Tensor,
        z: tf.Tensor,
        seed: tf.Tensor,
        classes: list,
        anchor: Anchor | None,
    ) -> list[Part]:
        count = self.recipe.accumulate
        seeds = [seed, *(fold_in(seed, 1000 + j) for j in range(1, count))]
        rows = zip(*(tf.split(whole, count) for whole in (real, z, *classes)), strict=True)
        return [
            Part(real, anchor.anchored(z, real) if anchor else z, own, labels)
            for own, (real, z, *labels) in zip(seeds, rows, strict=True)
        ]

    def _update_discriminator(
        self, parts: list[Part], mean: Callable, number: int, step: tf.Tensor
    ) -> tuple[Judged, tuple[tf.Tensor, tf.GradientTape] | None]:
        """What D finds, and the images with their tape where all of them are in memory."""
        variables = self.discriminator.trainable_variables
        found, made = [], []

        def gradients(part: Part) -> list[tf.Tensor]:
            with tf.GradientTape() as g_tape:
                fake = self.generator(_inputs(part.z, part.classes), training=True)
            with tf.GradientTape() as tape:
                seed = fold_in(fold_in(part.seed, 0), number)
                judged = self.discriminator_loss(part.real, fake, seed, step, part.classes)
                loss = mean(judged.real_loss + judged.fake_loss + judged.penalty)
            found.append(judged)
            made.append((fake, g_tape))
            return tape.gradient(loss, [v.value for v in variables])

        self.d_optimizer.apply(_added_up(gradients, parts), variables)
        judged = found[0]
        if len(parts) > 1:
            judged = Judged(*(tf.concat(values, axis=0) for values in zip(*found, strict=True)))
        return judged, made[0] if len(parts) == 1 else None

    def _update_generator(
        self,
        parts: list[Part],
        mean: Callable,
        number: int,
        made: tuple[tf.Tensor, tf.GradientTape] | None,
        anchor: Anchor | None,
    ) -> tf.Tensor:
        """G's loss, by images already made, with their tape, or new ones."""
        variables = self.generator.trainable_variables
        found = []

        def gradients(part: Part) -> list[tf.Tensor]:
            if made is not None:
                fake, g_tape = made
            else:
                with tf.GradientTape() as g_tape:
                    fake = self.generator(_inputs(part.z, part.classes), training=True)
            with tf.GradientTape() as tape:
                tape.watch(fake)
                loss = mean(self.generator_loss(fake, fold_in(part.seed, 1 + number), part.classes))
                found.append(loss)
                if anchor:
                    loss += self.recipe.anchor * mean(anchor.distance(fake, part.real))
                if anchor and self.recipe.perceptual:
                    loss += self.recipe.perceptual * mean(anchor.unlike(fake, part.real))
            return g_tape.gradient(
                fake, [v.value for v in variables], output_gradients=tape.gradient(loss, fake)
            )

        self.g_optimizer.apply(_added_up(gradients, parts), variables)
        return sum(found)

    def discriminator_loss(
        self,
        real: tf.Tensor,
        fake: tf.Tensor,
        seed: tf.Tensor,
        step: tf.Tensor | int = 0,
        classes: Sequence[tf.Tensor] = (),
    ) -> Judged:
        """What D finds of real and of generated images, each (N, S, S, C). step: says whether it is
        time for a lazy penalty."""
        recipe = self.recipe
        real = augment(real, recipe.augment, fold_in(seed, 0))
        fake = augment(fake, recipe.augment, fold_in(seed, 1))
        critic = partial(self._judge, classes=classes)
        real_logits, fake_logits = critic(real), critic(fake)
        real_loss, fake_loss = losses.discriminator_losses(recipe.loss, real_logits, fake_logits)
        penalty = tf.zeros_like(real_loss)
        if recipe.loss == "wgan-gp":
            position = tf.random.stateless_uniform((tf.shape(real)[0], 1, 1, 1), fold_in(seed, 2))
            penalty += 10 * losses.gradient_penalty(critic, real=real, fake=fake, position=position)
        if recipe.r1 and recipe.r1_every == 1:
            penalty += recipe.r1 * losses.r1_penalty(critic, real)
        elif recipe.r1:
            penalty += tf.cond(
                tf.equal(step % recipe.r1_every, 0),
                lambda: recipe.r1 * recipe.r1_every * losses.r1_penalty(critic, real),
                lambda: tf.zeros_like(real_loss),
            )
        return Judged(real_loss, fake_loss, penalty, real_logits, fake_logits)

    def generator_loss(
        self, fake: tf.Tensor, seed: tf.Tensor, classes: Sequence[tf.Tensor] = ()
    ) -> tf.Tensor:
        """Loss of G on its images (N, S, S, C), (N,)."""
        fake = augment(fake, self.recipe.augment, seed)
        return losses.generator_loss(self.recipe.loss, self._judge(fake, classes))

    def _judge(self, images: tf.Tensor, classes: Sequence[tf.Tensor]) -> tf.Tensor:
        return self.discriminator(_inputs(images, classes), training=True)


def _inputs(first: tf.Tensor, classes: Sequence[tf.Tensor]):
    """As a network takes them: one tensor, or a list of two."""
    return [first, *classes] if classes else first


def _added_up(gradients: Callable[[Part], list[tf.Tensor]], parts: Sequence[Part]) -> list:
    """The sum of the parts' gradients, made one after another, in the memory of one."""
    total = gradients(parts[0])
    for part in parts[1:]:
        with tf.control_dependencies(total):
            part = tf.nest.map_structure(tf.identity, part)
            total = [a + b for a, b in zip(total, gradients(part), strict=True)]
    return total
