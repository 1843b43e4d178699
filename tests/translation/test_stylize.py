"""./stylize.py and ./train-style.py as users run them: what they write, keep, say and refuse."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from processes import ROOT
from stress_kill import assert_same_end

import cli
from completion import outputs
from data.drawn import drawn_faces, drawn_painting
from networks import extractors
from networks.style_config import StyleConfig
from pictures import averages, codecs
from training import checkpoint
from translation.style_recipe import StyleRecipe
from translation.style_transfer import StyleTransfer

SHALLOW = "--style-blocks stem --content-blocks stem --style-size 32".split()
QUICK = [*SHALLOW, *"--nIter 4 --levels 2".split()]
TRAINING = (
    "--dataset faces --style styles --image-size 16 --filters 2 --residual 1 --batch-size 2 "
    "--checkpoint-dir checkpoint --sample-every 3"
).split()


def script(name):
    """The module of a script, whatever its name."""
    spec = importlib.util.spec_from_file_location(name.replace("-", "_"), ROOT / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """Run a script in a folder of faces and styles: (status, standard output, standard error)."""
    for number, face in enumerate(drawn_faces(5, 16)):
        codecs.write(tmp_path / "faces" / f"{number}.png", face)
    for kind in ("strokes", "glass"):
        codecs.write(tmp_path / "styles" / f"{kind}.png", drawn_painting(kind, 32))
    photograph = Image.fromarray(drawn_faces(1, 48, seed=3)[0, :37])
    photograph.putalpha(Image.new("L", photograph.size, 200))
    exif = Image.Exif()
    exif[0x010E] = "a face"
    photograph.save(tmp_path / "photograph.png", exif=exif)
    monkeypatch.chdir(tmp_path)

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.run(script(name).main)
        return ended.value.code, *capsys.readouterr()

    return run


def test_a_picture_is_painted_by_search_and_keeps_what_its_file_has(call, tmp_path):
    arguments = ("photograph.png", "--style", "styles", *QUICK, "--outDir", "out")
    status, said, _ = call("stylize", *arguments)
    assert status == 0 and "1 painted, 0 done before" in said
    made, before = (Image.open(path) for path in ("out/results/photograph.png", "photograph.png"))
    assert made.size == before.size == (48, 37)
    assert made.getexif()[0x010E] == "a face" and made.getchannel("A").getextrema() == (200, 200)
    difference = np.abs(np.float32(made.convert("RGB")) - np.float32(before.convert("RGB")))
    assert 1 < difference.mean() < 100
    assert Image.open("out/animations/photograph.gif").n_frames > 3
    assert outputs.is_output(Path("out/animations/photograph.gif"), Path("out"))
    entry = json.loads((tmp_path / "out" / "report.json").read_text())[0]
    assert entry["settings"]["statistics"] == "gram" and entry["last_loss"] > 0
    assert "0 painted, 1 done before" in call("stylize", *arguments)[1]
    assert "1 painted, 0 done before" in call("stylize", *arguments, "--mix", 1, 0)[1]


def test_its_own_colours_or_a_size_of_the_painting(call):
    given = ("photograph.png", "--style", "styles/glass.png", *QUICK)
    assert call("stylize", *given, "--keep-colour", "--size", 20)[0] == 0
    made = codecs.read_picture("stylizations/results/photograph.png").pixels
    before = codecs.read_picture("photograph.png").pixels
    change = made.astype(float) - before
    inside = ((made > 0) & (made < 255)).all(axis=2)
    assert np.ptp(change[inside], axis=1).max() <= 1  # of brightness alone
    assert np.abs(averages.grey(change[inside])).mean() > 1
    assert Image.open("stylizations/animations/photograph.gif").size == (20, 15)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Networks by name, and the folder in which they are saved by it."""
    folder = tmp_path_factory.mktemp("networks")
    tiny, recipe = {"filters": 2, "residual": 1}, StyleRecipe(style_size=32)
    configs = {
        "two": StyleConfig(**tiny, styles=("strokes", "glass")),
        "any": StyleConfig(**tiny, network="adain", encoder_blocks=("stem",)),
    }
    models = {name: StyleTransfer(config, recipe) for name, config in configs.items()}
    rng = np.random.default_rng(0)
    for name, model in models.items():
        for variable in model.network.trainable_variables:
            variable.assign(variable + rng.normal(0, 0.1, variable.shape))
        model.state.save(folder / name)
    return models, folder


@pytest.fixture
def networks(saved, tmp_path):
    """Networks by name, with their folders in the present one."""
    models, folder = saved
    for name in models:
        (tmp_path / name).symlink_to(folder / name)
    return models


def test_networks_paint_as_asked(call, networks, tmp_path):
    pictures = codecs.read_picture("photograph.png").pixels[None]
    styles = [codecs.read(tmp_path / "styles" / f"{kind}.png") for kind in ("glass", "strokes")]
    mixed = np.array([[0.25, 0.75]])
    asked = {
        ("two",): networks["two"].paint(pictures, np.array([[1, 0]])),
        ("two", "--style-number", 2): networks["two"].paint(pictures, np.array([[0, 1]])),
        ("two", "--mix", 1, 3): networks["two"].paint(pictures, mixed),
        ("any", "--style", "styles", "--mix", 1, 3, "--alpha", 0.5): networks["any"].paint(
            pictures, mixed, styles, alpha=0.5
        ),
    }
    for number, ((model, *flags), wanted) in enumerate(asked.items()):
        out = f"out{number}"
        given = ("photograph.png", "--checkpointDir", model, "--outDir", out, *flags)
        assert call("stylize", *given)[0] == 0
        made = codecs.read_picture(f"{out}/results/photograph.png").pixels
        np.testing.assert_array_equal(made, wanted[0])
        assert not (tmp_path / out / "animations").exists()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("--style", "nowhere.png"), "nowhere.png: no such file or folder"),
        (("--style", "styles", "--mix", 1), "--mix is 1.0; it takes a share of each of 1 glass, 2"),
        (("--style", "styles", "--alpha", 1), "--alpha has no effect without --checkpoint-dir"),
        (("--style", "styles", "--nIter", 2), "--n-iter is 2; 3 sizes take at least as many"),
        (("--style", "styles", "--style-blocks", "pool"), "style_blocks has 'pool'; efficientnet"),
        (("--checkpointDir", "none"), "(train-style.py --checkpoint-dir none makes one)"),
        (("--checkpointDir", "two", "--style", "styles"), "which knows strokes, glass"),
        (("--checkpointDir", "two", "--style-number", 3), "there are 1 strokes, 2 glass"),
        (("--checkpointDir", "two", "--statistics", "moments"), "--statistics has no effect with"),
        (("--checkpointDir", "any", "--nIter", 9), "--n-iter has no effect with any"),
        (("--checkpointDir", "any"), "any: paints in any style; give one with --style"),
        (("--checkpointDir", "any", "--style", "styles", "--style-number", 1), "in any --style"),
    ],
)
def test_what_would_change_nothing_or_is_missing_is_one_line(
    call, networks, tmp_path, arguments, words
):
    status, _, error = call("stylize", "photograph.png", *arguments)
    lines = error.strip().split("\n")
    assert status == 2 and len(lines) == 1 and words in lines[0], error
    assert not (tmp_path / "stylizations").exists()


WITHOUT = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    assert not {"tensorflow", "keras"} & set(sys.modules)
"""


@pytest.mark.parametrize("name", ["stylize", "train-style"])
def test_a_wrong_flag_is_answered_without_tensorflow(call, name):
    flags = ["photograph.png"] if name == "stylize" else ["--dataset", "faces"]
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT, ROOT / f"{name}.py", *flags]
        + ["--style", "styles", "--style-blocks", "pool"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert ended.returncode == 2 and ended.stderr.startswith("error: style_blocks has 'pool'")


@pytest.mark.slow
def test_a_resumed_training_ends_as_one_left_alone(call, tmp_path, monkeypatch):
    for name, epochs in (("alone", [2]), ("run", [1, 2])):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        for place in ("faces", "styles"):
            Path(place).symlink_to(tmp_path / place)
        for epoch in epochs:
            given = (*TRAINING, *SHALLOW, "--epoch", epoch, "--validation", "faces")
            status, said, error = call("train-style", *given, "--eval-every", 4)
            assert status == 0, error
    assert "resumed checkpoint/step-00000002: epoch 1, step 2" in said
    assert "step 4: loss " in said
    assert_same_end(tmp_path / "run", tmp_path / "alone")
    saved = checkpoint.load(tmp_path / "run" / "checkpoint")
    assert saved.config["styles"] == ["glass", "strokes"] and not saved.linear
    assert len(saved.weights["generator/in_norm/gamma"]) == 2


def test_training_refuses_in_one_line(call, tmp_path, monkeypatch):
    wrong = {
        ("--norm", "batch"): "norm is batch with 2 styles; several take norm instance",
        ("--content-blocks", "pool"): "content_blocks has 'pool'; efficientnet-lite0 has stem",
        ("--network", "adain", "--style-size", 8): "--style-size is 8, smaller than --image-size",
    }
    for flags, words in wrong.items():
        status, _, error = call("train-style", *TRAINING, *flags)
        assert status == 2 and words in error and error.count("\n") == 1, error
    monkeypatch.setattr(extractors, "PACKAGE", "not_installed")
    status, _, error = call("train-style", *TRAINING)
    assert status == 2 and "pip install -r requirements-features.txt" in error
    assert not (tmp_path / "checkpoint").exists()
