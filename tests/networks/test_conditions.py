"""How networks learn of a class: by their formulas, in float64."""

import keras
import numpy as np
import pytest
from test_networks import batch_norm, in_float64, model_of, uniform

from networks import dcgan
from networks.config import Config

CLASSES = ("bare", "glasses")
LABELS = np.float32([[1, 0], [0, 1], [0, 1]])
# What compare_gan's arch_ops_test gives to its batch norm, and expects of it.
MAPS = [[[5, 7, 2], [5, 8, 8]], [[1, 2, 0], [4, 0, 4]], [[6, 2, 6], [5, 0, 5]]]
MAPS += [[[2, 4, 2], [6, 4, 1]]]
NORMAL = [[[0.4375205, 1.30336881, -0.58830315], [0.4375205, 1.66291881, 1.76490951]]]
NORMAL += [[[-1.89592218, -0.49438119, -1.37270737], [-0.14584017, -1.21348119, 0.19610107]]]
NORMAL += [[[1.02088118, -0.49438119, 0.98050523], [0.4375205, -1.21348119, 0.58830321]]]
NORMAL += [[[-1.31256151, 0.22471881, -0.58830315], [1.02088118, 0.22471881, -0.98050523]]]


def part(network: keras.Model, layer: str, inputs, **options) -> np.ndarray:
    """What a layer makes of the network's inputs."""
    output = network.get_layer(layer).output
    return keras.Model(network.input, output)(inputs, **options).numpy().astype(np.float64)


def test_a_class_norm_is_another_implementations_before_it_knows_classes(monkeypatch):
    monkeypatch.setattr(dcgan, "EPSILON", 1e-3)  # theirs
    config = Config(classes=CLASSES, condition="norm")
    x, embedding = keras.Input((2, 1, 3)), keras.Input((4,))
    made = dcgan._Layers(config, 0, "g", spectral=False).class_norm(x, embedding, "bn")
    network = keras.Model([x, embedding], made)
    maps = np.float32(MAPS).reshape(4, 2, 1, 3)
    found = network([maps, np.zeros((4, 4), np.float32)], training=True)
    np.testing.assert_allclose(np.reshape(found, (4, 2, 3)), NORMAL, rtol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_norms_scale_and_shift_by_class(training):
    model = model_of(classes=CLASSES, condition="norm")
    inputs, w = [uniform(3, 8), LABELS], in_float64(model.generator)
    x = part(model.generator, "h1", inputs, training=training)
    identity = {"bn1/gamma": 1, "bn1/beta": 0}
    statistics = {k: v for k, v in w.items() if k.startswith("bn1/moving")}
    normal = batch_norm(x, statistics | identity, "bn1", training)
    embedding = LABELS @ w["class/kernel"]
    gain, shift = ((embedding @ w[f"bn1_{k}/kernel"])[:, None, None] for k in ("gain", "shift"))
    found = part(model.generator, "bn1_class", inputs, training=training)
    assert np.abs(gain).max() > 0.1 and np.abs(shift).max() > 0.1
    np.testing.assert_allclose(found, normal * (1 + gain) + shift, atol=1e-4)


def test_the_discriminator_projects_on_the_class():
    """Miyato & Koyama 2018, equation 4."""
    model = model_of(classes=CLASSES, condition="norm")
    inputs, w = [uniform(3, 16, 16, 3), LABELS], in_float64(model.discriminator)
    features = part(model.discriminator, "lrelu1", inputs).reshape(3, -1)
    told = LABELS @ w["projection/kernel"]
    expected = (features @ w["lin/kernel"] + w["lin/bias"])[:, 0] + (features * told).sum(axis=1)
    assert np.std((features * told).sum(axis=1)) > 0.01
    found = model.discriminator(inputs)[:, 0]
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_a_class_is_joined_to_z_and_to_the_image():
    """Mirza & Osindero 2014: as more numbers beside z's, as more channels beside the image's."""
    model = model_of(classes=CLASSES, condition="concat")
    g, d = in_float64(model.generator), in_float64(model.discriminator)
    z, images = uniform(3, 8), uniform(3, 16, 16, 3)
    joined = np.concatenate([g["h0_lin/kernel"], g["h0_lin_class/kernel"]])
    expected = np.concatenate([z, LABELS], axis=1) @ joined + g["h0_lin/bias"]
    reshaped = next(x for x in model.generator.layers if isinstance(x, keras.layers.Reshape))
    found = part(model.generator, reshaped.name, [z, LABELS]).reshape(3, -1)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    found = part(model.discriminator, "lrelu0", [images, LABELS])
    x = part(model.discriminator, "h0_conv", [images, LABELS])
    x = x + (LABELS @ d["h0_conv_class/kernel"])[:, None, None]
    np.testing.assert_allclose(found, np.where(x > 0, x, 0.2 * x), atol=1e-5)


def test_coupled_networks_share_all_but_their_own_layers():
    """CoGAN: one z is one map until the layers of each class."""
    model = model_of(classes=CLASSES, coupled=1)
    w = in_float64(model.generator)
    own = {name for name in w if "_class" in name}
    assert own == {
        name for i in (0, 1) for name in w if name.startswith((f"h2_class{i}", f"bn1_class{i}"))
    }
    z = np.repeat(uniform(1, 8), 2, axis=0)
    shared, pair = (part(model.generator, layer, [z, LABELS[:2]]) for layer in ("h1", "tanh"))
    np.testing.assert_array_equal(shared[0], shared[1])
    assert np.abs(pair[0] - pair[1]).max() > 0.1
    for i in (0, 1):
        found = part(model.generator, f"h2_class{i}", [z, LABELS[:2]])
        np.testing.assert_allclose(pair[i], np.tanh(found[i]), atol=1e-5)
    own = {name for name in in_float64(model.discriminator) if "_class" in name}
    assert own == {f"h0_conv_class{i}/{k}" for i in (0, 1) for k in ("kernel", "bias")}
