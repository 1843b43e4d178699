"""./train-pix2pix.py as a user runs it: what it writes, says, refuses; kills; several devices."""

import random
import re
import subprocess
import sys

import numpy as np
import pytest
import stress_kill
from processes import ROOT, Launcher
from stress_kill import assert_readable, assert_same_end, lines, write_faces

from networks.config import Config
from pictures import codecs
from training import checkpoint
from training.recipe import Recipe
from translation.pix2pix import Pix2Pix

TINY = (
    "--image-size 16 --filters 2 --d-filters 2 --components 4 --batch-size 4 --ema 40 "
    "--adversarial-from 3 --r1 0 --perceptual 0"
).split()
PAPER = "--preset original --image-size 16 --filters 2 --batch-size 4".split()
COURSE = "--epoch 2 --save-every 2 --sample-every 5 --keep 3".split()


@pytest.fixture(scope="module")
def launcher():
    with Launcher() as launcher:
        yield launcher


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return write_faces(tmp_path_factory.mktemp("data") / "faces", 13)


def train(launcher, faces, folder, *more, recipe=TINY):
    """Start a run of 6 steps in `folder`, or go on with it."""
    return launcher.start(
        "train-pix2pix.py",
        *("--dataset", faces, "--checkpoint-dir", "checkpoint"),
        *recipe,
        *COURSE,
        *more,
        folder=folder,
    )


@pytest.fixture(scope="module")
def alone(launcher, faces, tmp_path_factory):
    """The folder of a run of 6 steps that nothing interrupted."""
    folder = tmp_path_factory.mktemp("alone")
    running = train(launcher, faces, folder)
    assert running.wait() == 0, running.stderr
    return folder


def assert_refused(running, words: str) -> None:
    """One line on standard error after the progress, and exit status 2."""
    assert running.wait() == 2, running.stderr
    last = re.split("[\r\n]", running.stderr.strip())[-1]
    assert re.match("(train-pix2pix.py: )?error: ", last), running.stderr
    assert re.search(words, last), last
    assert "Traceback" not in running.stderr


def test_what_a_run_writes(alone):
    assert "13 images, 3 steps of 4 an epoch" in (alone / "stdout.txt").read_text()
    assert [sorted(line) for line in lines(alone)[2:4]] == [
        ["epoch", "images_per_second", "l1", "step"],
        ["d_loss", "epoch", "feature_matching", "g_loss", "images_per_second", "l1", "step"],
    ]
    assert all(np.isfinite(list(line.values())).all() for line in lines(alone))
    saved = checkpoint.load(alone / "checkpoint")
    assert (saved.kind, saved.state["step"], saved.state["epoch"]) == ("pix2pix", 6, 2)
    grid = codecs.read(alone / "samples" / "train_01_0005.png")
    assert grid.shape == (4 * 16, 4 * 16, 3) and grid.std() > 0


def test_the_network_expects_by_the_pictures_linear_model(alone):
    model = Pix2Pix.restore(alone / "checkpoint")
    assert model.state.linear.size == 16
    for network in (model.generator, model.average):
        layer = network.get_layer("expectation")
        np.testing.assert_allclose(layer.mean, model.state.linear.mean)
        assert np.abs(layer.axes).max() > 0


def assert_no_trace(launcher, faces, folder, alone, recipe, moment) -> None:
    """A run that is killed at a moment, and resumed, ends as one left alone, bit for bit."""
    when = stress_kill.training_moments(folder, random.Random(0))[moment]
    running = train(launcher, faces, folder, recipe=recipe)
    assert stress_kill.kill(running, when), running.stderr
    assert_readable(folder)
    last = train(launcher, faces, folder, recipe=recipe)
    assert last.wait() == 0, last.stderr
    assert_same_end(folder, alone)


def test_a_kill_and_a_resume_leave_no_trace(launcher, faces, alone, tmp_path):
    assert_no_trace(launcher, faces, tmp_path, alone, TINY, "writing a checkpoint")


def test_nor_do_they_where_dropout_draws(launcher, faces, tmp_path):
    running = train(launcher, faces, tmp_path / "alone", recipe=PAPER)
    assert running.wait() == 0, running.stderr
    moment = "after some steps"
    assert_no_trace(launcher, faces, tmp_path / "run", tmp_path / "alone", PAPER, moment)


def test_a_dry_run_writes_nothing(launcher, faces, tmp_path):
    running = train(launcher, faces, tmp_path, "--dry-run")
    assert running.wait() == 0, running.stderr
    assert "networks: image_size 16, channels 3, network residual, " in running.stdout
    assert ", damage hole\n" in running.stdout
    assert "recipe: loss hinge, " in running.stdout and "(" not in running.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"stdout.txt", "stderr.txt"}


def test_validation_measures_completions(launcher, faces, tmp_path):
    flags = ("--validation", faces, "--eval-every", 3, "--epoch", 1)
    running = train(launcher, faces, tmp_path, *flags)
    assert running.wait() == 0, running.stderr
    measured = [line for line in lines(tmp_path) if "hole_psnr" in line]
    assert [sorted(line) for line in measured] == [
        ["epoch", "frechet_distance", "hole_psnr", "step"]
    ]
    assert checkpoint.load(tmp_path / "checkpoint" / "best").kind == "pix2pix"


def test_help_names_presets_and_flags_without_tensorflow():
    code = (
        "import runpy, sys; sys.argv = ['train-pix2pix.py', '--help']\n"
        "try: runpy.run_path('train-pix2pix.py', run_name='__main__')\n"
        "finally: assert not {'tensorflow', 'keras'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for word in ("--learning-rate", "--feature-matching", "--guide", "original: ", "best: "):
        assert word in done.stdout


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--dataset nowhere", "nowhere: no such file or folder"),
        ("--image-size 48", "image_size is 48; choose from 16, 32, 64, 128, 256"),
        ("--channels 4", "channels is 4; choose from 1, 3"),
        ("--network paper", "guide is 'linear', which the paper's network does not have"),
        ("--smooth 2", r"smooth is 2.0 and hinted .*together at most 1"),
        ("--loss wgan-gp", "argument --loss: invalid choice: 'wgan-gp'"),
        ("--damage fog", "damage is 'fog'; choose from hole, lowres:2, .* joined by \\+"),
        ("--damage lowres:8", "damage is 'lowres:8', of which 16 pixels show too little"),
        ("--damage grey", "another model: its damage is hole, here it is grey"),
        ("--damage pairs", "takes a folder of them: --pairs DIR"),
        ("--pairs nowhere", "nowhere: no such folder"),
        ("--r1 -1", "argument --r1"),
        ("--filters 3", "another model: its filters is 2, here it is 3"),
        ("--freeze 2", "--freeze 2 keeps layers of another U-Net; name one with --init-from"),
        ("--guide none", "another model: its guide is linear, here it is none"),
        ("--init-from dcgan --no-resume", "dcgan: another model: its kind is dcgan, here it is pi"),
    ],
)
def test_one_clear_line(launcher, faces, alone, flags, words):
    if not (alone / "dcgan").exists():
        from model import DCGAN

        config = Config(image_size=16, gf_dim=2, df_dim=2, z_dim=4)
        DCGAN(config, Recipe()).save(alone / "dcgan")
    before = {p: p.read_bytes() for p in (alone / "checkpoint").rglob("*") if p.is_file()}
    assert_refused(train(launcher, faces, alone, *flags.split()), words)
    after = {p: p.read_bytes() for p in (alone / "checkpoint").rglob("*") if p.is_file()}
    assert after == before


def test_a_loss_that_is_not_finite_stops_the_run(launcher, faces, tmp_path):
    flags = "--learning-rate 1e38 --adversarial-from 0 --save-every 1".split()
    running = train(launcher, faces, tmp_path, *flags)
    assert_refused(running, r"\S+ is (nan|inf|-inf|not finite) (at|after) step \d+")
    assert_readable(tmp_path)


@pytest.mark.slow
def test_two_devices_compute_what_one_does(launcher, faces, tmp_path):
    """The gradients of both networks, clipped and penalised, by Adam's momentum after a step."""
    found = {}
    for strategy in ("none", "mirrored"):
        out = tmp_path / f"{strategy}.npz"
        words = ("two-devices", "cases", strategy, faces, faces, out, "pix2pix")
        running = launcher.run("tests/distributed_run.py", *words, folder=tmp_path)
        assert running.status == 0, running.stderr
        found[strategy] = dict(np.load(out))
    one, two = found["none"], found["mirrored"]
    for network in ("g", "d"):
        names = [n for n in one if re.match(f"pix2pix/faces/0/{network}/.*_momentum$", n)]
        largest = max(np.abs(one[name]).max() for name in names)
        assert largest > 0 and len(names) > 8
        for name in names:
            assert np.abs(two[name] - one[name]).max() < 1e-5 * largest, name
    for name in (n for n in two if "/0/" in n):
        np.testing.assert_array_equal(two[name], two.get(name.replace("/0/", "/1/"), two[name]))
