"""./complete.py as a user runs it: what it writes, says, keeps and refuses."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from calling import FEW, assert_refused, files, painted, report, write
from lively import SIZE, Z
from PIL import Image, ImageCms

import complete
from data.drawn import drawn_faces
from model import DCGAN
from networks import extractors
from pictures import codecs, grids, masks
from training import checkpoint
from training.checkpoint import cached

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


# What the blog post finds


def test_the_files_of_the_blog_post(call, tmp_path):
    write(tmp_path / "in", 5)
    status, said, _ = call(
        "in",
        "--preset",
        "original",
        "--nIter",
        7,
        "--outInterval",
        3,
        "--outDir",
        "out",
        "--lr",
        0.1,
    )
    out = tmp_path / "out"
    assert status == 0 and "5 completed" in said and said.count("results/face") == 5
    shown = [f"{step:04d}.png" for step in (0, 3, 6, 7)]  # the last iterate always
    assert files(out) == ["before.png", "completion.gif", "masked.png", "report.json"]
    assert files(out / "hats_imgs") == files(out / "completed") == shown
    assert files(out / "logs") == [f"hats_{i:02d}.log" for i in range(5)]
    for folder in ("results", "masks"):
        assert files(out / folder) == [f"face00{i}.png" for i in range(5)]

    shown_grids = {
        n: codecs.read(out / n) for n in ("before.png", "masked.png", "completed/0007.png")
    }
    truth = grids.grid(drawn_faces(5, SIZE), 5)
    known = grids.grid(np.stack([masks.make("center", (SIZE, SIZE))] * 5), 5) > 0
    np.testing.assert_array_equal(shown_grids["before.png"], truth)
    np.testing.assert_array_equal(shown_grids["masked.png"], np.where(known, truth, 0))
    made = codecs.read(out / "hats_imgs" / "0007.png")
    np.testing.assert_array_equal(shown_grids["completed/0007.png"], np.where(known, truth, made))
    result = codecs.read(out / "results" / "face004.png")
    np.testing.assert_array_equal(result, shown_grids["completed/0007.png"][:, 4 * SIZE :])

    lines = [line.split() for line in (out / "logs" / "hats_04.log").read_text().splitlines()]
    assert lines[0] == ["iter", "loss", *[f"z{i}" for i in range(Z)]]
    assert [int(line[0]) for line in lines[1:]] == list(range(8))
    assert float(lines[-1][1]) == pytest.approx(report(out)["face004"]["last_loss"], abs=1e-3)
    with Image.open(out / "completion.gif") as animation:
        assert animation.n_frames == 1 + 8  # what is known, and a frame a step
        assert animation.size == (5 * 153, 153)


def test_block_means_are_shown_with_the_lowres_mask(call, tmp_path):
    write(tmp_path / "in", 2)
    status, *_ = call("in", "--maskType", "lowres", "--nIter", 3, "--outInterval", 2)
    out = tmp_path / "completions"
    assert status == 0 and "lowres.png" in files(out)
    assert files(out / "hats_imgs") == [
        name for step in (0, 2, 3) for name in (f"{step:04d}.lowres.png", f"{step:04d}.png")
    ]
    blocks = drawn_faces(1, SIZE)[0].reshape(8, 2, 8, 2, 3).mean(axis=(1, 3))
    shown = codecs.read(out / "lowres.png")[::2, :SIZE:2]
    assert np.abs(shown - blocks).max() <= 1


@pytest.mark.parametrize("count", [1, 7, 100])
def test_any_number_of_pictures_overwrites_nothing(call, tmp_path, count):
    write(tmp_path / "in", count)
    status, *_ = call("in", "--nIter", 1)
    out = tmp_path / "completions"
    assert status == 0 and len(files(out / "results")) == len(report(out)) == count
    assert len(files(out / "logs")) == min(count, 64)
    later = sorted(p.name for p in out.glob("batch_*"))
    assert later == (["batch_0001"] if count > 64 else [])
    if later:
        assert len(files(out / later[0] / "logs")) == count - 64
        assert files(out / later[0] / "completed") == files(out / "completed")
    result = codecs.read(out / "results" / f"face{count - 1:03d}.png")
    known = masks.make("center", (SIZE, SIZE)) > 0
    truth = drawn_faces(count, SIZE)[-1]
    np.testing.assert_array_equal(np.where(known, result, 0), np.where(known, truth, 0))


def test_the_size_of_the_batch_changes_no_result(call, tmp_path):
    write(tmp_path / "in", 7)
    for size in (2, 3, 100):
        assert call("in", *FEW, "--batch-size", size, "--outDir", f"out{size}")[0] == 0
    of = {size: tmp_path / f"out{size}" / "results" for size in (2, 3, 100)}
    for name in files(of[2])[:6]:  # the seventh is searched for alone in batches of 2 and 3
        assert len({(of[size] / name).read_bytes() for size in of}) == 1


def test_the_seed_decides(call, tmp_path):
    write(tmp_path / "in", 2)
    runs = {"a": (4, "in"), "b": (4, "in"), "c": (5, "in")}
    for name, (seed, folder) in runs.items():
        call(
            folder,
            "--start",
            "random",
            *FEW,
            "--maskType",
            "random",
            "--seed",
            seed,
            "--outDir",
            name,
        )
    found = {name: (tmp_path / name / "results" / "face001.png").read_bytes() for name in runs}
    assert found["a"] == found["b"] != found["c"]


def test_inputs_of_one_stem_keep_apart(call, tmp_path):
    for folder in ("one", "two"):
        write(tmp_path / folder, 1, seed=len(folder))
    shutil.copy(tmp_path / "one" / "face000.png", tmp_path / "one" / "face000.bmp")
    status, *_ = call("one", "two", "one/face000.bmp", *FEW)
    assert status == 0
    names = files(tmp_path / "completions" / "results")
    assert names == ["one_face000-2.png", "one_face000.png", "two_face000.png"]


def test_one_channel(call, tmp_path):
    write(tmp_path / "in", 2)
    Image.open(tmp_path / "in" / "face001.png").convert("L").save(tmp_path / "in" / "grey.png")
    assert call("in", *FEW, model=1)[0] == 0
    for name, mode in (("face000", "RGB"), ("grey", "L")):
        with Image.open(tmp_path / "completions" / "results" / f"{name}.png") as result:
            assert (result.mode, result.size) == (mode, (SIZE, SIZE))


# Models


def test_a_folder_without_a_model_is_one_line(call, tmp_path):
    write(tmp_path / "in", 1)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "model.ckpt-7.index").write_text("no")
    for folder in ("nowhere", "in", "foreign"):
        assert_refused(call("in", "--checkpointDir", folder, model=None), folder)
    assert not (tmp_path / "completions").exists()


def test_the_model_is_the_one_here_else_the_one_that_ships(call, models, tmp_path, monkeypatch):
    write(tmp_path / "in", 1)
    monkeypatch.setattr(checkpoint, "SHIPPED", (tmp_path / "none",))
    assert_refused(call("in", *FEW, model=None), "./checkpoint hold none and none")
    monkeypatch.setattr(checkpoint, "SHIPPED", (models[0][3],))
    status, said, _ = call("in", *FEW, model=None)
    assert status == 0 and "using the model that ships" in said
    shutil.copytree(models[0][1], tmp_path / "checkpoint")
    status, said, _ = call("in", *FEW, "--outDir", "other", model=None)
    ships = os.path.relpath(models[0][3])
    line = f"using the model in checkpoint; --checkpoint-dir {ships} is the one that ships\n"
    assert status == 0 and line in said


def test_another_size_is_refused(call, tmp_path):
    write(tmp_path / "in", 1)
    assert_refused(call("in", "--imgSize", 64), f"--img-size is 64, but the model makes {SIZE}")


def test_a_guide_asked_for_by_name_needs_a_linear_model(call, models, tmp_path):
    write(tmp_path / "in", 1)
    assert call("in", *FEW, "--guide", "linear")[0] == 0
    shutil.copytree(models[0][3], tmp_path / "older")
    (tmp_path / "older" / "linear.npz").unlink()
    older = ("--checkpointDir", "older", "--outDir", "out")
    words = "guide is 'linear', but older has no linear model"
    assert_refused(call("in", *FEW, *older, "--guide", "linear", model=None), words)
    assert not (tmp_path / "out").exists()
    status, said, _ = call("in", *FEW, *older, model=None)
    assert status == 0 and "no linear model of its training pictures to guide it" in said
    assert report(tmp_path / "out")["face000"]["settings"]["guide"] == "none"


def test_starts_are_fitted_once_and_kept_beside_the_model(models):
    def never():
        raise AssertionError("fitted again")

    folder = models[0][3]
    assert cached(folder, "starts", DCGAN.restore(folder).fingerprint(), never)


# Masks of one's own


def test_a_mask_for_all_and_one_for_each(call, tmp_path):
    write(tmp_path / "in", 2, size=24)
    one = painted(tmp_path / "one.png", 24, slice(4, 9), slice(6, 20))
    for number, rows in enumerate((slice(0, 4), slice(20, 24))):
        painted(tmp_path / "each" / f"face00{number}.png", 48, rows, slice(0, 20))
    assert call("in", "--mask", one, *FEW, "--outDir", "a")[0] == 0
    assert call("in", "--mask", "each", *FEW, "--outDir", "b")[0] == 0
    for number in range(2):
        used = codecs.read(tmp_path / "a" / "masks" / f"face00{number}.png", 1)
        np.testing.assert_array_equal(used, codecs.read(one, 1))
    used = [codecs.read(tmp_path / "b" / "masks" / f"face00{n}.png", 1)[..., 0] for n in range(2)]
    for part, rows in zip(used, (slice(0, 2), slice(10, 12)), strict=True):
        assert part[rows, :10].all() and (part > 0).sum() == 20


def test_inverted_and_grown_masks(call, tmp_path):
    write(tmp_path / "in", 1)
    mask = painted(tmp_path / "mask.png", SIZE, slice(2, 16), slice(0, 16))
    assert call("in", "--mask", mask, "--invert-mask", *FEW, "--dilate", 1)[0] == 0
    used = codecs.read(tmp_path / "completions" / "masks" / "face000.png", 1)[..., 0] > 0
    assert used[:3].all() and not used[3:].any()
    assert_refused(call("in", "--invert-mask", *FEW), "give one with --mask")


@pytest.mark.parametrize(
    "value, words",
    [
        (255, "hides everything: paint only what is to be filled white"),
        (0, "hides nothing: no pixel of the mask is white"),
    ],
)
def test_a_useless_mask_is_refused_with_a_reason(call, tmp_path, value, words):
    write(tmp_path / "in", 1)
    codecs.write(tmp_path / "mask.png", np.full((SIZE, SIZE, 1), value, np.uint8))
    status, _, error = call("in", "--mask", "mask.png", *FEW)
    assert status == 2 and error.strip().startswith("passed over mask.png: " + words)
    assert "\n" not in error.strip() and not files(tmp_path / "completions", "results/*")


def test_masks_that_are_missing_are_named_before_the_search(call, tmp_path):
    write(tmp_path / "in", 2)
    painted(tmp_path / "masks" / "face000.png", SIZE, slice(0, 4), slice(0, 4))
    assert_refused(call("in", "--mask", "masks"), "masks: no mask for face001.png")
    assert_refused(call("in", "--mask", "none.png"), "none.png: no such file or folder")


def test_transparent_pixels_are_the_hole(call, tmp_path):
    pixels = np.dstack([drawn_faces(1, 24)[0], np.full((24, 24), 255, np.uint8)])
    pixels[6:12, 8:15, 3] = 0
    pixels[12, 8:15, 3] = 128  # the fringe of an eraser
    Image.fromarray(pixels).save(tmp_path / "torn.png")
    codecs.write(tmp_path / "whole.png", drawn_faces(1, 24)[0])
    status, _, error = call("torn.png", "whole.png", "--mask-alpha", *FEW)
    assert status == 1 and "whole.png: has no transparency" in error
    used = codecs.read(tmp_path / "completions" / "masks" / "torn.png", 1)[..., 0]
    np.testing.assert_array_equal(used > 0, pixels[..., 3] < 255)
    result = codecs.read_picture(tmp_path / "completions" / "results" / "torn.png")
    assert result.alpha is None or (result.alpha == 255).all()
    known = pixels[..., 3:] == 255
    np.testing.assert_array_equal(result.pixels * known, pixels[..., :3] * known)


def test_a_preview_shows_the_hole_and_stops(call, tmp_path):
    for folder in ("one", "two"):
        write(tmp_path / folder, 1, size=24)
    mask = painted(tmp_path / "mask.png", 24, slice(4, 9), slice(6, 20))
    for _ in range(2):  # a second look replaces the first
        status, said, _ = call("one", "two", "--mask", mask, "--preview")
        assert status == 0 and "previews are in completions/preview" in said
        shown = ["preview/one_face000.png", "preview/two_face000.png"]
        assert files(tmp_path / "completions", "**/*") == shown
    tinted = codecs.read(tmp_path / "completions" / shown[0])
    truth, hole = drawn_faces(1, 24)[0], codecs.read(mask, 1) > 0
    assert (tinted != truth).any(axis=2)[hole[..., 0]].all()
    np.testing.assert_array_equal(tinted * ~hole, truth * ~hole)


# What is kept of a picture


@pytest.mark.parametrize(
    "suffix, mode",
    [
        ("png", "RGB"),
        ("png", "L"),
        ("png", "LA"),
        ("png", "RGBA"),
        ("png", "P"),
        ("jpg", "RGB"),
        ("jpg", "L"),
        ("webp", "RGB"),
        ("webp", "RGBA"),
        ("bmp", "RGB"),
        ("tif", "RGB"),
    ],
)
def test_size_mode_and_metadata_are_kept(call, tmp_path, suffix, mode):
    image = Image.fromarray(drawn_faces(1, 40)[0]).crop((0, 3, 40, 37)).convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    exif = Image.Exif()
    exif[0x010E] = "a drawn face"
    kept = {} if suffix == "bmp" else {"exif": exif, "icc_profile": SRGB}
    if suffix == "tif":
        kept = {"icc_profile": SRGB}
    image.save(tmp_path / f"face.{suffix}", **kept)
    assert call(f"face.{suffix}", "--maskType", "left", *FEW)[0] == 0
    before = codecs.read_picture(tmp_path / f"face.{suffix}")
    path = tmp_path / "completions" / "results" / "face.png"
    after = codecs.read_picture(path)
    with Image.open(path) as result:
        assert result.mode == {"P": "RGB"}.get(mode, mode) and result.size == image.size
        assert result.info.get("icc_profile") == kept.get("icc_profile")
        assert result.getexif().get(0x010E) == ("a drawn face" if "exif" in kept else None)
    known = codecs.read(tmp_path / "completions" / "masks" / "face.png", 1) == 0
    assert 0.3 < known.mean() < 0.8
    np.testing.assert_array_equal(after.pixels * known, before.pixels * known)


def test_a_turned_photograph_comes_out_upright_and_stays_so(call, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(drawn_faces(1, 40)[0][:30]).save(tmp_path / "face.jpg", exif=exif)
    assert call("face.jpg", *FEW)[0] == 0
    with Image.open(tmp_path / "completions" / "results" / "face.png") as result:
        assert result.size == (30, 40) and result.getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize("suffix", ["jpg", "webp", "bmp"])
def test_other_formats(call, tmp_path, suffix):
    write(tmp_path / "in", 1, size=24)
    assert call("in", "--format", suffix, "--alternatives", 2, *FEW)[0] == 0
    out = tmp_path / "completions"
    with Image.open(out / "results" / f"face000.{suffix}") as result:
        assert result.format == {"jpg": "JPEG"}.get(suffix, suffix.upper())
    assert files(out / "alternatives" / "face000") == [f"1.{suffix}", f"2.{suffix}"]
    known = codecs.read(out / "masks" / "face000.png", 1) == 0
    off = codecs.read(out / "results" / f"face000.{suffix}").astype(int) - drawn_faces(1, 24)[0]
    assert np.abs(off * known).max() <= (60 if suffix == "jpg" else 0)


# What is said


def test_help_says_what_each_preset_contains(call):
    status, said, _ = call("--help", model=None)
    assert status == 0
    words = " ".join(said.split())
    assert "original: adam, 1000 steps, lr 0.01 constant, start random, clip hard" in words
    assert "best: " in words and "blend poisson" in words
    for flag in ("--hmcBeta", "--hmc-beta", "--nIter", "--n-iter", "--checkpointDir", "--maskType"):
        assert flag in words


@pytest.mark.parametrize(
    "arguments, words",
    [
        (
            ("--approach", "lbfgs", "--clip", "stochastic"),
            "clip is 'stochastic' with approach lbfgs",
        ),
        (("--window", "4"), "window 4 must be odd and at least 3"),
        (("--centerScale", "0.7"), "centerScale 0.7 must be above 0 and at most 0.5"),
        (("--face-points", "1,1", "2,2", "3,3"), "lie on a line and place no face"),
        (("--lr", "0.1"), "lr has no effect with approach lbfgs"),
        (("--fraction", "0.3"), "--fraction has no effect; it belongs to --mask-type random"),
        (("--maskType", "left", "--center-scale", "0.3"), "--center-scale has no effect"),
        (("--maskType", "lowres", "--guide", "linear"), "--guide linear has no effect"),
    ],
)
def test_what_would_fail_with_every_picture_is_one_line(call, tmp_path, arguments, words):
    write(tmp_path / "in", 2)
    assert_refused(call("in", *arguments), words)
    assert not (tmp_path / "completions").exists()


def test_perceptual_is_a_weight_in_features_or_as_ever_the_form_of_the_loss():
    for flag in ("--perceptual", "--prior"):
        assert complete.parser().parse_args(["in", flag, "paper"]).perceptual == "paper"
    assert complete.parser().parse_args(["in", "--perceptual", "7.5"]).features == 7.5


def test_features_that_are_not_installed_are_one_line(call, tmp_path, monkeypatch):
    write(tmp_path / "in", 1)
    monkeypatch.setattr(extractors, "PACKAGE", "not_installed")
    assert_refused(call("in", "--perceptual", 7), "pip install -r requirements-features.txt")
    assert not (tmp_path / "completions").exists()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("--maskType", "heart"), "invalid choice: 'heart'"),
        (("--perceptual", "papr"), "'papr' is not a number, 0 or more, nor generator or paper"),
        (("--nIter", "-1"), "'-1' is not a whole number, 0 or more"),
        (("--face-points", "1,1", "2", "3,3"), "'2' is not a point x,y"),
        (("--mask", "a.png", "--maskType", "left"), "not allowed with"),
    ],
)
def test_flags_are_checked(call, arguments, words):
    status, _, error = call("in", *arguments)
    assert status == 2 and words in error


# Before TensorFlow is there

WITHOUT = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    assert not {"tensorflow", "keras"} & set(sys.modules)
"""


@pytest.mark.parametrize(
    "arguments, status, words",
    [
        (["--help"], 0, "presets"),
        (["in", "--maskType", "heart"], 2, "invalid choice: 'heart'"),
        (["nowhere"], 2, "error: nowhere: no such file or folder"),
        (["in", "--checkpointDir", "nowhere"], 2, "error: nowhere: no such checkpoint folder"),
        (["in", "--nIter", "2"], 0, "0 completed, 2 done before"),
    ],
)
def test_what_takes_no_network_is_answered_without_tensorflow(
    call, models, tmp_path, arguments, status, words
):
    write(tmp_path / "in", 2)
    if "--nIter" in arguments:
        call(*arguments)
        arguments = [*arguments, "--checkpointDir", str(models[0][3])]
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT, complete.__file__, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(complete.__file__).parent)},
    )
    assert (ended.returncode, words in ended.stdout + ended.stderr) == (status, True), ended
