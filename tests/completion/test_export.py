"""./export.py, and completing by what it wrote, without TensorFlow."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from calling import assert_refused, files, report, write
from lively import lively
from one_pass import ORIGINAL, pix2pix, shaken
from processes import ROOT, without_tensorflow

import cli
import export
from completion import restore
from completion.case import Hole, prepare
from completion.options import PRESETS, with_changes
from model import DCGAN
from pictures import codecs
from training import checkpoint

KINDS = ("center", "random", "left", "strokes")
NETWORKS = (("onnx", "paper"), ("onnx", "dcgan"), ("savedmodel", "dcgan"))
LEVEL = 2 / 255  # a grey level in [-1, 1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network, what it is exported to as ONNX, and pictures that it has not seen."""
    folder = tmp_path_factory.mktemp("models")
    shaken(pix2pix(prior="../prior")).state.save(folder / "network")
    exported(folder / "network", folder / "deep" / "onnx", "onnx")
    write(folder / "in", 10, size=20)
    return folder


@pytest.fixture(scope="module")
def cases(folder):
    paths = sorted((folder / "in").iterdir())
    return [prepare(p, 16, 3, Hole(KINDS[i % 4], seed=i)) for i, p in enumerate(paths)]


def exported(model, out, form) -> dict[str, float]:
    return export.export(model, checkpoint.load(model), out, form)


def called(monkeypatch, capsys, *arguments) -> tuple[int, str]:
    """Exit status and standard error of ./export.py."""
    monkeypatch.setattr(sys, "argv", ["export.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.run(export.main)
    return ended.value.code or 0, capsys.readouterr().err


def generated(completer, cases, draw=0, **changes) -> list[np.ndarray]:
    options = completer.checked(with_changes(PRESETS["best"], changes))
    return [moment.generated for moment in completer.complete(cases, options, draw)]


def test_an_export_says_what_it_is(folder):
    out = folder / "deep" / "onnx"
    assert files(out) == [
        "card.md",
        "config.json",
        "discriminator.onnx",
        "linear.npz",
        "model.onnx",
    ]
    config, saved = (
        json.loads((out / "config.json").read_text()),
        checkpoint.load(folder / "network"),
    )
    assert config["exported"] == "onnx" and config["filters"] == 2
    assert (out / config["prior"]).resolve() == (folder / "prior").resolve()
    assert "| filters | 2 |" in (out / "card.md").read_text()
    completer = restore(out)
    assert completer.fingerprint() == restore(folder / "network").fingerprint()
    for name, values in saved.linear.items():
        np.testing.assert_array_equal(np.load(out / "linear.npz")[name], values)


@pytest.mark.parametrize("changes", [{}, {"fidelity": 1.0}, {"draw": 2, "alternatives": 3}])
def test_it_completes_as_tensorflow_does(folder, cases, changes):
    here, there = restore(folder / "network"), restore(folder / "deep" / "onnx")
    for group in (cases, cases[4:5]):
        ours, theirs = (generated(completer, group, **changes) for completer in (here, there))
        assert len(ours) == len(theirs) == 2
        for mine, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(other, mine, atol=LEVEL / 10)
    masks = np.stack([case.square_mask for case in cases])
    scores = [completer.score(ours[-1].repeat(10, 0), masks) for completer in (here, there)]
    np.testing.assert_allclose(*scores, rtol=1e-4, atol=1e-5)


def test_companions_and_position_change_no_bit(folder, cases):
    completer = restore(folder / "deep" / "onnx")
    together = generated(completer, cases)[-1]
    for rows in ([9, 0], [3, 3, 8], list(range(9, -1, -1))):
        again = generated(completer, [cases[row] for row in rows])[-1]
        np.testing.assert_array_equal(again, together[rows])


def test_complete_without_tensorflow(folder, call, tmp_path):
    """The same files by either runtime, within a grey level; what is done is not done again."""
    given = [str(folder / "in"), "--maskType", "strokes", "--outDir"]
    model = ["--checkpointDir", folder / "network"]
    status, *_ = call(*given, "tensorflow", "--runtime", "tensorflow", *model, model=None)
    onnx = [*given, "onnx", "--runtime", "onnx", "--checkpointDir", str(folder / "deep" / "onnx")]
    done = without_tensorflow(ROOT / "complete.py", *onnx, cwd=tmp_path)
    assert status == done.returncode == 0, done.stderr
    here, there = tmp_path / "tensorflow", tmp_path / "onnx"
    assert files(here, "**/*") == files(there, "**/*")
    mine, theirs = report(here), report(there)
    for name in mine:
        pixels = [codecs.read(out / "results" / f"{name}.png") for out in (here, there)]
        assert np.abs(np.subtract(*pixels, dtype=int)).max() <= 1
        assert mine[name]["psnr"] == pytest.approx(theirs[name]["psnr"], abs=0.05)
        assert mine[name]["settings"] == theirs[name]["settings"]
    again = without_tensorflow(ROOT / "complete.py", *onnx, cwd=tmp_path)
    assert "0 completed, 10 done before" in again.stdout


NO_TENSORFLOW = """
import runpy, sys
sys.modules |= dict.fromkeys(("tensorflow", "keras"))  # importing them fails
import importlib.util as util
find = util.find_spec
util.find_spec = lambda name, *more: None if name == "tensorflow" else find(name, *more)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_where_tensorflow_is_not_installed(folder, tmp_path):
    def run(*flags) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-c", NO_TENSORFLOW, ROOT / "complete.py", folder / "in", *flags],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        return done.returncode, done.stderr

    status, error = run("--checkpointDir", folder / "deep" / "onnx", "--alternatives", "2")
    assert status == 0, error
    status, error = run("--checkpointDir", folder / "network", "--outDir", "other")
    assert status == 2 and error.splitlines()[-1].startswith("error: tensorflow is not installed")


@pytest.mark.parametrize(
    "form, kind",
    [*NETWORKS, pytest.param("onnx", "refined", marks=pytest.mark.slow)],
)
def test_the_other_networks(form, kind, tmp_path):
    """Batch norm, transposed convolutions, dropout, an expectation at half the size: checked
    against TensorFlow as it is written."""
    models = {
        "paper": lambda: shaken(pix2pix(**ORIGINAL)).state,
        "refined": lambda: shaken(pix2pix(network="refined", image_size=64)).state,
        "dcgan": lively,
    }
    models[kind]().save(tmp_path / "model")
    differences = exported(tmp_path / "model", tmp_path / "out", form)
    assert len(differences) == 2 and max(differences.values()) < 1e-5
    if kind == "dcgan":
        with pytest.raises(ValueError, match="which has no weights|a search takes the model"):
            restore(tmp_path / "out")
    with pytest.raises(ValueError, match=f"an export as {form}, which has no weights"):
        DCGAN.restore(tmp_path / "out")


def test_what_differs_is_not_written(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "MOST", -1)
    monkeypatch.setattr(export, "_write", lambda network, path, form: None)
    monkeypatch.setattr(export, "_exported", lambda path, form: lambda inputs: 2 * inputs[:1])
    with pytest.raises(ValueError, match="model.onnx as onnx differs from TensorFlow by"):
        exported(folder / "network", tmp_path / "out", "onnx")
    assert not list(tmp_path.iterdir())


def test_bad_input(folder, tmp_path, monkeypatch, capsys):
    def refused(*arguments) -> str:
        status, error = called(monkeypatch, capsys, *arguments)
        assert status == 2 and len(error.splitlines()) == 1
        return error

    model = folder / "network"
    for out in (model, folder / "in"):
        assert f"{out}: is there, and no export" in refused(model, out, "--format", "onnx")
    assert "no such checkpoint folder" in refused(
        tmp_path / "no", tmp_path / "a", "--format", "onnx"
    )
    assert "no weights" in refused(folder / "deep" / "onnx", tmp_path / "a", "--format", "onnx")
    (tmp_path / "config.json").write_text((folder / "deep/onnx/config.json").read_text())
    (tmp_path / "model.onnx").write_bytes(b"not a network")
    with pytest.raises(ValueError, match="model.onnx: cannot be read by ONNX Runtime"):
        restore(tmp_path).ready()
    assert not (tmp_path / "a").exists()


def test_a_folder_for_another_runtime(folder, call):
    for runtime, model in (("tensorflow", "deep/onnx"), ("onnx", "network")):
        flags = ("--runtime", runtime, "--checkpointDir", folder / model)
        assert_refused(call(folder / "in", *flags, model=None), f"--runtime {runtime}: {folder}")


def test_the_same_versions_with_and_without_tensorflow():
    names = ("requirements.txt", "requirements-export.txt", "requirements-run.txt")
    full, more, small = (set((ROOT / name).read_text().splitlines()) for name in names)
    small = {line for line in small if not line.startswith("#")}
    assert small <= full | more and not any("tensorflow" in line for line in small)
