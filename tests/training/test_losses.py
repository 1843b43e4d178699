"""Losses against NumPy formulas, and penalties against finite differences."""

import numpy as np
import pytest
import tensorflow as tf

from model import DCGAN, Task
from networks.config import Config
from search.objective import PERCEPTUAL, Objective
from training import losses
from training.recipe import LOSSES, both

RS = np.random.RandomState
REAL, FAKE = (RS(i).normal(0, 3, (5, 1)).astype(np.float32) for i in (0, 1))
SIGMOID_REAL, SIGMOID_FAKE = (1 / (1 + np.exp(-x[:, 0].astype(float))) for x in (REAL, FAKE))


def uniform(*shape, seed=0):
    return RS(seed).uniform(-1, 1, shape).astype(np.float32)


# Of training


@pytest.mark.parametrize(
    ("kind", "real", "fake", "generator"),
    [
        ("gan", -np.log(SIGMOID_REAL), -np.log(1 - SIGMOID_FAKE), -np.log(SIGMOID_FAKE)),
        ("hinge", np.maximum(0, 1 - REAL[:, 0]), np.maximum(0, 1 + FAKE[:, 0]), -FAKE[:, 0]),
        ("wgan-gp", -REAL[:, 0], FAKE[:, 0], -FAKE[:, 0]),
        ("lsgan", (REAL[:, 0] - 1) ** 2 / 2, FAKE[:, 0] ** 2 / 2, (FAKE[:, 0] - 1) ** 2 / 2),
    ],
)
def test_losses_are_their_formulas_one_value_per_image(kind, real, fake, generator):
    for actual, expected in zip(
        (*losses.discriminator_losses(kind, REAL, FAKE), losses.generator_loss(kind, FAKE)),
        (real, fake, generator),
        strict=True,
    ):
        assert actual.shape == (5,)
        np.testing.assert_allclose(actual, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "of_d", "of_g"),
    [("lsgan", 41.73375, 17.69625), ("wgan-gp", 0.225, -3.125), ("hinge", 6.75, -3.125)],
)
def test_numbers_of_another_implementation(kind, of_d, of_g):
    """The means that TF-GAN's losses_impl_test expects of its losses, for its logits."""
    real, fake = (tf.constant(x)[:, None] for x in ([-5, 1.4, 12.5, 2.7], [10, 4.4, -5.5, 3.6]))
    loss = tf.reduce_mean(tf.add_n(losses.discriminator_losses(kind, real, fake)))
    np.testing.assert_allclose(loss, of_d, rtol=1e-5)
    np.testing.assert_allclose(tf.reduce_mean(losses.generator_loss(kind, fake)), of_g, rtol=1e-5)


@pytest.mark.parametrize("kind", LOSSES)
def test_the_loss_of_a_map_is_the_mean_of_its_logits_losses(kind):
    real, fake = (RS(i).normal(0, 3, (2, 3, 4, 1)).astype(np.float32) for i in (5, 6))
    of_map = (
        *losses.discriminator_losses(kind, real, fake),
        losses.generator_loss(kind, fake),
        *(losses.perceptual_loss(form, fake) for form in PERCEPTUAL),
    )
    flat = real.reshape(24, 1), fake.reshape(24, 1)
    of_each = (
        *losses.discriminator_losses(kind, *flat),
        losses.generator_loss(kind, flat[1]),
        *(losses.perceptual_loss(form, flat[1]) for form in PERCEPTUAL),
    )
    for actual, each in zip(of_map, of_each, strict=True):
        assert actual.shape == (2,)
        np.testing.assert_allclose(actual, each.numpy().reshape(2, 12).mean(1), rtol=1e-5)


def test_penalties_of_a_map_are_of_its_mean():
    def patches(pictures):
        return tf.stack([critic(pictures), 3 * critic(pictures)], axis=1)  # (N, 2, 1)

    actual = losses.r1_penalty(patches, tf.constant(PICTURES))
    np.testing.assert_allclose(actual, 4 * losses.r1_penalty(critic, tf.constant(PICTURES)))


@pytest.mark.parametrize("kind", LOSSES)
def test_losses_are_finite_at_extreme_logits(kind):
    extreme = tf.constant([[-1e4], [1e4]])
    for loss in (
        *losses.discriminator_losses(kind, extreme, extreme),
        losses.generator_loss(kind, extreme),
    ):
        assert np.isfinite(loss).all()


# Penalties, on a small smooth critic in float64

WEIGHT = tf.Variable(RS(2).normal(0, 0.5, (4 * 4 * 2, 6)))
PICTURES, OTHERS = RS(3).normal(0, 1, (2, 3, 4, 4, 2))
POSITION = RS(4).uniform(0, 1, (3, 1, 1, 1))


def critic(pictures):
    hidden = tf.nn.softplus(tf.reshape(pictures, (-1, 32)) @ WEIGHT)
    return tf.reduce_sum(tf.sin(hidden), axis=1, keepdims=True)


def slopes(pictures) -> np.ndarray:
    """The gradient of critic with respect to each image, by central differences, (N, 32)."""
    steps = 1e-5 * np.eye(32).reshape(32, 1, 4, 4, 2)
    ahead, behind = (
        [critic(pictures + sign * step).numpy()[:, 0] for step in steps] for sign in (1, -1)
    )
    return ((np.array(ahead) - behind) / 2e-5).T


def test_penalties_are_functions_of_the_slope():
    between = PICTURES + POSITION * (OTHERS - PICTURES)
    norms = np.linalg.norm(slopes(between), axis=1)
    actual = losses.gradient_penalty(critic, tf.constant(PICTURES), tf.constant(OTHERS), POSITION)
    np.testing.assert_allclose(actual, (norms - 1) ** 2, rtol=1e-6)
    actual = losses.r1_penalty(critic, tf.constant(PICTURES))
    np.testing.assert_allclose(actual, (slopes(PICTURES) ** 2).sum(axis=1) / 2, rtol=1e-6)


@pytest.mark.parametrize("kind", ["gradient_penalty", "r1_penalty"])
def test_gradients_of_penalties_by_finite_differences(kind):
    more = (tf.constant(OTHERS), POSITION) if kind == "gradient_penalty" else ()

    def total():
        return tf.reduce_sum(getattr(losses, kind)(critic, tf.constant(PICTURES), *more))

    with tf.GradientTape() as tape:
        value = total()
    gradient = tape.gradient(value, WEIGHT).numpy()
    start = WEIGHT.numpy()
    for seed in range(3):
        direction = RS(seed).normal(0, 1, start.shape)
        values = []
        for sign in (1, -1):
            WEIGHT.assign(start + sign * 1e-5 * direction)
            values.append(total().numpy())
        WEIGHT.assign(start)
        np.testing.assert_allclose(
            (values[0] - values[1]) / 2e-5, (gradient * direction).sum(), rtol=1e-5
        )


def test_a_flat_critic_has_a_finite_gradient():
    """The square root in the norm has no derivative at 0."""
    weight = tf.Variable(tf.zeros((32, 1), tf.float64))
    with tf.GradientTape() as tape:
        penalty = losses.gradient_penalty(
            lambda p: tf.reshape(p, (-1, 32)) @ weight,
            tf.constant(PICTURES),
            tf.constant(OTHERS),
            POSITION,
        )
    assert np.isfinite(tape.gradient(penalty, weight)).all()
    np.testing.assert_allclose(penalty, 1, atol=1e-5)


@pytest.mark.parametrize(
    "recipe",
    [
        {"loss": "wgan-gp", "d_norm": "layer"},
        {"loss": "wgan-gp", "d_norm": "none"},
        {"loss": "gan", "r1": 2.0, "d_norm": "none"},
        {"loss": "hinge", "r1": 2.0, "d_norm": "layer"},
    ],
)
def test_gradients_of_the_discriminator_by_finite_differences(recipe, monkeypatch):
    """The loss that a D step minimises, through the real network, in float64 inside."""
    monkeypatch.setattr(Config, "policy", "float64")
    model = DCGAN(
        *both({"image_size": 16, "gf_dim": 2, "df_dim": 3, "z_dim": 4, "batch_size": 3} | recipe)
    )
    for variable in model.discriminator.trainable_variables:
        variable.assign(variable + RS(len(variable.shape)).normal(0, 0.1, variable.shape))
    real, fake = tf.constant(uniform(3, 16, 16, 3)), tf.constant(uniform(3, 16, 16, 3, seed=1))

    def total():
        parts = model.adversaries.discriminator_loss(real, fake, tf.constant([0, 7]))[:3]
        return tf.cast(tf.add_n([tf.reduce_sum(part) for part in parts]), tf.float64)

    kernels = [v for v in model.discriminator.trainable_variables if v.name == "kernel"]
    with tf.GradientTape() as tape:
        value = total()
    gradients = tape.gradient(value, [kernel.value for kernel in kernels])
    for kernel, gradient in zip(kernels, gradients, strict=True):
        start, values = kernel.numpy(), []
        step = 1e-4 * gradient.numpy() / np.linalg.norm(gradient)  # where it rises the most
        for sign in (1, -1):
            kernel.assign(start + sign * step)
            values.append(float(total()))
        kernel.assign(start)
        slope = (values[0] - values[1]) / 2e-4
        np.testing.assert_allclose(slope, np.linalg.norm(gradient), rtol=0.01, err_msg=kernel.path)


# Of completion


def test_contextual_loss_is_its_formula():
    generated, given = uniform(3, 16, 16, 2), uniform(3, 16, 16, 2, seed=1)
    weights = RS(2).uniform(0, 1, (3, 16, 16, 1)).astype(np.float32)
    for norm, power in (("l1", 1), ("l2", 2)):
        expected = (weights * np.abs(generated.astype(float) - given) ** power).sum((1, 2, 3))
        actual = losses.contextual_loss(generated, given, weights, norm)
        assert actual.shape == (3,)
        np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_contextual_loss_ignores_the_hole():
    mask = np.ones((1, 16, 16, 1), np.float32)
    mask[:, 4:12, 4:12] = 0
    given, generated = uniform(1, 16, 16, 3), uniform(1, 16, 16, 3, seed=1)
    other = np.where(mask > 0, given, 7)
    one, two = (float(losses.contextual_loss(generated, p, mask)[0]) for p in (given, other))
    assert one == two


def test_lowres_loss_is_its_formula():
    generated, means = uniform(3, 16, 16, 3), uniform(3, 8, 8, 3, seed=1)
    blocks = generated.astype(float).reshape(3, 8, 2, 8, 2, 3).mean((2, 4))
    expected = np.abs(blocks - means).sum((1, 2, 3))
    np.testing.assert_allclose(losses.lowres_loss(generated, means), expected, rtol=1e-5)


def test_perceptual_losses_are_their_formulas():
    np.testing.assert_allclose(
        losses.perceptual_loss("generator", FAKE), -np.log(SIGMOID_FAKE), rtol=1e-5
    )
    np.testing.assert_allclose(
        losses.perceptual_loss("paper", FAKE), np.log(1 - SIGMOID_FAKE), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"norm": "l3"}, "norm is 'l3'; choose from l1, l2"),
        ({"perceptual": "x"}, "perceptual is 'x'; choose from generator, paper"),
    ],
)
def test_an_objective_is_checked(wrong, message):
    with pytest.raises(ValueError, match=message):
        Objective(**wrong)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("lowres", [False, True])
def test_completion_loss_is_the_sum_of_its_parts_image_by_image(channels, lowres):
    """The original's loss of one image depends on all of its batch."""
    model = DCGAN(Config(image_size=16, gf_dim=4, df_dim=4, z_dim=4, channels=channels))
    z, given = uniform(4, 4), uniform(4, 16, 16, channels)
    weights, means = np.ones((4, 16, 16, 1), np.float32), uniform(4, 8, 8, channels)
    objective = Objective(lam=0.3, norm="l2", perceptual="paper", lowres=lowres)
    contextual, complete = model.completion_loss(z, Task(given, weights, means, weights), objective)
    generated = model.generate(z).astype(float)
    expected = ((generated - given) ** 2).sum((1, 2, 3))
    if lowres:
        blocks = generated.reshape(4, 8, 2, 8, 2, channels).mean((2, 4))
        expected += np.abs(blocks - means).sum((1, 2, 3))
    np.testing.assert_allclose(contextual, expected, rtol=1e-5)
    logits = model.logits(model.generate(z)).astype(float)
    np.testing.assert_allclose(complete, expected - 0.3 * np.log1p(np.exp(logits)), rtol=1e-5)
    for i in range(4):
        alone = Task(*(part[i : i + 1] for part in (given, weights, means, weights)))
        np.testing.assert_allclose(
            model.completion_loss(z[i : i + 1], alone, objective)[1], complete[i : i + 1], rtol=1e-5
        )
