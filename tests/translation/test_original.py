"""--preset original against pix2pix in NumPy: shapes, losses and a whole step of both networks.

Here is Isola et al. 2017 once more, in float64 and independent of the program: section 3.1's
objective, appendix 6.1's networks, and Adam's first step. Gradients are differences of the losses.
What dropout keeps is drawn, and so taken from the program.
"""

import numpy as np
import pytest
import tensorflow as tf
from numpy.lib.stride_tricks import sliding_window_view
from one_pass import ORIGINAL, pairs, pix2pix

from translation.pix2pix import _seed_dropout

RATE, BETA1, BETA2, EPSILON = 2e-4, 0.5, 0.999, 1e-8
STEP = 3  # which decides what dropout keeps
LEVELS = 4  # halvings of 16 pixels


def convolved(x, weights, stride=2):
    """A 4x4 convolution of (N, H, W, C), a pixel of zeros around."""
    kernel, bias = weights
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = sliding_window_view(padded, (4, 4), axis=(1, 2))[:, ::stride, ::stride]
    return np.einsum("nhwcij,ijco->nhwo", windows, kernel) + bias


def transposed(x, weights):
    """The transpose of that convolution: twice the height and width."""
    kernel, bias = weights
    count, height, width, _ = x.shape
    canvas = np.zeros((count, 2 * height + 2, 2 * width + 2, kernel.shape[2]))
    for i in range(4):
        for j in range(4):
            place = canvas[:, i : i + 2 * height : 2, j : j + 2 * width : 2]
            place += x @ kernel[i, j].T
    return canvas[:, 1:-1, 1:-1] + bias


def normed(x, weights):
    """By the statistics of the batch."""
    gamma, beta = weights
    return gamma * (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-5) + beta


def leaky(x):
    return np.where(x > 0, x, 0.2 * x)


def generated(weights, known, kept):
    """U-Net: weights by layer, known (N, 16, 16, C), kept: what dropout leaves, times two."""
    x, skips = known, []
    for level in range(LEVELS):
        x = convolved(leaky(x) if level else x, weights[f"down{level}"])
        if 0 < level < LEVELS - 1:
            x = normed(x, weights[f"down{level}_norm"])
        skips.append(x)
    x = skips.pop()
    for level in (3, 2, 1):
        x = normed(transposed(np.maximum(x, 0), weights[f"up{level}"]), weights[f"up{level}_norm"])
        x = np.concatenate([x * kept[f"up{level}_dropout"], skips.pop()], axis=3)
    return np.tanh(transposed(np.maximum(x, 0), weights["up0"]))


def judged(weights, pictures, masks):
    """PatchGAN: logits (N, 4, 4, 1) of pictures beside their damaged selves."""
    x = np.concatenate([pictures, masks * pictures], axis=3)
    for number, stride in enumerate((2, 1, 1, 1)):
        x = convolved(x, weights[f"trunk{number}"], stride)
        if number:
            x = normed(x, weights[f"trunk{number}_norm"])
        x = leaky(x)
    return convolved(x, weights["patches"], 1)


def softplus(x):
    return np.logaddexp(x, 0)


class Peer:
    """Both networks' losses as functions of their weights, {layer: [kernel, bias]}."""

    def __init__(self, model, true, masks):
        self.true, self.masks = true.astype(np.float64), masks.astype(np.float64)
        self.g, self.d = (weights_of(n) for n in (model.generator, model.discriminator))
        self.kept = kept_by_dropout(model, len(true))
        self.made = generated(self.g, self.true * self.masks, self.kept)

    def g_losses(self, g):
        made = generated(g, self.true * self.masks, self.kept)
        logits = judged(self.d, made, self.masks)
        return {"l1": np.abs(made - self.true).mean(), "g_loss": softplus(-logits).mean()}

    def g_objective(self, g):
        found = self.g_losses(g)
        return 100 * found["l1"] + found["g_loss"]

    def d_loss(self, d):
        real, fake = (judged(d, pictures, self.masks) for pictures in (self.true, self.made))
        return softplus(-real).mean() + softplus(fake).mean()

    def d_objective(self, d):
        return self.d_loss(d) / 2


def weights_of(network):
    """By layer: kernel and bias, or gamma and beta."""
    found = {}
    for variable in network.trainable_variables:
        layer, _ = variable.path.split("/")
        found.setdefault(layer, []).append(variable.numpy().astype(np.float64))
    return found


def kept_by_dropout(model, count):
    _seed_dropout(model.generator, model.recipe.seed, tf.constant(STEP))
    return {
        layer.name: layer(np.ones((count, *layer.output.shape[1:]), np.float32), training=True)
        .numpy()
        .astype(np.float64)
        for layer in model.generator.layers
        if layer.name.endswith("_dropout")
    }


def slope(objective, weights, layer, part, place):
    """The derivative by one weight, from central differences."""
    array, values = weights[layer][part], []
    before = array[place]
    for change in (1e-5, -1e-5):
        array[place] = before + change
        values.append(objective(weights))
    array[place] = before
    return (values[0] - values[1]) / 2e-5


@pytest.fixture(scope="module")
def stepped():
    """The peer before a step; what the program measured in it; the program after it."""
    model = pix2pix(**ORIGINAL, seed=4)
    for network in (model.generator, model.discriminator):
        rng = np.random.default_rng(1)  # livelier than at the start: no logit is 0
        for variable in network.trainable_variables:
            variable.assign(variable + rng.normal(0, 0.1, variable.shape).astype(np.float32))
    true, masks = pairs(model)
    peer = Peer(model, true, masks)
    tf.config.run_functions_eagerly(True)
    measured = model.step((tf.constant(true), tf.constant(masks)), tf.constant(STEP))
    tf.config.run_functions_eagerly(False)
    return peer, {name: float(value) for name, value in measured.items()}, model


def test_the_recipe_is_the_papers(stepped):
    recipe, config = stepped[2].recipe, stepped[2].config
    assert (recipe.l1, recipe.adversarial, recipe.loss, recipe.d_weight) == (100, 1, "gan", 0.5)
    assert (recipe.g_lr, recipe.d_lr) == (RATE, RATE)
    assert (recipe.beta1, recipe.beta2, recipe.clip_norm) == (BETA1, BETA2, 0)
    assert (recipe.adversarial_from, recipe.r1, recipe.feature_matching, recipe.ema) == (0,) * 4
    assert (recipe.smooth, recipe.hinted, recipe.perceptual) == (0,) * 3
    assert recipe.whole and (config.network, config.guide) == ("paper", "none")
    assert stepped[2].average is None


def test_shapes(stepped):
    peer, _, model = stepped
    assert peer.made.shape == (2, *model.generator.output_shape[1:])
    logits = judged(peer.d, peer.made, peer.masks)
    assert logits.shape == (2, *model.discriminator.outputs[0].shape[1:]) == (2, 4, 4, 1)
    assert {name: kept.shape[1:] for name, kept in peer.kept.items()} == {
        "up3_dropout": (2, 2, 8),
        "up2_dropout": (4, 4, 4),
        "up1_dropout": (8, 8, 2),
    }
    for kept in peer.kept.values():
        assert {*np.unique(kept)} == {0, 2} and 0.25 < (kept > 0).mean() < 0.75


def test_losses(stepped):
    peer, measured, _ = stepped
    expected = peer.g_losses(peer.g) | {"d_loss": peer.d_loss(peer.d), "feature_matching": 0}
    assert measured == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["generator", "discriminator"])
def test_a_step_is_adams_first_by_the_losses_slopes(stepped, name):
    """Of each variable, the weight of the largest gradient and two others."""
    peer, _, model = stepped
    network, weights, objective = {
        "generator": (model.generator, peer.g, peer.g_objective),
        "discriminator": (model.discriminator, peer.d, peer.d_objective),
    }[name]
    moments = model.state.optimizer_variables()
    rng = np.random.default_rng(0)
    moved = 0
    for variable in network.trainable_variables:
        layer, part_name = variable.path.split("/")
        part = 0 if part_name in ("kernel", "gamma") else 1
        own = f"{name[0]}/{layer}_{part_name}"
        first, second = (moments[f"{own}_{m}"].numpy() for m in ("momentum", "velocity"))
        gradient = first / (1 - BETA1)
        np.testing.assert_allclose(second, (1 - BETA2) * gradient**2, rtol=1e-4, atol=1e-12)
        largest = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
        others = [tuple(rng.integers(0, side) for side in gradient.shape) for _ in range(2)]
        for place in (largest, *others):
            wanted = slope(objective, weights, layer, part, place)
            rounding = 1e-4 * max(float(np.abs(gradient).max()), 1.0)
            assert gradient[place] == pytest.approx(wanted, rel=1e-3, abs=rounding), own
            if abs(wanted) > 100 * rounding:  # else rounding decides the direction
                found = variable.numpy()[place] - weights[layer][part][place]
                assert found == pytest.approx(-RATE * np.sign(wanted), rel=1e-2), own
                moved += 1
    assert moved > len(network.trainable_variables) / 2


def test_moving_averages_go_a_tenth_of_the_way(stepped):
    peer, _, model = stepped
    x = convolved(leaky(convolved(peer.true * peer.masks, peer.g["down0"])), peer.g["down1"])
    norm = model.generator.get_layer("down1_norm")
    np.testing.assert_allclose(norm.moving_mean, 0.1 * x.mean((0, 1, 2)), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(norm.moving_variance, 0.9 + 0.1 * x.var((0, 1, 2)), rtol=1e-4)
