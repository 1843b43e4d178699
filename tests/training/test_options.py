"""Every kind of network: two finite steps, save and restore, resume, folding for inference."""

import numpy as np
import pytest
import tensorflow as tf

from data.drawn import drawn_faces
from model import DCGAN
from pictures import codecs
from search.linear import LinearModel
from training.recipe import STYLE, both

SMALL = {"image_size": 16, "gf_dim": 4, "df_dim": 4, "z_dim": 8, "batch_size": 4}
CLASSES = {"classes": ("bare", "glasses")}
ATTENTIVE = {"attention": 8, "g_norm": "spectral", "d_norm": "spectral", "ema": 40.0}
OPTIONS = {
    "norm": CLASSES | {"condition": "norm", "d_norm": "spectral", "loss": "hinge"},
    "coupled": CLASSES | {"coupled": 1},
    "style": STYLE | CLASSES | {"condition": "norm", "r1_every": 2, "ema": 40.0},
}
OFTEN_ENOUGH = {
    "concat": CLASSES | ATTENTIVE | {"condition": "concat", "accumulate": 2},
    "attention": ATTENTIVE,
    "coupled, attention": CLASSES | ATTENTIVE | {"coupled": 1},
    "style alone": STYLE | {"accumulate": 2, "augment": ("color",), "loss": "lsgan", "ema": 40.0},
    "anchor": CLASSES | {"coupled": 1, "anchor": 100.0, "accumulate": 2, "ema": 40.0},
    "style, anchor": STYLE | {"anchor": 100.0, "perceptual": 1.0},
    "style, concat": STYLE | CLASSES | {"condition": "concat"},
    "norm, attention": CLASSES | ATTENTIVE | {"condition": "norm"},
}
REAL = tf.constant(codecs.to_float(drawn_faces(4, 16)))
LABELS = tf.one_hot([0, 1, 1, 0], 2)


@pytest.fixture(autouse=True)
def eagerly():
    """Without tf.function: tracing costs more than a few steps do."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def dcgan(option: str, **more) -> DCGAN:
    model = DCGAN(*both((OPTIONS | OFTEN_ENOUGH)[option] | SMALL | more))
    if model.recipe.anchor:
        faces = codecs.to_float(drawn_faces(40, model.config.image_size))
        model.state.learn(LinearModel.of_training([faces], mirrored=False))
    return model


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def take_two_finite_steps(model: DCGAN, real: tf.Tensor, labels: tf.Tensor):
    before = model.weights()
    batch = (real, labels) if model.config.classes else real
    for step in range(2):
        measured = model.step(batch, tf.constant(step))
        assert all(np.isfinite(value) for value in measured.values())
    for name, value in model.weights().items():
        assert np.isfinite(value).all(), name
        if name.endswith("/kernel"):
            assert (value != before[name]).any(), name


def assert_folded(model: DCGAN):
    """Folded networks compute what they are made of, class by class, and follow the weights."""
    size = model.config.z_dim
    z = tf.constant(np.random.default_rng(0).normal(size=(3, size)), tf.float32)
    for number, given in enumerate(model.each()):
        told = [tf.one_hot([number] * 3, 2)] if model.config.classes else []
        generator = model.average or model.generator
        made = generator([z, *told] if told else z, training=False)
        np.testing.assert_allclose(given.generate(latents_of(given, z)), made, atol=2e-5)
        judged = model.discriminator([made, *told] if told else made, training=False)[:, 0]
        np.testing.assert_allclose(given.logits(made.numpy()), judged, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "option", [*OPTIONS, *(pytest.param(name, marks=pytest.mark.slow) for name in OFTEN_ENOUGH)]
)
def test_an_option_trains_is_saved_goes_on_and_is_folded(option, tmp_path):
    model = dcgan(option)
    take_two_finite_steps(model, REAL, LABELS)

    # What goes on from a checkpoint ends as what was never stopped.
    model.state.position.step = 2
    model.state.save_training(tmp_path)
    resumed = dcgan(option)
    resumed.state.resume(tmp_path)
    np.testing.assert_array_equal(resumed.sample(4), model.sample(4))
    batch = (REAL, LABELS) if model.config.classes else REAL
    for goes_on in (model, resumed):
        goes_on.step(batch, tf.constant(2))
    assert_equal(resumed.weights(), model.weights())
    assert_equal(resumed.state.training(), model.state.training())
    assert_folded(model)


@pytest.mark.slow
@pytest.mark.parametrize("option", OPTIONS | OFTEN_ENOUGH)
def test_an_option_at_128_pixels(option):
    own = (OPTIONS | OFTEN_ENOUGH)[option]
    more = {k: value for k, value in {"attention": 32, "coupled": 2}.items() if k in own}
    model = dcgan(option, image_size=128, gf_dim=2, df_dim=2, batch_size=2, **more)
    real = tf.constant(codecs.to_float(drawn_faces(2, 128)))
    take_two_finite_steps(model, real, LABELS[:2])
    assert_folded(model)


@pytest.mark.parametrize("option", ["norm", "style"])
def test_a_saved_model_is_restored(option, tmp_path):
    model = dcgan(option)
    model.save(tmp_path / "model")
    restored = DCGAN.restore(tmp_path / "model")
    assert restored.config == model.config
    given, same = (m.given("glasses") for m in (restored, model))
    np.testing.assert_array_equal(given.sample(2), same.sample(2))
    with pytest.raises(ValueError, match="class is 'hat'; choose from bare, glasses"):
        restored.given("hat")
    with pytest.raises(ValueError, match="no class is given; choose from bare, glasses"):
        restored.generate(np.zeros((1, 8)))
    np.testing.assert_array_equal(model.sample(4)[1::2], same.sample(4)[1::2])


def latents_of(model: DCGAN, z) -> np.ndarray:
    """The rows of the model's space that z's stand for."""
    if model.config.architecture == "dcgan":
        return z.numpy()
    w = np.float64(model.space.mapped(z.numpy()))
    return np.float32(np.linalg.solve(model.space.root, (w - model.space.mean).T).T)
