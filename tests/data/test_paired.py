"""Ready pairs of pictures as training data."""

import numpy as np
import pytest

from data.drawn import drawn_faces
from data.paired import reader
from data.pipeline import open_dataset
from pictures import codecs
from pictures.damage import PAIRS, make_pairs

FACES = drawn_faces(4, 16)


@pytest.fixture(params=["side by side", "two folders"])
def folder(request, tmp_path):
    """Whole faces, and for damaged ones their negatives."""
    for i, face in enumerate(FACES):
        if request.param == "side by side":
            codecs.write(tmp_path / f"{i}.png", np.concatenate([255 - face, face], axis=1))
        else:
            codecs.write(tmp_path / "A" / f"{i}.webp", 255 - face)
            codecs.write(tmp_path / "B" / f"{i}.png", face)
    return tmp_path


def test_batches_are_of_pairs(folder):
    place, decode = reader(folder)

    def pairs(pictures, numbers):
        return make_pairs(pictures, numbers, 0, PAIRS)

    data = open_dataset(place, 16, decode=decode, views=2, batch_size=2, pairs=pairs)
    assert data.count == 4 and not data.skipped
    np.testing.assert_array_equal(np.concatenate(list(data.some(9))), FACES)
    true, known, damaged = next(iter(data.epoch(0)))
    assert true.shape == damaged.shape == (2, 16, 16, 3) and known.shape == (2, 16, 16, 1)
    np.testing.assert_allclose(true, -damaged.numpy(), atol=1e-6)


def test_what_is_no_pair_is_named(tmp_path):
    codecs.write(tmp_path / "odd.png", FACES[0][:, :15])
    with pytest.raises(ValueError, match="odd.png: is 15 pixels wide, which two"):
        reader(tmp_path)[1](tmp_path / "odd.png", 16, 3, None)
    for name in ("A/a", "B/b"):
        codecs.write(tmp_path / f"{name}.png", FACES[0])
    place, decode = reader(tmp_path)
    with pytest.raises(ValueError, match="B/b.png: no pictures in .*A are of its name"):
        decode(place / "b.png", 16, 3, None)
