"""smiles.py: who smiles, and the table of it that training takes."""

import cv2
import numpy as np
import pytest
from processes import ROOT

from align import smiles
from completion.case import Hole, prepare
from data import classes
from pictures import codecs


@pytest.fixture(scope="module")
def faces() -> list[np.ndarray]:
    """A face that smiles, and the same pressed together below the nose; uint8."""
    case = prepare(ROOT / "examples" / "astronaut.jpg", 128, 3, Hole(), fit="face")
    smiling = codecs.to_bytes(case.whole())
    y, x = np.mgrid[:128, :128].astype(np.float32)
    x = 64 + (x - 64) * np.interp(y, [56, 72], [1, 1.9])
    return [smiling, cv2.remap(smiling, np.float32(x), y, cv2.INTER_LINEAR)]


def test_a_wide_mouth_smiles(faces):
    wide, narrow = map(smiles.smile, faces)
    assert wide > 1.2 and narrow < 0.95
    small = cv2.resize(faces[0], (64, 64), interpolation=cv2.INTER_AREA)
    assert smiles.smile(small) == pytest.approx(wide, abs=0.1)


def test_the_table_is_one_that_training_takes(faces, tmp_path, capsys):
    for name, face in zip(("a, b/one.png", "two.png"), faces, strict=True):
        codecs.write(tmp_path / "faces" / name, face)
    assert smiles.main([str(tmp_path / "faces"), str(tmp_path / "table.csv")]) == 0
    assert "2 faces, smiling above" in capsys.readouterr().out
    found = classes.read(tmp_path / "faces", tmp_path / "table.csv")
    assert found.of == {"a, b/one.png": "smiling", "two.png": "serious"}
    (tmp_path / "faces" / "bad.png").write_bytes(b"no picture")
    assert smiles.main([str(tmp_path / "faces"), str(tmp_path / "table.csv")]) == 1
    with pytest.raises(ValueError, match="no such file or folder"):
        smiles.main([str(tmp_path / "nothing"), str(tmp_path / "table.csv")])
