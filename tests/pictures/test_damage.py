"""Damage that networks learn to undo: what each does, what it leaves known, that seeds decide."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.drawn import drawn_faces
from pictures import averages, codecs
from pictures.damage import CHOICES, PAIRS, Damage, make_pairs

FACES = codecs.to_float(drawn_faces(6, 64))


def of(name: str, seed: int = 0, picture=FACES[0]) -> np.ndarray:
    return Damage(name).of(picture, np.random.default_rng(seed))


@pytest.mark.parametrize("name", [c for c in CHOICES if c != "hole"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_damage_changes_a_picture_and_stays_in_range(name, channels):
    picture = FACES[0][..., :channels]
    damaged = of(name, picture=picture)
    side = 64 // Damage(name).factor
    assert damaged.shape == (side, side, channels) and damaged.dtype == np.float32
    assert np.abs(damaged).max() <= 1
    large = Damage(name).enlarged(damaged)
    assert large.shape == picture.shape
    if channels == 3 or name not in ("grey", "sepia"):
        assert np.abs(large - picture).mean() > 0.003


def test_blocks_by_hand():
    picture = np.arange(16, dtype=np.float32).reshape(4, 4, 1) / 16
    means = np.array([[2.5, 4.5], [10.5, 12.5]], np.float32)[..., None] / 16
    np.testing.assert_allclose(of("lowres:2", picture=picture), means)
    large = np.kron(picture[..., 0], np.ones((2, 2)))[..., None].astype(np.float32)
    np.testing.assert_allclose(
        of("mosaic:4", picture=large)[..., 0], np.kron(means[..., 0], np.ones((4, 4)))
    )


def test_grey_has_the_brightness_and_no_colour():
    grey = of("grey")
    np.testing.assert_allclose(grey.min(axis=2), grey.max(axis=2))
    np.testing.assert_allclose(averages.grey(grey), averages.grey(FACES[0]), atol=1e-6)


def test_sepia_is_brown_and_darker_where_the_picture_is():
    sepia, brightness = of("sepia"), averages.grey(FACES[0]).ravel()
    assert (sepia[..., 0] >= sepia[..., 2] - 1e-6).all()
    order = np.argsort(brightness)
    assert (np.diff(averages.grey(sepia).ravel()[order]) > -1e-5).all()


def test_a_mosaic_in_a_region_is_blocks_there_and_sharp_elsewhere():
    for seed in range(5):
        changed = (of("mosaic:8:region", seed) != FACES[0]).any(axis=2)
        blocks = changed.reshape(8, 8, 8, 8).swapaxes(1, 2).reshape(8, 8, 64)
        touched = blocks.any(axis=2)
        assert 0 < touched.sum() < 64
        shown = of("mosaic:8")
        inside = touched.repeat(8, 0).repeat(8, 1)
        np.testing.assert_array_equal(of("mosaic:8:region", seed)[inside], shown[inside])


def test_joined_damages_happen_in_their_order():
    rng = np.random.default_rng(3)
    both = Damage("blur+lowres:4+noise").of(FACES[0], rng)
    rng = np.random.default_rng(3)
    blurred = Damage("blur").of(FACES[0], rng)
    small = averages.block_means(blurred, 4)
    assert both.shape == small.shape == (16, 16, 3)
    assert 0.01 < np.abs(both - small).mean() < 0.2


def test_old_photographs_differ():
    drawn = np.stack([of("old", seed) for seed in range(40)])
    colourless = np.abs(drawn - drawn.mean(axis=3, keepdims=True)).max(axis=(1, 2, 3)) < 0.2
    assert 2 < colourless.sum() < 30
    assert len({picture.tobytes() for picture in drawn}) == 40


# Pairs


@pytest.mark.parametrize("name", ["lowres:4", "old"])
def test_pairs_are_drawn_by_seed_and_number(name):
    numbers = np.arange(50, 56)
    true, known, damaged = make_pairs(FACES, numbers, seed=3, damage=name)
    assert true.shape == damaged.shape and known.shape == (6, 64, 64, 1)
    alone = make_pairs(FACES[4:5], numbers[4:5], seed=3, damage=name)
    for mine, all_ in zip(alone, (true, known, damaged), strict=True):
        np.testing.assert_array_equal(mine[0], all_[4])
    if name != "lowres:4":
        assert not np.array_equal(make_pairs(FACES, numbers, 4, name)[2], damaged)
    assert known.all()


def test_ready_pairs_are_mirrored_together():
    both = np.concatenate([FACES, -FACES], axis=3)
    true, known, damaged = make_pairs(both, np.arange(6), seed=0, damage=PAIRS)
    np.testing.assert_array_equal(true, -damaged)
    assert known.all() and 0 < sum((true != FACES).any(axis=(1, 2, 3))) < 6


# What is known of the whole


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["lowres:2", "lowres:8", "mosaic:8", "grey"]),
    st.sampled_from([0.0, 0.3, 3.0]),
    st.integers(0, 1000),
)
def test_what_is_known_is_put_back_whatever_was_made(name, strength, seed):
    """Within one grey level, as bytes."""
    rng = np.random.default_rng(seed)
    damage, picture = Damage(name), FACES[seed % 6]
    damaged = codecs.to_float(codecs.to_bytes(damage.of(picture, rng)))
    made = damage.enlarged(damaged) + strength * rng.standard_normal(picture.shape)
    made = np.clip(made, -1, 1).astype(np.float32)
    written = codecs.to_float(codecs.to_bytes(damage.restored(made, damaged)))
    assert damage.miss(written, damaged) <= 1


def test_what_is_no_multiple_of_blocks_is_put_back_too():
    picture = FACES[0][:45, :61]
    damaged = of("mosaic:8", picture=picture)
    restored = Damage("mosaic:8").restored(np.zeros_like(picture), damaged)
    assert restored.shape == picture.shape
    assert Damage("mosaic:8").miss(restored, damaged) < 0.01


def test_of_a_mosaic_in_a_region_the_rest_stays():
    damaged = of("mosaic:8:region", 1)
    noise = np.random.default_rng(0).uniform(-1, 1, damaged.shape).astype(np.float32)
    restored = Damage("mosaic:8:region").restored(noise, damaged)
    sharp = (damaged == FACES[0]).all(axis=2)
    assert (restored[sharp] == damaged[sharp]).mean() > 0.9
    assert np.abs(restored[~sharp] - damaged[~sharp]).mean() > 0.1


def test_colours_are_kept_where_they_fit():
    restored = averages.with_brightness(FACES[0], averages.grey(FACES[0]))
    np.testing.assert_allclose(restored, FACES[0], atol=1e-6)
    bright = averages.with_brightness(FACES[0], np.ones((64, 64, 1), np.float32))
    np.testing.assert_allclose(bright, 1, atol=1e-6)


def test_unknown_remains_unknown():
    made = FACES[1]
    assert Damage("noise").restored(made, FACES[0]) is made
    assert Damage("noise+grey").miss(made, FACES[0]) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fog", "damage is 'fog'; choose from hole, lowres:2"),
        ("lowres", "damage is 'lowres'; choose from"),
        ("lowres:2+lowres:4", "a picture is made smaller once"),
        ("hole+grey", "holes are learned alone"),
        ("", "damage is ''"),
    ],
)
def test_what_cannot_be(name, words):
    with pytest.raises(ValueError, match=words):
        Damage(name)
