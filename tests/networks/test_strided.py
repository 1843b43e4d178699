"""Convolutions of stride 2 by products and by blocks: Keras' own, but for rounding."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from networks import strided


def layers(kind: str, filters: int, shape: tuple[int, ...]) -> list[keras.layers.Layer]:
    """One of ours and Keras', of the same random weights."""
    own, stock = (
        getattr(place, kind)(filters, 5, 2, "same", bias_initializer="random_normal")
        for place in (strided, keras.layers)
    )
    for layer in (own, stock):
        layer.build(shape)
    stock.set_weights(own.get_weights())
    return [own, stock]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("kind", "shape", "filters"),
    [
        ("Conv2DTranspose", (3, 4, 4, 16), 8),
        ("Conv2DTranspose", (3, 2, 2, 8), 3),
        ("Conv2DTranspose", (3, 8, 8, 8), 3),
        ("Conv2DTranspose", (3, 16, 16, 4), 1),
        ("Conv2DTranspose", (3, 8, 8, 8), 8),
        ("Conv2D", (3, 8, 8, 16), 8),
        ("Conv2D", (3, 4, 4, 3), 8),
        ("Conv2D", (3, 16, 16, 3), 8),
        ("Conv2D", (3, 32, 32, 1), 4),
        ("Conv2D", (3, 16, 16, 8), 8),
        ("Conv2D", (3, 9, 9, 3), 8),
    ],
)
def test_outputs_and_gradients_are_those_of_keras(kind, shape, filters, training):
    x = tf.random.stateless_normal(shape, seed=(0, 1))
    found = []
    for layer in layers(kind, filters, shape):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            y = layer(x, training=training) if isinstance(layer, OWN) else layer(x)
            loss = tf.reduce_sum(y**2)
        found.append([y, *tape.gradient(loss, [x, layer.kernel.value, layer.bias.value])])
    for own, stock in zip(*found, strict=True):
        scale = np.abs(stock).max()
        np.testing.assert_allclose(own / scale, stock / scale, atol=2e-6)


OWN = (strided.Conv2D, strided.Conv2DTranspose)


def test_which_are_computed_here(monkeypatch):
    called = []
    for kind in ("Conv2D", "Conv2DTranspose"):
        call = getattr(keras.layers, kind).call
        monkeypatch.setattr(
            getattr(keras.layers, kind), "call", lambda *a, c=call: called.append(1) or c(*a)
        )

    def is_ours(kind, shape, *arguments, **options) -> bool:
        called.clear()
        getattr(strided, kind)(*arguments, **options)(tf.zeros(shape))
        return not called

    same = (5, 2, "same")
    assert is_ours("Conv2DTranspose", (1, 4, 4, 8), 8, *same)
    assert is_ours("Conv2DTranspose", (1, 8, 8, 8), 3, *same)
    assert not is_ours("Conv2DTranspose", (1, 8, 8, 8), 8, *same)
    assert not is_ours("Conv2DTranspose", (1, 4, 4, 8), 8, *same, dtype="mixed_bfloat16")
    assert is_ours("Conv2D", (1, 8, 8, 8), 8, *same) and is_ours("Conv2D", (1, 64, 64, 3), 8, *same)
    assert not is_ours("Conv2D", (1, 16, 16, 8), 8, *same)
    for other in ((3, 2, "same"), (5, 1, "same"), (5, 2, "valid")):
        assert not is_ours("Conv2D", (1, 8, 8, 8), 8, *other)
    assert not is_ours("Conv2D", (1, 8, 8, 8), 8, *same, activation="relu")


@pytest.mark.parametrize(("kind", "side"), [("Conv2D", 8), ("Conv2DTranspose", 4)])
def test_companions_and_position_change_no_bit(kind, side):
    x = np.random.default_rng(0).standard_normal((8, side, side, 64)).astype(np.float32)
    layer, _ = layers(kind, 32, x.shape)
    whole = layer(x, training=False).numpy()
    turned = layer(np.roll(x, 3, axis=0), training=False).numpy()
    np.testing.assert_array_equal(np.roll(turned, -3, axis=0), whole)
