"""evaluate.py mending: what networks are compared with, and the table."""

import json
import sys

import numpy as np
import pytest

import cli
import evaluate
from completion.mending import Mender
from data.drawn import drawn_faces
from measuring import mending
from pictures import averages, codecs
from pictures.damage import Damage

SIZE = 16
TRAIN, FACES = drawn_faces(40, SIZE), drawn_faces(6, SIZE, seed=9)


def error(made: np.ndarray) -> float:
    return float(np.abs(made - codecs.to_float(FACES)).mean())


def given(name: str) -> np.ndarray:
    return codecs.to_float(mending.damaged(FACES, Damage(name), seed=0))


@pytest.mark.parametrize("name", ["lowres:2", "noise", "blur+noise"])
def test_ridge_regression_is_nearer_to_the_truth_than_what_is_given(name):
    damage = Damage(name)
    methods = mending.make(["damaged", "ridge"], damage, TRAIN, {})
    made = {method: mend(given(name)) for method, mend in methods.items()}
    assert made["ridge"].shape == FACES.shape
    assert error(made["ridge"]) < error(made["damaged"])
    if name == "lowres:2":
        pairs = zip(made["ridge"], given(name), strict=True)
        assert max(damage.miss(*pair) for pair in pairs) < 0.1


def test_ridge_regression_finds_what_is_linear():
    """Colours that follow from the brightness."""
    tint = np.float32([0.9, 0.5, 0.1])
    pictures = codecs.to_bytes(0.9 * averages.grey(codecs.to_float(TRAIN)) * tint + 0.05)
    made = mending.Ridge(pictures[:30], Damage("grey"))
    grey = codecs.to_float(mending.damaged(pictures[30:], Damage("grey"), seed=0))
    np.testing.assert_allclose(made(grey), codecs.to_float(pictures[30:]), atol=0.03)
    assert np.abs(grey - codecs.to_float(pictures[30:])).max() > 0.2


def test_mean_colours_have_the_given_brightness():
    mend = mending.make(["mean"], Damage("grey"), TRAIN, {})["mean"]
    made = mend(given("grey"))
    np.testing.assert_allclose(averages.grey(made), averages.grey(given("grey")), atol=1e-5)
    assert error(made) < error(given("grey"))


def test_bicubic_of_a_mosaic_is_that_of_its_means():
    mosaic, small = (
        mending.make(["bicubic"], Damage(f"{n}:4"), None, {}) for n in ("mosaic", "lowres")
    )
    pairs = (
        methods["bicubic"](given(f"{name}:4"))
        for methods, name in ((mosaic, "mosaic"), (small, "lowres"))
    )
    np.testing.assert_allclose(*pairs, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fog", "unknown method 'fog'; choose from network, damaged"),
        ("ridge:fidelity=1", "network alone has options: model, fidelity"),
        ("network:blend=none", "network alone has options: model, fidelity"),
        ("network:fidelity=much", "fidelity is no number"),
    ],
)
def test_what_is_no_method(name, words):
    with pytest.raises(ValueError, match=words):
        mending.parse(name)


def test_the_command(monkeypatch, tmp_path, capsys):
    """Two fidelities of a network that undoes nothing, and half of a shade too bright."""
    for folder, faces in (("train", TRAIN), ("new", FACES)):
        for i, face in enumerate(faces):
            codecs.write(tmp_path / folder / f"{folder}{i}_0001.png", face)
    network = Mender(
        path=tmp_path,
        size=SIZE,
        channels=3,
        damage=Damage("lowres:2"),
        fingerprint="",
        restore=lambda: lambda squares, fidelity: squares + 0.1 * (1 - fidelity),
    )
    monkeypatch.setattr(Mender, "of", lambda *given, warn: network)
    methods = "network,network:fidelity=1,damaged,ridge"
    words = ["--dataset", tmp_path / "new", "--train", tmp_path / "train", "--methods", methods]
    words += ["--checkpoint-dir", tmp_path, "--json", tmp_path / "out.json", "--features", "random"]
    words += ["--picture", tmp_path / "out.png", "--shown", 3]
    monkeypatch.setattr(sys, "argv", ["evaluate.py", "mending", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.run(evaluate.main)
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "| lowres:2 | network:fidelity=1 |" in printed and "CIEDE2000" in printed
    found = json.loads((tmp_path / "out.json").read_text())
    psnr = {row["method"]: row["psnr"]["mean"] for row in found["rows"]}
    assert psnr["damaged"] < psnr["network:fidelity=1"]  # by what is known
    assert psnr["ridge"] > psnr["damaged"]
    sheet = codecs.read(tmp_path / "out.png")
    assert sheet.shape[0] == 6 * SIZE
    monkeypatch.setattr(sys, "argv", ["evaluate.py", "mending", "--dataset", str(tmp_path / "new")])
    with pytest.raises(SystemExit) as ended:
        cli.run(evaluate.main)
    assert ended.value.code == 2
    assert "method network takes a model: --checkpoint-dir DIR" in capsys.readouterr().err
