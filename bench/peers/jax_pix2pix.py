"""One training step of the one-pass network on Keras' JAX backend: peer of translation/pix2pix.py.

The networks are those of networks/, the step does the same in the same order, and the folders are
those of training/checkpoint.py: train-pix2pix.py resumes what was begun here, and the other way
round. jax_train.py trains with it.

What differs: dropout draws other numbers; the moving averages of D's batch norms, which the paper's
network has and only the ranking of alternatives reads, which it has not, stay as they are.

Runs in an environment of its own (requirements-jax.txt beside it).
"""

import math
import os
import sys
from functools import partial
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import jax  # noqa: E402
import keras  # noqa: E402
import numpy as np  # noqa: E402
from jax import numpy as jnp  # noqa: E402

from networks import imagenet, patch, unet  # noqa: E402
from networks.unet_config import UNetConfig  # noqa: E402
from search.linear import LinearModel  # noqa: E402
from training import checkpoint  # noqa: E402
from translation import recipe as recipes  # noqa: E402
from translation.recipe import Recipe  # noqa: E402


class Trainer:
    """Both networks, the average, Adam for each; like translation.pix2pix.Pix2Pix.

    Keras' variables lie in `variables`, by part; their present values in `values`, which a step
    takes and gives back, and which `store` writes into the variables.
    """

    def __init__(self, config: UNetConfig, recipe: Recipe):
        self.config, self.recipe = config, recipe
        self.generator = unet.generator(config, recipe.seed)
        self.discriminator = patch.discriminator(config, recipe.seed)
        self.networks = {"generator": self.generator, "discriminator": self.discriminator}
        if recipe.ema:
            self.networks["average"] = unet.generator(config, recipe.seed)
        self.features = _features(config) if recipe.perceptual else None
        self.optimizers = {
            "g": _adam(recipe.g_lr, recipe, self.generator),
            "d": _adam(recipe.d_lr, recipe, self.discriminator),
        }
        self.variables = {
            "g": self.generator.trainable_variables,
            "g_rest": self.generator.non_trainable_variables,
            "d": self.discriminator.trainable_variables,
            "d_rest": self.discriminator.non_trainable_variables,
            "average": self.networks["average"].weights if recipe.ema else [],
            "g_adam": self.optimizers["g"].variables,
            "d_adam": self.optimizers["d"].variables,
        }
        self.linear: LinearModel | None = None
        self.position = {"step": 0, "epoch": 0, "batch": 0, "batches_per_epoch": 0}
        self.position["best"] = math.inf
        self._compiled = {
            key: jax.jit(partial(self._step, *key), donate_argnums=0)
            for key in ((False, False), (True, False), (True, True))
        }
        self.fetch()

    def learn(self, model: LinearModel) -> None:
        """Keep the linear model of the training pictures, and give it to the networks."""
        self.linear = model
        if self.config.guide == "linear":
            for name in self.networks.keys() - {"discriminator"}:
                self.networks[name].get_layer("expectation").take(model)
        self.fetch()

    def fetch(self) -> None:
        """Take the values of the variables; copies, because a step consumes what it is given."""
        self.values = jax.tree.map(lambda v: jnp.array(v.value, copy=True), self.variables)

    def store(self) -> None:
        for part, variables in self.variables.items():
            for variable, value in zip(variables, self.values[part], strict=True):
                variable.assign(jnp.array(value, copy=True))

    def step(self, true: np.ndarray, masks: np.ndarray) -> dict[str, jax.Array]:
        """One update of both networks on pairs of make_pairs; returns what it measured."""
        recipe, number = self.recipe, self.position["step"]
        adversarial = bool(recipe.adversarial) and number >= recipe.adversarial_from
        penalised = adversarial and bool(recipe.r1) and number % recipes.PENALTY_EVERY == 0
        step = self._compiled[adversarial, penalised]
        self.values, measured = step(self.values, true, masks, number)
        self._advance()
        return measured

    def _advance(self) -> None:
        position = self.position
        position["step"] += 1
        position["batch"] += 1
        if position["batch"] == position["batches_per_epoch"]:
            position["epoch"], position["batch"] = position["epoch"] + 1, 0

    def _step(self, adversarial: bool, penalised: bool, values: dict, true, masks, step):
        recipe, count = self.recipe, len(true)
        smooth = round(recipe.smooth * count)
        adversarial = adversarial and smooth < count

        # Update G.
        values = values | {"g_rest": self._seeded(values["g_rest"], step)}
        inputs = self._inputs(values, true, masks, smooth)
        objective = partial(self._g_objective, adversarial, smooth, values, inputs, true)
        slopes = jax.value_and_grad(objective, has_aux=True)
        (_, (measured, rest, sharp)), gradients = slopes(values["g"])
        changed = {"g_rest": rest} | self._updated("g", values, gradients)

        # Update D, by the pictures that G has just been judged on.
        if adversarial:
            sharp = jax.lax.stop_gradient(sharp)
            objective = partial(self._d_objective, penalised, values, *sharp, count)
            slopes = jax.value_and_grad(objective, has_aux=True)
            (_, d_loss), gradients = slopes(values["d"])
            measured |= {"d_loss": d_loss}
            changed |= self._updated("d", values, gradients)
        values = values | changed
        if recipe.ema:
            values = values | {"average": self._averaged(values, step)}
        return values, measured

    def _inputs(self, values: dict, true, masks, smooth: int) -> list:
        """Of G; the first pictures of a batch are to be smooth, the last ones have hints."""
        count, hints, hinted = len(true), jnp.zeros_like(true), 0
        if self.config.guide == "linear":
            hinted = round(self.recipe.hinted * count)
            layer = self.generator.get_layer("expectation")
            value_of = dict(zip(map(id, self.variables["g_rest"]), values["g_rest"], strict=True))
            own = [value_of[id(v)] for v in layer.non_trainable_variables]
            whole = jnp.ones_like(true[..., :1])
            hints, _ = layer.stateless_call([], own, [true, whole])
        numbers = jnp.arange(count)[:, None]
        wishes = numbers < smooth, numbers >= count - hinted
        fidelity, trust = (wish.astype(jnp.float32) for wish in wishes)
        return [true * masks, masks, fidelity, hints, trust]

    def _g_objective(self, adversarial: bool, smooth: int, values: dict, inputs, true, weights):
        recipe, masks, count = self.recipe, inputs[1], len(true)
        made, rest = self.generator.stateless_call(weights, values["g_rest"], inputs, training=True)
        if recipe.whole:
            completed, distance = made, _per_image(jnp.abs(made - true))
        else:
            completed = masks * true + (1 - masks) * made
            distance = _completion_l1(made, true, masks, recipe.known)
        measured = {"l1": distance.sum() / count}
        loss = recipe.l1 * measured["l1"]
        sharp = completed[smooth:], true[smooth:], masks[smooth:]
        if self.features and smooth < count:
            unlike = imagenet.distance(self.features(sharp[0]), self.features(sharp[1]))
            measured["perceptual"] = unlike.sum() / count
            loss += recipe.perceptual * measured["perceptual"]
        if adversarial:
            maps, features = self._judged(values["d"], values, sharp[0], sharp[2])
            _, wanted = self._judged(values["d"], values, sharp[1], sharp[2])
            g_loss = sum(_generator_loss(recipe.loss, logits) for logits in maps)
            pairs = zip(features, wanted, strict=True)
            distances = [_per_image(jnp.abs(mine - other)) for mine, other in pairs]
            matching = sum(distances) / len(distances) if distances else 0 * g_loss
            measured |= {
                "g_loss": g_loss.sum() / count,
                "feature_matching": matching.sum() / count,
            }
            loss += recipe.adversarial * measured["g_loss"]
            loss += recipe.feature_matching * measured["feature_matching"]
        return loss, (measured, rest, sharp)

    def _d_objective(self, penalised: bool, values: dict, completed, true, masks, count, weights):
        recipe = self.recipe
        real, fake = (
            self._judged(weights, values, pictures, masks)[0] for pictures in (true, completed)
        )
        pairs = zip(real, fake, strict=True)
        loss = sum(_discriminator_loss(recipe.loss, *pair) for pair in pairs)
        if penalised:

            def score(pictures):
                maps, _ = self._judged(weights, values, pictures, masks)
                return sum(_per_image(logits).sum() for logits in maps)

            slope = jnp.square(jax.grad(score)(true)).sum((1, 2, 3))
            loss += recipes.PENALTY_EVERY * recipe.r1 * slope / 2
        d_loss = loss.sum() / count
        return recipe.d_weight * d_loss, d_loss

    def _judged(self, weights: list, values: dict, pictures, masks) -> tuple[list, list]:
        """D's maps of logits, and its features, while training."""
        outputs, _ = self.discriminator.stateless_call(
            weights, values["d_rest"], [pictures, masks], training=True
        )
        outputs = keras.tree.flatten(outputs)
        count = patch.MAPS[self.config.network]
        return outputs[:count], outputs[count:]

    def _updated(self, name: str, values: dict, gradients: list) -> dict:
        """Weights and Adam's variables after an update by clipped gradients."""
        if clip := self.recipe.clip_norm:
            norm = jnp.sqrt(sum(jnp.square(gradient).sum() for gradient in gradients))
            gradients = [g * (clip / jnp.maximum(norm, clip)) for g in gradients]
        optimizer = self.optimizers[name]
        weights, adam = optimizer.stateless_apply(values[f"{name}_adam"], gradients, values[name])
        return {name: weights, f"{name}_adam": adam}

    def _averaged(self, values: dict, step) -> list:
        """See training.state.State.update_averages."""
        batch_size = self.recipe.batch_size
        half_life = jnp.minimum(jnp.maximum(step * batch_size / 20, 1e-3), self.recipe.ema)
        decay = 0.5 ** (batch_size / half_life)
        value_of = {
            id(variable): value
            for part in ("g", "g_rest")
            for variable, value in zip(self.variables[part], values[part], strict=True)
        }
        present = [value_of[id(variable)] for variable in self.generator.weights]
        pairs = zip(values["average"], present, strict=True)
        return [average - (1 - decay) * (average - value) for average, value in pairs]

    def _seeded(self, rest: list, step) -> list:
        """What dropout draws depends on the step alone, so that a resumed run draws the same."""
        return [
            jnp.stack([jnp.uint32(self.recipe.seed + i), jnp.uint32(step)])
            if variable.path.endswith("seed_generator_state")
            else value
            for i, (variable, value) in enumerate(zip(self.variables["g_rest"], rest, strict=True))
        ]

    # Folders

    def save(self, path: Path) -> None:
        """A checkpoint as training.state.State.save_training writes it."""
        self.store()
        named = {f"{name}/{v.path}": v for name, net in self.networks.items() for v in net.weights}
        checkpoint.save(
            path,
            {"kind": "pix2pix", **vars(self.config), **vars(self.recipe)},
            {name: np.array(v) for name, v in named.items()},
            training={name: np.array(v) for name, v in self._adam_variables().items()},
            state=self.position,
            linear=self.linear.to_arrays() if self.linear else None,
        )

    def load(self, folder: Path, training: bool = True) -> None:
        """The weights of a checkpoint, and with `training` everything to go on from it."""
        saved = checkpoint.load(folder)
        found = UNetConfig.from_dict(saved.config)
        problem = f"kind is {saved.kind}" if saved.kind != "pix2pix" else None
        if problem := problem or found.difference(self.config, not training):
            raise ValueError(f"{saved.path}: another model: its {problem}")
        for name, network in self.networks.items():
            own = checkpoint.network_of(name) if name.startswith("average") else name
            for v in network.weights:
                weights = saved.weights
                v.assign(weights.get(f"{name}/{v.path}", weights.get(f"{own}/{v.path}")))
        if training:
            if not saved.training:
                raise ValueError(f"{saved.path}: holds no training state; use --init-from")
            for name, variable in self._adam_variables().items():
                variable.assign(saved.training[name])
            self.linear = LinearModel.from_arrays(saved.linear) if saved.linear else None
            self.position = dict(saved.state)
        self.fetch()

    def _adam_variables(self) -> dict[str, keras.Variable]:
        return {
            f"{name}/{v.name}": v
            for name, optimizer in self.optimizers.items()
            for v in optimizer.variables
            if v.name != "learning_rate"
        }


def _features(config: UNetConfig):
    pixels = recipes.PERCEPTUAL_PIXELS if config.image_size < recipes.PERCEPTUAL_PIXELS else None
    return imagenet.features(pixels=pixels, channels=config.channels)


def _adam(rate: float, recipe: Recipe, network: keras.Model) -> keras.optimizers.Adam:
    optimizer = keras.optimizers.Adam(rate, beta_1=recipe.beta1, beta_2=recipe.beta2, epsilon=1e-8)
    optimizer.build(network.trainable_variables)
    return optimizer


# Losses, one value per image, as in training/losses.py


def _per_image(values):
    return values.reshape(len(values), -1).mean(1)


def _completion_l1(made, true, masks, known: float):
    difference = jnp.abs(made - true).mean(3, keepdims=True)

    def mean(weights):
        return (difference * weights).sum((1, 2, 3)) / (weights.sum((1, 2, 3)) + 1)

    return mean(1 - masks) + known * mean(masks)


def _generator_loss(kind: str, fake):
    return _per_image(jax.nn.softplus(-fake) if kind == "gan" else -fake)


def _discriminator_loss(kind: str, real, fake):
    if kind == "gan":
        return _per_image(jax.nn.softplus(-real)) + _per_image(jax.nn.softplus(fake))
    return _per_image(jax.nn.relu(1 - real)) + _per_image(jax.nn.relu(1 + fake))
