"""Folded networks compute what the networks they are made of do at inference."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_networks import fill, model_of, uniform

import ops
from networks import strided
from networks.folding import fold, folded


@pytest.fixture
def eagerly():
    """Without tf.function: tracing costs more than a few steps do."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.parametrize(
    "options",
    [
        {"g_norm": "batch", "d_norm": "spectral"},
        {"g_norm": "none", "d_norm": "batch"},
        {"g_norm": "batch", "d_norm": "layer"},
        {"g_norm": "none", "d_norm": "none"},
        {"g_norm": "spectral", "d_norm": "spectral", "attention": 16},
        {"attention": 8},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_folded_networks_are_the_same_functions(options):
    model = model_of(**options, image_size=32)
    z, pictures = uniform(5, 8), uniform(5, 32, 32, 3)
    expected = model.generator(z, training=False).numpy()
    assert expected.std() > 0.01
    np.testing.assert_allclose(model.generate(z), expected, atol=1e-5)
    logits = model.discriminator(pictures, training=False).numpy()[:, 0]
    np.testing.assert_allclose(model.logits(pictures), logits, atol=1e-5 * np.abs(logits).max())


def test_folded_networks_follow_the_weights(eagerly):
    model = model_of(ema=100.0)
    fill(model.average, seed=1)
    z = uniform(2, 8)
    np.testing.assert_allclose(model.generate(z), model.average(z, training=False), atol=1e-5)
    before = model.generate(z)
    model.train_step(tf.constant(uniform(4, 16, 16, 3)), tf.constant(10**6))
    np.testing.assert_allclose(model.generate(z), model.average(z, training=False), atol=1e-5)
    assert np.abs(model.generate(z) - before).max() > 1e-6


def unet() -> keras.Model:
    """Convolutions down and up with skips, norms of every kind where a U-Net has them."""
    layers = keras.layers
    x = picture = keras.Input((16, 16, 3))
    x = outer = layers.Conv2D(4, 4, 2, "same", activation="relu", name="down0")(x)  # (N, 8, 8, 4)
    x = ops.SpectralConv2D(6, 4, 2, "same", name="down1")(x)  # (N, 4, 4, 6)
    x = inner = layers.BatchNormalization(name="after down1")(x)
    x = layers.Conv2D(8, 4, 2, "same", use_bias=False, name="bottom")(layers.ReLU()(x))
    x = layers.BatchNormalization(epsilon=0.1, scale=False, name="norm")(x)
    x = layers.Conv2DTranspose(6, 4, 2, "same", name="up0")(layers.ReLU()(x))  # (N, 4, 4, 6)
    x = layers.Concatenate()([layers.BatchNormalization(name="up norm")(x), inner])
    x = layers.Conv2DTranspose(4, 4, 2, "same", name="up1")(x)  # (N, 8, 8, 4)
    x = layers.Concatenate()([layers.BatchNormalization(center=False)(x), outer, x])
    x = layers.BatchNormalization(name="of both")(x)
    return keras.Model(picture, layers.Conv2DTranspose(3, 4, 2, "same", activation="tanh")(x))


def test_a_network_with_skips_is_folded_where_a_norm_has_a_layer_to_itself():
    network = unet()
    fill(network)
    target = folded(network)
    fold(network, target)
    norms = [n.name for n in target.layers if isinstance(n, keras.layers.BatchNormalization)]
    assert len(norms) == 2 and "of both" in norms  # and that of up1, which a skip takes as it is
    assert type(target.get_layer("down1")) is strided.Conv2D
    pictures = uniform(3, 16, 16, 3)
    expected = network(pictures, training=False).numpy()
    assert expected.std() > 0.1
    np.testing.assert_allclose(target(pictures, training=False), expected, atol=2e-6)


def test_what_is_not_known_to_be_linear_keeps_its_norm():
    x = picture = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu")(x)
    network = keras.Model(picture, keras.layers.BatchNormalization()(x))
    fill(network)
    target = folded(network)
    fold(network, target)
    pictures = uniform(2, 8, 8, 3)
    np.testing.assert_allclose(target(pictures), network(pictures), atol=1e-6)
    assert len(target.layers) == len(network.layers)
