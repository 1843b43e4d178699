"""The way of one picture: placed, hidden, searched for, filled, whatever its size and mode."""

import dataclasses
import functools
from collections import deque
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lively import FEW, SIZE, lively, searching, with_starts
from PIL import Image

from align import geometry
from completion.case import Hole, Waiting, points_matrix, prepare, square_matrix
from completion.finish import finish, square_result
from completion.options import PRESETS, Options, with_changes
from data.drawn import drawn_faces
from pictures import blend, codecs, masks
from search.latent import Draws, Search
from search.linear import Given
from search.objective import Objective
from search.starts import Starts

QUICK = Options(
    Search(steps=2, lr=0.1, start="ridge"), Objective(), "weighted", 7, "poisson", guide="linear"
)
POINTS = [(38, 25), (60, 24), (50, 48)]  # inner corners of the eyes, bottom lip, of a picture
# Size of a picture, and how it is placed on the model's square.
KINDS = {
    "model-size": ((SIZE, SIZE), {}),
    "shrunk": ((61, 43), {}),
    "enlarged": ((9, 12), {}),
    "face-points": ((80, 100), {"face_points": np.array(POINTS, float)}),
}


def last(moments):
    return deque(moments, maxlen=1)[0]


def save(path, pixels, mode=None) -> Path:
    """A picture file of uint8 (H, W, C)."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    (image.convert(mode) if mode else image).save(path)
    return path


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def save_mask(path, mask) -> Path:
    return save(path, np.uint8(255 * (1 - mask)))


def placing(kind):
    """Shape of a picture, how it is placed, and a mask (H, W, 1) with a hole within the square."""
    shape, placed = KINDS[kind]
    points = placed.get("face_points")
    matrix = square_matrix(shape, SIZE)
    if points is not None:
        matrix = points_matrix(points, SIZE)
    mask = geometry.unwarp_mask(masks.make("strokes", (SIZE, SIZE), seed=3), matrix, shape)
    return shape, placed, mask


# Presets


def test_the_original_preset_is_the_original():
    """The defaults of the original's complete.py and of its model, word by word."""
    original = PRESETS["original"]
    search = dataclasses.asdict(original.search)
    published = {
        "approach": "adam",
        "lr": 0.01,
        "beta1": 0.9,
        "beta2": 0.999,
        "eps": 1e-8,
        "hmc_beta": 0.2,
        "hmc_eps": 0.001,
        "hmc_l": 100,
        "hmc_anneal": 1,
        "steps": 1000,
        "schedule": "constant",
        "clip": "hard",
        "start": "random",
        "restarts": 1,
        "tolerance": 0,
    }
    assert {name: search[name] for name in published} == published
    assert original.objective == Objective(lam=0.1, norm="l1", perceptual="generator", lowres=False)
    assert (original.context, original.blend, original.alternatives) == ("plain", "none", 1)


def test_changes_reach_the_part_they_belong_to():
    changed = with_changes(PRESETS["best"], {"steps": 7, "lam": 0.5, "window": 9})
    assert (changed.search.steps, changed.objective.lam, changed.window) == (7, 0.5, 9)
    assert with_changes(changed, {}) == changed
    assert changed.search.start == PRESETS["best"].search.start


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"lr": 0.1}, "lr has no effect with approach lbfgs; it belongs to approach adam or"),
        ({"approach": "adam", "momentum": 0.5}, "it belongs to approach momentum"),
        (
            {"prior_weight": 1.0, "clip": "hard"},
            "no effect with clip hard; it belongs to clip none",
        ),
        ({"context": "plain", "window": 9}, "window has no effect with context plain"),
        ({"approach": "hmc", "tolerance": 0.1}, "tolerance has no effect with approach hmc"),
    ],
)
def test_what_would_change_nothing_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        with_changes(PRESETS["best"], changes)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"context": "near"}, "context is 'near'; choose from plain, weighted"),
        ({"blend": "glue"}, "blend is 'glue'; choose from none, feather, poisson"),
        ({"window": 8}, "window 8 must be odd and at least 3"),
        ({"norm": "l3"}, "norm is 'l3'; choose from l1, l2"),
        ({"stpes": 3}, "no option stpes; choose from context, window"),
    ],
)
def test_bad_options_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        with_changes(Options(), changes)


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


# Nothing hidden leaks


def results(case, options=QUICK):
    """What becomes of a case: what the search is given, where it ends, each blending's result."""
    moment = last(searching().complete([case], options))
    yield case.square_mask
    yield np.where(case.square_mask > 0, case.square, 0)
    yield moment.latent
    for method in blend.METHODS:
        yield np.where(case.mask > 0, 0, finish(case, moment.generated[0], method))
        yield square_result(case, moment.generated[0], method)


def assert_no_leak(folder, pixels, mask, alpha=False, **placed):
    """Two pictures that differ where they are hidden become the same, bit for bit."""
    hidden = noise(pixels.shape, seed=9)
    cases = []
    for name, shown in (("a", pixels), ("b", np.where(mask > 0, pixels, hidden))):
        if alpha:
            shown = np.dstack([shown, np.uint8(255 * mask)])
        hole = Hole(alpha=True) if alpha else Hole(file=save_mask(folder / "mask.png", mask))
        cases.append(prepare(save(folder / f"{name}.png", shown), SIZE, 3, hole, **placed))
    assert (mask == 0).any()
    for mine, others in zip(*map(results, cases), strict=True):
        np.testing.assert_array_equal(mine, others)


@pytest.mark.parametrize("alpha", [False, True], ids=["mask", "alpha"])
@pytest.mark.parametrize("kind", KINDS)
def test_hidden_pixels_reach_nothing(tmp_path, kind, alpha):
    shape, placed, mask = placing(kind)
    assert_no_leak(tmp_path, noise((*shape, 3)), mask, alpha, **placed)


@pytest.mark.parametrize("kind", ["center", "random", "left", "pattern"])
def test_hidden_pixels_of_built_in_holes_reach_nothing(tmp_path, kind):
    pixels = noise((40, 33, 3))
    cases = [prepare(save(tmp_path / "a.png", pixels), SIZE, 3, Hole(kind, dilate=1))]
    pixels = np.where(cases[0].mask > 0, pixels, noise(pixels.shape, 5))
    cases.append(prepare(save(tmp_path / "b.png", pixels), SIZE, 3, Hole(kind, dilate=1)))
    for mine, others in zip(*map(results, cases), strict=True):
        np.testing.assert_array_equal(mine, others)


@pytest.fixture(scope="module")
def photograph():
    """A drawn face that dlib finds, on a plain ground: uint8 (250, 250, 3)."""
    pytest.importorskip("dlib", reason="alignment needs dlib")
    canvas = np.full((250, 250, 3), 128, np.uint8)
    canvas[45:205, 45:205] = drawn_faces(1, size=160)[0]
    return cv2.GaussianBlur(canvas, (0, 0), 1.2)


def test_hidden_pixels_of_a_found_face_reach_nothing(tmp_path, photograph):
    mask = np.ones((250, 250, 1), np.float32)
    mask[132:146, 148:166] = 0  # on a cheek
    assert_no_leak(tmp_path, photograph, mask, fit="face")


def test_a_face_without_eyes_and_mouth_asks_for_points(tmp_path, photograph):
    mask = np.ones((250, 250, 1), np.float32)
    mask[90:190, 70:180] = 0
    path = save(tmp_path / "a.png", photograph)
    hole = Hole(file=save_mask(tmp_path / "mask.png", mask))
    with pytest.raises(ValueError, match=f"^{path}: no face found; .*give --face-points x,y"):
        prepare(path, SIZE, 3, hole, fit="face")
    points = np.array([(107, 110), (143, 110), (125, 170)])
    assert (prepare(path, SIZE, 3, hole, face_points=points).square_mask == 0).any()


# Every image stands alone


@pytest.fixture(scope="module")
def sixty(tmp_path_factory):
    """Sixty prepared pictures of several holes."""
    folder = tmp_path_factory.mktemp("sixty")
    kinds = ("center", "random", "left", "strokes")
    return [
        prepare(save(folder / f"{i}.png", pixels), SIZE, 3, Hole(kinds[i % 4], seed=i // 4))
        for i, pixels in enumerate(drawn_faces(60, SIZE))
    ]


@pytest.mark.parametrize("start", ["random", "bank", "ridge"])
def test_an_image_alone_or_anywhere_among_sixty_is_the_same_bit_for_bit(sixty, start):
    options = with_changes(QUICK, {"start": start, "restarts": 2, "steps": 1})

    def search(cases):
        return last(searching().complete(cases, options, width=8))

    together = search(sixty)
    for rows in ([59], [8, 3, 30], range(59, 29, -1)):
        moment = search([sixty[row] for row in rows])
        for part in ("latent", "loss", "generated"):
            mine, all_ = getattr(moment, part), getattr(together, part)
            np.testing.assert_array_equal(mine, all_[list(rows)])


def test_one_by_one_only_rounding_differs(sixty):
    together = list(searching().complete(sixty[:9], with_changes(QUICK, {"steps": 20})))
    for row in (0, 8):
        alone = list(searching().complete(sixty[row : row + 1], with_changes(QUICK, {"steps": 20})))
        assert alone[0].loss[0] == pytest.approx(together[0].loss[row], rel=1e-5)
        assert alone[-1].loss[0] == pytest.approx(together[-1].loss[row], rel=0.02)


@pytest.mark.parametrize("start, alternative", [("random", 0), ("ridge", 1)])
def test_the_seed_decides_and_nothing_else(sixty, start, alternative):
    def found(seed, cases=sixty[:2]):
        options = with_changes(QUICK, {"start": start, "seed": seed})
        moments = list(searching().complete(cases, options, alternative))
        return np.stack([moment.latent for moment in moments])

    elsewhere = [dataclasses.replace(case, path=Path("another")) for case in sixty[:2]]
    np.testing.assert_array_equal(found(3), found(3, elsewhere))
    assert not np.array_equal(found(3), found(4))


def test_a_guided_search_adds_what_the_linear_model_expects_that_g_missed(sixty):
    model, case = lively(), sixty[0]
    moment = last(searching().complete([case], QUICK))
    raw = model.generate(moment.latent)
    known = case.square[None]
    missed = Given(model.linear, case.square_mask[None]).expected_differences(known - raw)
    np.testing.assert_array_equal(moment.generated, np.clip(raw + missed, -1, 1))
    inside = case.square_mask[None, ..., 0] == 0
    assert np.abs(missed[inside]).max() > 0.05


def test_a_guided_search_agrees_with_what_the_linear_model_expects_in_the_hole(sixty):
    """More than one without a guide does, and nearer to the truth, where pictures are alike."""
    model, cases = lively(), sixty[:20]
    masks_ = np.stack([case.square_mask for case in cases])
    true = codecs.to_float(drawn_faces(20, SIZE))
    expected = Given(model.linear, masks_).expected(true)

    def apart(guide, other):
        options = with_changes(QUICK, {"guide": guide, "approach": "lbfgs", "steps": 10})
        generated = last(searching().complete(cases, options)).generated
        return (np.abs(generated - other) * (masks_ == 0)).sum() / (masks_ == 0).sum()

    assert apart("linear", expected) < 0.8 * apart("none", expected)
    assert apart("linear", true) < 0.8 * apart("none", true)


def test_without_a_linear_model_or_with_block_means_nothing_guides(sixty, tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", noise((SIZE, SIZE, 3)))
    lowres = prepare(path, SIZE, 3, Hole("lowres"))

    def found(case, guide):
        return last(searching().complete([case], with_changes(QUICK, {"guide": guide}))).generated

    np.testing.assert_array_equal(found(lowres, "linear"), found(lowres, "none"))
    unguided = found(sixty[0], "none")
    assert not np.array_equal(found(sixty[0], "linear"), unguided)
    np.testing.assert_array_equal(found(sixty[0], "linear"), found(sixty[0], "auto"))
    monkeypatch.setattr(searching(), "linear", None)
    np.testing.assert_array_equal(found(sixty[0], "auto"), unguided)
    with pytest.raises(ValueError, match="guide is 'linear', but .* has no linear model"):
        found(sixty[0], "linear")


def test_starts_are_fitted_again_where_the_weights_have_changed(monkeypatch):
    model = lively(gf_dim=4)
    completer = with_starts(model)
    fitted = completer.fitted_starts()
    assert completer.fitted_starts() is fitted
    again = functools.partial(Starts.fit, **FEW)
    monkeypatch.setattr(Starts, "fit", again)
    kernel = model.generator.get_layer("h0_lin").kernel
    kernel.assign(2 * kernel)
    model.state.changed()
    assert not np.array_equal(completer.fitted_starts().codes, fitted.codes)


def test_alternatives_start_elsewhere(sixty):
    starts = [next(searching().complete(sixty[:2], QUICK, number)).latent for number in range(3)]
    assert all(not np.array_equal(starts[i], starts[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


@pytest.mark.parametrize(
    "changes",
    [{"approach": "hmc", "hmc_l": 1}, {"approach": "adam", "clip": "stochastic", "lr": 1.0}],
)
def test_alternatives_share_no_draws(sixty, changes, monkeypatch):
    used, real = [], Draws._generator
    monkeypatch.setattr(
        Draws,
        "_generator",
        lambda self, *of: used.append((*self.key, *of)) or real(self, *of),
    )
    options = with_changes(QUICK, {"restarts": 2, "steps": 2, "seed": 5} | changes)
    drawn = []
    for number in range(2):
        used.clear()
        last(searching().complete(sixty[:2], options, number))
        drawn.append(set(used))
    assert {restart for _, restart, *_ in drawn[0]} == {0, 1}  # the first, as ever
    assert {restart for _, restart, *_ in drawn[1]} == {2, 3}


def test_alternatives_of_a_guided_search_differ_in_the_hole_as_draws_do(sixty):
    model, cases = lively(), sixty[:8]
    inside = np.stack([case.square_mask[..., 0] == 0 for case in cases])
    first, second = (
        last(searching().complete(cases, QUICK, number)).generated for number in (1, 2)
    )
    given = Given(model.linear, np.stack([case.square_mask for case in cases]))
    known = np.stack([case.square for case in cases])
    drawn = given.expected(known, 1) - given.expected(known, 2)
    apart = np.abs(first - second)[inside].mean()
    assert apart > 0.5 * np.abs(drawn)[inside].mean() > 0


# Any picture


@st.composite
def pictures(draw):
    """Height, width, mode, seed, and a hole (top, left, bottom, right) in the centre square."""
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    rows = sorted(draw(st.tuples(*[st.integers(0, side)] * 2)))
    columns = sorted(draw(st.tuples(*[st.integers(0, side)] * 2)))
    mode = draw(st.sampled_from(["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "I;16"]))
    hole = (top + rows[0], left + columns[0], top + rows[1], left + columns[1])
    return height, width, mode, draw(st.integers(0, 2**32 - 1)), hole


def picture_file(folder, height, width, mode, seed) -> Path:
    """A picture of noise in any of Pillow's modes."""
    rng = np.random.default_rng(seed)
    if mode == "I;16":
        image = Image.fromarray(rng.integers(0, 2**16, (height, width), np.uint16))
    else:
        image = Image.fromarray(rng.integers(0, 256, (height, width, 4), np.uint8), "RGBA")
        image = image.convert("LA").convert("PA") if mode == "PA" else image.convert(mode)
    path = folder / ("a.tif" if mode in ("CMYK", "PA") else "a.png")
    image.save(path)
    return path


@given(pictures(), st.sampled_from([1, 3]), st.sampled_from(blend.METHODS), st.booleans())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_any_picture_hole_and_model(tmp_path_factory, picture, channels, method, speckled):
    height, width, mode, seed, (top, left, bottom, right) = picture
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    path = picture_file(folder, height, width, mode, seed)
    rng = np.random.default_rng(seed)
    mask = np.ones((height, width, 1), np.float32)
    part = mask[top:bottom, left:right]
    part[:] = rng.random(part.shape) < 0.5 if speckled else 0
    usable = 0 < (mask == 0).sum() < mask.size
    hole = Hole(file=save_mask(folder / "mask.png", mask)) if usable else Hole("full")
    mask = mask if usable else np.ones_like(mask)
    try:
        case = prepare(path, SIZE, channels, hole)
    except ValueError as error:
        assert "hides everything that the model would see" in str(error)
        return
    np.testing.assert_array_equal(case.mask, mask)
    assert case.square.shape == (SIZE, SIZE, channels)
    generated = rng.uniform(-1, 1, (SIZE, SIZE, channels)).astype(np.float32)
    square = square_result(case, generated, method)
    known = np.broadcast_to(case.square_mask > 0, square.shape)
    np.testing.assert_array_equal(square[known], codecs.to_bytes(case.square)[known])

    result = finish(case, generated, method)
    codecs.write(folder / "result.png", result, like=case.picture, mask=case.mask)
    before, after = codecs.read_picture(path), codecs.read_picture(folder / "result.png")
    assert after.pixels.shape == before.pixels.shape == (height, width, result.shape[2])
    known = np.broadcast_to(mask > 0, result.shape)
    np.testing.assert_array_equal(after.pixels[known], before.pixels[known])
    assert (after.alpha is None) == (before.alpha is None)
    if before.alpha is not None:
        expected = np.where(mask[..., 0] > 0, before.alpha, 255)
        np.testing.assert_array_equal(after.alpha, expected)
