"""The linear expectation as a layer, against the Gaussian posterior in NumPy."""

import keras
import numpy as np
import pytest
from PIL import Image

from data.drawn import drawn_faces
from networks.expectation import LinearExpectation
from pictures import codecs, masks
from search.linear import LinearModel

SIZE = 16
COMPONENTS = 12


@pytest.fixture(scope="module")
def linear():
    return LinearModel.of_training([codecs.to_float(drawn_faces(80, SIZE))], mirrored=True)


def layer_of(linear, components=COMPONENTS, size=SIZE, side=SIZE):
    """A function (pictures, masks) -> what is expected."""
    layer = LinearExpectation(components, side)
    channels = linear.channels
    inputs = [keras.Input((size, size, channels)), keras.Input((size, size, 1))]
    network = keras.Model(inputs, layer(inputs))
    layer.take(linear)
    return lambda pictures, masks: network([pictures, masks], training=False).numpy()


@pytest.fixture(scope="module")
def expected(linear):
    return layer_of(linear)


def cases(size=SIZE, count=6):
    """Pictures with all their pixels, and masks of several kinds."""
    kinds = ("center", "left", "strokes", "pattern", "random", "full")
    made = [masks.make(kind, (size, size), seed=3) for kind in kinds[:count]]
    return codecs.to_float(drawn_faces(count, size, seed=5)), np.stack(made)


def posterior(linear, picture, weights, components=COMPONENTS, caution=30.0):
    """The mean of x given its known numbers, by the covariance of what is known:
    m + S K (K S K + caution * noise)^-1 K (x - m), where S is the model's covariance. Independent
    of the layer, which solves in the space of the components. weights (D,): 1 known, 0 hidden."""
    axes = linear.components[:components].astype(np.float64)
    covariance = axes.T * linear.variances[:components].astype(np.float64) @ axes
    known = weights > 0
    noise = caution * linear.noise * np.eye(known.sum())
    difference = (picture.ravel() - linear.mean)[known]
    solved = np.linalg.solve(covariance[np.ix_(known, known)] + noise, difference)
    return (linear.mean + covariance[:, known] @ solved).reshape(picture.shape)


def test_is_the_posterior_mean_in_numpy(linear, expected):
    pictures, holes = cases(count=5)
    found = expected(pictures * holes, holes)
    for row, (picture, mask) in enumerate(zip(pictures, holes, strict=True)):
        weights = np.repeat(mask.ravel(), 3)
        np.testing.assert_allclose(found[row], posterior(linear, picture, weights), atol=2e-4)


def test_where_nothing_is_known_it_is_the_mean(linear, expected):
    pictures, holes = cases()
    hidden = np.zeros_like(holes)
    found = expected(pictures * hidden, hidden)
    np.testing.assert_allclose(found, np.tile(linear.mean, 6).reshape(found.shape), atol=1e-6)


def test_larger_pictures_are_expected_by_the_means_of_their_blocks(linear):
    """Enlarged smoothly; a block that is half known counts half."""
    pictures, _ = cases(32, 2)
    hole = np.ones((2, 32, 32, 1), np.float32)
    hole[:, 8:24, 7:24] = 0
    found = layer_of(linear, size=32)(pictures * hole, hole)
    assert found.shape == (2, 32, 32, 3)
    blocks = (pictures * hole).reshape(2, 16, 2, 16, 2, 3).mean((2, 4))
    share = hole.reshape(2, 16, 2, 16, 2, 1).mean((2, 4))
    means = blocks / np.maximum(share, 1e-6)
    axes = linear.components[:COMPONENTS] * linear.variances[:COMPONENTS, None] ** 0.5
    axes = axes.astype(np.float64)
    for row in range(2):
        weighted = axes * np.repeat(share[row].ravel(), 3)
        gram = weighted @ axes.T + 30 * linear.noise * np.eye(COMPONENTS)
        code = np.linalg.solve(gram, weighted @ (means[row].ravel() - linear.mean))
        small = (linear.mean + code @ axes).reshape(16, 16, 3)
        large = np.dstack([enlarged(small[..., channel]) for channel in range(3)])
        inner = np.s_[4:-4, 4:-4]  # what lies beyond a border, programs differ about
        np.testing.assert_allclose(found[row][inner], large[inner], atol=1e-3)


def enlarged(plane):
    """Twice as large, by Pillow's bicubic interpolation (Keys 1981, a = -1/2)."""
    image = Image.fromarray(plane.astype(np.float32))
    return np.asarray(image.resize((32, 32), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_model_of_few_pictures_has_few_components(channels):
    few = codecs.to_float(drawn_faces(20, SIZE))[..., :channels]
    linear = LinearModel.of_training([few], mirrored=False)
    assert len(linear.components) < COMPONENTS
    pictures, holes = cases(count=3)
    pictures = pictures[..., :channels]
    found = layer_of(linear)(pictures * holes, holes)
    weights = np.repeat(holes[1].ravel(), channels)
    np.testing.assert_allclose(found[1], posterior(linear, pictures[1], weights), atol=2e-4)


def test_nothing_hidden_reaches_it(expected):
    pictures, holes = cases()
    noise = np.random.default_rng(0).uniform(-1, 1, pictures.shape).astype(np.float32)
    others = np.where(holes > 0, pictures, noise)
    np.testing.assert_array_equal(expected(pictures, holes), expected(others, holes))


def test_companions_and_position_change_no_bit(expected):
    pictures, holes = cases()
    together = expected(pictures * holes, holes)
    for order in (range(5, -1, -1), [2, 2, 2, 0, 1, 5]):
        order = list(order)
        again = expected((pictures * holes)[order], holes[order])
        np.testing.assert_array_equal(again, together[order])
