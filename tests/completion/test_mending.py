"""./translate.py: pictures that are whole but bad, with networks that are functions here."""

import sys

import numpy as np
import pytest
from calling import assert_refused, files, report
from one_pass import pix2pix, shaken
from PIL import Image
from processes import ROOT, without_tensorflow

import cli
import translate
from completion import mending, restore
from data.drawn import drawn_faces
from pictures import codecs
from pictures.damage import Damage
from training import checkpoint

SIZE = 32
ASTRONAUT = ROOT / "examples" / "astronaut.jpg"


def mender(folder, damage="noise", change=0.1, channels=3, **more) -> mending.Mender:
    """Of a network that brightens; grey gets a colour."""
    tint = np.float32([change, 0, -change][:channels]) if damage == "grey" else np.float32(change)

    def network(squares, fidelity):
        assert squares.shape[1:] == (SIZE, SIZE, channels)
        return np.clip(squares + tint * (1 - fidelity), -1, 1)

    return mending.Mender(
        path=folder,
        size=SIZE,
        channels=channels,
        damage=Damage(damage),
        fingerprint=f"{damage} {change}",
        restore=lambda: network,
        **more,
    )


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """Run translate.py in an empty folder: (status, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").touch()

    def run(*arguments, model=None):
        if model is not None:
            monkeypatch.setattr(mending.Mender, "of", lambda *given, warn: model)
        words = ["translate.py", *map(str, arguments), "--checkpointDir", "model"]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            cli.run(translate.main)
        return ended.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def pictures(tmp_path):
    """A folder of pictures of several sizes."""
    for number, (height, width) in enumerate([(32, 32), (50, 81), (9, 40)]):
        pixels = codecs.resize(drawn_faces(1, 64)[0], height, width)
        codecs.write(tmp_path / "in" / f"{number}.png", pixels)
    return tmp_path / "in"


def test_pictures_of_any_size_once(call, pictures, tmp_path):
    status, output, _ = call("in", model=mender(tmp_path))
    assert status == 0 and "3 mended, 0 done before, 0 passed over" in output
    for path in sorted(pictures.iterdir()):
        before, after = (
            codecs.read(p) for p in (path, tmp_path / "translations/results" / path.name)
        )
        np.testing.assert_allclose(after, np.clip(before + 12.75, 0, 255), atol=1)
    assert files(tmp_path / "translations") == ["report.json"]
    assert files(tmp_path / "translations", "*/*") == [f"results/{i}.png" for i in range(3)]
    assert report(tmp_path / "translations")["1"]["settings"]["fidelity"] == 0
    status, output, _ = call("in", model=mender(tmp_path))
    assert "0 mended, 3 done before" in output
    _, output, _ = call("in", "--fidelity", 1, model=mender(tmp_path))
    assert "3 mended, 0 done before" in output
    smooth = [
        codecs.read(tmp_path / "translations" / entry["result"])
        for entry in report(tmp_path / "translations").values()
        if entry["input"] == "in/1.png" and entry["settings"]["fidelity"] == 1
    ]
    np.testing.assert_array_equal(smooth, [codecs.read(pictures / "1.png")])


@pytest.mark.parametrize("damage", ["lowres:4", "mosaic:8", "grey"])
def test_what_is_known_stays_true(call, pictures, tmp_path, damage):
    _, output, _ = call("in", model=mender(tmp_path, damage, change=0.6))
    assert output.count("grey levels of what is known") == 3
    for path in pictures.iterdir():
        result = codecs.read(tmp_path / "translations/results" / path.name)
        given, kind = codecs.read(path), Damage(damage)
        assert result.shape[0] == given.shape[0] * kind.factor
        if damage == "grey":
            given = codecs.read(path, 1)
            assert np.ptp(result.astype(int), axis=2).max() > 50
        assert kind.miss(codecs.to_float(result), codecs.to_float(given)) <= 1
    entries = report(tmp_path / "translations").values()
    assert all(entry["off_by"] <= 1 for entry in entries)


def test_what_a_file_holds_besides_is_kept(call, tmp_path):
    rgba = np.dstack([drawn_faces(1, 40)[0], np.full((40, 40), 255, np.uint8)])
    rgba[:10] = 0
    exif = Image.Exif()
    exif[0x13B] = "somebody"
    Image.fromarray(rgba).save(tmp_path / "a.png", exif=exif, dpi=(300, 300))
    assert call("a.png", model=mender(tmp_path, "lowres:2"))[0] == 0
    result = Image.open(tmp_path / "translations/results/a.png")
    assert result.mode == "RGBA" and result.size == (80, 80)
    assert result.getexif()[0x13B] == "somebody" and round(result.info["dpi"][0]) == 300
    alpha = np.asarray(result)[..., 3]
    assert not alpha[:18].any() and (alpha[22:] == 255).all()


def test_a_grey_file_gets_colours(call, tmp_path):
    codecs.write(tmp_path / "a.jpg", drawn_faces(1, 40)[0][..., :1])
    assert call("a.jpg", model=mender(tmp_path, "grey", change=0.5))[0] == 0
    result = Image.open(tmp_path / "translations/results/a.png")
    assert result.mode == "RGB" and np.ptp(np.asarray(result), axis=2).max() > 50


def test_16_bits_are_said_to_be_mended_as_8(call, tmp_path):
    deep = Image.fromarray(drawn_faces(1, 40)[0][..., 0].astype(np.uint16) * 257)
    deep.save(tmp_path / "a.png")
    status, _, error = call("a.png", model=mender(tmp_path))
    assert status == 0 and "a.png: 8 bits of its 16 are used" in error


# Faces


def test_only_faces_are_changed(call, tmp_path):
    status, output, _ = call(ASTRONAUT, "--face", model=mender(tmp_path, aligned=True))
    assert status == 0 and ": 1 face" in output
    before, after = (
        codecs.read(ASTRONAUT),
        codecs.read(tmp_path / "translations/results/astronaut.png"),
    )
    change = after.astype(int) - before
    changed = np.argwhere(change.any(axis=2))
    height, width = changed.max(axis=0) - changed.min(axis=0)
    assert 40 < height < 200 and 40 < width < 200
    assert 12 <= change.max() <= 14  # interpolation overshoots a little
    room = before < 240
    steps = np.abs(np.diff(change, axis=1))[room[:, 1:] & room[:, :-1]]
    assert steps.max() <= 3  # soft edges


def test_a_face_that_is_not_changed_comes_back_bit_for_bit(call, tmp_path):
    still = mender(tmp_path, aligned=True, change=0.0)
    call(ASTRONAUT, "--face-points", "212,109", "247,106", "229,160", model=still)
    result = codecs.read(tmp_path / "translations/results/astronaut.png")
    np.testing.assert_array_equal(result, codecs.read(ASTRONAUT))


def test_a_face_too_small_for_the_detector_is_found_enlarged(call, tmp_path, monkeypatch):
    monkeypatch.setattr(Damage, "restored", lambda self, made, given: made)
    whole = codecs.read(ASTRONAUT)[10:250, 105:345]
    small = whole.reshape(60, 4, 60, 4, 3).mean((1, 3)).round().astype(np.uint8)
    codecs.write(tmp_path / "small.png", small)
    plain = mender(tmp_path, "lowres:4", 0.0, aligned=True)
    bright = mender(tmp_path, "lowres:4", 0.2, aligned=True)
    results = []
    for model, out in ((plain, "plain"), (bright, "bright")):
        status, output, _ = call("small.png", "--face", "--outDir", out, model=model)
        assert status == 0 and "1 face" in output
        results.append(codecs.read(tmp_path / out / "results" / "small.png").astype(int))
    y, x = np.nonzero((results[1] - results[0]).max(axis=2) > 10)
    eyes_and_lip = np.array([(107, 99), (142, 96), (124, 150)])  # in the whole one, x and y
    assert x.min() < eyes_and_lip[:, 0].min() and x.max() > eyes_and_lip[:, 0].max()
    assert y.min() < eyes_and_lip[:, 1].min() and y.max() > eyes_and_lip[:, 1].max()
    assert np.ptp(x) < 140 and np.ptp(y) < 140


def test_a_grey_face_keeps_its_brightness(call, tmp_path):
    _, output, _ = call(ASTRONAUT, "--face", model=mender(tmp_path, "grey", 0.5, aligned=True))
    assert "1 face, within 0." in output
    result = codecs.read(tmp_path / "translations/results/astronaut.png").astype(int)
    assert np.ptp(result, axis=2).max() > 50 and not np.ptp(result[:, 400:], axis=2).any()


def test_faces_alone_are_mended_by_a_network_of_faces(call, pictures, tmp_path):
    status, output, error = call("in", model=mender(tmp_path, aligned=True))
    assert status == 1 and "1 mended, 0 done before, 2 passed over" in output
    assert "1.png: is 81x50 pixels; " in error and "--face, or aligned ones of 32x32" in error
    status, _, error = call("in/1.png", "--face", model=mender(tmp_path, aligned=True))
    assert status == 2 and "1.png: no face found; give --face-points" in error


# What cannot be


def test_a_bad_picture_is_passed_over(call, pictures, tmp_path):
    (pictures / "1.png").write_bytes(b"none")
    status, output, error = call("in", model=mender(tmp_path))
    assert status == 1 and "2 mended, 0 done before, 1 passed over" in output
    assert error.startswith("passed over in/1.png: not a readable picture")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["in", "--face-points", "1,1", "2,2", "3,3"], "--face-points are those of one picture"),
        (["in/0.png", "--face-points", "1,1", "2,2", "3,3"], "lie on a line and place no face"),
        (["nowhere"], "nowhere: no such file or folder"),
    ],
)
def test_one_clear_line(call, pictures, tmp_path, flags, words):
    assert_refused(call(*flags, model=mender(tmp_path)), words)
    assert not (tmp_path / "translations").exists()


def test_refused_before_tensorflow_is_imported(pictures, tmp_path):
    done = without_tensorflow(
        ROOT / "translate.py", "in", "--checkpoint-dir", ROOT / "models/faces-pix2pix", cwd=tmp_path
    )
    assert done.returncode == 2, done.stderr
    assert "faces-pix2pix: fills holes; take complete.py" in done.stderr


def test_a_model_folder_says_what_it_mends(call, pictures, tmp_path):
    model = shaken(pix2pix(damage="lowres:2", guide="none"))
    model.state.save(tmp_path / "model")
    (tmp_path / "model" / "config.json").exists()
    status, output, _ = call("in")
    assert status == 0 and "model: lowres:2, pictures of any size, 16x16 pixels" in output
    result = codecs.read(tmp_path / "translations/results/1.png")
    assert result.shape == (100, 162, 3)
    with pytest.raises(ValueError, match="model: mends lowres:2, which translate.py does"):
        restore(tmp_path / "model")


def test_complete_py_by_default_leaves_it_out(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for damage in ("grey", "hole"):
        folder = tmp_path / "checkpoint-pix2pix"
        checkpoint.save(folder, {"kind": "pix2pix", "damage": damage}, {"a": np.zeros(1)})
        found = checkpoint.default_folders("pix2pix")[0]
        assert (found == folder.relative_to(tmp_path)) == (damage == "hole")
