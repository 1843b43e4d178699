"""A picture made ready: placed and hidden, whatever its size and mode."""

import numpy as np
import pytest
from lively import SIZE
from picturing import POINTS, noise, save, save_mask
from PIL import Image

from align import geometry
from completion.case import Hole, points_matrix, prepare, square_matrix
from completion.finish import finish, square_result
from completion.waiting import Waiting
from data.drawn import drawn_faces
from pictures import blend, codecs, masks

# Placing


def test_a_picture_of_the_models_size_is_taken_as_it_is(tmp_path):
    pixels = noise((SIZE, SIZE, 3))
    case = prepare(save(tmp_path / "a.png", pixels), SIZE, 3, Hole("left"))
    known = case.square_mask > 0
    np.testing.assert_array_equal(case.square_mask, masks.make("left", (SIZE, SIZE)))
    np.testing.assert_array_equal(known * codecs.to_bytes(case.square), known * pixels)


@pytest.mark.parametrize("shape", [(48, 32), (20, 61), (16, 17)])
def test_of_other_pictures_the_centre_square_is_taken(tmp_path, shape):
    """Undistorted: a disc in the middle stays one, and lies in the middle."""
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in shape)
    disc = rows[:, None] ** 2 + columns**2 < (min(shape) / 4) ** 2
    path = save(tmp_path / "a.png", np.uint8(255 * disc)[..., None])
    case = prepare(path, SIZE, 1, Hole("full"))
    white = case.square[..., 0] > 0
    assert abs(white.sum() - np.pi * (SIZE / 4) ** 2) < 10
    assert np.abs(np.argwhere(white).mean(axis=0) - (SIZE - 1) / 2).max() < 0.6


def test_a_hidden_pixel_hides_every_pixel_it_would_reach(tmp_path):
    mask = np.ones((4 * SIZE, 4 * SIZE, 1), np.float32)
    mask[22, 22] = 0  # one pixel of the block (5, 5)
    path = save(tmp_path / "a.png", noise((4 * SIZE, 4 * SIZE, 3)))
    hole = Hole(file=save_mask(tmp_path / "mask.png", mask))
    case = prepare(path, SIZE, 3, hole)
    assert case.square_mask[5, 5] == 0 and 1 <= (case.square_mask == 0).sum() <= 4
    np.testing.assert_array_equal(case.mask, mask)


@pytest.mark.parametrize("shape", [(61, 43), (16, 17), (40, 250)])
@pytest.mark.parametrize("kind", ["random", "center", "grid", "strokes"])
def test_a_built_in_hole_hides_of_the_square_what_it_says(tmp_path, shape, kind):
    """At any scale; in the picture it is what lies under that."""
    pixels = noise((*shape, 3))
    case = prepare(save(tmp_path / "a.png", pixels), SIZE, 3, Hole(kind, seed=2))
    asked = masks.make(kind, (SIZE, SIZE), seed=2)
    np.testing.assert_array_equal(case.square_mask, asked)
    expected = geometry.unwarp_mask(asked, square_matrix(shape, SIZE), shape)
    np.testing.assert_array_equal(case.mask, expected)
    whole = geometry.warp(pixels.astype(np.float32), case.matrix, SIZE)
    reached = geometry.warp(1 - case.mask, case.matrix, SIZE)[..., 0] > 0
    apart = (codecs.to_float(whole) != case.square).any(axis=2)
    assert not (apart & ~reached).any()


def test_of_pictures_larger_pixels_a_built_in_hole_hides_what_nothing_known_shows(tmp_path):
    case = prepare(
        save(tmp_path / "a.png", noise((5, 5, 3))), SIZE, 3, Hole("random", fraction=0.8)
    )
    asked = masks.make("random", (SIZE, SIZE), fraction=0.8)
    share = geometry.warp(case.mask, case.matrix, SIZE)
    np.testing.assert_array_equal(case.square_mask, asked * (share > 1e-3))


def test_stays_float_until_it_is_written(tmp_path):
    """Three grey levels a pixel: their mean is no byte, and reaches the search as it is."""
    pixels = noise((2 * SIZE, 2 * SIZE, 3))
    case = prepare(save(tmp_path / "a.png", pixels), SIZE, 3, Hole("full"))
    means = pixels.reshape(SIZE, 2, SIZE, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(case.square, means / 127.5 - 1, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("method", blend.METHODS)
def test_at_the_models_size_grid_and_result_are_the_same(tmp_path, method, channels):
    path = save(tmp_path / "a.png", noise((SIZE, SIZE, channels)))
    case = prepare(path, SIZE, channels, Hole("strokes", seed=1))
    generated = np.random.default_rng(0).uniform(-1, 1, case.square.shape).astype(np.float32)
    grid = square_result(case, generated, method)
    np.testing.assert_array_equal(grid, finish(case, generated, method))


def test_a_waiting_case_comes_back_as_it_was(tmp_path):
    path = save(tmp_path / "a.png", noise((31, 50, 3)))
    case = prepare(path, SIZE, 3, Hole("strokes", seed=1))
    data = path.read_bytes()
    path.unlink()  # nothing is read again
    waiting = Waiting.of([case], data)
    assert waiting.cases[0].picture is None and waiting.cases[0].mask is None
    again = waiting.ready()[0]
    np.testing.assert_array_equal(again.picture.pixels, case.picture.pixels)
    np.testing.assert_array_equal(again.mask, case.mask)


def test_grey_pictures_and_models_meet(tmp_path):
    grey, colour = noise((20, 20, 1)), noise((20, 20, 3))
    grey_file, colour_file = save(tmp_path / "g.png", grey), save(tmp_path / "c.png", colour)
    case = prepare(grey_file, 20, 3, Hole("full"))
    np.testing.assert_array_equal(codecs.to_bytes(case.square), grey.repeat(3, axis=2))
    case = prepare(colour_file, 20, 1, Hole("full"))
    expected = np.asarray(Image.fromarray(colour).convert("L"))
    assert np.abs(codecs.to_bytes(case.square)[..., 0] - expected.astype(int)).max() <= 1


def test_points_place_the_face_in_either_order_of_the_eyes():
    matrix = points_matrix(np.array(POINTS, float), 64)
    swapped = points_matrix(np.array([POINTS[1], POINTS[0], POINTS[2]], float), 64)
    np.testing.assert_allclose(matrix, swapped, atol=1e-9)
    left, right, lip = np.array(POINTS) @ matrix[:, :2].T + matrix[:, 2]
    assert left[0] < right[0] and abs(left[1] - right[1]) < 2 and lip[1] > left[1] + 20


def test_points_on_a_line_place_no_face():
    with pytest.raises(ValueError, match="lie on a line and place no face"):
        points_matrix(np.array([(0, 0), (10, 10), (20, 20)], float), 64)


@pytest.mark.parametrize(
    "where, words",
    [
        ((slice(None), slice(0, 2)), "pixels of the hole lie outside the square that is completed"),
        ((slice(None), slice(10, 30)), "the hole hides everything that the model would see"),
    ],
)
def test_holes_that_cannot_be_completed(tmp_path, where, words):
    mask = np.ones((20, 40, 1), np.float32)
    mask[where] = 0
    path = save(tmp_path / "wide.png", noise((20, 40, 3)))
    with pytest.raises(ValueError, match=f"^{path}: .*{words}"):
        prepare(path, SIZE, 3, Hole(file=save_mask(tmp_path / "mask.png", mask)))


def test_what_a_scratch_has_beyond_the_square_is_filled_from_around(tmp_path):
    """A slope goes on through it; hidden pixels do not matter; known ones stay."""
    pixels = np.tile(np.arange(60, 220, 2, np.uint8)[:, None], (40, 1, 3))  # columns 0 to 79
    mask = np.ones((40, 80, 1), np.float32)
    mask[18:20, 4:76] = 0  # through the square, columns 20 to 60
    file = save_mask(tmp_path / "mask.png", mask)
    found = []
    for name, shown in (("a", pixels), ("b", np.where(mask > 0, pixels, noise(pixels.shape)))):
        case = prepare(save(tmp_path / f"{name}.png", shown), SIZE, 3, Hole(file=file))
        found.append(finish(case, np.zeros((SIZE, SIZE, 3), np.float32), "poisson"))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0] * (mask > 0), pixels * (mask > 0))
    outside = np.r_[8:18, 62:72]
    assert np.abs(found[0][18:20, outside].astype(int) - pixels[18:20, outside]).max() <= 3


def test_dilating_counts_in_pixels_of_the_mask(tmp_path):
    mask = np.ones((64, 64, 1), np.float32)
    mask[20:30, 20:30] = 0
    path = save(tmp_path / "a.png", noise((64, 64, 3)))
    hole = Hole(file=save_mask(tmp_path / "mask.png", mask), dilate=3)
    np.testing.assert_array_equal(prepare(path, SIZE, 3, hole).mask, masks.dilate(mask, 3))
    grown = prepare(path, SIZE, 3, Hole("center", dilate=3)).square_mask
    np.testing.assert_array_equal(grown, masks.dilate(masks.make("center", (SIZE, SIZE)), 3))


def test_block_means_are_given_with_the_lowres_mask_alone(tmp_path):
    pixels = drawn_faces(1, SIZE)[0]
    path = save(tmp_path / "a.png", pixels)
    case = prepare(path, SIZE, 3, Hole("lowres"))
    blocks = codecs.to_float(pixels).reshape(8, 2, 8, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(case.means, blocks, atol=1e-6)
    assert prepare(path, SIZE, 3, Hole("center")).means is None
    file = save_mask(tmp_path / "mask.png", masks.make("left", (SIZE, SIZE)))
    assert prepare(path, SIZE, 3, Hole("lowres", file=file)).means is None
