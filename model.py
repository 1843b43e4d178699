"""The DCGAN: one class that trains, samples and completes."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

import ops
from networks import dcgan, imagenet, stylegan
from networks.config import Config
from networks.folding import fold, folded
from pictures import codecs, grids
from search import latent, starts
from search.linear import LinearModel
from search.objective import Objective
from search.space import Cube, Mapped, Space
from training import checkpoint, devices, losses
from training.adversarial import Adversaries
from training.loop import Preview
from training.recipe import Recipe, both
from training.state import State
from translation.recipe import PERCEPTUAL_PIXELS

ORIGINAL = Objective()


class DCGAN:
    """Owns the generator, its average, the discriminator and their optimisers; `state` keeps them,
    and `step`, `traced_step` and `preview` are what training.loop asks for."""

    shown = ("d_loss", "g_loss")

    def __init__(
        self,
        config: Config,
        recipe: Recipe = Recipe(),  # noqa: B008 (frozen)
        strategy: tf.distribute.Strategy | None = None,
    ):
        recipe.must_suit(config)
        self.config, self.recipe = config, recipe
        self._space: Space = Cube(config.z_dim)
        strategy = strategy or tf.distribute.get_strategy()
        with strategy.scope():
            networks = stylegan if config.architecture == "style" else dcgan
            self.generator = networks.generator(config, recipe.seed)
            self.discriminator = networks.discriminator(config, recipe.seed)
            self.average = networks.generator(config, recipe.seed) if recipe.ema else None
            self.g_optimizer = _adam(recipe.g_lr, recipe.beta1)
            self.d_optimizer = _adam(recipe.d_lr, recipe.beta1)
        self.adversaries = Adversaries(
            config,
            recipe,
            generator=self.generator,
            discriminator=self.discriminator,
            g_optimizer=self.g_optimizer,
            d_optimizer=self.d_optimizer,
        )
        networks = {"generator": self.generator, "discriminator": self.discriminator}
        self.state = State(
            kind="dcgan",
            config=config,
            recipe=recipe,
            networks=networks | ({"average": self.average} if self.average else {}),
            optimizers={
                "g": (self.g_optimizer, "generator"),
                "d": (self.d_optimizer, "discriminator"),
            },
            strategy=strategy,
        )
        self._inference: tuple[keras.Model, keras.Model] | None = None
        self._folded = None  # the version of the weights that it was made from
        self._traced: dict = {}
        self._seen: dict = {}  # in the latest step: pictures, z and logits

    @property
    def path(self) -> Path | None:
        """Where it was restored from."""
        return self.state.path

    @property
    def linear(self) -> LinearModel | None:
        """Of the training pictures."""
        return self.state.linear

    # Inference

    def inference(self) -> tuple[keras.Model, keras.Model]:
        """Generator (its average where there is one), of latents of the space, and discriminator,
        with norms folded in.

        They follow the weights.
        """
        trained = self.average or self.generator
        style = self.config.architecture == "style"
        if self._inference is None:
            made = stylegan.synthesis(trained) if style else trained
            dense = ops.ColumnDense if style else keras.layers.Dense
            self._folds = [
                (made, folded(made, ops.ColumnDense)),
                (self.discriminator, folded(self.discriminator, dense)),
            ]
            generator, discriminator = (target for _, target in self._folds)
            if style:
                generator = stylegan.of_latents(generator, self.config)
            self._inference = generator, discriminator
            self._forward = [  # traced: op by op, a small network costs ten times as much
                tf.function(partial(network, training=False), autograph=False)
                for network in self._inference
            ]
        if self._folded != self.state.version:
            for network, target in self._folds:
                fold(network, target)
            if style:
                self._space = self._fitted_space(trained)
            self._folded = self.state.version
        return self._inference

    def _fitted_space(self, trained: keras.Model) -> Mapped:
        """Of the w's of a style-based generator, which the network of inference takes whitened."""
        forward = tf.function(stylegan.mapping(trained), autograph=False, reduce_retracing=True)

        def mapped(z: np.ndarray) -> np.ndarray:
            return self._in_batches(forward, z, width=min(len(z), 256))

        space = Mapped.fit(mapped, self.config.z_dim)
        per_layer = self._inference[0].get_layer("per_layer")
        per_layer.mean.assign(space.mean)
        per_layer.root.assign(space.root)
        return space

    @property
    def space(self) -> Space:
        """Where its latents live: z's, or the whitened w's of a style-based generator."""
        if self.config.architecture == "style":
            self.inference()
        return self._space

    def generate(self, z: np.ndarray, width: int | None = None) -> np.ndarray:
        """Latents (N, Z) of the space -> float32 images (N, S, S, C) in [-1, 1], by the generator
        at inference, its average where there is one. width: as for `complete`."""
        self.inference()
        return self._in_batches(self._forward[0], z, width)

    def logits(self, pictures: np.ndarray) -> np.ndarray:
        """D's logits (N,) of float images (N, S, S, C) in [-1, 1], with inference batch norm."""
        self.inference()
        return self._in_batches(self._forward[1], pictures)[:, 0]

    @staticmethod
    def _in_batches(forward: Callable, inputs: np.ndarray, width: int | None = None) -> np.ndarray:
        count = len(inputs)
        width = width or batch_width(count)
        padded = np.zeros((count + -count % width, *inputs.shape[1:]), np.float32)
        padded[:count] = inputs
        chunks = np.split(padded, len(padded) // width)
        outputs = [forward(tf.constant(chunk)).numpy() for chunk in chunks]
        return np.concatenate(outputs)[:count]

    def draw(self, count: int, seed: int = 0, truncation: float = 1.0) -> np.ndarray:
        """`count` latents (count, Z) of the space; number i depends on the seed and i alone."""
        generators = [np.random.default_rng([seed, i]) for i in range(count)]
        rows = [self.space.draw(generator, 1, truncation)[0] for generator in generators]
        return np.array(rows, np.float32)

    def sample(self, count: int, seed: int = 0, truncation: float = 1.0) -> np.ndarray:
        """`count` generated images, float32 (count, S, S, C) in [-1, 1]."""
        return self.generate(self.draw(count, seed, truncation))

    # One training step

    def step(self, real, step: tf.Tensor) -> dict[str, tf.Tensor]:
        """One step as train_step's; returns its losses, keeps for `preview` what they are of."""
        measured = self.train_step(real, step)
        names = ("z", "real_logits", "fake_logits")
        self._seen = {"real": real} | {name: measured.pop(name) for name in names}
        return measured

    def traced_step(self, real):
        """The concrete train_step for batches like this one, which then needs no other tracing."""
        self.state.build_optimizers()
        return self._train_step.get_concrete_function(real, tf.constant(0, tf.int32))

    def preview(self) -> Preview:
        """64 samples of the same z's every time, and of the latest step real pictures, z and D's
        probabilities."""
        seen = {name: devices.local(value) for name, value in self._seen.items()}
        pictures = {"G": self.sample(64, self.recipe.seed), "real": seen["real"][:64]}
        return Preview(
            {name: grids.grid(codecs.to_bytes(shown)) for name, shown in pictures.items()},
            {
                "z": seen["z"],
                "d": tf.sigmoid(seen["real_logits"]).numpy(),
                "d_": tf.sigmoid(seen["fake_logits"]).numpy(),
            },
        )

    def train_step(self, real, step: tf.Tensor, z=None) -> dict[str, tf.Tensor]:
        """D's steps, then G's with the same z; returns losses, the last z, and D's logits.

        real: float32 (d_steps * N, S, S, C) in [-1, 1], per replica. step: int32 scalar; with
        recipe.seed it decides every draw. z: (N, z_dim), drawn unless given.
        """
        self.state.changed()
        self.state.build_optimizers()
        return self._train_step(real, step, z)

    @tf.function(autograph=False)
    def _train_step(self, real, step: tf.Tensor, z=None) -> dict[str, tf.Tensor]:
        measured = self.state.strategy.run(self._replica_step, (real, step, z))
        if self.average:
            self.state.update_averages(step, self.recipe.batch_size, self.recipe.ema)
        sums = {
            name: self.state.strategy.reduce("SUM", value, axis=None)
            for name, value in measured["losses"].items()
        }
        return sums | measured["tensors"]

    def _replica_step(self, real: tf.Tensor, step: tf.Tensor, z: tf.Tensor | None) -> dict:
        measured = self.adversaries.step(real, step, z)
        self.state.share_statistics()
        return measured

    # Completion

    def completion_loss(
        self, z: tf.Tensor, task: "Task", objective: Objective
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Contextual and complete loss, each (N,), at z (N, z_dim), with inference batch norm."""
        g, d = self.inference()
        generated = g(z, training=False)
        contextual = losses.contextual_loss(generated, task.pictures, task.weights, objective.norm)
        if objective.lowres:
            contextual += losses.lowres_loss(generated, task.means)
        perceptual = losses.perceptual_loss(objective.perceptual, d(generated, training=False))
        loss = contextual + objective.lam * perceptual
        if objective.features:
            completed = task.masks * task.pictures + (1 - task.masks) * generated
            pair = (self.features(pictures) for pictures in (generated, completed))
            loss += objective.features * imagenet.distance(*pair)
        return contextual, loss

    @cached_property
    def features(self) -> keras.Model:
        """Of ImageNet, to compare what is around a hole."""
        config = self.config
        return imagenet.features_at_least(PERCEPTUAL_PIXELS, config.image_size, config.channels)

    def value_and_grad(self, task: "Task", objective: Objective, width: int) -> latent.ValueAndGrad:
        """z (N, z_dim) -> complete loss (N,) and its gradient (N, z_dim), for latent.search.

        Evaluated `width` images at a time, the last chunk padded: companions change no bit.
        """
        self.inference()  # outside of the graph
        if objective not in self._traced:  # one graph per objective, whatever the pictures
            self._traced[objective] = tf.function(
                partial(self._loss_and_gradient, objective=objective), autograph=False
            )
        chunks = task.chunks(width)

        def evaluate(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            padded = np.zeros((len(chunks) * width, z.shape[1]), np.float32)
            padded[: len(z)] = z
            parts = [
                self._traced[objective](tf.constant(rows), chunk)
                for rows, chunk in zip(np.split(padded, len(chunks)), chunks, strict=True)
            ]
            loss, gradient = (np.concatenate(part) for part in zip(*parts, strict=True))
            return loss[: len(z)], gradient[: len(z)]

        return evaluate

    def _loss_and_gradient(self, z: tf.Tensor, task: "Task", objective: Objective):
        with tf.GradientTape() as tape:
            tape.watch(z)
            loss = self.completion_loss(z, task, objective)[1]
        return loss, tape.gradient(loss, z)

    def complete(
        self,
        pictures: np.ndarray,
        masks: np.ndarray,
        options: latent.Search,
        objective: Objective = ORIGINAL,
        weights: np.ndarray | None = None,
        z: np.ndarray | Sequence[np.ndarray] | None = None,
        means: np.ndarray | None = None,
        expected: np.ndarray | None = None,
        preconditioner: np.ndarray | None = None,
        width: int | None = None,
        first: int = 0,
        space: Space | None = None,
    ) -> Iterator[latent.Step]:
        """Search for the z whose G(z) agrees with what is known; yields every step, writes nothing.

        pictures: (N, S, S, C) in [-1, 1]; masks: (N, S, S, 1), 1 = known; what is hidden is never
        read. weights: of the contextual loss, (N, S, S, 1), default the masks; those of hidden
        pixels say how far to agree there with expected (N, S, S, C), default 0. z: where to start,
        (N, z_dim), or several such, of which each image keeps the best result; default one draw
        from options.seed for all. means: (N, B, B, C), block means that are given, for
        objective.lowres. preconditioner: (N, z_dim, z_dim), see latent.search. width: images
        evaluated at once, see batch_width; it decides the rounding, and at one width companions and
        position change no bit of any image's search. first: number of the first start's draws.
        space: of z, default `space`.
        """
        masks = np.asarray(masks, np.float32)
        known = np.where(masks > 0, np.asarray(pictures, np.float32), 0)
        wanted = known if expected is None else np.where(masks > 0, known, expected)
        weights = masks if weights is None else np.asarray(weights, np.float32)
        if means is None:
            means = np.zeros((len(known), 1, 1, known.shape[3]), np.float32)
        space = space or self.space
        if z is None:
            z = starts.start("random", known, masks, space, seed=options.seed, restart=first)
        task = Task(*(tf.constant(part, tf.float32) for part in (wanted, weights, means, masks)))
        width = width or batch_width(len(known))
        evaluate = self.value_and_grad(task, objective, width)
        return latent.search_restarts(
            evaluate,
            [z] if isinstance(z, np.ndarray) else z,
            options,
            preconditioner=preconditioner,
            space=space,
            first=first,
        )

    # Saving

    def save(self, folder: Path) -> None:
        """Write what samples and completes, no more: restored, it behaves as this model does."""
        self.state.save(folder)

    @classmethod
    def restore(cls, folder: Path | str, warn: Callable = lambda message: None) -> "DCGAN":
        """The model that a checkpoint folder of ours or of TensorFlow 1 holds, ready to sample and
        complete. Raises ValueError where there is none."""
        saved = checkpoint.load(folder, warn)
        saved.must_be("dcgan")
        model = cls(*both(saved.config))
        model.state.restore(saved)
        return model

    def weights(self) -> checkpoint.Arrays:
        """The variables of all networks, by name: "generator/h1/kernel"."""
        return self.state.weights()

    def fingerprint(self) -> str:
        """Tells one model's weights from another's."""
        return self.state.fingerprint()


class Task(NamedTuple):
    """What a search is given: pictures (N, S, S, C) to agree with; weights (N, S, S, 1) of the
    contextual loss; block means (N, B, B, C), unused without objective.lowres; masks (N, S, S, 1),
    unused without objective.features."""

    pictures: tf.Tensor
    weights: tf.Tensor
    means: tf.Tensor
    masks: tf.Tensor

    def chunks(self, width: int) -> list["Task"]:
        """`width` images each, the last padded with blank ones."""
        missing = -len(self.pictures) % width
        padded = [tf.pad(part, [[0, missing], [0, 0], [0, 0], [0, 0]]) for part in self]
        count = len(padded[0]) // width
        return [Task(*parts) for parts in zip(*(tf.split(p, count) for p in padded), strict=True)]


def batch_width(count: int) -> int:
    """How many of `count` images are evaluated at once: 1 if there is one, else always the same.

    On a CPU 8 take 3% longer per image than 32, and fewer are wasted on padding.
    """
    return 1 if count == 1 else 64 if tf.config.list_physical_devices("GPU") else 8


def _adam(learning_rate: float, beta1: float) -> keras.optimizers.Adam:
    return keras.optimizers.Adam(learning_rate, beta_1=beta1, beta_2=0.999, epsilon=1e-8)
