"""What every model keeps: networks, their averages, optimisers and counters, saved by name."""

import dataclasses
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import ops
from networks.expectation import LinearExpectation
from search.linear import LinearModel
from training import checkpoint
from training.checkpoint import Arrays


@dataclass
class Position:
    """How far a training run is. epoch: the one under way; batch: how many of its are done."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    batches_per_epoch: int = 0
    best: float = math.inf  # the lowest figure of an evaluation

    def advance(self) -> None:
        """A step is done, and with the last one of an epoch the epoch."""
        self.step += 1
        self.batch += 1
        if self.batch == self.batches_per_epoch:
            self.epoch, self.batch = self.epoch + 1, 0


@dataclass
class State:
    """Everything of a model that a folder holds; a model owns one and computes with its parts.

    kind: which class restores it, as config.json says. config: what its networks are built from, a
    dataclass with from_dict(values) and difference(other, any_size) (a sentence or None); recipe:
    another dataclass, of how it is trained. networks: by the
    name that begins the names of their variables, "generator/h1/kernel"; one named "average" is the
    average of "generator", "average_x" of "generator_x", and starts as its copy. optimizers: by
    name, each with the name of the network it trains. linear: the linear model of the training
    pictures. kept: what else a training that resumes needs, by name. path: where it was loaded
    from.

    version counts how often the weights changed, so that what is made from them knows its age;
    whoever changes them calls `changed`.
    """

    kind: str
    config: Any
    networks: dict[str, keras.Model]
    optimizers: Mapping[str, tuple[keras.Optimizer, str]]
    recipe: Any = None
    strategy: tf.distribute.Strategy = field(default_factory=tf.distribute.get_strategy)
    position: Position = field(default_factory=Position)
    linear: LinearModel | None = None
    kept: Mapping[str, keras.Variable] = field(default_factory=dict)
    path: Path | None = None
    version: int = 0
    _fingerprint: tuple[int, str] | None = field(default=None, repr=False)  # of a version

    def __post_init__(self):
        for average, network in self._averages():
            average.set_weights(network.get_weights())

    @property
    def expectations(self) -> list[LinearExpectation]:
        """The layers that expect by the linear model."""
        layers = [layer for network in self.networks.values() for layer in network.layers]
        return [layer for layer in layers if isinstance(layer, LinearExpectation)]

    def learn(self, linear: LinearModel) -> None:
        """Keep the linear model of the training pictures, for completions and for layers."""
        self.linear = linear
        for layer in self.expectations:
            layer.take(linear)
        self.changed()

    def changed(self) -> None:
        """The weights have changed."""
        self.version += 1

    def build_optimizers(self) -> None:
        """Make their variables, once. Made inside a step they cost tracing it a second time."""
        with self.strategy.scope():
            for optimizer, network in self.optimizers.values():
                optimizer.build(self.networks[network].trainable_variables)

    def update_averages(self, step: tf.Tensor, batch_size: int, half_life: float) -> None:
        """Move each average toward its network; half_life in images. Part of a training step.

        As in EDM's code (Karras et al. 2022), the half-life is at most a twentieth of the images
        seen: early on, the average would else be one of noise.
        """
        seen = tf.cast(step * batch_size, tf.float32)
        half_life = tf.minimum(tf.maximum(seen / 20, 1e-3), half_life)
        decay = 0.5 ** (batch_size / half_life)
        for pair in self._averages():
            ops.update_average(*([v.value for v in network.weights] for network in pair), decay)

    def share_statistics(self) -> None:
        """Each replica's batch norms keep statistics of its own images; all go on with the mean.
        Part of a replica's step."""
        context = tf.distribute.get_replica_context()
        trained = {name: self.networks[name] for _, name in self.optimizers.values()}
        weights = [v for net in trained.values() for v in net.non_trainable_variables]
        variables = [v for v in weights if v.name.startswith("moving_")]
        if context.num_replicas_in_sync == 1 or not variables:
            return
        values = [tf.identity(v.value) for v in variables]  # on this replica's device
        means = context.all_reduce(tf.distribute.ReduceOp.MEAN, values)
        for variable, mean in zip(variables, means, strict=True):
            variable.assign(mean)

    def _averages(self) -> list[tuple[keras.Model, keras.Model]]:
        """Each average, and the network it is of."""
        names = [name for name in self.networks if name.startswith("average")]
        return [(self.networks[n], self.networks[checkpoint.network_of(n)]) for n in names]

    # By name

    def network_variables(self) -> dict[str, keras.Variable]:
        """Those of all networks: "generator/h1/kernel"."""
        return {f"{name}/{v.path}": v for name, net in self.networks.items() for v in net.weights}

    def optimizer_variables(self) -> dict[str, keras.Variable]:
        """Those of all optimisers but for the learning rates, which the configuration sets; and
        those kept."""
        self.build_optimizers()
        # By name: the path begins with a count of the optimisers that this process has made.
        return dict(self.kept) | {
            f"{name}/{v.name}": v
            for name, (optimizer, _) in self.optimizers.items()
            for v in optimizer.variables
            if v.name != "learning_rate"
        }

    def weights(self) -> Arrays:
        """The values of network_variables."""
        return {name: v.numpy() for name, v in self.network_variables().items()}

    def model_weights(self) -> Arrays:
        """The weights of what was trained, without the training: averages in their networks'
        places."""
        return checkpoint.model_weights(self.weights())

    def training(self) -> Arrays:
        """The values of optimizer_variables."""
        return {name: v.numpy() for name, v in self.optimizer_variables().items()}

    def fingerprint(self) -> str:
        """Tells one model's weights from another's."""
        if self._fingerprint is None or self._fingerprint[0] != self.version:
            self._fingerprint = self.version, checkpoint.fingerprint(self.weights())
        return self._fingerprint[1]

    # Folders

    def save(self, folder: Path, half: bool = False, base: str = "") -> None:
        """Write the model without its training; half: in half precision. base: a folder, relative
        to this one, of a model that has part of these weights, which are not repeated."""
        config, weights, linear = self._config(), self.model_weights(), self._linear()
        if base:
            config["base"] = base
            of_base = checkpoint.load(os.path.normpath(folder / base))
            weights = _others(weights, of_base.weights)
            linear = _others(linear, of_base.linear)
        checkpoint.save(folder, config, weights, linear=linear, half=half)

    def save_training(self, folder: Path) -> None:
        """Write into a training folder everything that a resumed run needs."""
        checkpoint.save(
            checkpoint.step_path(folder, self.position.step),
            self._config(),
            self.weights(),
            training=self.training(),
            state=dataclasses.asdict(self.position),
            linear=self._linear(),
        )

    def restore(self, saved: checkpoint.Checkpoint) -> None:
        """Take weights and linear model of what checkpoint.load has read, for all but training:
        averages take the places of what they are averages of."""
        self._take(saved)
        names = {checkpoint.network_of(n): n for n in self.networks if n.startswith("average")}
        self.networks |= {n: self.networks[average] for n, average in names.items()}

    def _take(self, saved: checkpoint.Checkpoint) -> None:
        self._load_weights(saved)
        self.linear = LinearModel.from_arrays(saved.linear) if saved.linear else None
        self.path = saved.path

    def resume(self, folder: Path, warn: Callable = lambda message: None) -> Path:
        """Load weights, optimisers and counters of the newest checkpoint in a training folder, and
        return its path."""
        saved = checkpoint.load(folder, warn)
        if not saved.training:
            raise ValueError(f"{saved.path}: holds a model but no training state; use --init-from")
        if problem := self.difference(saved):
            raise ValueError(
                f"{saved.path}: another model: its {problem}; choose another --checkpoint-dir, or "
                "--no-resume to move it aside and start anew"
            )
        self._take(saved)
        _assign(self.optimizer_variables(), saved.training, saved.path)
        self.position = Position(**saved.state)
        return saved.path

    def init_from(self, folder: Path | str) -> None:
        """Start from the weights of another model, with fresh optimisers and counters. Its linear
        model stays behind: it was of other pictures. But where this model refines what that one
        makes, that one stays as it is, and what is added starts fresh; and where layers of that one
        are frozen, so is what comes before them."""
        saved = checkpoint.load(folder)
        self._load_weights(saved, any_size=True)
        refines = "refined" == getattr(self.config, "network", "") != saved.config.get("network")
        if refines or getattr(self.recipe, "freeze", 0):
            self.linear = LinearModel.from_arrays(saved.linear) if saved.linear else None

    def difference(self, saved: checkpoint.Checkpoint, any_size: bool = False) -> str | None:
        """In which field the networks of a saved model differ from these, in words; any_size: but
        for the image size, where weights fit another one."""
        if saved.kind != self.kind:
            return f"kind is {saved.kind}, here it is {self.kind}"
        return type(self.config).from_dict(saved.config).difference(self.config, any_size)

    def _load_weights(self, saved: checkpoint.Checkpoint, any_size: bool = False) -> None:
        if problem := self.difference(saved, any_size):
            raise ValueError(f"{saved.path}: another model: its {problem}")
        variables = self.network_variables()
        weights = dict(saved.weights)
        for name in variables:  # an average that was not saved starts as a copy
            if name.startswith("average") and (own := checkpoint.network_of(name)) in weights:
                weights.setdefault(name, weights[own])
        if any_size:
            variables = {n: v for n, v in variables.items() if n in weights or "/refine_" not in n}
        _assign(variables, weights, saved.path)
        self.changed()

    def _config(self) -> dict:
        recipe = dataclasses.asdict(self.recipe) if self.recipe else {}
        return {"kind": self.kind, **dataclasses.asdict(self.config), **recipe}

    def _linear(self) -> Arrays:
        return self.linear.to_arrays() if self.linear else {}


def _others(arrays: Arrays, base: Arrays) -> Arrays:
    """Those that differ from the base's of the same name, if only by a bit."""
    return {n: a for n, a in arrays.items() if n not in base or not np.array_equal(a, base[n])}


def _assign(variables: dict, arrays: Arrays, path: Path) -> None:
    for name, variable in variables.items():
        if name not in arrays or arrays[name].shape != tuple(variable.shape):
            found = arrays[name].shape if name in arrays else "missing"
            raise ValueError(f"{path}: {name} is {found}, expected {tuple(variable.shape)}")
        variable.assign(arrays[name])
