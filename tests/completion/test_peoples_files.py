"""What people's pictures are: transparency, colours, bits, several faces, names, other formats."""

import dataclasses
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from align import landmarks
from completion.case import Hole, beyond, place, place_all, prepare
from completion.finish import finish, finish_all
from completion.outputs import Results, write
from data.drawn import drawn_faces
from pictures import codecs, files, masks

ROOT = Path(__file__).resolve().parents[2]
SIZE = 16
PIXELS = drawn_faces(1, 48)[0]


def painted(path, hole: np.ndarray):
    codecs.write(path, np.uint8(255 * hole)[..., None])
    return path


# Transparency


def cut_out(colour: int) -> codecs.Picture:
    """A round cut-out; what is transparent has a colour that nobody sees."""
    row, column = np.mgrid[:48, :48]
    alpha = np.where((row - 24) ** 2 + (column - 24) ** 2 < 300, 255, 0).astype(np.uint8)
    pixels = np.where(alpha[..., None] > 0, PIXELS, np.uint8(colour))
    return codecs.Picture(pixels, alpha, "PNG")


@pytest.mark.parametrize("blend", ["none", "feather", "poisson"])
def test_what_is_transparent_is_neither_known_nor_filled(blend):
    hole = Hole("center")
    generated = codecs.to_float(drawn_faces(2, SIZE)[1])
    found = []
    for colour in (0, 255):
        case = place("cut out", cut_out(colour), SIZE, 3, hole)
        assert not case.square_mask[0].any()  # its corners are unknown
        result = finish(case, generated, blend)
        shown = (case.picture.alpha > 0) | (case.mask[..., 0] == 0)
        found.append(result[shown])
    np.testing.assert_array_equal(*found)


def test_a_format_without_transparency_gets_a_background(tmp_path):
    rgba = np.dstack([PIXELS, np.full((48, 48), 255, np.uint8)])
    rgba[:5, :5] = (0, 255, 0, 0)
    Image.fromarray(rgba).save(tmp_path / "a.png")
    case = prepare(tmp_path / "a.png", SIZE, 3, Hole("center"))
    result = finish(case, np.zeros((SIZE, SIZE, 3), np.float32), "none")
    codecs.write(tmp_path / "a.bmp", result, like=case.picture, mask=case.mask)
    assert (codecs.read(tmp_path / "a.bmp")[:5, :5] == 255).all()


# Masks


def test_a_mask_for_the_picture_as_it_is_stored(tmp_path, capsys):
    exif = Image.Exif()
    exif[0x0112] = 6
    shown = np.ascontiguousarray(PIXELS[:, :32])
    Image.fromarray(np.rot90(shown)).save(tmp_path / "a.png", exif=exif)
    hole = np.zeros((48, 32), bool)
    hole[20:30, 5:12] = True
    for name, mask in (("shown", hole), ("stored", np.rot90(hole))):
        file = painted(tmp_path / f"{name}.png", mask)
        case = prepare(tmp_path / "a.png", SIZE, 3, Hole(file=file))
        np.testing.assert_array_equal(case.mask[..., 0] == 0, hole)
    assert capsys.readouterr().err.count("stored.png: made for the picture as its file") == 1


# Faces


@pytest.fixture
def two_faces(monkeypatch) -> codecs.Picture:
    """A large and a small face, at places that a detector is said to have found."""
    canvas = np.full((100, 200, 3), 150, np.uint8)
    canvas[20:90, 10:80] = codecs.resize(PIXELS, 70, 70)
    canvas[40:80, 140:180] = codecs.resize(PIXELS, 40, 40)

    def face(left, top, side):
        points = np.zeros((68, 2))
        points[[39, 42, 57]] = left, top
        points[[39, 42, 57]] += side * np.array([(0.35, 0.2), (0.65, 0.2), (0.5, 0.75)])
        return landmarks.Face((left, top, left + side, top + side), points)

    found = [face(10, 20, 70), face(140, 40, 40)]
    monkeypatch.setattr(landmarks, "find_faces", lambda image: found)
    return codecs.Picture(canvas, None, "PNG")


def faces_hole(*boxes) -> np.ndarray:
    hole = np.zeros((100, 200), bool)
    for top, bottom, left, right in boxes:
        hole[top:bottom, left:right] = True
    return hole


SMALL, LARGE = (62, 70, 152, 168), (60, 75, 30, 60)


def test_the_face_that_the_hole_touches_is_taken(two_faces, tmp_path):
    for box, centre in ((SMALL, (160, 60)), (LARGE, (45, 55))):
        file = painted(tmp_path / "mask.png", faces_hole(box))
        [case] = place_all("two", two_faces, SIZE, 3, Hole(file=file), fit="face")
        middle = case.matrix @ (*centre, 1)
        assert (0 < middle).all() and (middle < SIZE).all()
    [case] = place_all("two", two_faces, SIZE, 3, Hole("center"), fit="face")
    assert (case.matrix @ (45, 55, 1) > 0).all()  # a built-in hole: the largest


def test_a_hole_that_touches_several_faces_is_filled_one_after_the_other(two_faces, tmp_path):
    hole = faces_hole(SMALL, LARGE)
    file = painted(tmp_path / "mask.png", hole)
    cases = place_all("two", two_faces, SIZE, 3, Hole(file=file), fit="face")
    assert len(cases) == 2 and not beyond(cases).any()
    grounds = (-1.0, 1.0)
    squares = [np.full((SIZE, SIZE, 3), ground, np.float32) for ground in grounds]
    result = finish_all(cases, squares, "none")
    assert (result[60:75, 30:60] == 0).all()  # the first, which has most of the hole
    assert (result[62:70, 152:168] == 255).all()
    np.testing.assert_array_equal(result[~hole], two_faces.pixels[~hole])


def test_a_hole_that_touches_no_face_names_them(two_faces, tmp_path):
    file = painted(tmp_path / "mask.png", faces_hole((2, 8, 100, 110)))
    with pytest.raises(
        ValueError, match=r"two: .* none of the faces .*\(at 10,20 to 80,90, 140,40"
    ):
        place("two", two_faces, SIZE, 3, Hole(file=file), fit="face")


# Names


def results(folder) -> Results:
    return Results(folder, "png")


def test_names_of_results_never_meet(tmp_path):
    composed, apart = (unicodedata.normalize(form, "Müller.png") for form in ("NFC", "NFD"))
    paths = [tmp_path / "in" / name for name in ("a.png", "A.jpg", composed, apart, "b.png")]
    names = results(tmp_path / "out").names(paths)
    folded = {unicodedata.normalize("NFC", name).casefold() for name in names.values()}
    assert len(folded) == len(paths) and names[paths[-1]] == "b"


@pytest.mark.parametrize("name", ["写" * 81, "m" * 251, os.fsdecode(b"caf\xe9")])
def test_any_name_that_a_file_system_holds_gets_a_result(tmp_path, name):
    path = tmp_path / f"{name}.png"
    codecs.write(path, PIXELS)
    case = prepare(path, SIZE, 3, Hole("center"))
    made = results(tmp_path / "out")
    given = made.names([path])[path]
    assert given == name
    with made.reporting():
        made.add(write(tmp_path / "out", "png", case, given, [PIXELS], settings={}, measured={}))
    assert results(tmp_path / "out").is_done(path, {})


def test_a_hole_of_a_known_paint(tmp_path):
    hole = faces_hole(LARGE)[:48, :48] | (np.indices((48, 48))[0] > 40)
    file = painted(tmp_path / "mask.png", ~hole)
    codecs.write(tmp_path / "a.png", PIXELS)
    case = prepare(tmp_path / "a.png", SIZE, 3, Hole(file=file, paint="black"))
    np.testing.assert_array_equal(case.mask, masks.from_hole(hole))
    assert dataclasses.replace(Hole(), paint="white").paint == "white"


# The command


def complete(tmp_path, *arguments, **environment):
    done = subprocess.run(
        [sys.executable, ROOT / "complete.py", *arguments, "--preview", "--out-dir", "out"],
        cwd=tmp_path,
        capture_output=True,
        env=os.environ | environment,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_inputs_of_every_name_are_taken_once(tmp_path):
    odd = tmp_path / "in" / os.fsdecode(b"caf\xe9.png")
    for path in (tmp_path / "in" / "a.png", odd):
        codecs.write(path, PIXELS)
    (tmp_path / "in" / "b.png").symlink_to("a.png")
    (tmp_path / "in" / "c.png").symlink_to("c.png")
    (tmp_path / "in" / "d.png").write_text("no picture")
    status, said, told = complete(tmp_path, "in", odd, PYTHONIOENCODING="utf-8:strict")
    assert status == 1 and "previews are in out/preview" in said
    assert told.count("passed over") == 2 and "in/d.png: not a readable picture" in told
    names = sorted(os.fsencode(path.name) for path in (tmp_path / "out" / "preview").iterdir())
    assert names == [b"a.png", b"caf\xe9.png"]


def test_what_is_one_pictures_or_one_runs_is_refused(tmp_path):
    for name in "ab":
        codecs.write(tmp_path / "in" / f"{name}.png", PIXELS)
    points = ("--face-points", "15,20", "30,20", "22,35")
    status, _, told = complete(tmp_path, "in", *points)
    assert status == 2 and "--face-points are those of one picture; 2 are given" in told
    with files.locked(tmp_path / "out"):
        status, _, told = complete(tmp_path, "in")
    assert status == 2 and "out: another process is writing into this folder" in told


def test_scratches_are_detected_and_shown(tmp_path):
    face = drawn_faces(1, 200)[0]
    codecs.write(tmp_path / "in" / "clean.png", np.full_like(face, 120))
    face[:, 60:63] = 255
    codecs.write(tmp_path / "in" / "scratched.png", face)
    status, _, told = complete(tmp_path, "in", "--detect-scratches")
    assert status == 1 and "clean.png: no scratches found" in told
    shown = codecs.read(tmp_path / "out" / "preview" / "scratched.png")
    changed = (shown != face).any(axis=2)
    assert changed[:, 60:63].mean() > 0.9 and changed.mean() < 0.1
    status, _, told = complete(tmp_path, "in", "--detect-scratches", "--mask-alpha")
    assert status == 2 and "not allowed with argument" in told


def test_a_class_that_imagenet_has_not_is_refused_at_once(tmp_path):
    codecs.write(tmp_path / "a.png", PIXELS)
    status, _, told = complete(tmp_path, "a.png", "--maskType", "cam", "--class", "cofee mug")
    assert status == 2 and told.startswith("error: no class 'cofee mug' of ImageNet; choose from ")
    assert told.count("\n") == 1 and "coffee mug" in told
