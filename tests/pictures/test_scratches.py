"""Scratches, found by their shape."""

import cv2
import numpy as np
import pytest

import masks as script
from pictures import codecs, masks

CUP = np.full((300, 400, 3), 150, np.uint8)
cv2.circle(CUP, (200, 150), 90, (90, 40, 30), -1)
cv2.circle(CUP, (200, 150), 60, (200, 150, 120), -1)
CUP = np.uint8(np.clip(CUP + np.random.default_rng(0).normal(0, 6, CUP.shape), 0, 255))


def scratched(level: int, scale: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The cup under two crossing lines and a bent one, and where they are, bool."""
    size = (400 * scale, 300 * scale)
    drawn = np.zeros(size[::-1], np.uint8)
    for points in (
        [(10, 20), (390, 250)],
        [(60, 290), (330, 5)],
        [(20, 150), (140, 170), (250, 160)],
    ):
        cv2.polylines(drawn, [np.int32(points) * scale], False, 1, thickness=2 * scale)
    soft = cv2.GaussianBlur(np.float32(drawn), (0, 0), 0.6 * scale)[..., None]
    pixels = cv2.resize(CUP, size)
    return np.uint8(pixels + soft * (level - np.float32(pixels))), drawn > 0


@pytest.mark.parametrize(("level", "scale"), [(250, 1), (5, 1), (250, 4)])
def test_scratches_are_found_and_little_else(level, scale):
    pixels, drawn = scratched(level, scale)
    hole = masks.detect_scratches(pixels)[..., 0] == 0
    assert hole.shape == drawn.shape
    assert hole[drawn].mean() > 0.8
    near = cv2.dilate(np.uint8(drawn), np.ones((9 * scale, 9 * scale))) > 0
    assert (hole & ~near).sum() < 0.1 * hole.sum()


def test_where_there_are_none_it_says_so():
    with pytest.raises(ValueError, match="cup.png: no scratches found; paint a mask"):
        masks.detect_scratches(CUP, "cup.png")


def test_masks_py_writes_what_is_found(tmp_path, capsys):
    codecs.write(tmp_path / "cup.png", scratched(250)[0])
    out = tmp_path / "mask.png"
    script.main(["scratches", str(out), "--picture", str(tmp_path / "cup.png")])
    assert capsys.readouterr().out == f"{out}\n"
    found = masks.detect_scratches(scratched(250)[0])
    np.testing.assert_array_equal(masks.from_file(out), found)
    with pytest.raises(ValueError, match="scratches takes a picture: --picture FILE"):
        script.main(["scratches", str(out)])
    with pytest.raises(ValueError, match="--mosaic takes a picture: --picture FILE"):
        script.main(["center", str(out), "--mosaic", "8"])


def test_masks_py_shows_a_hole_in_blocks(tmp_path):
    codecs.write(tmp_path / "cup.png", CUP)
    out = tmp_path / "out.png"
    script.main(["center", str(out), "--picture", str(tmp_path / "cup.png"), "--mosaic", "25"])
    made = codecs.read(out)
    np.testing.assert_array_equal(made[:75], CUP[:75])
    block = CUP[75:100, 100:125].mean(axis=(0, 1))
    np.testing.assert_allclose(made[80, 110], block, atol=1)
    assert not np.ptp(made[75:100, 100:125], axis=(0, 1)).any()
