"""Holes drawn for training: by seed, of every kind, never everything and never nothing."""

import numpy as np
import pytest

from pictures import damage

KINDS = [maker for maker, _ in damage.HOLES]
DRAWS = 400


@pytest.fixture(scope="module")
def drawn():
    return np.stack([damage.draw_hole(32, (0, 1, number)) for number in range(DRAWS)])


def test_masks_of_training_are_zeros_and_ones(drawn):
    assert drawn.shape == (DRAWS, 32, 32, 1) and drawn.dtype == np.float32
    assert set(np.unique(drawn)) == {0.0, 1.0}


def test_never_everything_and_never_nothing(drawn):
    hidden = 1 - drawn.mean((1, 2, 3))
    assert hidden.min() > 0 and hidden.max() <= 0.75
    assert 0.15 < hidden.mean() < 0.35  # about the centre hole's quarter
    assert (hidden < 0.1).mean() > 0.03 and (hidden > 0.4).mean() > 0.03


def test_the_seed_decides_and_each_number_draws_anew(drawn):
    again = damage.draw_hole(32, (0, 1, 17))
    np.testing.assert_array_equal(again, drawn[17])
    assert len(np.unique(drawn.reshape(DRAWS, -1), axis=0)) > 0.7 * DRAWS
    assert not np.array_equal(damage.draw_hole(32, (1, 1, 1)), damage.draw_hole(32, (0, 1, 1)))


@pytest.mark.parametrize("size", [16, 64])
@pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])
def test_every_kind_hides_a_part_at_every_size(kind, size):
    shares = []
    for seed in range(30):
        hole = kind((size, size), np.random.default_rng(seed))
        assert hole.shape == (size, size) and hole.dtype == bool
        shares.append(hole.mean())
    assert np.mean([0 < share <= 0.75 for share in shares]) > 0.6
    assert 0.01 < np.mean(shares) < 0.55


def test_every_kind_is_drawn_as_often_as_its_weight(monkeypatch):
    counts = np.zeros(len(KINDS))

    def counted(number, weight):
        def make(size, rng):
            counts[number] += 1
            hole = np.zeros(size, bool)
            hole[0, 0] = True
            return hole

        return make, weight

    holes = [counted(number, weight) for number, (_, weight) in enumerate(damage.HOLES)]
    monkeypatch.setattr(damage, "HOLES", tuple(holes))
    for number in range(3000):
        damage.draw_hole(16, (number,))
    weights = np.array([weight for _, weight in damage.HOLES])
    np.testing.assert_allclose(counts / counts.sum(), weights / weights.sum(), atol=0.03)


def test_half_of_the_draws_are_mirrored(monkeypatch):
    def corner(size, rng):
        hole = np.zeros(size, bool)
        hole[0, 0] = True
        return hole

    monkeypatch.setattr(damage, "HOLES", ((corner, 1.0),))
    masks = np.stack([damage.draw_hole(16, (number,)) for number in range(400)])
    left, right = (np.mean(masks[:, 0, column] == 0) for column in (0, -1))
    assert left + right == 1 and 0.4 < left < 0.6


def test_holes_that_hide_too_much_or_nothing_are_drawn_again(monkeypatch):
    shares = iter([0.0, 1.0, 0.9, 0.5])

    def next_share(size, rng):
        return np.arange(256).reshape(size) < 256 * next(shares)

    monkeypatch.setattr(damage, "HOLES", ((next_share, 1.0),))
    assert damage.draw_hole(16, (0,)).mean() == 0.5
