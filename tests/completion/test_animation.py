"""completion.gif: how many frames, of what, how large; and what else one looks at."""

from functools import partial

import numpy as np
import pytest
from calling import report
from lively import FEW, SIZE, lively
from picturing import noise, save
from PIL import Image
from processes import ROOT

from align import geometry, landmarks
from completion import restore
from completion.animation import FRAMES, Animation, View
from completion.case import Hole, points_matrix, prepare
from completion.faces import ANCHORS
from data.drawn import drawn_faces
from pictures import codecs
from search.starts import Starts


def animated(path) -> list[np.ndarray]:
    with Image.open(path) as animation:
        frames = []
        for number in range(animation.n_frames):
            animation.seek(number)
            frames.append(np.asarray(animation.convert("RGB")))
        return frames


@pytest.mark.parametrize(("total", "frames"), [(1000, 17), (30, 17), (16, 17), (3, 4), (0, 1)])
def test_frames_are_spread_over_a_search(total, frames):
    view = View(np.zeros((256, 256, 3), np.uint8), np.ones((256, 256, 1), bool))
    animation = Animation([view], total)
    shown = []
    for step in range(total + 1):
        if animation.is_due(step):
            animation.add(step, np.zeros((1, SIZE, SIZE, 3), np.uint8))
            shown.append(step)
    assert len(shown) == frames <= FRAMES + 1 and shown[-1] == total
    assert not animation.is_due(total, last=True)
    assert np.ptp(np.diff(shown)) <= 1 if frames > 1 else True


def test_a_search_that_settles_is_shown_to_its_end():
    view = View(np.zeros((256, 256, 3), np.uint8), np.ones((256, 256, 1), bool))
    animation = Animation([view], 1000)
    animation.add(0, np.zeros((1, SIZE, SIZE, 3), np.uint8))
    assert not animation.is_due(5) and animation.is_due(5, last=True)


def test_a_view_is_sharper_than_the_square_and_shows_nothing_hidden(tmp_path):
    path = save(tmp_path / "a.png", noise((300, 420, 3)))
    case = prepare(path, SIZE, 3, Hole("center"))
    view = View.of(case)
    assert view.known.shape == (256, 256, 3) and not view.known[view.hole[..., 0]].any()
    centre = codecs.resize(codecs.read(path)[:, 60:360], 256, 256)
    known = ~view.hole[..., 0]
    assert np.abs(view.known[known].astype(int) - centre[known]).mean() < 20  # noise, resampled
    assert 0.2 < view.hole.mean() < 0.35


def test_complete_animates_whatever_the_interval(call, tmp_path):
    """At a size one can look at, whatever the model's is."""
    large = drawn_faces(1, 300)[0]
    save(tmp_path / "a.png", large)
    flags = "--preset original --nIter 20 --lr 0.2 --outInterval 1000 --outDir out"
    status, _, error = call("a.png", *flags.split())
    assert status == 0, error
    frames = animated(tmp_path / "out" / "completion.gif")
    assert len(frames) == FRAMES + 2 and frames[0].shape == (256, 256, 3)
    shown = codecs.resize(large, 256, 256).astype(int)
    corner = np.s_[:40, :40]
    assert all(np.abs(frame[corner] - shown[corner]).mean() < 8 for frame in frames)
    assert frames[0][100:150, 100:150].max() < 20  # black
    assert frames[-1][100:150, 100:150].max() > 20
    assert report(tmp_path / "out")["a"]["steps"] == 20


def test_alternatives_show_the_face_side_by_side(call, tmp_path):
    """Not all of a photograph in which it is small."""
    save(tmp_path / "a.png", noise((400, 600, 3)))
    points = ["--face-points", "300,100", "320,100", "310,124"]
    status, _, error = call("a.png", *points, "--nIter", 1, "--alternatives", 2, "--outDir", "out")
    assert status == 0, error
    sheet = codecs.read(tmp_path / "out" / "alternatives" / "a.png")
    first = codecs.read(tmp_path / "out" / "alternatives" / "a" / "1.png")
    matrix = points_matrix(np.array([(300, 100), (320, 100), (310, 124)], float), SIZE)
    box = geometry.region(matrix, SIZE, first.shape, margin=0)
    face = geometry.cut(first, box)
    assert max(face.shape) < 100 and max(sheet.shape[0], sheet.shape[1] // 2) == 256
    shown = codecs.resize(np.ascontiguousarray(face), sheet.shape[0], sheet.shape[1] // 2)
    np.testing.assert_array_equal(sheet[:, : shown.shape[1]], shown)


def test_a_face_that_the_square_misses_is_mentioned_once(call, tmp_path, photographs):
    for name in ("a", "b"):
        save(tmp_path / "in" / f"{name}.png", photographs["small"])
    status, _, error = call("in", "--nIter", 1, "--outDir", "out")
    assert status == 0 and error.count("that takes --face") == 1 and "in/a.png: " in error
    save(tmp_path / "in" / "a.png", photographs["centred"])
    status, _, error = call("in/a.png", "--nIter", 1, "--outDir", "centred")
    assert status == 0 and "--face" not in error


def test_the_first_use_of_a_model_says_that_it_prepares(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Starts, "fit", partial(Starts.fit, **FEW))
    folder = tmp_path / "model"
    lively().save(folder)
    for times in (1, 0):
        restore(folder).ready()
        assert capsys.readouterr().err.count(f"preparing the search in {folder}: once") == times


@pytest.fixture
def photographs(tmp_path):
    """A photograph with a face that is small in it, and its face cut out."""
    (tmp_path / "in").mkdir()
    whole = codecs.read(ROOT / "examples" / "astronaut.jpg")
    matrix = geometry.matrix(landmarks.find_faces(whole)[0].landmarks, ANCHORS, 200)
    box = geometry.region(matrix, 200, whole.shape, margin=0)
    return {"small": whole, "centred": geometry.cut(whole, box)}
