"""Some z's are pictures' own: which, and what a generator is asked of them."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from data.drawn import drawn_faces
from model import DCGAN
from networks import imagenet
from pictures import codecs
from search.linear import LinearModel
from training.anchor import Anchor
from training.recipe import both

SMALL = {"image_size": 16, "gf_dim": 8, "df_dim": 8, "z_dim": 6, "batch_size": 8, "anchor": 100.0}
PICTURES = codecs.to_float(drawn_faces(64, 16))
LINEAR = LinearModel.of_training([PICTURES], mirrored=False)


def shown(codes: np.ndarray) -> tf.Tensor:
    """The pictures (N, S, S, C) that have these coordinates (N, R) and nothing else."""
    rows = LINEAR.mean + codes @ LINEAR.components[: codes.shape[1]]
    return tf.constant(rows.reshape(len(codes), 16, 16, 3), tf.float32)


def test_coordinates_are_those_along_the_components():
    codes = np.random.default_rng(0).normal(size=(5, 6))
    found = Anchor(LINEAR, 6, uniform=True).codes(shown(codes))
    np.testing.assert_allclose(found, codes, atol=1e-3)  # components are rounded, as stored


@pytest.mark.parametrize("uniform", [True, False])
def test_normal_coordinates_become_zs_as_they_are_drawn(uniform):
    normal = np.random.default_rng(0).normal(size=(2000, 6))
    deviations = np.sqrt(LINEAR.variances[:6])
    anchor = Anchor(LINEAR, 6, uniform)
    z = anchor.anchored(tf.zeros((2000, 6)), shown(normal * deviations)).numpy()[::2]
    drawn = stats.uniform(-1, 2) if uniform else stats.norm()
    assert min(stats.kstest(column, drawn.cdf).pvalue for column in z.T) > 0.01


def test_every_second_row_is_a_pictures_own_and_the_rest_is_left_alone():
    anchor = Anchor(LINEAR, 6, uniform=True)
    drawn = tf.random.stateless_uniform((7, 8), (0, 0), -1, 1)
    z = anchor.anchored(drawn, tf.constant(PICTURES[:7])).numpy()
    np.testing.assert_array_equal(z[1::2], drawn[1::2])
    np.testing.assert_array_equal(z[:, 6:], drawn[:, 6:])  # there are no more components
    assert (z[::2, :6] != drawn.numpy()[::2, :6]).all()
    again = anchor.anchored(drawn[:1], tf.constant(PICTURES[4:5])).numpy()
    np.testing.assert_allclose(again[0, :6], z[4, :6], atol=1e-6)  # companions change nothing


def test_only_what_the_components_tell_counts():
    anchor = Anchor(LINEAR, 6, uniform=True)
    real = shown(np.zeros((4, 6)))
    untold = LINEAR.components[7].reshape(16, 16, 3)
    np.testing.assert_allclose(anchor.distance(real + untold, real), 0, atol=1e-6)
    told = 3 * LINEAR.components[2].reshape(16, 16, 3)
    expected = 9 / (16 * 16 * 3)  # components have a length of 1
    np.testing.assert_allclose(
        anchor.distance(real + told, real), [expected, 0, expected, 0], rtol=1e-3
    )


def test_large_pictures_are_compared_by_the_means_that_the_model_knows():
    anchor = Anchor(LINEAR, 6, uniform=True)
    large = tf.repeat(tf.repeat(tf.constant(PICTURES[:3]), 4, axis=1), 4, axis=2)
    np.testing.assert_allclose(anchor.codes(large), anchor.codes(PICTURES[:3]), atol=1e-4)


def test_a_generator_learns_to_show_pictures_from_their_own_zs():
    def left(weight: float) -> float:
        model = DCGAN(*both(SMALL | {"anchor": weight}))
        model.state.learn(LINEAR)
        for step in range(60):
            real = PICTURES[(8 * step) % 64 :][:8]
            model.train_step(tf.constant(real), tf.constant(step))
        anchor, real = Anchor(LINEAR, 6, uniform=True), tf.constant(PICTURES)
        z = anchor.anchored(tf.zeros((64, 6)), real)
        return float(tf.reduce_mean(anchor.distance(model.generator(z), real)))

    assert left(100.0) < 0.5 * left(1e-6)


class Means(tf.keras.Model):
    """Features of a picture: the means of its quarters."""

    def call(self, pictures):
        return [tf.nn.avg_pool2d(pictures, 8, 8, "VALID")]


def test_features_of_every_second_picture_count():
    features = Means()
    anchor = Anchor(LINEAR, 6, uniform=True, features=features)
    shown, real = (tf.constant(PICTURES[i : i + 4]) for i in (0, 8))
    every = imagenet.distance(features(shown), features(real))
    np.testing.assert_allclose(anchor.unlike(shown, real), every[::2], rtol=1e-5)
    assert not anchor.unlike(shown, shown).numpy().any()


def test_a_generator_learns_from_features_too(monkeypatch):
    monkeypatch.setattr(DCGAN, "features", Means())

    def after_a_step(**recipe) -> np.ndarray:
        model = DCGAN(*both(SMALL | recipe))
        model.state.learn(LINEAR)
        model.train_step(tf.constant(PICTURES[:8]), tf.constant(0))
        return model.weights()["generator/h1/kernel"]

    assert (after_a_step(perceptual=5.0) != after_a_step(perceptual=0.0)).any()


def test_features_without_an_anchor_are_refused():
    with pytest.raises(ValueError, match="perceptual is 1.0 without anchor"):
        both(SMALL | {"anchor": 0.0, "perceptual": 1.0})


def test_without_a_linear_model_it_says_so():
    with pytest.raises(ValueError, match="anchor needs a linear model"):
        DCGAN(*both(SMALL)).train_step(tf.constant(PICTURES[:8]), tf.constant(0))
