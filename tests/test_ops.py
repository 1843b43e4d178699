"""ops.py: instance norms against NumPy, and pictures that stand alone."""

import keras
import numpy as np
import tensorflow as tf

import ops


def maps(seed, shape=(3, 6, 5, 4)):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=shape) * rng.uniform(0.5, 3, shape[-1]) + 1).astype(np.float32)


def test_adaptive_instance_norm_gives_the_moments_of_the_style():
    content, style = maps(0), maps(1, (3, 9, 7, 4))
    made = ops.adaptive_instance_norm(content, style).numpy()
    for statistic in (np.mean, np.std):
        found, wanted = (statistic(x, axis=(1, 2)) for x in (made, style))
        np.testing.assert_allclose(found, wanted, atol=1e-4)
    own = (content - content.mean((1, 2), keepdims=True)) / content.std((1, 2), keepdims=True)
    found = (made - made.mean((1, 2), keepdims=True)) / made.std((1, 2), keepdims=True)
    np.testing.assert_allclose(found, own, atol=1e-4)  # what is where stays


def test_one_style_serves_all_pictures_and_its_companions_change_nothing():
    content, style = maps(0), maps(1, (1, 9, 7, 4))
    made = ops.adaptive_instance_norm(content, style).numpy()
    for row in range(3):
        alone = ops.adaptive_instance_norm(content[row : row + 1], style)
        np.testing.assert_array_equal(made[row : row + 1], alone)


def test_conditional_norm_with_one_style_is_instance_norm():
    layer = ops.ConditionalInstanceNorm(1)
    plain = keras.layers.GroupNormalization(groups=-1, epsilon=ops.EPSILON)
    content = maps(0)
    shares = np.ones((3, 1), np.float32)
    layer([content, shares]), plain(content)  # which makes their variables
    scale, offset = maps(2, (1, 4)), maps(3, (1, 4))
    layer.set_weights([scale, offset])
    plain.set_weights([scale[0], offset[0]])
    np.testing.assert_allclose(layer([content, shares]), plain(content), atol=1e-5)


def test_conditional_norm_mixes_scales_and_offsets():
    layer = ops.ConditionalInstanceNorm(2)
    content = maps(0)
    shares = np.float32([[1, 0], [0, 1], [0.25, 0.75]])
    layer([content, shares])
    scales, offsets = maps(2, (2, 4)), maps(3, (2, 4))
    layer.set_weights([scales, offsets])
    normal = (content - content.mean((1, 2), keepdims=True)) / np.sqrt(
        content.var((1, 2), keepdims=True) + ops.EPSILON
    )
    wanted = normal * (shares @ scales)[:, None, None] + (shares @ offsets)[:, None, None]
    np.testing.assert_allclose(layer([content, shares]), wanted, atol=1e-4)


def test_moments_have_a_finite_slope_where_nothing_varies():
    x = tf.ones((1, 4, 4, 2))
    with tf.GradientTape() as tape:
        tape.watch(x)
        deviation = ops.moments(x)[1]
    assert np.isfinite(tape.gradient(deviation, x)).all()
