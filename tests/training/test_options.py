"""Every kind of network: two finite steps, save and restore, resume, folding for inference."""

import numpy as np
import pytest
import tensorflow as tf

from data.drawn import drawn_faces
from model import DCGAN
from pictures import codecs
from training.recipe import STYLE, both

SMALL = {"image_size": 16, "gf_dim": 4, "df_dim": 4, "z_dim": 8, "batch_size": 4, "ema": 40.0}
OPTIONS = {
    "attention": {"attention": 8, "g_norm": "spectral", "d_norm": "spectral", "loss": "hinge"},
    "style": STYLE | {"r1_every": 2},
    "style, in parts": STYLE | {"accumulate": 2, "augment": ("color",), "loss": "lsgan"},
}
REAL = tf.constant(codecs.to_float(drawn_faces(4, 16)))


@pytest.fixture(autouse=True)
def eagerly():
    """Without tf.function: tracing costs more than a few steps do."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def dcgan(option: str) -> DCGAN:
    return DCGAN(*both(OPTIONS[option] | SMALL))


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_trains_is_saved_goes_on_and_is_folded(option, tmp_path):
    model = dcgan(option)
    before = model.weights()
    for step in range(2):
        measured = model.train_step(REAL, tf.constant(step))
        assert all(np.isfinite(value).all() for value in measured.values())
    for name, value in model.weights().items():
        assert np.isfinite(value).all(), name
        if name.endswith("/kernel"):
            assert (value != before[name]).any(), name

    # What goes on from a checkpoint ends as what was never stopped.
    model.state.position.step = 2
    model.state.save_training(tmp_path)
    model.state.save(tmp_path / "model")
    resumed, restored = dcgan(option), DCGAN.restore(tmp_path / "model")
    resumed.state.resume(tmp_path)
    np.testing.assert_array_equal(restored.sample(2), model.sample(2))
    for goes_on in (model, resumed):
        goes_on.train_step(REAL, tf.constant(2))
    assert_equal(resumed.weights(), model.weights())
    assert_equal(resumed.state.training(), model.state.training())

    # Folded networks compute what they are made of, and follow the weights.
    z = tf.constant(np.random.default_rng(0).normal(size=(3, 8)), tf.float32)
    made = model.average(z, training=False)
    np.testing.assert_allclose(model.generate(latents_of(model, z)), made, atol=2e-5)
    judged = model.discriminator(made, training=False)[:, 0]
    np.testing.assert_allclose(model.logits(made.numpy()), judged, atol=1e-5, rtol=1e-4)


def latents_of(model: DCGAN, z) -> np.ndarray:
    """The rows of the model's space that z's stand for."""
    if model.config.architecture == "dcgan":
        return z.numpy()
    w = np.float64(model.space.mapped(z.numpy()))
    return np.float32(np.linalg.solve(model.space.root, (w - model.space.mean).T).T)
