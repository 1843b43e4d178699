"""The one-pass generators: what they start as, what reaches their output, how large they are."""

import keras
import numpy as np
import pytest

from data.drawn import drawn_faces
from networks import unet
from networks.unet_config import UNetConfig
from pictures import codecs, masks
from search.linear import LinearModel

SMALL = {"image_size": 16, "filters": 2, "d_filters": 2, "components": 8}
PAPER = {"network": "paper", "guide": "none"}
RESNET = {"network": "resnet", "blocks": 2}


def config(**values) -> UNetConfig:
    return UNetConfig(**SMALL | values)


def inputs(size=16, channels=3, trust=0.0, fidelity=0.0, count=3):
    """A batch of inputs, as arrays: pictures hidden by masks, and hints that differ from them."""
    pictures = codecs.to_float(drawn_faces(count, size))[..., :channels]
    kinds = ("center", "left", "strokes")
    holes = np.stack([masks.make(kinds[i % 3], (size, size), seed=i) for i in range(count)])
    hints = codecs.to_float(drawn_faces(count, size, seed=9))[..., :channels]
    planes = [np.full((count, 1), x, np.float32) for x in (fidelity, trust)]
    return [pictures * holes, holes, planes[0], hints, planes[1]]


def shaken(network: keras.Model, seed=0) -> keras.Model:
    """With weights in place of those that start at zero, so that everything counts."""
    rng = np.random.default_rng(seed)
    for variable in network.trainable_variables:
        noise = rng.normal(0, 0.2, variable.shape).astype(np.float32)
        variable.assign(variable + noise)
    for variable in network.non_trainable_variables:
        if variable.path.endswith(("moving_mean", "moving_variance")):
            around = 0.02 if variable.path.endswith("variance") else 0
            values = around + rng.uniform(-0.01, 0.01, variable.shape)
            variable.assign(values.astype(np.float32))
    return network


def run(network, parts, training=False) -> np.ndarray:
    return network(parts, training=training).numpy()


@pytest.fixture(scope="module")
def guided():
    """A network whose linear model is of drawn faces."""
    network = unet.generator(config())
    faces = codecs.to_float(drawn_faces(60, 16))
    network.get_layer("expectation").take(LinearModel.of_training([faces], mirrored=True))
    return network


# What it starts as


def test_untrained_it_gives_what_the_linear_model_expects_and_the_known_pixels(guided):
    parts = inputs(fidelity=0.4)
    known, holes = parts[:2]
    expected = guided.get_layer("expectation")([known, holes]).numpy()
    assert np.abs(expected).max() > 0.2
    made = run(guided, parts)
    np.testing.assert_allclose(made, np.where(holes > 0, known, expected), atol=1e-6)


def test_untrained_it_gives_the_hint_where_that_is_trusted(guided):
    parts = inputs(trust=1.0)
    known, holes, _, hints, _ = parts
    np.testing.assert_allclose(run(guided, parts), np.where(holes > 0, known, hints), atol=1e-6)


def test_a_hint_that_is_not_trusted_is_not_read(guided):
    parts, others = inputs(), inputs()
    others[3] = np.full_like(others[3], 0.7)
    np.testing.assert_array_equal(run(guided, parts), run(guided, others))


def test_without_a_guide_holes_start_grey():
    parts = inputs()
    made = run(unet.generator(config(guide="none")), parts)
    np.testing.assert_allclose(made, parts[0] * parts[1], atol=1e-6)


def test_the_seed_decides_the_weights():
    first, again, other = (unet.generator(config(), seed) for seed in (1, 1, 2))
    for mine, same, another in zip(first.weights, again.weights, other.weights, strict=True):
        np.testing.assert_array_equal(mine, same)
        if mine.path.endswith("kernel") and np.any(mine):
            assert not np.array_equal(mine, another), mine.path


# What reaches its output


@pytest.mark.parametrize("changed", [2, 3, 4], ids=["fidelity", "hint", "trust"])
def test_fidelity_hint_and_trust_reach_a_trained_network(changed):
    network = shaken(unet.generator(config()))
    parts = inputs(trust=1.0)
    others = list(parts)
    others[changed] = 0.5 * others[changed] + 0.25
    assert np.abs(run(network, parts) - run(network, others)).max() > 1e-3


@pytest.mark.parametrize(
    "values", [{}, {"guide": "none"}, PAPER, RESNET], ids=["linear", "none", "paper", "resnet"]
)
def test_companions_and_position_change_no_bit(values):
    """At inference: batch norm by its moving averages, no dropout."""
    network = shaken(unet.generator(config(**values)))
    parts = inputs(count=6)
    together = run(network, parts)
    for order in ([5, 4, 3, 2, 1, 0], [2, 2, 2, 2, 2, 2], [1, 0, 2, 5, 1, 3]):
        again = run(network, [part[order] for part in parts])
        np.testing.assert_array_equal(again, together[order])


def test_the_papers_network_uses_moving_averages_and_no_dropout_at_inference():
    network = shaken(unet.generator(config(**PAPER)))
    parts = inputs()
    before = [np.array(v) for v in network.variables]
    once = run(network, parts)
    np.testing.assert_array_equal(once, run(network, parts))
    for variable, value in zip(network.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    name = "down1_norm"
    network.get_layer(name).moving_mean.assign_add(np.full(4, 0.1, np.float32))
    assert np.abs(run(network, parts) - once).max() > 1e-4
    training = [run(network, parts, training=True) for _ in range(2)]
    assert not np.array_equal(*training)


def test_the_papers_network_reads_the_picture_alone():
    network = shaken(unet.generator(config(**PAPER)))
    parts = inputs()
    others = [parts[0], 1 - parts[1], parts[2] + 1, parts[3] * 0.5, parts[4] + 1]
    np.testing.assert_array_equal(run(network, parts), run(network, others))


# Sizes


@pytest.mark.parametrize("size", [16, 32, 64, 128, 256])
@pytest.mark.parametrize("values", [{}, PAPER], ids=["residual", "paper"])
def test_every_size(size, values):
    network = unet.generator(config(image_size=size, filters=1, **values))
    assert network.output_shape == (None, size, size, 3)
    names = {layer.name for layer in network.layers}
    deepest = max(int(name[4:]) for name in names if name.startswith("down") and name[4:].isdigit())
    halvings = size.bit_length() - (2 if values else 3)
    assert deepest == (halvings if values else min(4, halvings))
    if size <= 32:
        made = run(network, inputs(size, count=1))
        assert made.shape == (1, size, size, 3) and np.isfinite(made).all()


def test_weights_of_64_pixels_fit_128():
    """And give the same inner layers, whatever the size of the picture."""
    small, large = (unet.generator(config(image_size=size)) for size in (64, 128))
    shapes = {v.path: v.shape for v in small.weights}
    assert shapes == {v.path: v.shape for v in large.weights}
    large.set_weights(shaken(small).get_weights())
    made = run(large, inputs(128, count=1))
    assert made.shape == (1, 128, 128, 3) and np.isfinite(made).all()


def test_the_papers_network_has_the_papers_layers():
    """Isola et al. 2017, appendix 6.1.1, at 256 pixels: C64-C128-C256-C512-C512-C512-C512-C512 and
    back; 54.414 million weights by their program, where the last layer alone has a bias."""
    network = unet.generator(UNetConfig(image_size=256, filters=64, **PAPER))
    layers = {layer.name: layer for layer in network.layers}
    down = [layers[f"down{i}"].filters for i in range(8)]
    up = [layers[f"up{i}"].filters for i in range(7, -1, -1)]
    assert down == [64, 128, 256, 512, 512, 512, 512, 512]
    assert up == [512, 512, 512, 512, 256, 128, 64, 3]
    norms = sorted(name for name in layers if name.endswith("_norm"))
    assert norms == [*(f"down{i}_norm" for i in range(1, 7)), *(f"up{i}_norm" for i in range(1, 8))]
    dropouts = {name for name in layers if name.endswith("_dropout")}
    assert dropouts == {"up7_dropout", "up6_dropout", "up5_dropout"}
    count = sum(int(np.prod(v.shape)) for v in network.trainable_variables)
    biases = sum(down) + sum(up[:-1])
    assert count - biases == 54_413_955
    for name, layer in layers.items():
        if hasattr(layer, "kernel"):
            assert layer.kernel_size == (4, 4) and layer.strides == (2, 2), name


def test_a_kernel_of_the_papers_network_starts_with_a_deviation_of_two_hundredths():
    network = unet.generator(UNetConfig(image_size=16, filters=16, **PAPER))
    for variable in network.trainable_variables:
        if variable.path.endswith("kernel") and np.size(variable) > 5000:
            assert np.std(variable) == pytest.approx(0.02, rel=0.05), variable.path
