"""The style-based network: its layers by their formulas, what is drawn, and its latents."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_networks import convolution, uniform

import ops
from model import DCGAN
from networks import stylegan
from search.latent import Search
from training.recipe import STYLE, both

TINY = STYLE | {"image_size": 16, "gf_dim": 4, "df_dim": 4, "z_dim": 6}
MAPS = np.float32(
    [[[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]]]
    + [[[[0, 0, 0], [-1, -2, -3]], [[1, -2, 2], [2, 5, 3]]]]
)


@pytest.fixture(scope="module")
def model() -> DCGAN:
    """With noise and biases that are not 0."""
    made = DCGAN(*both(TINY))
    draw = np.random.RandomState(0)
    for variable in made.generator.weights + made.discriminator.weights:
        if variable.name in ("strength", "bias"):
            variable.assign(variable + draw.normal(0, 0.2, variable.shape))
    return made


def normal(*shape, seed=0):
    return np.random.RandomState(seed).normal(0, 1, shape).astype(np.float32)


# Layers


def test_numbers_of_another_implementation():
    """What TF-GAN's progressive layers_test expects for these maps."""
    found = stylegan.pixel_norm(tf.constant(MAPS)).numpy()
    expected = [[0.46291006, 0.92582011, 1.38873017], [0.78954202, 0.98692751, 1.18431306]]
    np.testing.assert_allclose(found[0, 0], expected, rtol=1e-5)
    np.testing.assert_allclose(
        found[1, 1],
        [[0.57735026, -1.15470052, 1.15470052]] + [[0.56195146, 1.40487862, 0.84292722]],
        rtol=1e-5,
    )
    assert not found[1, 0, 0].any()
    np.testing.assert_allclose(stylegan.mean_deviation(tf.constant(MAPS)), 3.0416667, rtol=1e-6)
    layer = ops.EqualConv2D(6, (3, 4))
    layer(np.zeros((1, 4, 4, 5), np.float32))
    np.testing.assert_allclose(layer.scale, 0.1290994, rtol=1e-6)


def test_a_modulated_convolution_has_a_kernel_for_each_picture():
    """The formula of Karras et al. 2020, equations 1 and 3, kernel by kernel."""
    x, style = uniform(3, 8, 8, 4), normal(3, 4)
    for side, demodulate in ((3, True), (1, False)):
        layer = stylegan.ModulatedConv2D(5, side, demodulate, seed=0)
        actual = layer([x, style]).numpy()
        for n in range(3):
            kernel = layer.kernel.numpy() / np.float32(side * 2) * style[n][:, None]
            if demodulate:
                kernel /= np.sqrt((kernel**2).sum(axis=(0, 1, 2)) + 1e-8)
            expected = keras.ops.conv(x[n : n + 1], kernel, 1, "same")
            np.testing.assert_allclose(actual[n : n + 1], expected, atol=1e-5)


def test_an_equalised_layer_is_its_kernel_over_the_root_of_its_fan_in():
    layer = ops.EqualConv2D(5, 5, 2, "same")
    x = uniform(2, 8, 8, 3)
    actual = layer(x)
    kernel = layer.kernel.numpy().astype(np.float64)
    np.testing.assert_allclose(actual, convolution(x, kernel / np.sqrt(75), 0), atol=1e-5)


def test_w_learns_more_slowly_and_starts_as_wide():
    """Of the mapping, a step of one size in the kernels is a hundredth in effect."""
    layer = stylegan.MappingDense(6, kernel_initializer=keras.initializers.RandomNormal(0, 100.0))
    z = normal(4, 6)
    before = layer(z).numpy()
    np.testing.assert_allclose(before, z @ layer.kernel.numpy() / np.sqrt(6) / 100, rtol=1e-4)
    layer.bias.assign(np.ones(6))
    np.testing.assert_allclose(layer(z) - before, 0.01, atol=1e-5)


def test_at_the_start_signals_keep_their_variance():
    made = DCGAN(*both(TINY | {"gf_dim": 16, "z_dim": 64}))
    pictures = made.generator(normal(16, 64)).numpy()
    w = stylegan.mapping(made.generator)(normal(64, 64)).numpy()
    assert 0.3 < w.std() < 3 and 0.2 < pictures.std() < 5


# What is drawn


def test_styles_are_mixed_in_training_from_a_layer_on():
    w, layer = normal(200, 4), stylegan.Styles(6)
    assert all((part.numpy() == w).all() for part in layer(w))
    mixed = np.stack(layer(w, training=True), axis=1)  # (N, 6, 4)
    own = (mixed == w[:, None]).all(axis=2)
    assert (mixed == np.where(own[..., None], w[:, None], np.roll(w, 1, axis=0)[:, None])).all()
    assert own[:, 0].all()  # the first is always its own
    assert (np.diff(own.astype(int), axis=1) <= 0).all()  # and once another's, so to the end
    assert 0.8 < (~own.all(axis=1)).mean() < 0.97  # about nine in ten
    assert set(own.sum(axis=1)) == {1, 2, 3, 4, 5, 6}


def test_noise_hangs_on_w_in_training_and_on_nothing_at_inference():
    layer, x, w = stylegan.Noise(3), np.zeros((2, 8, 8, 3), np.float32), normal(2, 6)
    layer([x, w])
    layer.strength.assign(0.5)
    drawn = layer([x, w], training=True).numpy()
    np.testing.assert_array_equal(layer([x, w], training=True), drawn)
    other = layer([x, normal(2, 6, seed=1)], training=True).numpy()
    assert np.abs(drawn - other).max() > 0.1 and np.abs(drawn[0] - drawn[1]).max() > 0.1
    assert 0.4 < drawn.std() < 0.6 and (drawn[..., 0] == drawn[..., 2]).all()
    fixed = layer([x, w]).numpy()
    np.testing.assert_array_equal(layer([x, normal(2, 6, seed=1)]), fixed)
    np.testing.assert_array_equal(fixed[0], fixed[1])


def test_a_logit_depends_on_the_batch_in_training_alone(model):
    one, other = uniform(4, 16, 16, 3), uniform(4, 16, 16, 3, seed=1)
    other[2] = one[2]
    judged = [model.discriminator(p, training=False).numpy() for p in (one, other)]
    np.testing.assert_allclose(judged[0][2], judged[1][2], rtol=1e-5)
    deviation = model.discriminator.get_layer("deviation")
    before = deviation.moving_deviation.numpy()
    judged = [model.discriminator(p, training=True).numpy() for p in (one, other / 9)]
    assert abs(judged[0][2] - judged[1][2]) > 1e-4
    assert deviation.moving_deviation.numpy() != before


# Latents


def test_latents_are_whitened_ws(model):
    """generate(latents of G's w's) is G(z); over thousands they have mean 0 and covariance 1."""
    latents, space = model.draw(1000), model.space
    assert latents.shape == (1000, 6) == (1000, space.size) and space.bound == np.inf
    np.testing.assert_allclose(latents.mean(axis=0), 0, atol=0.15)
    np.testing.assert_allclose(np.cov(latents, rowvar=False), np.eye(6), atol=0.25)
    z = np.stack([np.random.default_rng([0, i]).standard_normal(6) for i in range(4)])
    expected = model.generator(np.float32(z), training=False)
    np.testing.assert_allclose(model.generate(latents[:4]), expected, atol=2e-5)
    mean = model.generator.get_layer("styles")(space.mean[None].astype(np.float32))
    expected = stylegan.synthesis(model.generator)(mean)
    np.testing.assert_allclose(model.sample(1, truncation=1e-9), expected, atol=1e-5)


def test_a_latent_for_each_layer(model):
    layers, (one, other) = model.config.style_count, model.draw(2)
    same = np.tile(one, layers)[None]
    np.testing.assert_array_equal(model.generate(same), model.generate(one[None]))
    for layer in range(layers):
        changed = same.copy().reshape(layers, 6)
        changed[layer] = other
        moved = np.abs(model.generate(changed.reshape(1, -1)) - model.generate(same)).max()
        assert moved > 1e-3, layer
    space = model.space.layered(layers)
    drawn = space.draw(np.random.default_rng(1), 2)
    assert drawn.shape == (2, 6 * layers) == (2, space.size)
    energy, slope = space.prior(drawn, 0.7)
    np.testing.assert_allclose(energy, model.space.prior(drawn[:, :6], 0.7)[0])
    assert slope.shape == drawn.shape


@pytest.mark.parametrize("layers", [1, 6])
def test_a_search_over_w_finds_pictures_again_each_by_itself(model, layers):
    space = model.space.layered(layers)
    pictures = model.sample(5, seed=3)
    masks = np.ones((5, 16, 16, 1), np.float32)
    options = Search("lbfgs", steps=60, clip="none", prior_weight=1e-4)
    z = np.zeros((5, space.size))

    def found(rows):
        given = pictures[rows], masks[rows], options
        return list(model.complete(*given, z=z[rows], space=space, width=4))[-1]

    all_of_them, some = found(slice(0, 5)), found(slice(3, 5))
    np.testing.assert_array_equal(some.z, all_of_them.z[3:])
    mean = np.abs(model.generate(np.float32(z[:1])) - pictures).mean()
    again = np.abs(model.generate(np.float32(all_of_them.z)) - pictures).mean()
    assert again < mean / 4
