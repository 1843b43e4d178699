"""The networks: shapes, agreement with NumPy and SciPy, spectral norm."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.signal import correlate

import ops
from model import DCGAN
from networks.config import Config
from networks.dcgan import EPSILON, discriminator, generator
from training.recipe import Recipe, both

TINY = {"image_size": 16, "gf_dim": 4, "df_dim": 4, "z_dim": 8}
RS = np.random.RandomState


def uniform(*shape, seed=0):
    return RS(seed).uniform(-1, 1, shape).astype(np.float32)


def fill(*networks, seed=0):
    """Weights as after some training: statistics away from 0 and 1, logits of order 1."""
    draw = RS(seed)
    for network in networks:
        for variable in network.weights:
            part, shape = variable.path.split("/")[1], variable.shape
            scale = 1 / np.sqrt(np.prod(shape[:-1])) if len(shape) > 1 else 0.3
            value = draw.normal(1 if part == "gamma" else 0, scale, shape)
            if part == "moving_variance":
                value = draw.uniform(0.3, 2, shape)
            variable.assign(value)


def model_of(**changes) -> DCGAN:
    model = DCGAN(*both(TINY | changes))
    fill(model.generator, model.discriminator)
    return model


# Shapes


@pytest.mark.parametrize("size", [16, 32, 64, 128])
@pytest.mark.parametrize("channels", [1, 3])
def test_one_logit_per_image_at_every_size(size, channels):
    config = Config(**TINY | {"image_size": size, "channels": channels, "gf_dim": 2, "df_dim": 2})
    g, d = generator(config), discriminator(config)
    pictures = g(uniform(3, 8), training=False)
    assert pictures.shape == (3, size, size, channels)
    assert d(pictures, training=False).shape == (3, 1)
    assert d.output_shape == (None, 1)


def test_every_size_ends_at_four_by_four():
    for size in (16, 32, 64, 128, 256):
        network = discriminator(Config(image_size=size, df_dim=1))
        convolutions = [layer for layer in network.layers if "conv" in layer.name]
        assert convolutions[-1].output.shape[1:3] == (4, 4)
        assert len(convolutions) == int(np.log2(size)) - 2


@pytest.mark.parametrize("d_norm", ["none", "layer", "spectral"])
def test_a_logit_depends_on_its_own_image_alone(d_norm):
    model = model_of(d_norm=d_norm)
    one, other = uniform(4, 16, 16, 3), uniform(4, 16, 16, 3, seed=1)
    other[2] = one[2]
    for training in (False, True)[: 1 + (d_norm != "spectral")]:  # whose vectors move in training
        logits = [model.discriminator(p, training=training).numpy() for p in (one, other)]
        np.testing.assert_allclose(logits[0][2], logits[1][2], rtol=1e-4)
        assert abs(logits[0][1] - logits[1][1]) > 1e-3


@pytest.mark.parametrize("count", [1, 7, 100])
def test_any_number_of_images(count):
    model = model_of()
    pictures = model.generate(uniform(count, 8))
    assert pictures.shape == (count, 16, 16, 3)
    assert model.logits(pictures).shape == (count,)
    assert model.sample(count).shape == (count, 16, 16, 3)
    np.testing.assert_allclose(model.sample(count)[0], model.sample(1)[0], atol=1e-5)


def test_initial_weights_are_the_originals():
    """N(0, .02); truncated at two deviations in D's convolutions; norms start as the identity."""
    config = Config(image_size=32, gf_dim=16, df_dim=16)
    kernels = {}
    for network in (generator(config), discriminator(config)):
        for variable in network.weights:
            layer, part = variable.path.split("/")
            value = variable.numpy()
            if part == "kernel":
                kernels[network.name, layer] = value
            else:
                assert (value == (part in ("gamma", "moving_variance"))).all()
    for (network, _), kernel in kernels.items():
        truncated = network == "discriminator" and kernel.ndim == 4
        assert abs(kernel.mean()) < 0.002
        assert (np.abs(kernel).max() <= 0.0400001) == truncated
        if kernel.size > 10_000:  # cut at two deviations, as in the original, .88 of it is left
            assert abs(kernel.std() - 0.02 * (0.88 if truncated else 1)) < 0.0002
    again = DCGAN(config).weights()
    for (network, layer), kernel in kernels.items():
        np.testing.assert_array_equal(again[f"{network}/{layer}/kernel"], kernel)
    other = DCGAN(config, Recipe(seed=1)).weights()
    assert (other["generator/h1/kernel"] != again["generator/h1/kernel"]).all()
    values = np.concatenate([kernel.ravel()[:50] for kernel in kernels.values()])
    assert len(np.unique(values)) == len(values)  # no two layers start alike


# References


def transposed_convolution(x, kernel, bias):
    """5x5, stride 2, SAME: y[2i + k - 1] += x[i] kernel[k], kernel (height, width, out, in)."""
    count, side, _, _ = x.shape
    full = np.zeros((count, 2 * side + 4, 2 * side + 4, kernel.shape[2]))
    for i in range(side):
        for j in range(side):
            full[:, 2 * i : 2 * i + 5, 2 * j : 2 * j + 5] += np.einsum(
                "nc,hwoc->nhwo", x[:, i, j], kernel
            )
    return full[:, 1 : 1 + 2 * side, 1 : 1 + 2 * side] + bias


def convolution(x, kernel, bias):
    """5x5, stride 2, SAME: y[i] = sum x[2i + k - 1] kernel[k], kernel (height, width, in, out)."""
    padded = np.pad(x, [(0, 0), (1, 2), (1, 2), (0, 0)])
    maps = [
        sum(
            correlate(padded[n, :, :, c], kernel[:, :, c, o], "valid", "direct")[::2, ::2]
            for c in range(x.shape[3])
        )
        for n in range(len(x))
        for o in range(kernel.shape[3])
    ]
    return (
        np.stack(maps).reshape(len(x), kernel.shape[3], *maps[0].shape).transpose(0, 2, 3, 1) + bias
    )


def batch_norm(x, weights, layer, training):
    mean, variance = weights[f"{layer}/moving_mean"], weights[f"{layer}/moving_variance"]
    if training:
        mean, variance = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
    normal = (x - mean) / np.sqrt(variance + EPSILON)
    return normal * weights[f"{layer}/gamma"] + weights[f"{layer}/beta"]


def in_float64(network: keras.Model) -> dict[str, np.ndarray]:
    return {v.path: v.numpy().astype(np.float64) for v in network.weights}


def reference_generator(z, w, training=False):
    x = (z @ w["h0_lin/kernel"] + w["h0_lin/bias"]).reshape(len(z), 4, 4, -1)
    for i in range(2):
        x = np.maximum(batch_norm(x, w, f"bn{i}", training), 0)
        x = transposed_convolution(x, w[f"h{i + 1}/kernel"], w[f"h{i + 1}/bias"])
    return np.tanh(x)


def reference_discriminator(x, w, training=False):
    x = convolution(x, w["h0_conv/kernel"], w["h0_conv/bias"])
    x = np.where(x > 0, x, 0.2 * x)
    x = batch_norm(convolution(x, w["h1_conv/kernel"], w["h1_conv/bias"]), w, "bn1", training)
    x = np.where(x > 0, x, 0.2 * x)
    return x.reshape(len(x), -1) @ w["lin/kernel"] + w["lin/bias"]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("training", [False, True])
def test_networks_agree_with_references(channels, training):
    model = model_of(channels=channels)
    z, pictures = uniform(4, 8), uniform(4, 16, 16, channels)
    for network, inputs, reference in [
        (model.generator, z, reference_generator),
        (model.discriminator, pictures, reference_discriminator),
    ]:
        expected = reference(inputs.astype(np.float64), in_float64(network), training)
        actual = network(inputs, training=training).numpy()
        assert actual.dtype == np.float32
        assert np.std(expected) > 0.1
        np.testing.assert_allclose(actual, expected, atol=1e-5 * np.abs(expected).max())


def test_moving_statistics_decay_by_nine_tenths():
    model = model_of()
    before = in_float64(model.discriminator)
    pictures = uniform(4, 16, 16, 3)
    x = convolution(pictures, before["h0_conv/kernel"], before["h0_conv/bias"])
    x = convolution(np.where(x > 0, x, 0.2 * x), before["h1_conv/kernel"], before["h1_conv/bias"])
    model.discriminator(pictures, training=True)
    after = in_float64(model.discriminator)
    for name, batch in (("moving_mean", x.mean((0, 1, 2))), ("moving_variance", x.var((0, 1, 2)))):
        expected = 0.9 * before[f"bn1/{name}"] + 0.1 * batch
        np.testing.assert_allclose(after[f"bn1/{name}"], expected, rtol=1e-4, atol=1e-6)


# Layers


def test_block_means():
    pictures = uniform(2, 16, 16, 3)
    expected = pictures.reshape(2, 8, 2, 8, 2, 3).mean((2, 4))
    np.testing.assert_allclose(ops.block_means(pictures, 8), expected, atol=1e-6)


def test_leaky_relu():
    np.testing.assert_allclose(ops.leaky_relu(tf.constant([-2.0, 0, 3])), [-0.4, 0, 3], rtol=1e-6)


@pytest.mark.parametrize("kind", ["dense", "convolution", "transposed"])
def test_spectral_norm_divides_by_the_largest_singular_value(kind):
    if kind == "dense":
        layer, plain, x = ops.SpectralDense(6), keras.layers.Dense(6), uniform(3, 10)
    else:
        arguments, name = (6, 5, 2, "same"), "Conv2DTranspose" if kind == "transposed" else "Conv2D"
        layer, plain = (
            getattr(ops, f"Spectral{name}")(*arguments),
            getattr(keras.layers, name)(*arguments),
        )
        x = uniform(3, 8, 8, 6)
    layer(x), plain(x)
    kernel = RS(1).normal(0, 1, layer.kernel.shape).astype(np.float32)
    bias = RS(2).normal(0, 1, layer.bias.shape).astype(np.float32)
    largest = np.linalg.svd(kernel.reshape(-1, 6), compute_uv=False)[0]
    for target, divided in ((layer, kernel), (plain, kernel / largest)):
        target.kernel.assign(divided)
        target.bias.assign(bias)
    for _ in range(100):
        layer(x, training=True)
    u = layer.u.numpy()
    np.testing.assert_allclose(layer(x, training=False), plain(x), atol=1e-4)
    np.testing.assert_array_equal(layer.u.numpy(), u)  # inference changes nothing
    np.testing.assert_array_equal(layer.kernel.numpy(), kernel)


def test_gradient_flows_through_the_spectral_norm():
    """d/dW f(W / s(W)) is orthogonal to W, as the scale of W does not matter."""
    layer, x = ops.SpectralDense(6), uniform(3, 10)
    layer(x)
    layer.kernel.assign(RS(1).normal(0, 1, (10, 6)))
    for _ in range(100):
        layer(x, training=True)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.sin(layer(x, training=True)))
    gradient = tape.gradient(loss, layer.kernel.value).numpy()
    kernel = layer.kernel.numpy()
    assert np.linalg.norm(gradient) > 0.1
    cosine = (gradient * kernel).sum() / np.linalg.norm(gradient) / np.linalg.norm(kernel)
    assert abs(cosine) < 1e-3


def attend(x, weights):
    """Self-attention as SAGAN's authors compute it, x (N, H, W, C), kernels as they multiply."""
    halves = (len(x), x.shape[1] // 2, 2, x.shape[2] // 2, 2, -1)
    queries = x @ weights["queries"]  # (N, H, W, C / 8)
    keys, values = ((x @ weights[k]).reshape(halves).max((2, 4)) for k in ("keys", "values"))
    likeness = np.exp(np.einsum("nijc,nklc->nijkl", queries, keys))
    likeness /= likeness.sum((3, 4), keepdims=True)
    seen = np.einsum("nijkl,nklc->nijc", likeness, values)
    return x + weights["gain"] * (seen @ weights["output"])


def test_attention_agrees_with_its_formula():
    model = model_of(attention=8, gf_dim=16)
    trained = model.generator
    trained.get_layer("attention_gain").gain.assign(3.0)
    before, after = (trained.get_layer(name).output for name in ("relu1", "h2"))
    x = keras.Model(trained.input, before)(uniform(3, 8)).numpy().astype(np.float64)
    network = model.inference().generator  # its kernels are those that multiply
    w = {v.path: v.numpy().astype(np.float64) for v in network.weights}
    kernels = {k: w[f"attention_{k}/kernel"][0, 0] for k in ("queries", "keys", "values", "output")}
    assert kernels["keys"].shape == (16, 2) and kernels["values"].shape == (16, 8)
    kernels["gain"] = w["attention_gain/gain"]
    expected = attend(x, kernels)
    assert np.abs(expected - x).max() > 0.05
    expected = transposed_convolution(expected, w["h2/kernel"], w["h2/bias"])
    actual = keras.Model(trained.input, after)(uniform(3, 8))
    np.testing.assert_allclose(actual, expected, atol=1e-5 * np.abs(expected).max())


def test_attention_starts_as_nothing():
    config = Config(**TINY, attention=8)
    plain, attentive = (generator(c) for c in (Config(**TINY), config))
    weights = {v.path: v for v in attentive.weights}
    for variable in plain.weights:
        variable.assign(weights[variable.path])
    z = uniform(2, 8)
    np.testing.assert_array_equal(attentive(z), plain(z))


def test_average_moves_by_its_decay():
    average, variable = tf.Variable([1.0, 2.0]), tf.Variable([3.0, 2.0])
    ops.update_average([average], [variable], tf.constant(0.75))
    np.testing.assert_allclose(average, [1.5, 2.0])
    with pytest.raises(ValueError, match="shorter"):
        ops.update_average([average, average], [variable], tf.constant(0.75))
