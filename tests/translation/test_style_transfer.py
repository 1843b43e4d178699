"""Networks that paint, and the search over pixels: what they minimise, keep, and leave alone."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from data.drawn import drawn_faces, drawn_painting
from networks.style_config import Objective, StyleConfig
from pictures import codecs
from training import checkpoint
from translation.painting import Loss, Search
from translation.style_recipe import StyleRecipe
from translation.style_transfer import StyleTransfer, make_batch

SHALLOW = {"style_blocks": ("stem", "block1"), "content_blocks": ("block1",)}
RECIPE = StyleRecipe(**SHALLOW, batch_size=2, style_size=32)
TINY = {"image_size": 16, "filters": 2, "residual": 1}
STYLES = [drawn_painting(kind, 32) for kind in ("strokes", "glass")]
ANY = StyleConfig(**TINY, network="adain", encoder_blocks=("stem", "block2"))
TWO = StyleConfig(**TINY, styles=("strokes", "glass"))
SHARES = np.float32([[1, 0], [0, 1], [0.5, 0.5]])


def faces(count=3, size=16, seed=0):
    return drawn_faces(count, size, seed)


def batch(config, number=0):
    pictures = codecs.to_float(faces(2, seed=number))
    made = make_batch(config, 0, STYLES, pictures, np.arange(2) + 2 * number)
    return tuple(tf.constant(part) for part in made)


def lively(config):
    """A model that paints: a fresh one hardly changes what it sees."""
    model = StyleTransfer(config, RECIPE, styles=STYLES[: len(config.styles)])
    for network in (model.network, model.average):
        kernel = network.get_layer("out").kernel
        kernel.assign(100 * kernel)
    return model


@pytest.fixture(scope="module")
def two():
    return lively(TWO)


@pytest.fixture(scope="module")
def any_style():
    return lively(ANY)


@pytest.fixture(params=["two", "any_style"])
def model(request):
    return request.getfixturevalue(request.param)


def painted(model, pictures, **options):
    styles = STYLES if model.any_style else []
    return model.paint(pictures, SHARES[: len(pictures)], styles, **options)


def test_it_paints_pictures_of_any_size(model):
    pictures = np.stack([np.pad(face, ((0, 7), (0, 21), (0, 0)), "wrap") for face in faces()])
    made = painted(model, pictures)
    assert made.shape == pictures.shape and made.dtype == np.uint8
    assert len(np.unique(made.reshape(3, -1), axis=0)) == 3


def test_companions_and_position_change_no_bit(model):
    pictures, others = faces(), faces(seed=1)
    made = painted(model, pictures)
    among_others = painted(model, np.stack([others[0], pictures[1], others[2]]))
    np.testing.assert_array_equal(made[1], among_others[1])
    same = model.paint(
        np.stack([pictures[1], others[0], others[2]]),
        SHARES[[1, 0, 2]],
        STYLES if model.any_style else [],
    )
    np.testing.assert_array_equal(made[1], same[0])


@pytest.mark.parametrize("config", [TWO, ANY], ids=["two", "any"])
def test_a_fresh_network_paints_in_the_colours_of_the_style(config):
    model = StyleTransfer(config, RECIPE, styles=STYLES)
    grey = np.repeat(STYLES[1][..., :1] // 2 + 64, 3, axis=2)
    if config is TWO:
        model = StyleTransfer(config, RECIPE, styles=[STYLES[0], grey])
    made = model.paint(
        faces(size=32), SHARES[[1] * 3], [STYLES[0], grey] if model.any_style else []
    )
    assert np.ptp(made.astype(int), axis=3).mean() < 2
    means, deviations = grey.mean(), grey.std()
    np.testing.assert_allclose(made.mean(axis=(1, 2, 3)), means, atol=3)
    np.testing.assert_allclose(made.std(axis=(1, 2, 3)), deviations, rtol=0.1)


def test_alpha_goes_from_the_content_to_the_style(any_style):
    pictures = tf.constant(codecs.to_float(faces()))
    features = any_style._encoded(pictures)
    styles = [tf.constant(codecs.to_float(style[None])) for style in STYLES]
    one = tf.constant(SHARES[[0, 0, 0]])
    for number, wanted in enumerate(any_style._encoded(styles[0])):
        kept, half, gone = (
            any_style._normed(pictures, one, styles, alpha)[number] for alpha in (0.0, 0.5, 1.0)
        )
        np.testing.assert_array_equal(kept, features[number])
        np.testing.assert_allclose(half, (kept + gone) / 2, atol=1e-5)
        means = np.mean(gone, axis=(1, 2)) - np.mean(wanted, axis=(1, 2))
        np.testing.assert_allclose(means, 0, atol=1e-4)


@pytest.mark.parametrize("config", [TWO, ANY], ids=["two", "any"])
def test_steps_lower_the_loss_and_a_saved_model_paints_alike(config, tmp_path):
    model = lively(config)
    before = np.mean(model.measure(batch(config))["loss"])
    for number in range(12):
        losses = model.step(batch(config), tf.constant(number))
    assert losses["loss"] < 0.9 * before
    parts = {name: losses[f"{name}"] for name in ("content", "style", "variation")}
    np.testing.assert_allclose(Loss(RECIPE).total(parts), losses["loss"], rtol=1e-5)
    shown = next(iter(model.preview().pictures.values()))
    assert shown.shape == ((3 if model.any_style else 2) * 16, 2 * 16, 3)
    model.state.save(tmp_path / "model")
    restored = StyleTransfer.of_checkpoint(checkpoint.load(tmp_path / "model"))
    np.testing.assert_array_equal(painted(restored, faces()), painted(model, faces()))


def test_batch_norm_serves_one_style():
    with pytest.raises(ValueError, match="norm is batch with 2 styles; several take norm instance"):
        StyleConfig(norm="batch", styles=("a", "b"))
    config = StyleConfig(**TINY, norm="batch")
    network = lively(config).network
    inputs = [codecs.to_float(faces()), np.ones((3, 1), np.float32)]
    before = network(inputs, training=False).numpy()
    network(inputs, training=True)  # which moves the norms' statistics
    assert np.abs(network(inputs, training=False) - before).max() > 0.01


def test_networks_differ_in_what_they_have():
    other = dataclasses.replace(TWO, encoder_blocks=("block1",), image_size=32)
    assert TWO.difference(other) == "image_size is 16, here it is 32"
    assert TWO.difference(other, any_size=True) is None
    assert "encoder_blocks is" in dataclasses.replace(other, network="adain").difference(ANY, True)
    assert TWO.difference(ANY) == "network is transformation, here it is adain"


def test_what_an_objective_is_not():
    with pytest.raises(ValueError, match="statistics is 'sum'; choose from gram, moments"):
        Objective(statistics="sum")
    with pytest.raises(ValueError, match="style_blocks has 'pool'; efficientnet-lite0 has stem"):
        Objective(style_blocks=("pool",))
    assert Objective(extractor="vgg19").content_blocks == ("block4_conv2",)


def last(search, pictures, shares=SHARES, styles=STYLES):
    return list(search.paint(pictures, styles, shares[: len(pictures)]))[-1]


def test_the_search_lowers_the_loss_at_every_size():
    search = Search(Objective(**SHALLOW), steps=13, levels=2)
    pictures = faces(2, 80)
    moments = list(search.paint(pictures, [drawn_painting("glass", 80)], np.ones((2, 1))))
    assert [m.step for m in moments] == [*range(7), *range(6, 14)]
    assert moments[0].pictures.shape == (2, 64, 64, 3)  # not smaller
    assert moments[-1].pictures.shape == (2, 80, 80, 3)
    for level in (moments[:7], moments[7:]):
        assert (level[-1].loss < 0.7 * level[0].loss).all()
    assert moments[-1].pictures.dtype == np.uint8


def test_edges_are_painted_like_the_middle():
    flat = np.full((1, 96, 96, 3), (150, 170, 200), np.uint8)
    search = Search(Objective(style_weight=20), steps=16, levels=2)
    made = last(search, flat, styles=STYLES[:1], shares=np.ones((1, 1))).pictures[0].astype(float)
    middle = made[16:-16, 16:-16].mean(axis=(0, 1))
    for edge in (made[:4], made[-4:], made[:, :4], made[:, -4:]):
        assert np.abs(edge.mean(axis=(0, 1)) - middle).max() < 8


def test_each_picture_is_searched_by_itself():
    search = Search(Objective(**SHALLOW), steps=4, levels=1)
    pictures, others = faces(2), faces(2, seed=1)
    first = last(search, pictures)
    second = last(search, np.stack([others[0], pictures[0]]), shares=SHARES[[1, 0]])
    np.testing.assert_array_equal(first.pictures[0], second.pictures[1])
    assert first.loss[0] == second.loss[1]


def test_a_mixture_lies_between_its_styles():
    loss = Loss(Objective(**SHALLOW))
    pictures = tf.constant(codecs.to_float(faces()))
    styles = [loss.style(tf.constant(codecs.to_float(style[None]))) for style in STYLES]
    parts = [
        loss.parts(pictures, loss.content(pictures), styles, tf.constant(SHARES[[row] * 3]))
        for row in range(3)
    ]
    one, other, both = (part["style"].numpy() for part in parts)
    np.testing.assert_allclose(both, (one + other) / 2, rtol=1e-5)
    assert (parts[0]["content"].numpy() == 0).all()
