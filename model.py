"""The DCGAN: one class that trains, samples and completes."""

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from networks import dcgan, imagenet, stylegan
from networks.config import Config
from networks.inference import Inference, batch_width
from pictures import codecs, grids
from search import latent, starts
from search.linear import LinearModel
from search.objective import Objective
from search.space import Space
from training import checkpoint, devices, losses
from training.adversarial import Adversaries
from training.anchor import Anchor
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
        strategy = strategy or tf.distribute.get_strategy()
        with strategy.scope():
            build = stylegan if config.architecture == "style" else dcgan
            generator = build.generator(config, recipe.seed)
            self.discriminator = build.discriminator(config, recipe.seed)
            self.average = build.generator(config, recipe.seed) if recipe.ema else None
            self.g_optimizer = _adam(recipe.g_lr, recipe.beta1)
            self.d_optimizer = _adam(recipe.d_lr, recipe.beta1)
        networks = {"generator": generator, "discriminator": self.discriminator}
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
        self.label: int | None = None  # of the class that is given; see `given`
        self._given: dict[str, DCGAN] = {}
        self._inference: Inference | None = None
        self._traced: dict = {}
        self._seen: dict = {}  # in the latest step: pictures, z and logits

    @property
    def generator(self) -> keras.Model:
        """The one that is trained; restored, its average."""
        return self.state.networks["generator"]

    @cached_property
    def adversaries(self) -> Adversaries:
        """How they are trained."""
        networks = self.generator, self.discriminator
        return Adversaries(self.config, self.recipe, *networks, self.g_optimizer, self.d_optimizer)

    @property
    def path(self) -> Path | None:
        """Where it was restored from."""
        return self.state.path

    @property
    def linear(self) -> LinearModel | None:
        """Of the training pictures."""
        return self.state.linear

    # Inference

    def inference(self) -> Inference:
        """Generator (its average where there is one) and discriminator with norms folded in; they
        follow the weights. Raises ValueError for a model of classes; see `given`."""
        if self.config.classes and self.label is None:
            raise ValueError(f"no class is given; choose from {', '.join(self.config.classes)}")
        if self._inference is None:
            networks = self.average or self.generator, self.discriminator
            self._inference = Inference(self.config, *networks, self.label)
        self._inference.follow(self.state.version)
        return self._inference

    def given(self, name: str) -> "DCGAN":
        """This model, of one of its classes: it samples and completes, and follows the weights."""
        names = self.config.classes
        if name not in names:
            raise ValueError(f"class is {name!r}; choose from {', '.join(names) or 'none'}")
        if name not in self._given:
            view = copy.copy(self)
            view.label, view._inference, view._traced = names.index(name), None, {}
            self._given[name] = view
        return self._given[name]

    def each(self) -> list["DCGAN"]:
        """The model given each of its classes, or alone itself, where there are none or one is
        given."""
        names = self.config.classes if self.label is None else ()
        return [self.given(name) for name in names] or [self]

    @property
    def space(self) -> Space:
        """Where its latents live: z's, or the whitened w's of a style-based generator."""
        return self.inference().space

    def generate(self, z: np.ndarray, width: int | None = None) -> np.ndarray:
        """Latents (N, Z) of the space -> float32 images (N, S, S, C) in [-1, 1]. width: as for
        `complete`."""
        return self.inference().generate(z, width)

    def logits(self, pictures: np.ndarray) -> np.ndarray:
        """D's logits (N,) of float images (N, S, S, C) in [-1, 1]; their mean over the classes."""
        return np.mean([model.inference().logits(pictures) for model in self.each()], axis=0)

    def draw(self, count: int, seed: int = 0, truncation: float = 1.0) -> np.ndarray:
        """`count` latents (count, Z) of the space; number i depends on the seed and i alone."""
        generators = [np.random.default_rng([seed, i]) for i in range(count)]
        rows = [self.space.draw(generator, 1, truncation)[0] for generator in generators]
        return np.array(rows, np.float32)

    def sample(self, count: int, seed: int = 0, truncation: float = 1.0) -> np.ndarray:
        """`count` generated images, float32 (count, S, S, C) in [-1, 1], of one class after the
        other."""
        models = self.each()
        made = [model.generate(model.draw(count, seed, truncation)) for model in models]
        numbers = np.arange(count)
        return np.stack(made)[numbers % len(models), numbers]

    # One training step

    def step(self, batch, step: tf.Tensor) -> dict[str, tf.Tensor]:
        """One step as train_step's; returns its losses, keeps for `preview` what they are of."""
        measured = self.train_step(batch, step)
        real = batch[0] if self.config.classes else batch
        names = ("z", "real_logits", "fake_logits")
        self._seen = {"real": real} | {name: measured.pop(name) for name in names}
        return measured

    def traced_step(self, real):
        """The concrete train_step for batches like this one, which then needs no other tracing."""
        self.ready_to_train()
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

        real: float32 (d_steps * N, S, S, C) in [-1, 1], per replica; of a model of classes, with
        those, float32 (d_steps * N, K), 1 for each one's. step: int32 scalar; with
        recipe.seed it decides every draw. z: (N, z_dim), drawn unless given.
        """
        self.state.changed()
        self.ready_to_train()
        return self._train_step(real, step, z)

    def ready_to_train(self) -> None:
        """Make what no sample needs, once; made inside a step it costs tracing that a second time.
        Raises ValueError where ImageNet's weights are asked for and missing."""
        self.state.build_optimizers()
        if self.recipe.perceptual:
            self.features  # noqa: B018 (made where it is first asked for)

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
        measured = self.adversaries.step(real, step, z, self._anchor())
        self.state.share_statistics()
        return measured

    def _anchor(self) -> Anchor | None:
        if not self.recipe.anchor:
            return None
        if self.linear is None:
            raise ValueError("anchor needs a linear model of the training pictures")
        uniform = self.config.architecture != "style"
        features = self.features if self.recipe.perceptual else None
        return Anchor(self.linear, self.config.z_dim, uniform, features)

    # Completion

    def completion_loss(
        self, z: tf.Tensor, task: "Task", objective: Objective
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Contextual and complete loss, each (N,), at z (N, z_dim), with inference batch norm."""
        networks = self.inference()
        g, d = networks.generator, networks.discriminator
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
        """Of ImageNet, to compare what is around a hole, or what is shown from a picture's z."""
        config = self.config
        with self.state.strategy.scope():
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
            numbers=np.maximum(weights.sum(axis=(1, 2, 3)) * known.shape[3], 1),
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


def _adam(learning_rate: float, beta1: float) -> keras.optimizers.Adam:
    return keras.optimizers.Adam(learning_rate, beta_1=beta1, beta_2=0.999, epsilon=1e-8)
