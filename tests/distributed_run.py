"""What test_devices.py runs in processes of their own.

    distributed_run.py cases STRATEGY PICTURES SHARDS OUT RECIPE ...   train tiny models
    distributed_run.py as WORKERS INDEX ...      the same, or a script, as one of several workers
    distributed_run.py two-devices ...           the same, or a script, on two CPU devices

WORKERS: host:port,host:port. OUT: what the models ended with, an .npz file of arrays that are named
recipe/source/replica/variable.
"""

import json
import os
import runpy
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import cli  # noqa: E402

cli.import_tensorflow()

import keras  # noqa: E402
import numpy as np  # noqa: E402
import one_pass  # noqa: E402
import tensorflow as tf  # noqa: E402

from data.pipeline import Data, open_dataset  # noqa: E402
from model import DCGAN  # noqa: E402
from pictures.damage import make_pairs  # noqa: E402
from training import devices, loop  # noqa: E402
from training.recipe import both  # noqa: E402
from training.state import Position  # noqa: E402
from translation.pix2pix import Pix2Pix  # noqa: E402

TINY = {"image_size": 16, "z_dim": 8, "gf_dim": 4, "df_dim": 4, "batch_size": 8}
WITHOUT_NORM = {"g_norm": "none", "d_norm": "none"}
RECIPES = {
    "sgd": WITHOUT_NORM,
    "adam": WITHOUT_NORM | {"g_steps": 1},
    "batch": {"g_steps": 1},
    "pix2pix": {"clip_norm": 0.5, "adversarial_from": 0, "smooth": 0.0, "hinted": 0.0},
    "spectral": {"d_norm": "spectral", "g_steps": 1, "augment": ("flip",), "ema": 100.0},
}


def main(words: list[str]) -> None:
    match words:
        case ["as", workers, index, *rest]:
            cluster, task = {"worker": workers.split(",")}, {"type": "worker", "index": int(index)}
            os.environ["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": task})
            main(rest)
        case ["two-devices", *rest]:
            (cpu,) = tf.config.list_physical_devices("CPU")
            both = [tf.config.LogicalDeviceConfiguration()] * 2
            tf.config.set_logical_device_configuration(cpu, both)
            main(rest)
        case ["cases", *rest]:
            run_cases(*rest)
        case [script, *_]:
            sys.argv = words
            runpy.run_path(str(ROOT / script), run_name="__main__")


def run_cases(name: str, pictures: str, shards: str, out: str, *recipes: str) -> None:
    tf.config.experimental.enable_op_determinism()
    strategy = devices.strategy(name)
    found = {}
    for recipe in recipes:
        model = build(recipe, strategy)
        beginning = model.state.weights()
        for source in (pictures, shards) if recipe == "sgd" else (pictures,):
            start_over(model, beginning)
            pairs = partial(make_pairs, seed=0) if recipe == "pix2pix" else None
            data = open_dataset(source, 16, batch_size=8, pairs=pairs)
            train(model, data, 1 if recipe in ("adam", "pix2pix") else 5)
            found |= {f"{recipe}/{Path(source).name}/{k}": v for k, v in outcome(model).items()}
    np.savez(out, **found)


def build(recipe: str, strategy: tf.distribute.Strategy) -> loop.Trainable:
    if recipe == "pix2pix":
        model = Pix2Pix(*one_pass.both(one_pass.TINY | RECIPES[recipe]), strategy)
        model.state.learn(one_pass.linear_model(16, 3))
        return model
    sgd = mock.patch("model._adam", lambda rate, beta1: keras.optimizers.SGD(0.5))
    with sgd if recipe == "sgd" else nullcontext():
        return DCGAN(*both(TINY | RECIPES[recipe]), strategy)


def start_over(model: loop.Trainable, weights: dict[str, np.ndarray]) -> None:
    """Back to these weights, in a model whose step is traced already."""
    for name, variable in model.state.network_variables().items():
        variable.assign(weights[name])
    model.state.position = Position()


def train(model: loop.Trainable, data: Data, steps: int) -> None:
    with data.reading():
        batches = loop._batches(model.state, data, 2)
        for step, (_, batch) in zip(range(steps), batches, strict=False):
            model.step(batch, tf.constant(step))


def outcome(model: loop.Trainable) -> dict[str, np.ndarray]:
    """Every variable as each replica of this process has it."""
    variables = model.state.network_variables() | model.state.optimizer_variables()
    copies = {name: getattr(v.value, "values", [v.value]) for name, v in variables.items()}
    return {f"{i}/{name}": v.numpy() for name, vs in copies.items() for i, v in enumerate(vs)}


if __name__ == "__main__":
    main(sys.argv[1:])
