"""The discriminators of one-pass networks: shapes, fields, what they see."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from networks import patch
from networks.unet_config import UNetConfig

PAPER = {"network": "paper", "guide": "none"}


def built(size=16, filters=2, **values) -> keras.Model:
    values = {"image_size": size, "filters": filters, "d_filters": filters} | values
    return patch.discriminator(UNetConfig(**values))


def noise(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize("size", [16, 32, 64, 128, 256])
@pytest.mark.parametrize("channels", [1, 3])
def test_maps_and_features_of_every_size(size, channels):
    patches, whole, *features = built(size, 3, channels=channels).output_shape
    assert patches == (None, size // 4, size // 4, 1) and whole == (None, 1)
    sides = (size // 2, size // 4, size // 4, size // 8, size // 16)
    assert features == [
        (None, side, side, 3 * width) for side, width in zip(sides, (1, 2, 4, 4, 4), strict=True)
    ]
    assert patch.MAPS["residual"] == 2


@pytest.mark.parametrize(("size", "side"), [(16, 4), (32, 5), (64, 6), (128, 14), (256, 30)])
def test_maps_of_the_papers(size, side):
    """30 x 30 at 256 pixels, as Isola et al.'s; smaller pictures are halved until 8 pixels."""
    (map_,) = built(size, 1, **PAPER).outputs
    assert map_.shape == (None, side, side, 1)
    assert patch.MAPS["paper"] == 1


def test_the_papers_has_the_papers_layers():
    """C64-C128-C256-C512; 2,768,705 weights by their program, 6 input channels, for which layers
    before a batch norm have no bias."""
    network = built(256, 64, **PAPER)
    count = sum(int(np.prod(v.shape)) for v in network.trainable_variables)
    assert count - (128 + 256 + 512) == 2_768_705


def field(network: keras.Model, size: int, map_number: int = 0) -> int:
    """How many pixels across a logit in the middle of a map sees, by its gradient."""
    pictures = tf.constant(noise(1, size, size, 3))
    with tf.GradientTape() as tape:
        tape.watch(pictures)
        logits = keras.tree.flatten(network([pictures, tf.ones((1, size, size, 1))]))[map_number]
        middle = logits.shape[1] // 2
        logit = logits[0, middle, middle, 0]
    rows = np.abs(tape.gradient(logit, pictures)).sum((0, 2, 3)) > 0
    (seen,) = np.nonzero(rows)
    return int(seen[-1] - seen[0]) + 1


def test_patches_see_34_pixels_and_the_papers_70():
    assert field(built(64, 4), 64) == 34
    assert field(built(256, 1, **PAPER), 256) == 70


def test_they_see_the_mask_and_a_papers_what_is_known():
    pictures, ones = noise(2, 16, 16, 3), np.ones((2, 16, 16, 1), np.float32)
    hole = ones.copy()
    hole[:, 4:12, 4:12] = 0
    for values in ({}, PAPER):
        network = built(**values)
        first, other = (
            keras.tree.flatten(network([pictures, masks], training=False))[0]
            for masks in (ones, hole)
        )
        assert np.abs(first - other).max() > 1e-6


def test_without_batch_norm_a_picture_is_judged_by_itself():
    network = built(filters=4)
    pictures, masks = noise(4, 16, 16, 3), np.ones((4, 16, 16, 1), np.float32)
    together = keras.tree.flatten(network([pictures, masks], training=True))
    order = [3, 0, 0, 1]
    again = keras.tree.flatten(network([pictures[order], masks], training=True))
    for mine, all_ in zip(again, together, strict=True):
        np.testing.assert_allclose(mine, all_.numpy()[order], rtol=1e-5, atol=1e-6)


def test_the_seed_decides_the_weights():
    config = UNetConfig(image_size=16, d_filters=2, filters=2)
    first, again, other = (patch.discriminator(config, seed) for seed in (1, 1, 2))
    for mine, same, another in zip(first.weights, again.weights, other.weights, strict=True):
        np.testing.assert_array_equal(mine, same)
        if mine.path.endswith("kernel"):
            assert not np.array_equal(mine, another), mine.path
