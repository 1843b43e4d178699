"""Residual blocks with pixel shuffle: against NumPy, and what its borders do."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.lib.stride_tricks import sliding_window_view

from networks import resnet


def built(blocks=2, norm=False, size=16, filters=2, seed=0) -> keras.Model:
    """With a last layer that does not start at zero."""
    x = keras.Input((size, size, 3))
    network = keras.Model(x, resnet.body(x, 3, filters, blocks, seed, norm))
    rng = np.random.default_rng(1)
    for variable in network.trainable_variables:
        if not np.any(variable):
            variable.assign(rng.normal(0, 0.2, variable.shape).astype(np.float32))
    return network


def noise(count=2, size=16, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (count, size, size, 3)).astype(np.float32)


def convolved(network, name, x, stride=1, norm=False):
    kernel, bias = (np.float64(w) for w in network.get_layer(name).get_weights())
    around = kernel.shape[0] // 2
    x = np.pad(x, ((0, 0), (around, around), (around, around), (0, 0)), mode="reflect")
    windows = sliding_window_view(x, kernel.shape[:2], axis=(1, 2))[:, ::stride, ::stride]
    x = np.einsum("nhwcij,ijco->nhwo", windows, kernel) + bias
    if not norm:
        return x
    gamma, beta = network.get_layer(f"{name}_norm").get_weights()
    mean, variance = x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True)
    return gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta


def leaky(x):
    return np.where(x > 0, x, 0.2 * x)


@pytest.mark.parametrize("norm", [False, True])
def test_it_computes_what_numpy_does(norm):
    network = built(norm=norm)

    def conv(name, x, stride=1):
        return convolved(network, name, x, stride, norm=norm)

    x = leaky(conv("in", np.float64(noise())))
    for name in ("down1", "down2"):
        x = leaky(conv(name, x, stride=2))
    begun = x
    for block in ("block0", "block1"):
        x = x + conv(f"{block}_2", leaky(conv(f"{block}_1", x)))
    x = conv("blocks", x) + begun
    for name in ("up1", "up0"):
        x = leaky(tf.nn.depth_to_space(conv(name, x), 2).numpy())
    expected = convolved(network, "out", x)
    np.testing.assert_allclose(network(noise()), expected, rtol=1e-3, atol=1e-4)


def test_without_training_it_adds_nothing():
    x = keras.Input((16, 16, 3))
    assert not keras.Model(x, resnet.body(x, 3, 2, 1))(noise()).numpy().any()


def test_borders_of_a_flat_picture_are_narrow():
    """As they are reflected: from 8 pixels on, what comes out repeats every 4 pixels."""
    made = built(size=32)(np.full((1, 32, 32, 3), 0.3, np.float32), training=False).numpy()[0]
    inside = made[8:24, 8:24]
    np.testing.assert_allclose(inside, np.tile(inside[:4, :4], (4, 4, 1)), atol=1e-5)
    assert np.abs(inside).max() > 0.1


def test_weights_fit_every_size():
    small, large = built(), built(size=32, seed=7)
    large.set_weights(small.get_weights())
    pictures = noise(1, 32)
    inside = small(pictures[:, 8:24, 8:24]).numpy()
    assert np.isfinite(inside).all() and large(pictures).shape == (1, 32, 32, 3)
