"""Toned photographs are told from colour ones, and what fills them gets their tone."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from data.drawn import drawn_faces
from pictures import averages, tone

SEPIA = ((30, 15, 5), (250, 235, 200), (150, 110, 80))
CYANOTYPE = ((5, 10, 40), (235, 245, 255), (60, 110, 160))
EVERYWHERE = np.ones((64, 64), bool)


def toned(colours, seed: int = 0, quality: int | None = None) -> np.ndarray:
    grey = Image.fromarray(drawn_faces(1, 64, seed)[0]).convert("L")
    image = ImageOps.colorize(grey, *colours) if colours else grey.convert("RGB")
    if quality:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        image = Image.open(file)
    return np.asarray(image)


@pytest.mark.parametrize("colours", [SEPIA, CYANOTYPE, None])
@pytest.mark.parametrize("quality", [None, 85])
def test_brightness_comes_back_in_the_tone(colours, quality):
    pixels = toned(colours, quality=quality)
    found = tone.of(pixels, EVERYWHERE)
    assert found.shape == (256, 3)
    back = tone.apply(found, tone.to_grey(pixels.astype(float)))
    assert np.abs(back - pixels).mean() < 3


def test_colour_photographs_have_no_tone():
    for seed in range(5):
        assert tone.of(drawn_faces(1, 64, seed)[0], EVERYWHERE) is None


def test_what_is_hidden_counts_for_nothing():
    pixels = toned(SEPIA)
    known = EVERYWHERE.copy()
    known[20:40, 20:40] = False
    painted = pixels.copy()
    painted[20:40, 20:40] = (0, 255, 0)
    np.testing.assert_array_equal(tone.of(painted, known), tone.of(pixels, known))


def test_one_channel_one_brightness_and_few_pixels_tell_nothing():
    assert tone.of(np.zeros((8, 8, 1), np.uint8), np.ones((8, 8), bool)) is None
    assert tone.of(np.full((64, 64, 3), 90, np.uint8), EVERYWHERE) is None
    assert tone.of(toned(SEPIA), np.zeros((64, 64), bool)) is None


def test_brightnesses_that_are_not_known_keep_the_colour_of_the_nearest():
    pixels = toned(SEPIA)
    middle = (averages.grey(pixels)[..., 0] > 90) & (averages.grey(pixels)[..., 0] < 170)
    found = tone.of(pixels, middle)
    assert (np.diff(averages.grey(found)[:, 0]) >= 0).all()
    assert found[255].max() == 255 and found[0].min() == 0
