"""The way of one picture: hidden, searched for, filled; nothing leaks, and each stands alone."""

import dataclasses
import functools
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lively import FEW, SIZE, lively, searching, with_starts
from picturing import POINTS, QUICK, last, noise, save, save_mask
from PIL import Image

from align import geometry
from completion.case import Hole, points_matrix, prepare, square_matrix
from completion.finish import finish, square_result
from completion.options import PRESETS, Options, with_changes
from data.drawn import drawn_faces
from pictures import blend, codecs, masks
from search.latent import Draws
from search.linear import Given
from search.objective import Objective
from search.starts import Starts

# Size of a picture, and how it is placed on the model's square.
KINDS = {
    "model-size": ((SIZE, SIZE), {}),
    "shrunk": ((61, 43), {}),
    "enlarged": ((9, 12), {}),
    "face-points": ((80, 100), {"face_points": np.array(POINTS, float)}),
}


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
