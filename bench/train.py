#!/usr/bin/env python3
"""Seconds and peak memory of a training step: this project's, the original's schedule, PyTorch's.

    bench/train.py                               this step and the original's schedule
    bench/train.py --torch-python PYTHON         and the same step in PyTorch (bench/peers/)
    bench/train.py --pix2pix --batch-size 16 --torch-python PYTHON    the one-pass network instead
    bench/train.py --recipes                     every recipe against the original one
    bench/train.py --sizes 16 32 128             other image sizes

Classic networks, random pictures. Every row lives in a process of its own, so that peaks of memory
are its own, and the rows take turns, step by step, so that whatever else the machine does meets
all of them. A ratio is the median of the ratios of the rounds.
"""

import argparse
import dataclasses
import json
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

import cli  # noqa: E402
from training.recipe import from_flags  # noqa: E402

WARM_UP = 2  # steps: tracing, and the allocator's first rounds

# Flags of train-dcgan.py, over preset original.
RECIPES = (
    "--loss hinge",
    "--loss lsgan",
    "--loss wgan-gp --d-norm none",
    "--loss wgan-gp --d-norm layer",
    "--d-norm none",
    "--d-norm layer",
    "--d-norm spectral",
    "--g-norm none",
    "--g-norm spectral",
    "--loss hinge --d-norm spectral",
    "--r1 10",
    "--augment flip",
    "--augment flip,color,translation,cutout",
    "--attention 32",
    "--attention 32 --loss hinge --g-norm spectral --d-norm spectral",
    "--classes --condition concat",
    "--classes --condition norm",
    "--classes --coupled 2",
    "--accumulate 4",
    "--architecture style",
    "--architecture style --classes",
    "--ema 10000",
    "--g-steps 1",
    "--d-steps 2",
    "--preset best",
)


def main() -> None:
    options = parser().parse_args()
    if options.worker:
        return work(options.worker, json.loads(options.config), options.batch_size)
    if options.recipes:
        compare_recipes(RECIPES, options)
    elif options.pix2pix:
        kinds = {"this project": "pix2pix", "PyTorch": "torch-pix2pix"}
        compare_programs(kinds, {"PyTorch": 1.0}, options)
    elif options.sizes:
        compare_recipes([f"--image-size {n}" for n in options.sizes], options)
    else:
        kinds = {"this project": "this", "original's schedule": "original", "PyTorch": "torch"}
        compare_programs(kinds, {"original's schedule": 0.78, "PyTorch": 0.85}, options)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cli.flag(parser, "--rounds", type=cli.positive_int, default=7, help="(%(default)s)")
    cli.flag(parser, "--batch-size", type=cli.positive_int, default=64, help="(%(default)s)")
    cli.flag(parser, "--torch-python", type=Path, help="the Python that has bench/peers/")
    cli.flag(parser, "--pix2pix", action="store_true", help="the one-pass network's step instead")
    cli.flag(parser, "--recipes", action="store_true", help="a row per recipe instead")
    cli.flag(parser, "--sizes", type=cli.positive_int, nargs="+", help="a row per size instead")
    cli.flag(parser, "--worker", choices=STEPS, help=argparse.SUPPRESS)
    cli.flag(parser, "--config", default="{}", help=argparse.SUPPRESS)
    return parser


def compare_programs(kinds: dict[str, str], targets: dict[str, float], options) -> None:
    """Kinds of steps in turns, by the name of their program; targets: of the first's time over
    another's, at most."""
    rows = {}
    for name, kind in kinds.items():
        python = options.torch_python if name == "PyTorch" else sys.executable
        if python:
            rows[name] = Row(kind, options.batch_size, python=python)
        else:
            print(f"{name}: skipped (no --torch-python; see bench/peers/requirements.txt)")
    for row in rows.values():
        row.wait()
    take_turns(rows.values(), options.rounds)
    for name, row in rows.items():
        row.finish()
        print(f"train step, {name}: {row.summary()}")
    this, *others = rows
    for name in others:
        ratio = rows[this].ratio(rows[name])
        print(f"{this} / {name}: {ratio:.2f} (target: at most {targets[name]})")


def compare_recipes(recipes: Iterable[str], options: argparse.Namespace) -> None:
    """Each, as its flags say, in turns with the original recipe, two processes at a time."""
    original = Row("this", options.batch_size)
    original.wait()
    for flags in recipes:
        row = Row("this", options.batch_size, recipe_of(flags))
        row.wait()
        take_turns((original, row), options.rounds)
        row.finish()
        ratio = row.ratio(original)
        print(f"train step, {flags}: {row.summary()}, {ratio:.2f} of the original", flush=True)
    original.finish()
    print(f"train step, original recipe: {original.summary()}")


def recipe_of(flags: str) -> dict:
    """What flags of train-dcgan.py ask for; --classes is of two."""
    parser = runpy.run_path(str(ROOT / "train-dcgan.py"))["parser"]()
    arguments = parser.parse_args(["--preset", "original", *flags.split()])
    if arguments.classes is not None:
        arguments.classes = ("one", "other")
    config, recipe = from_flags(arguments)
    return dataclasses.asdict(config) | dataclasses.asdict(recipe)


class Row:
    """One kind of step in a process of its own, which takes a step when told to."""

    def __init__(
        self,
        kind: str,
        batch_size: int,
        config: dict | None = None,
        python: Path | str = sys.executable,
    ):
        command = [
            python,
            __file__,
            "--worker",
            kind,
            "--batch-size",
            batch_size,
            "--config",
            json.dumps(config or {}),
        ]
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        self.seconds: list[float] = []

    def step(self) -> None:
        print(file=self.process.stdin, flush=True)
        self.seconds.append(self._answer()["seconds"])

    def wait(self) -> None:
        """Until the process has built its networks and warmed up."""
        self._answer()

    def finish(self) -> None:
        self.process.stdin.close()
        self.peak_bytes = self._answer()["peak_bytes"]
        self.process.wait()

    def _answer(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            why = ([""] + self.errors.read().strip().splitlines())[-1]
            raise ValueError(f"{self.process.args[0]}: the row's process failed ({why})")
        return json.loads(line)

    def summary(self) -> str:
        seconds = statistics.median(self.seconds)
        return f"{seconds:.2f} s, peak {self.peak_bytes / 2**30:.2f} GiB"

    def ratio(self, other: "Row") -> float:
        """Median of the ratios of the last rounds, which both took part in."""
        pairs = zip(self.seconds, other.seconds[-len(self.seconds) :], strict=True)
        return statistics.median(mine / theirs for mine, theirs in pairs)


def take_turns(rows: Iterable[Row], rounds: int) -> None:
    for _ in range(rounds):
        for row in rows:
            row.step()


def work(kind: str, config: dict, batch_size: int) -> None:
    """The process of a row: a step for every line of standard input, then its peak of memory."""
    step = STEPS[kind](config, batch_size)
    for _ in range(WARM_UP):
        step()
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        step()
        print(json.dumps({"seconds": time.perf_counter() - started}), flush=True)
    print(json.dumps({"peak_bytes": peak_bytes()}), flush=True)


def peak_bytes() -> int:
    """Most memory this process has held. Not getrusage: that includes the parent before exec."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(peak) * 1024


def this_step(config: dict, batch_size: int) -> Callable[[], None]:
    model, real, _ = build(config, batch_size)
    numbers = iter(range(10**9))

    def step() -> None:
        measured = model.train_step(real, tensor(next(numbers)))
        assert_finite(float(value) for value in measured.values() if value.shape.rank == 0)

    return step


def original_step(config: dict, batch_size: int) -> Callable[[], None]:
    """What the original runs per batch: three session runs with an update each, then the values of
    three losses. Each computes all it needs anew; its summaries are left out."""
    import tensorflow as tf

    from training import losses

    model, real, draw = build(config, batch_size)
    g, d = model.generator, model.discriminator

    def update(optimizer, network, loss: Callable) -> None:
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(loss())
        variables = network.trainable_variables
        optimizer.apply(tape.gradient(value, [v.value for v in variables]), variables)

    def d_losses(real, z, training):
        fake_logits = d(g(z, training=training), training=training)
        return losses.discriminator_losses("gan", d(real, training=training), fake_logits)

    def g_loss(z, training):
        return losses.generator_loss("gan", d(g(z, training=training), training=training))

    @tf.function(autograph=False)
    def update_d(real, z):
        update(model.d_optimizer, d, lambda: tf.add(*d_losses(real, z, True)))

    @tf.function(autograph=False)
    def update_g(z):
        update(model.g_optimizer, g, lambda: g_loss(z, True))

    @tf.function(autograph=False)
    def fake_value(z):
        return tf.reduce_mean(tf.nn.softplus(d(g(z, training=False), training=False)))

    @tf.function(autograph=False)
    def real_value(real):
        return tf.reduce_mean(tf.nn.softplus(-d(real, training=False)))

    @tf.function(autograph=False)
    def g_value(z):
        return tf.reduce_mean(g_loss(z, False))

    def step() -> None:
        z = draw()
        update_d(real, z)
        update_g(z)
        update_g(z)
        assert_finite(map(float, (fake_value(z), real_value(real), g_value(z))))

    return step


def build(config: dict, batch_size: int):
    """A model, a batch of random pictures, with their classes if there are any, and a function that
    draws z as the original does."""
    import numpy as np
    import tensorflow as tf

    from model import DCGAN
    from search.linear import LinearModel
    from training.recipe import both

    tf.config.experimental.enable_op_determinism()  # as train-dcgan.py does
    model = DCGAN(*both(config | {"batch_size": batch_size}))
    rng = np.random.default_rng(0)
    side, channels, z_dim = model.config.image_size, model.config.channels, model.config.z_dim
    count = batch_size * model.recipe.d_steps
    real = tf.constant(rng.uniform(-1, 1, (count, side, side, channels)), tf.float32)
    if model.recipe.anchor:
        noise = rng.uniform(-1, 1, (1000, side, side, channels))
        model.state.learn(LinearModel.of_training([noise], mirrored=False))
    if names := model.config.classes:
        real = real, tf.one_hot(rng.integers(len(names), size=count), len(names))
    return model, real, lambda: tf.constant(rng.uniform(-1, 1, (batch_size, z_dim)), tf.float32)


def tensor(number: int):
    import tensorflow as tf

    return tf.constant(number, tf.int32)


def torch_step(config: dict, batch_size: int) -> Callable[[], None]:
    """The step of bench/peers/torch_step.py; runs in the environment that has PyTorch."""
    import torch

    from bench.peers import torch_step as peer

    torch.manual_seed(0)
    trainer = peer.Trainer()
    real = torch.rand(batch_size, 3, 64, 64) * 2 - 1

    def step() -> None:
        losses = trainer.step(real, torch.rand(batch_size, peer.Z_DIM) * 2 - 1)
        assert_finite(float(loss.detach()) for loss in losses.values())

    return step


def pix2pix_step(config: dict, batch_size: int) -> Callable[[], None]:
    """The adversarial step of the one-pass network's best preset, with all that it computes."""
    import numpy as np
    import tensorflow as tf

    from translation.pix2pix import Pix2Pix
    from translation.recipe import both

    tf.config.experimental.enable_op_determinism()  # as train-pix2pix.py does
    values = {"batch_size": batch_size, "adversarial_from": 0} | config
    model = Pix2Pix(*both(values))
    rng, size = np.random.default_rng(0), model.config.image_size
    for layer in model.state.expectations:
        layer.axes.assign(rng.standard_normal(layer.axes.shape) / 50)
    true = tf.constant(rng.uniform(-1, 1, (batch_size, size, size, 3)), tf.float32)
    masks = np.ones((batch_size, size, size, 1), np.float32)
    masks[:, size // 4 : -size // 4, size // 4 : -size // 4] = 0
    pair = true, tf.constant(masks)

    def step() -> None:
        measured = model.step(pair, tensor(model.state.position.step))
        model.state.position.step += 1
        assert_finite(map(float, measured.values()))

    return step


def torch_pix2pix_step(config: dict, batch_size: int) -> Callable[[], None]:
    """The step of bench/peers/torch_pix2pix.py; runs in the environment that has PyTorch."""
    import torch

    from bench.peers import torch_pix2pix as peer

    torch.manual_seed(0)
    trainer = peer.Trainer()
    true = torch.rand(batch_size, 3, peer.SIZE, peer.SIZE) * 2 - 1
    masks = torch.ones(batch_size, 1, peer.SIZE, peer.SIZE)
    masks[:, :, 16:48, 16:48] = 0
    numbers = iter(range(10**9))

    def step() -> None:
        losses = trainer.step(true, masks, next(numbers))
        assert_finite(float(loss.detach()) for loss in losses.values())

    return step


def assert_finite(values: Iterable[float]) -> None:
    values = list(values)
    if not all(abs(value) < float("inf") for value in values):
        raise FloatingPointError(f"a loss is not finite: {values}")


STEPS = {
    "this": this_step,
    "original": original_step,
    "torch": torch_step,
    "pix2pix": pix2pix_step,
    "torch-pix2pix": torch_pix2pix_step,
}

if __name__ == "__main__":
    cli.run(main)
