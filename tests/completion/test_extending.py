"""The ways to complete that docs/extending.md builds: a Completer and a Guide."""

import re
from pathlib import Path

import numpy as np
import pytest
from lively import SIZE, searching
from picturing import QUICK, last, noise, save

from completion import options
from completion.case import Hole, prepare
from completion.finish import square_result
from completion.folder import Job, run
from completion.options import PRESETS, with_changes
from completion.searching import Searching
from data.drawn import drawn_faces
from pictures import codecs

TEXT = (Path(__file__).parents[2] / "docs" / "extending.md").read_text()


@pytest.fixture(scope="module")
def documented() -> dict:
    """What the sections on a way to complete and on a guide define."""
    names = {}
    for heading in ("A way to complete", "A guide"):
        section = re.search(rf"^## {heading}\n(.*?)^## ", TEXT, re.S | re.M)[1]
        exec(re.search(r"```python\n(.*?)```", section, re.S)[1], names)
    return names


def test_a_documented_completer_completes_a_folder(documented, tmp_path, capsys):
    completer = documented["Inpainting"]()
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path, face in zip(paths, drawn_faces(3, 24), strict=True):
        codecs.write(path, face)
    chosen = completer.checked(with_changes(PRESETS["best"], {"guide": "none"}))
    job = Job(completer, chosen, Hole("left"), out_dir=tmp_path / "out")
    assert run(job, paths) == (3, 0, 0)
    assert run(job, paths) == (0, 3, 0)
    said = capsys.readouterr().out
    assert "0.png: 13.3 dB in the hole\n" in said and "0 steps" not in said
    shown = codecs.read(tmp_path / "out" / "completed" / "0000.png")
    case = prepare(paths[2], SIZE, 3, Hole("left"))
    generated = last(completer.complete([case], chosen)).generated[0]
    expected = square_result(case, generated, chosen.blend)
    np.testing.assert_array_equal(shown[:, 2 * SIZE :], expected)
    with pytest.raises(ValueError, match="has but one"):
        completer.checked(with_changes(chosen, {"alternatives": 2}))


def test_a_documented_guide_guides_a_search(documented, tmp_path, monkeypatch):
    completer = searching()
    monkeypatch.setattr(options, "GUIDES", (*options.GUIDES, "average"))
    guides = {"average": documented["Average"], "none": None}
    monkeypatch.setattr(Searching, "guides", property(lambda self: guides))
    case = prepare(save(tmp_path / "a.png", noise((SIZE, SIZE, 3))), SIZE, 3, Hole("left"))
    inside = case.square_mask[..., 0] == 0
    mean = case.square[~inside].mean(axis=0)

    def apart(guide):
        chosen = with_changes(QUICK, {"guide": guide, "approach": "adam", "steps": 30})
        return np.abs(last(completer.complete([case], chosen)).generated[0][inside] - mean).mean()

    assert apart("average") < apart("none")
    assert apart("auto") == apart("average")
