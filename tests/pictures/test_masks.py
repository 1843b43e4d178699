"""Masks: each kind, mask files as people make them, dilation, weights, the command."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import masks as masks_command
from pictures import codecs, masks


def hidden(mask):
    """Share of hidden pixels."""
    return float((mask == 0).mean())


def hole_of(mask):
    return mask[:, :, 0] == 0


@settings(deadline=None, max_examples=80, derandomize=True)
@given(
    kind=st.sampled_from(masks.CHOICES),
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    seed=st.integers(0, 999),
)
def test_every_kind_at_every_size(kind, height, width, seed):
    mask = masks.make(kind, (height, width), seed)
    assert mask.shape == (height, width, 1) and mask.dtype == np.float32
    assert set(np.unique(mask)) <= {0.0, 1.0}
    np.testing.assert_array_equal(mask, masks.make(kind, (height, width), seed))


def test_kinds_of_the_original():
    """As the original's lines say them, for 64 pixels."""
    center, left, grid = (np.ones((64, 64, 1)) for _ in range(3))
    center[16:48, 16:48] = 0
    left[:, :32] = 0
    grid = np.zeros((64, 64, 1))
    grid[::4, ::4] = 1
    expected = {"center": center, "left": left, "grid": grid}
    expected |= {"full": np.ones((64, 64, 1)), "lowres": np.zeros((64, 64, 1))}
    for kind, mask in expected.items():
        np.testing.assert_array_equal(masks.make(kind, (64, 64)), mask, err_msg=kind)


@pytest.mark.parametrize(("scale", "low", "high"), [(0.1, 6, 57), (0.4, 25, 38), (0.5, 32, 32)])
def test_center_scale(scale, low, high):
    hole = hole_of(masks.make("center", (64, 64), center_scale=scale))
    assert hole.sum() == (high - low) ** 2
    assert hole[low:high, low:high].all()


@pytest.mark.parametrize("scale", [0, -0.1, 0.51, 1])
def test_center_scale_out_of_range(scale):
    with pytest.raises(ValueError, match=f"centerScale {scale} must be above 0 and at most 0.5"):
        masks.make("center", (64, 64), center_scale=scale)


def test_halves_are_mirror_images():
    left, right, top, bottom = (
        hole_of(masks.make(kind, (7, 9))) for kind in ("left", "right", "top", "bottom")
    )
    assert left[:, :4].all() and not left[:, 4:].any()
    assert right[:, 5:].all() and not right[:, :5].any()
    assert top[:3].all() and not top[3:].any()
    assert bottom[4:].all() and not bottom[:4].any()


@pytest.mark.parametrize("fraction", [0, 0.2, 0.7, 1])
def test_random_hides_a_fraction(fraction):
    mask = masks.make("random", (200, 200), fraction=fraction)
    assert hidden(mask) == pytest.approx(fraction, abs=0.01)


@pytest.mark.parametrize("seed", range(6))
def test_pattern_hides_a_quarter_in_blobs(seed):
    hole = hole_of(masks.make("pattern", (64, 96), seed))
    assert hole.mean() == 0.25
    edges = (hole[:, 1:] != hole[:, :-1]).mean()
    assert edges < 0.08, "random pixels would have 0.375"


@pytest.mark.parametrize("seed", range(6))
def test_strokes_hide_a_fifth_or_more(seed):
    assert 0.2 <= hidden(masks.make("strokes", (64, 64), seed)) < 0.5


@pytest.mark.parametrize("kind", ["random", "pattern", "strokes"])
def test_seeds_differ(kind):
    assert (masks.make(kind, (64, 64), 0) != masks.make(kind, (64, 64), 1)).any()


@pytest.mark.parametrize("kind", ["pattern", "strokes"])
def test_shape_does_not_depend_on_size(kind):
    small = masks.make(kind, (64, 64), 3)
    large = masks.make(kind, (256, 256), 3)[::4, ::4]
    assert (small != large).mean() < 0.06


def test_unknown_kind_and_size():
    with pytest.raises(ValueError, match="unknown mask 'centre'; choose from random, center"):
        masks.make("centre", (64, 64))
    with pytest.raises(ValueError, match="0 rows and 64 columns"):
        masks.make("center", (0, 64))
    with pytest.raises(ValueError, match="fraction 1.5"):
        masks.make("random", (4, 4), fraction=1.5)


# Mask files


@pytest.fixture
def painted(tmp_path):
    def save(pixels, name="mask.png", **options):
        Image.fromarray(np.asarray(pixels, np.uint8)).save(tmp_path / name, **options)
        return tmp_path / name

    return save


def square(size=16, low=4, high=8):
    pixels = np.zeros((size, size), np.uint8)
    pixels[low:high, low:high] = 255
    return pixels


def test_white_is_the_hole(painted):
    mask = masks.from_file(painted(square()))
    assert mask.shape == (16, 16, 1) and mask.dtype == np.float32
    np.testing.assert_array_equal(hole_of(mask), square() > 0)


def test_invert(painted):
    mask = masks.from_file(painted(255 - square()), paint="black")
    np.testing.assert_array_equal(hole_of(mask), square() > 0)


def test_grey_is_split_in_the_middle(painted):
    mask = masks.from_file(painted([[0, 127, 128, 255]]))
    np.testing.assert_array_equal(hole_of(mask), [[False, False, True, True]])


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "I;16", "CMYK"])
def test_every_mode_of_file(tmp_path, mode):
    image = Image.fromarray(square())
    image = Image.fromarray(square().astype(np.uint16) * 257) if mode == "I;16" else image
    path = tmp_path / ("mask.jpg" if mode == "CMYK" else "mask.png")
    (image if mode == "I;16" else image.convert(mode)).save(path)
    expected = square() > 0
    mask = hole_of(masks.from_file(path))
    assert (mask != expected).sum() <= (4 if mode == "CMYK" else 0)  # JPEG blurs a little


def test_unpainted_parts_of_a_transparent_mask_are_known(painted):
    """A layer with strokes in white or in black, and nothing elsewhere."""
    for level, paint in ((255, "white"), (0, "black")):
        pixels = np.zeros((16, 16, 4))
        pixels[..., :3] = 255 - level  # what lies under full transparency is anybody's guess
        pixels[4:8, 4:8] = (level, level, level, 255)
        mask = masks.from_file(painted(pixels), paint=paint)
        np.testing.assert_array_equal(hole_of(mask), square() > 0)


def test_enlarged_with_hard_edges(painted):
    mask = masks.from_file(painted(square()), size=(48, 48))
    np.testing.assert_array_equal(hole_of(mask), square().repeat(3, 0).repeat(3, 1) > 0)


def test_a_thin_scratch_survives_shrinking(painted):
    pixels = np.zeros((100, 100))
    pixels[:, 37] = 255
    hole = hole_of(masks.from_file(painted(pixels), size=(10, 10)))
    np.testing.assert_array_equal(np.flatnonzero(hole.all(axis=0)), [3])
    assert hole.sum() == 10


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    before=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    after=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 99),
)
def test_resized_holes_cover_exactly_what_they_touch(before, after, seed):
    hole = np.random.default_rng(seed).random(before) < 0.1
    resized = masks._resize_hole(hole, after)
    expected = np.zeros(after, bool)
    for row, column in np.argwhere(hole):  # by interval arithmetic, pixel by pixel
        top, left = row * after[0] // before[0], column * after[1] // before[1]
        bottom = -(-(row + 1) * after[0] // before[0])
        right = -(-(column + 1) * after[1] // before[1])
        expected[top:bottom, left:right] = True
    np.testing.assert_array_equal(resized, expected)


@pytest.mark.parametrize(
    ("pixels", "paint", "reason"),
    [
        (np.zeros((8, 8)), None, "hides nothing: no pixel of the mask is white"),
        (np.full((8, 8), 255), None, "hides everything: paint only what is to be filled white"),
        (np.full((8, 8), 255), "black", "hides nothing: no pixel of the mask is black"),
        (np.zeros((8, 8)), "black", "hides everything: paint only what is to be filled black"),
    ],
)
def test_useless_mask_files_are_refused(painted, pixels, paint, reason):
    with pytest.raises(ValueError, match=f"mask.png: {reason}"):
        masks.from_file(painted(pixels), paint=paint)


def test_unreadable_mask_files_are_named(tmp_path):
    (tmp_path / "mask.png").write_text("not a picture")
    with pytest.raises(ValueError, match="mask.png"):
        masks.from_file(tmp_path / "mask.png")
    with pytest.raises(ValueError, match="none.png"):
        masks.from_file(tmp_path / "none.png")


# A mask and its picture


@pytest.mark.parametrize(
    ("size", "fits"),
    [((16, 16), True), ((160, 161), True), ((160, 159), True), ((15, 16), True)]
    + [((1000, 1062), True), ((1000, 1150), False), ((16, 32), False), ((32, 16), False)],
)
def test_a_mask_has_the_proportions_of_its_picture_to_a_pixel(painted, size, fits):
    path = painted(square())
    if fits:
        assert masks.from_file(path, size=size).shape == (*size, 1)
    else:
        with pytest.raises(ValueError, match="mask.png: is 16x16 pixels, the picture .*proportion"):
            masks.from_file(path, size=size)


@pytest.mark.parametrize("turn", [5, 6, 7, 8])
def test_a_mask_made_for_the_picture_as_stored_is_turned_with_it(painted, turn):
    stored = np.zeros((20, 30), np.uint8)
    stored[2:6, 10:25] = 255
    told = []
    mask = masks.from_file(painted(stored), size=(30, 20), turn=turn, tell=told.append)
    np.testing.assert_array_equal(hole_of(mask), codecs.turned(stored, turn) > 0)
    assert "made for the picture as its file stores it" in told[0]
    shown = painted(codecs.turned(stored, turn))
    again = masks.from_file(shown, size=(30, 20), turn=turn, tell=told.append)
    np.testing.assert_array_equal(again, mask)
    assert len(told) == 1


def erased(pixels: np.ndarray) -> np.ndarray:
    """Pixels with a transparent part, as an eraser leaves it."""
    alpha = np.full((*pixels.shape[:2], 1), 255, np.uint8)
    alpha[4:8, 4:8] = 0
    return np.dstack([pixels, alpha])


PHOTOGRAPH = np.random.default_rng(0).normal(128, 40, (16, 16, 3)).clip(0, 255).astype(np.uint8)
ERASED_MASKS = {
    "photograph": (PHOTOGRAPH, None),
    "black": (np.zeros((16, 16, 3), np.uint8), None),
    "white": (np.full((16, 16, 3), 255, np.uint8), "white or transparent"),
    "black and white": (np.repeat(square()[::-1, :, None], 3, 2).astype(np.uint8), "transparent"),
}


@pytest.mark.parametrize(("pixels", "refusal"), ERASED_MASKS.values(), ids=ERASED_MASKS)
def test_what_is_transparent_in_a_mask(painted, pixels, refusal):
    """It is the hole where the colours say nothing; where they do, the flag decides."""
    path = painted(erased(pixels))
    if refusal:
        with pytest.raises(ValueError, match=f"mask.png: .*--mask-hole.*{refusal}"):
            masks.from_file(path)
    else:
        np.testing.assert_array_equal(hole_of(masks.from_file(path)), square() > 0)
    explicit = masks.from_file(path, paint="transparent")
    np.testing.assert_array_equal(hole_of(explicit), square() > 0)


def test_a_photograph_is_no_mask(painted):
    with pytest.raises(ValueError, match="mask.png: looks like a photograph"):
        masks.from_file(painted(PHOTOGRAPH))
    soft = cv2.GaussianBlur(square().repeat(16, 0).repeat(16, 1), (0, 0), 12)
    assert 0 < hidden(masks.from_file(painted(soft))) < 0.2


def test_unknown_paint_is_refused(painted):
    with pytest.raises(ValueError, match="paint 'red'; choose from white, black, transparent"):
        masks.from_file(painted(square()), paint="red")


def test_transparency():
    alpha = np.full((6, 6), 255, np.uint8)
    alpha[1, 1:4] = 0, 254, 128
    np.testing.assert_array_equal(hole_of(masks.from_alpha(alpha)), alpha < 255)
    with pytest.raises(ValueError, match="a.png: has no transparent pixel"):
        masks.from_alpha(np.full((4, 4), 255, np.uint8), "a.png")
    with pytest.raises(ValueError, match="a.png: has no fully opaque pixel"):
        masks.from_alpha(np.full((4, 4), 254, np.uint8), "a.png")


# Which mask for which picture


def test_one_mask_for_all(painted):
    mask = painted(square())
    pictures = [Path("a.png"), Path("b.jpg")]
    assert masks.match(pictures, mask) == {pictures[0]: mask, pictures[1]: mask}
    with pytest.raises(ValueError, match="nowhere.png: no such file"):
        masks.match(pictures, mask.with_name("nowhere.png"))


def test_masks_by_name(tmp_path):
    for name in ("a.png", "b.png", "left/c.png", "right/c.png"):
        codecs.write(tmp_path / "masks" / name, square()[:, :, None])
    folder = tmp_path / "masks"
    found = masks.match([Path("x/a.jpg"), Path("left/c.webp")], folder)
    assert found[Path("x/a.jpg")] == folder / "a.png"
    assert found[Path("left/c.webp")] == folder / "left" / "c.png"
    with pytest.raises(ValueError, match="no mask for d.png, e.png, f.png and 1 more; a mask is"):
        masks.match([Path(f"{n}.png") for n in "adefg"], folder)
    with pytest.raises(ValueError, match="more than one mask for c.png"):
        masks.match([Path("elsewhere/c.png")], folder)


def test_a_picture_is_not_its_own_mask(tmp_path):
    codecs.write(tmp_path / "a.png", square()[:, :, None])
    with pytest.raises(ValueError, match="no mask for a.png"):
        masks.match([tmp_path / "a.png"], tmp_path)
    (tmp_path / "link.png").symlink_to("a.png")
    with pytest.raises(ValueError, match="a.png: is the picture itself; .* --mask-alpha"):
        masks.match([tmp_path / "b.png", tmp_path / "link.png"], tmp_path / "a.png")


# What else a hole needs


def test_dilate_grows_a_disc():
    hole = np.zeros((15, 17), bool)
    hole[7, 8] = True
    row, column = np.mgrid[-7:8, -8:9]
    for pixels in (0, 1, 2, 3, 5):
        grown = hole_of(masks.dilate(masks.from_hole(hole), pixels))
        np.testing.assert_array_equal(grown, row**2 + column**2 <= pixels**2)


def test_dilate_at_its_limits():
    full = np.ones((5, 6, 1), np.float32)
    np.testing.assert_array_equal(masks.dilate(full, 3), full)
    assert not masks.dilate(masks.make("center", (16, 16)), 100).any()
    with pytest.raises(ValueError, match="-1 pixels"):
        masks.dilate(full, -1)


def test_overlay_tints_the_hole_alone():
    mask = masks.make("center", (8, 8))
    for channels in (1, 3):
        pixels = np.full((8, 8, channels), 100, np.uint8)
        result = masks.overlay(pixels, mask)
        assert result.shape == (8, 8, 3) and result.dtype == np.uint8
        assert (result[~hole_of(mask)] == 100).all()
        assert (result[hole_of(mask)] == masks.overlay(pixels, mask)[4, 4]).all()
        assert (result[4, 4] != 100).any()


def weights_by_the_formula(mask, window):
    height, width, _ = mask.shape
    weights = np.zeros_like(mask)
    reach = window // 2
    for row in range(height):
        for column in range(width):
            around = mask[
                max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1
            ]
            weights[row, column] = mask[row, column] * (1 - around).mean(dtype=np.float64)
    return weights


@pytest.mark.parametrize("window", [3, 7, 15, 41])
@pytest.mark.parametrize("kind", ["center", "left", "random", "strokes", "grid"])
def test_neighbourhood_weights_equal_the_formula(kind, window):
    mask = masks.make(kind, (32, 29), 2)
    weights = masks.neighbourhood_weights(mask, window)
    assert weights.shape == mask.shape and weights.dtype == np.float32
    np.testing.assert_allclose(weights, weights_by_the_formula(mask, window), rtol=1e-6)


def test_weights_grow_toward_the_hole():
    mask = masks.make("center", (64, 64))
    weights = masks.neighbourhood_weights(mask, 15)[:, :, 0]
    toward = weights[32, 9:16]  # the hole starts at 16, the window reaches 7
    assert (np.diff(toward) > 0).all() and toward[0] > 0
    assert (weights[32, :9] == 0).all() and (weights[16:48, 16:48] == 0).all()
    assert weights.max() < 1


def test_weights_by_hand():
    mask = np.array([1, 1, 0, 1, 1], np.float32).reshape(1, 5, 1)
    weights = masks.neighbourhood_weights(mask, 3).ravel()
    np.testing.assert_allclose(weights, [0, 1 / 3, 0, 1 / 3, 0])
    weights = masks.neighbourhood_weights(mask, 5).ravel()
    np.testing.assert_allclose(weights, [1 / 3, 1 / 4, 0, 1 / 4, 1 / 3])


def test_weights_without_hole_or_without_known_pixels():
    full, empty = np.ones((6, 6, 1), np.float32), np.zeros((6, 6, 1), np.float32)
    np.testing.assert_array_equal(masks.neighbourhood_weights(full), full)
    np.testing.assert_array_equal(masks.neighbourhood_weights(empty), empty)
    for window in (0, 1, 4, -3):
        with pytest.raises(ValueError, match=f"window {window} must be odd and at least 3"):
            masks.neighbourhood_weights(full, window)


# The command


def test_command_writes_masks_that_read_back(tmp_path, capsys):
    masks_command.main(
        [
            "strokes",
            str(tmp_path / "m.png"),
            "--width=40",
            "--height=30",
            "--count=3",
            "--seed=5",
            "--dilate=2",
        ]
    )
    names = [f"m_000{n}.png" for n in range(3)]
    assert capsys.readouterr().out.split() == [str(tmp_path / name) for name in names]
    for number, name in enumerate(names):
        expected = masks.dilate(masks.make("strokes", (30, 40), 5 + number), 2)
        np.testing.assert_array_equal(masks.from_file(tmp_path / name), expected)


def test_command_takes_both_spellings(tmp_path):
    for spelling in ("--centerScale", "--center-scale"):
        masks_command.main(["center", str(tmp_path / "m.png"), spelling, "0.125", "--size", "32"])
        assert hidden(masks.from_file(tmp_path / "m.png")) == (24 / 32) ** 2


def test_command_asks_for_a_suffix(tmp_path):
    with pytest.raises(ValueError, match="hole: a picture's name has a suffix; choose png, jpg"):
        masks_command.main(["strokes", str(tmp_path / "hole")])
    assert not list(tmp_path.iterdir())


def test_command_reports_faults_in_one_line(tmp_path):
    script = Path(masks_command.__file__)
    result = subprocess.run(
        [sys.executable, script, "center", tmp_path / "m.png", "--center-scale", "0.6"],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert result.stderr == "error: centerScale 0.6 must be above 0 and at most 0.5\n"
    assert not list(tmp_path.iterdir())
