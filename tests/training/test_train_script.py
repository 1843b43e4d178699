"""./train-dcgan.py as a user runs it: what it writes, says, refuses; Ctrl-C, kills, full disks."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import stress_kill
import tensorflow as tf
from processes import ROOT, Launcher
from stress_kill import COURSE, assert_readable, assert_same_end, lines, train, write_faces

from model import DCGAN
from pictures import codecs
from training import checkpoint

# After Ctrl-C, also one that came with the last step or when Python itself was ending.
SHOWN = ("z", "d", "d_", "G", "real")  # with each sample
STOPPED = (130, 0, -signal.SIGINT)


@pytest.fixture(scope="module")
def launcher():
    with Launcher() as launcher:
        yield launcher


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return write_faces(tmp_path_factory.mktemp("data") / "faces", 13)


@pytest.fixture(scope="module")
def alone(launcher, faces, tmp_path_factory):
    """The folder of a run of 12 steps that nothing interrupted."""
    folder = tmp_path_factory.mktemp("alone")
    running = train(launcher, faces, folder)
    assert running.wait() == 0, running.stderr
    return folder


@pytest.fixture
def copied(alone, tmp_path):
    """A copy of it, to go on with."""
    return shutil.copytree(alone, tmp_path / "copy")


def contents(folder) -> dict:
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def assert_refused(running, words: str) -> None:
    """One line on standard error after the progress, and exit status 2."""
    assert running.wait() == 2, running.stderr
    last = re.split("[\r\n]", running.stderr.strip())[-1]
    assert last.startswith("error: "), running.stderr
    assert re.search(words, last), last
    assert "Traceback" not in running.stderr


def event_steps(folder) -> dict[str, list[int]]:
    """The steps of each tag in a run's TensorBoard events."""
    found: dict[str, list[int]] = {}
    for path in (folder / "logs" / "dcgan").glob("*tfevents*"):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(record)
            kind = "graph" if event.WhichOneof("what") == "graph_def" else None
            for tag in [kind] if kind else [value.tag for value in event.summary.value]:
                found.setdefault(tag, []).append(event.step)
    return {tag: sorted(steps) for tag, steps in found.items()}


# What a run writes


def test_everything_lands_where_the_flags_say(alone, faces):
    assert sorted(path.name for path in alone.iterdir()) == [
        "checkpoint",
        "logs",
        "samples",
        "stderr.txt",
        "stdout.txt",
    ]
    said = (alone / "stdout.txt").read_text()
    assert "13 images, 3 steps of 4 an epoch" in said
    assert sorted(path.name for path in (alone / "checkpoint").iterdir()) == [
        "metrics.jsonl",
        "step-00000008",
        "step-00000010",
        "step-00000012",
    ]
    assert DCGAN.restore(alone / "checkpoint").linear.size == 16
    names = sorted(path.name for path in (alone / "samples").iterdir())
    assert names == ["train_01_0005.png", "train_03_0010.png"]
    grid = codecs.read(alone / "samples" / names[0])
    assert grid.shape == (8 * 16, 8 * 16, 3) and grid.std() > 0
    steps = event_steps(alone)
    scalars = [f"loss/{name}" for name in ("d_loss_real", "d_loss_fake", "d_loss", "g_loss")]
    scalars.append("speed/images_per_second")
    assert all(steps[tag] == list(range(1, 13)) for tag in scalars)
    assert all(steps[tag] == [5, 10] for tag in SHOWN)
    assert steps["graph"] == [0]


def test_metrics_are_json_lines_with_every_loss(alone):
    assert [line["step"] for line in lines(alone)] == list(range(1, 13))
    assert [line["epoch"] for line in lines(alone)] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    for line in lines(alone):
        assert np.isfinite(list(line.values())).all()
        assert line["d_loss"] == pytest.approx(line["d_loss_real"] + line["d_loss_fake"], rel=1e-5)
    state = checkpoint.load(alone / "checkpoint").state
    assert (state["step"], state["epoch"], state["batch"]) == (12, 4, 0)


def test_as_a_user_starts_it(tmp_path):
    """In a process of its own; with one channel, few pictures, a bad one, and other folders."""
    write_faces(tmp_path / "faces", 5)
    (tmp_path / "faces" / "note.jpg").write_text("no picture")
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "train-dcgan.py"),
            "--dataset",
            "faces",
            "--image_size",
            "16",
            *"--gf-dim 2 --df-dim 4 --z-dim 8 --channels 1 --epoch 2 --d-steps 2".split(),
            *"--preset original".split(),
            *"--checkpoint_dir my/model --sample_dir my/samples --log-dir my/logs".split(),
            "--sample-every",
            "1",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": ""},
    )
    assert done.returncode == 1, done.stderr  # one file was passed over
    assert "5 pictures, fewer than a batch of 128: batches of 4" in done.stdout
    assert "5 images, 1 step of 4 an epoch" in done.stdout
    assert "passed over faces/note.jpg: not a readable picture" in done.stderr
    assert "1 picture passed over" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["faces", "my"]
    assert (tmp_path / "my" / "model" / "step-00000002").is_dir()
    said = done.stdout.splitlines()
    at = said.index("the model is in my/model")
    assert said[at + 1] == "next: ./complete.py PICTURES --checkpoint-dir my/model"
    names = sorted(path.name for path in (tmp_path / "my" / "samples").iterdir())
    assert names == ["train_00_0001.png", "train_01_0002.png"]
    assert codecs.read_picture(tmp_path / "my" / "samples" / names[0]).pixels.shape[2] == 1
    assert list((tmp_path / "my" / "logs").iterdir())


# Going on


def test_ctrl_c_and_resume_equal_the_uninterrupted_run(launcher, faces, alone, tmp_path):
    """Number for number: losses, weights, optimisers, TensorBoard's steps. Meanwhile nobody else
    may train into the folder."""
    running = train(launcher, faces, tmp_path / "run")
    assert running.wait_until(lambda: len(lines(tmp_path / "run")) >= 3)
    running.signal(signal.SIGSTOP)  # it waits, however long the second takes
    second = train(launcher, faces, tmp_path / "second", "--checkpoint-dir", "../run/checkpoint")
    assert_refused(second, "another process is writing into this folder")
    running.signal(signal.SIGINT)
    running.signal(signal.SIGCONT)
    assert running.wait() in STOPPED, running.stderr
    assert "Traceback" not in running.stderr
    assert "the model is in checkpoint\nnext: ./complete.py PICTURES" in running.stdout
    assert "or the same command again" in running.stdout
    newest = checkpoint.load(tmp_path / "run" / "checkpoint")
    assert newest.state["step"] == len(lines(tmp_path / "run"))  # saved where it stopped
    resumed = train(launcher, faces, tmp_path / "run")
    assert resumed.wait() == 0, resumed.stderr
    assert f"resumed checkpoint/{newest.path.name}: epoch" in resumed.stdout
    assert_same_end(tmp_path / "run", alone)
    early = [newest.state["step"]] if newest.state["step"] < 5 else []  # it showed what it had
    expected = event_steps(alone)
    expected |= {tag: early + steps for tag, steps in expected.items() if tag in SHOWN}
    assert event_steps(tmp_path / "run") == expected


def test_kills_and_two_ctrl_cs_leave_no_trace(launcher, faces, alone, tmp_path):
    rng = random.Random(0)
    stress_kill.kill_training(launcher, faces, tmp_path, "writing a checkpoint", rng)
    hasty = train(launcher, faces, tmp_path)
    moment = stress_kill.training_moments(tmp_path, rng)["after some steps"]
    if hasty.wait_until(moment):
        hasty.signal(signal.SIGINT)
        hasty.signal(signal.SIGINT)
    assert hasty.wait() in STOPPED, hasty.stderr
    assert "Traceback" not in hasty.stderr
    assert_readable(tmp_path)
    last = train(launcher, faces, tmp_path)
    assert last.wait() == 0, last.stderr
    assert_same_end(tmp_path, alone)
    assert not list((tmp_path / "checkpoint").glob(".step-*"))


def test_killed_shards_are_made_whole(launcher, tmp_path):
    many = write_faces(tmp_path / "many", 100)
    rng = random.Random(0)
    stress_kill.kill_prepare(launcher, many, tmp_path / "run", rng)
    for name in ("run", "alone"):
        done = launcher.run(
            "-m data.prepare", many, "shards", *stress_kill.SHARDS, folder=tmp_path / name
        )
        assert done.status == 0, done.stderr
    one, other = (stress_kill.files(tmp_path / name / "shards") for name in ("run", "alone"))
    assert one == other


def test_a_finished_run_says_so_and_changes_nothing(launcher, faces, copied):
    before = contents(copied / "checkpoint")
    running = train(launcher, faces, copied)
    assert running.wait() == 0, running.stderr
    assert "resumed checkpoint/step-00000012: epoch 4, step 12" in running.stdout
    assert "all 4 epochs are done; a larger --epoch goes on" in running.stdout
    assert contents(copied / "checkpoint") == before


def test_a_damaged_newest_checkpoint_falls_back_and_says_so(launcher, faces, alone, copied):
    path = copied / "checkpoint" / "step-00000012" / "weights.npz"
    path.write_bytes(path.read_bytes()[:-1])
    running = train(launcher, faces, copied)
    assert running.wait() == 0, running.stderr
    assert "step-00000012: damaged checkpoint (" in running.stdout
    assert "trying the one before" in running.stdout
    assert "resumed checkpoint/step-00000010: epoch 3, step 10" in running.stdout
    assert_same_end(copied, alone)


def test_a_dry_run_changes_nothing(launcher, faces, copied):
    before = contents(copied)
    running = train(
        launcher, faces, copied, *"--dry-run --no-resume --init-from checkpoint".split()
    )
    assert running.wait() == 0, running.stderr
    assert "13 images, 3 steps of 4 an epoch" in running.stdout
    assert "started from the weights of checkpoint" in running.stdout
    plan = dict(line.split(": ", 1) for line in running.stdout.splitlines() if ": " in line)
    assert "image_size 16, channels 3" in plan["networks"] and "loss gan, " in plan["recipe"]
    assert "(" not in plan["networks"] + plan["recipe"]  # words, not an object's repr
    after = contents(copied)
    outputs = {copied / "stdout.txt", copied / "stderr.txt"}
    assert {k: v for k, v in after.items() if k not in outputs} == {
        k: v for k, v in before.items() if k not in outputs
    }


def test_no_resume_moves_the_earlier_run_aside(launcher, faces, alone, copied):
    """And starts from the weights of --init-from, here those of the run it moves."""
    running = train(
        launcher, faces, copied, *"--no-resume --init-from checkpoint".split(), "--epoch", "1"
    )
    assert running.wait() == 0, running.stderr
    assert "started from the weights of checkpoint" in running.stdout
    assert "moved the earlier checkpoints to checkpoint-1" in running.stdout
    kept = checkpoint.load(copied / "checkpoint-1")
    assert kept.path.name == "step-00000012"
    assert len((copied / "checkpoint-1" / "metrics.jsonl").read_text().splitlines()) == 12
    new = checkpoint.load(copied / "checkpoint")
    assert (new.state["step"], new.training["d/iteration"]) == (3, 3)
    moved = np.abs(new.weights["generator/h1/kernel"] - kept.weights["generator/h1/kernel"]).max()
    assert 0 < moved <= 3 * 1.1 * 2e-4  # three steps of Adam away
    assert len(lines(copied)) == 3
    assert event_steps(copied)["loss/g_loss"] == [1, 2, 3]
    assert len(list((copied / "logs" / "dcgan" / "earlier-1").iterdir())) == 1


# What a user can get wrong


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--dataset nowhere", "nowhere: no such file or folder"),
        ("--dataset empty", r"empty: no pictures in this folder \(\.png"),
        ("--dataset words", r"words: none of 1 pictures is readable; .*a\.png: not a readable"),
        ("--image-size 48", "image_size is 48; choose from 16, 32, 64, 128, 256"),
        ("--channels 4", "channels is 4; choose from 1, 3"),
        ("--loss wgan-gp --d-norm batch", "d_norm is 'batch' with loss wgan-gp"),
        ("--augment flip,zoom", "augment is zoom; choose from flip, color, translation, cutout"),
        ("--init-from nowhere --no-resume", "nowhere: no such checkpoint folder"),
        (
            "--image-size 32 --dry-run",
            "step-00000012: another model: its image_size is 16, here it is 32; choose another "
            "--checkpoint-dir, or --no-resume to move it aside and start anew",
        ),
        ("--dry-run --no-resume --init-from checkpoint --gf-dim 2", "another model: its gf_dim"),
        ("--channels 1", "another model: its channels is 3, here it is 1"),
        ("--log-dir file/logs --epoch 5", "file/logs: Not a directory|file: Not a directory"),
        ("--checkpoint-dir file", "file: is a file, not a folder"),
        ("--sample-dir file --dry-run", "file: is a file, not a folder"),
        ("--d-steps 20", "13 pictures; a step takes at least 20"),
        ("--batch_size 0", "argument --batch-size/--batch_size: '0' is not a whole number"),
        ("--epoch x", "argument --epoch: 'x' is not a whole number"),
        ("--beta1 1", "argument --beta1: '1' is not a number from 0 to below 1"),
        ("--loss ragan", "argument --loss: invalid choice: 'ragan'"),
    ],
)
def test_one_clear_line(launcher, faces, alone, flags, words):
    (alone / "empty").mkdir(exist_ok=True)
    (alone / "words").mkdir(exist_ok=True)
    (alone / "words" / "a.png").write_text("no picture")
    (alone / "file").touch()
    before = contents(alone / "checkpoint")
    running = train(launcher, faces, alone, *flags.split())
    assert_refused(running, words)
    assert contents(alone / "checkpoint") == before
    assert_readable(alone)


@pytest.mark.parametrize(
    ("flags", "status", "words"),
    [
        ("--help", 0, "--learning_rate"),
        ("--beta1 1", 2, "argument --beta1: '1' is not a number from 0 to below 1"),
        ("--loss wgan-gp", 2, "error: d_norm is 'spectral' with loss wgan-gp"),
        ("--dataset nowhere", 2, "error: nowhere: no such file or folder"),
        ("--validation nowhere", 2, "error: nowhere: no such file or folder"),
        ("--init-from nowhere", 2, "error: nowhere: no such checkpoint folder"),
    ],
)
def test_answers_before_tensorflow_is_imported(faces, tmp_path, flags, status, words):
    blocked = "import runpy, sys; sys.modules['tensorflow'] = None; sys.argv = sys.argv[1:]; "
    done = subprocess.run(
        [
            *(sys.executable, "-c", f"{blocked} runpy.run_path(sys.argv[0], run_name='__main__')"),
            *(str(ROOT / "train-dcgan.py"), "--dataset", str(faces), *flags.split()),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == status, done.stderr
    assert words in (done.stderr if status else done.stdout)
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_not_finite_stops_the_run(launcher, faces, copied):
    before = contents(copied / "checkpoint")
    running = train(launcher, faces, copied, *"--epoch 9 --learning-rate 1e30".split())
    assert_refused(running, r"\w+ is (nan|inf|-inf|not finite) (at|after) step \d+")
    after = contents(copied / "checkpoint")
    assert {p: after[p] for p in before if p.name != "metrics.jsonl"} == {
        p: before[p] for p in before if p.name != "metrics.jsonl"
    }
    assert_readable(copied)
    assert checkpoint.load(copied / "checkpoint").state["step"] == 12


@contextmanager
def mounted(folder, options: str):
    """A small file system in memory at `folder`; skips where that is not allowed."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("mounting a small file system needs root")
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount a small file system: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_leaves_the_earlier_checkpoints(launcher, faces, alone, tmp_path):
    size = sum(p.stat().st_size for p in (alone / "checkpoint" / "step-00000012").iterdir())
    with mounted(tmp_path / "disk", f"size={int(2.5 * size)}") as disk:
        running = train(launcher, faces, tmp_path / "run", "--checkpoint-dir", disk / "model")
        assert_refused(running, r"model/step-000000\d\d: No space left on device")
        saved = checkpoint.load(disk / "model")
        assert saved.state["step"] > 0
        assert not list((disk / "model").glob(".step-*"))
        shutil.rmtree(saved.path)  # makes room: it goes on from the one before
        again = train(
            launcher,
            faces,
            tmp_path / "run",
            "--checkpoint-dir",
            disk / "model",
            "--keep",
            "1",
            "--dry-run",
        )
        assert again.wait() == 0, again.stderr


@pytest.mark.parametrize("flag", ["--checkpoint-dir", "--log-dir"])
def test_a_read_only_folder_is_one_line(launcher, faces, tmp_path, flag):
    with mounted(tmp_path / "disk", "ro") as disk:
        running = train(launcher, faces, tmp_path / "run", flag, disk / "new")
        assert_refused(running, "disk/new: Read-only file system")


def test_help_names_every_preset_and_flag(launcher, tmp_path):
    running = launcher.run("train-dcgan.py", "--help", folder=tmp_path)
    assert running.status == 0
    for word in ("--learning-rate", "--learning_rate", "--sample_dir", "--no-resume", "original:"):
        assert word in running.stdout
    assert COURSE[0] in running.stdout


@pytest.mark.parametrize(("noise", "said"), [(60, True), (0, False)])
def test_pictures_that_components_do_not_explain_are_told_of(launcher, tmp_path, noise, said):
    random = np.random.default_rng(0)
    for number in range(40):
        picture = random.normal(128, 50) + random.normal(0, noise, (16, 16, 3))
        codecs.write(tmp_path / f"few/{number}.png", picture.clip(0, 255).astype(np.uint8))
    flags = "--anchor 1 --z-dim 1 --epoch 1".split()
    running = train(launcher, tmp_path / "few", tmp_path / "run", *flags)
    assert running.wait() == 0, running.stderr
    assert ("--preset unaligned suits better" in running.stdout) == said


@pytest.mark.slow
def test_sub_folders_are_classes(launcher, tmp_path):
    for name in ("bare", "glasses"):
        write_faces(tmp_path / "faces" / name, 4)
    flags = ("--classes", "--condition", "concat", "--epoch", 1)
    running = train(launcher, tmp_path / "faces", tmp_path / "run", *flags)
    assert running.wait() == 0, running.stderr
    config = checkpoint.load(tmp_path / "run" / "checkpoint").config
    assert (config["classes"], config["condition"]) == (["bare", "glasses"], "concat")
    again = train(launcher, tmp_path / "faces", tmp_path / "run", *flags[:1], "--coupled", 1)
    assert_refused(again, "its condition is concat, here it is none; choose another --checkpoint")
