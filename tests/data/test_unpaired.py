"""data.unpaired: damaged pictures of some people, whole ones of others, and the same again."""

import numpy as np
import pytest

from data import split, unpaired
from data.drawn import drawn_faces
from pictures import codecs, files
from pictures.damage import Damage

PEOPLE = ("Alan_M", "Aaron_Patterson", "Aaron_Eckhart", "George_W_Bush")  # numbers 0, 1, 2, 9


@pytest.fixture
def faces(tmp_path):
    for name, pixels in zip(PEOPLE, drawn_faces(4, 16), strict=True):
        codecs.write(tmp_path / "faces" / f"{name}_0001.png", pixels)
    (tmp_path / "faces" / "Alan_M_0002.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return tmp_path / "faces"


def test_nobody_is_in_both_and_the_whole_stay_whole(faces, capsys):
    assert unpaired.main([str(faces), "grey"]) == 1  # one could not be read
    assert "Alan_M_0002.png" in capsys.readouterr().err
    damaged, whole = faces.with_name("faces-grey"), faces.with_name("faces-whole")
    names = [{path.stem[:-5] for path in files.find([to])} for to in (damaged, whole)]
    assert names == [{PEOPLE[0], PEOPLE[2]}, {PEOPLE[1], PEOPLE[3]}]
    for path in files.find([whole]):
        assert path.read_bytes() == (faces / path.name).read_bytes()
    for path in files.find([damaged]):
        pixels = codecs.read(path).astype(int)
        assert (pixels == pixels[..., :1]).all()
        assert not np.array_equal(pixels, codecs.read(faces / path.name))


def test_the_seed_decides_what_is_drawn(faces):
    written = []
    for seed in (0, 0, 1):
        unpaired.part(faces, Damage("noise"), seed, pass_over=lambda error: None)
        written.append((faces.with_name("faces-noise") / "Alan_M_0001.png").read_bytes())
    assert written[0] == written[1] != written[2]


@pytest.mark.parametrize("damage", ["hole", "pairs", "fog"])
def test_what_cannot_be_drawn_is_refused(faces, damage):
    with pytest.raises(ValueError, match=f"damage is '{damage}'"):
        unpaired.main([str(faces), damage])
    assert not list(faces.parent.glob("faces-*"))


def test_numbers_are_those_of_the_split():
    assert [split.number(name) for name in PEOPLE] == [0, 1, 2, 9]
