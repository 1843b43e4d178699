"""The training step on Keras' JAX backend (bench/peers/) against TensorFlow's, weights both ways.

Needs JAX, in this environment or in that of the program that JAX_PYTHON names.
"""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from one_pass import ORIGINAL, TINY, pairs, pix2pix, shaken
from processes import ROOT

from data.drawn import drawn_faces
from training import checkpoint

PYTHON = os.environ.get("JAX_PYTHON") or (importlib.util.find_spec("jax") and sys.executable)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="needs jax, see bench/peers/requirements-jax.txt"),
]
STEPS = """
import sys
sys.path.insert(0, "bench/peers")
from jax_pix2pix import Trainer
import numpy as np
from training import checkpoint
from translation.recipe import both
start, batches, end = sys.argv[1:]
trainer = Trainer(*both(checkpoint.load(start).config))
trainer.load(start)
batches = np.load(batches)
for i in range(3):
    measured = trainer.step(batches[f"pictures{i}"], batches[f"masks{i}"])
    print({name: float(value) for name, value in measured.items()})
trainer.save(checkpoint.step_path(end, trainer.position["step"]))
"""
# Dropout draws other numbers: without it.
RECIPES = {
    "best": {"adversarial_from": 8},
    "gan, grey, no guide": {"loss": "gan", "channels": 1, "guide": "none", "ema": 0.0},
    "32 pixels, clipped": {"image_size": 32, "clip_norm": 0.1, "smooth": 0.5},
}


def run(*words, folder=ROOT) -> str:
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [PYTHON, *map(str, words)], cwd=folder, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("values", RECIPES.values(), ids=RECIPES)
def test_three_steps_are_tensorflows_to_four_places(tmp_path, values):
    """From the seventh on, so that D begins, and its penalty is taken, within them."""
    model = shaken(pix2pix(**values))
    model.state.position.step = 7
    model.state.save_training(tmp_path / "start")
    batches = [pairs(model, number) for number in range(3)]
    arrays = {f"pictures{i}": batch[0] for i, batch in enumerate(batches)}
    arrays |= {f"masks{i}": batch[1] for i, batch in enumerate(batches)}
    np.savez(tmp_path / "batches.npz", **arrays)
    said = run("-c", STEPS, tmp_path / "start", tmp_path / "batches.npz", tmp_path / "end")
    for line, batch in zip(said.splitlines(), batches, strict=True):
        number = tf.constant(model.state.position.step)
        measured = model.step(tuple(map(tf.constant, batch)), number)
        model.state.position.advance()
        theirs = json.loads(line.replace("'", '"'))
        assert theirs == pytest.approx({k: float(v) for k, v in measured.items()}, rel=1e-3)
    saved = checkpoint.load(tmp_path / "end")
    assert saved.state["step"] == 10
    apart = {
        name: np.abs(saved.weights[name] - value).max()
        for name, value in model.state.weights().items()
    }
    assert max(apart.values()) < 1e-4, max(apart, key=apart.get)
    resumed = pix2pix(**values)
    resumed.state.resume(tmp_path / "end")
    assert resumed.state.position.step == 10
    for name, value in model.state.training().items():
        scale = max(np.abs(value).max(), 1e-3)
        np.testing.assert_allclose(
            resumed.state.training()[name], value, atol=2e-2 * scale, err_msg=name
        )


@pytest.mark.parametrize("values", [TINY, ORIGINAL | {"ema": 20.0}], ids=["best", "original"])
def test_a_run_goes_on_and_its_files_may_be_cut(tmp_path, values):
    np.savez(tmp_path / "faces.npz", drawn_faces(20, 16))
    recipe = {k: v for k, v in (TINY | values).items() if k != "image_size"}
    words = [ROOT / "bench" / "peers" / "jax_train.py", "--checkpoint-dir", "run"]
    begin = [*words, "--data", "faces.npz", "--recipe", json.dumps(recipe), "--cut"]
    run(*begin, "--epoch", 1, folder=tmp_path)
    assert "goes on from step" in run(*begin, "--epoch", 2, folder=tmp_path)
    run(*words, "--join", folder=tmp_path)
    saved = checkpoint.load(tmp_path / "run")
    steps = 2 * (20 // recipe["batch_size"])
    assert (saved.state["step"], saved.state["epoch"]) == (steps, 2)
    resumed = pix2pix(**values)
    resumed.state.resume(tmp_path / "run")
    assert resumed.state.linear.size == 16
