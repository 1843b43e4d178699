"""Several devices and several processes: they compute what one does, and begin and end together."""

import re
import signal
import socket
from contextlib import ExitStack
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from distributed_run import TINY
from processes import Launcher
from stress_kill import write_faces

from data import prepare
from model import DCGAN
from training import checkpoint, devices
from training.recipe import both

SMALL = (
    "--image-size 16 --gf-dim 4 --df-dim 4 --z-dim 8 --batch-size 4 --g-steps 1 "
    "--g-norm none --d-norm none --strategy multiworker"
).split()


@pytest.fixture(scope="module")
def launcher():
    with Launcher() as launcher:
        yield launcher


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("devices")


@pytest.fixture(scope="module")
def sources(folder):
    """The same pictures as files and as shards."""
    faces = write_faces(folder / "pictures", 43)
    prepare.prepare(faces, folder / "shards", prepare.Settings(16), images_per_shard=20)
    return faces, folder / "shards"


def addresses(count: int = 2) -> str:
    """Free ports of this machine, as host:port,host:port."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return ",".join(f"127.0.0.1:{each.getsockname()[1]}" for each in sockets)


def start_workers(launcher, folder, *arguments):
    """Two workers; "{index}" in an argument becomes a worker's number."""
    both = addresses()
    return [
        launcher.start(
            "tests/distributed_run.py",
            "as",
            both,
            index,
            *(str(a).format(index=index) for a in arguments),
            folder=folder / f"worker-{index}",
        )
        for index in (0, 1)
    ]


def errors(running) -> list[str]:
    """The lines on standard error but for the progress bar."""
    lines = [line.strip() for line in re.split("[\r\n]", running.stderr)]
    return [line for line in lines if line and not re.search("step/s|s/step", line)]


# The same numbers


@pytest.fixture(scope="module")
def one(launcher, folder, sources):
    """What one device ends with, by recipe, source and variable."""
    return outcome(launcher, folder, sources, "none", "sgd", "adam")


@pytest.fixture(scope="module")
def mirrored(launcher, folder, sources):
    return outcome(launcher, folder, sources, "mirrored", "sgd", "adam")


@pytest.fixture(scope="module")
def workers(launcher, folder, sources):
    return outcomes(launcher, folder, sources, "sgd", "adam")


def outcomes(launcher, folder, sources, *recipes) -> list[dict[str, np.ndarray]]:
    """What each of two processes ends with."""
    out = folder / "worker-{index}.npz"
    both = start_workers(launcher, folder, "cases", "multiworker", *sources, out, *recipes)
    for running in both:
        assert running.wait() == 0, running.stderr
    return [dict(np.load(folder / f"worker-{index}.npz")) for index in (0, 1)]


def outcome(launcher, folder, sources, strategy, *recipes) -> dict[str, np.ndarray]:
    out = folder / f"{strategy}.npz"
    running = launcher.run(
        "tests/distributed_run.py",
        "two-devices",
        "cases",
        strategy,
        *sources,
        out,
        *recipes,
        folder=folder / strategy,
    )
    assert running.status == 0, running.stderr
    return dict(np.load(out))


def assert_same_bits(found, others) -> None:
    assert found.keys() == others.keys() and len(found) > 20
    for name, value in found.items():
        np.testing.assert_array_equal(value, others[name], err_msg=name)


def replica(found, number: int) -> dict[str, np.ndarray]:
    return {k.replace(f"/{number}/", "/0/", 1): v for k, v in found.items() if f"/{number}/" in k}


def assert_as_one_device(found, one) -> None:
    """Weights after five steps of SGD, from pictures and from shards, and Adam's gradients: its
    first momentum after one step, but for a factor."""
    for name, expected in one.items():
        if name.startswith("sgd"):
            np.testing.assert_allclose(found[name], expected, rtol=0, atol=1e-5, err_msg=name)
    for network in ("g", "d"):
        names = [n for n in one if re.match(f"adam/pictures/0/{network}/.*_momentum$", n)]
        largest = max(np.abs(one[name]).max() for name in names)
        assert largest > 0
        for name in names:
            assert np.abs(found[name] - one[name]).max() < 1e-5 * largest, name


def test_two_devices_hold_the_same_weights(mirrored):
    assert_same_bits(replica(mirrored, 0), replica(mirrored, 1))
    assert all(np.isfinite(value).all() for value in mirrored.values())


def test_two_devices_compute_what_one_does(mirrored, one):
    assert_as_one_device(mirrored, one)


def test_two_processes_hold_the_same_weights(workers):
    assert_same_bits(*workers)
    assert all(np.isfinite(value).all() for value in workers[0].values())


def test_two_processes_compute_what_one_does(workers, one):
    assert_as_one_device(workers[0], one)


@pytest.mark.slow
def test_norms_averages_and_augmentation_are_the_same_on_every_replica(launcher, tmp_path, sources):
    found = outcome(launcher, tmp_path, sources, "mirrored", "batch", "spectral")
    assert_same_bits(replica(found, 0), replica(found, 1))
    assert_same_bits(*outcomes(launcher, tmp_path, sources, "batch", "spectral"))


def test_training_moved_the_weights_and_shards_change_nothing(one):
    for name, value in one.items():
        if name.startswith("sgd/pictures") and name.endswith("kernel"):
            np.testing.assert_array_equal(value, one[name.replace("pictures", "shards")])
            moved = np.abs(value - one[name.replace("sgd", "adam")]).max()
            assert moved > 1e-4, name


# Beginning and ending together


def train(launcher, folder, faces, *more):
    return start_workers(
        launcher,
        folder,
        "train-dcgan.py",
        *SMALL,
        "--dataset",
        faces,
        "--save-every",
        2,
        "--checkpoint-dir",
        folder / "checkpoint",
        *more,
    )


def newest(folder) -> int:
    """The step of the newest checkpoint, 0 without one."""
    paths = checkpoint.step_paths(folder / "checkpoint")
    return int(paths[0].name.removeprefix("step-")) if paths else 0


def test_killed_worker_ends_the_other_and_the_run_resumes(launcher, sources, tmp_path):
    """The chief is killed, which is harder: it is the one that the other asks who is there."""
    chief, other = train(launcher, tmp_path, sources[0], "--epoch", 1000)
    assert chief.wait_until(lambda: newest(tmp_path) >= 4), errors(chief)
    assert "devices: CPU:0; 2 replicas on 2 workers" in chief.stdout
    chief.signal(signal.SIGKILL)
    assert other.wait() == 2, other.stderr
    (line,) = errors(other)
    assert line.startswith("error: another worker stopped, so this one stops too; start all of")

    # Ctrl-C on one of them stops both, at the same step.
    killed_at = newest(tmp_path)
    chief, other = train(launcher, tmp_path, sources[0], "--epoch", 1000)
    assert chief.wait_until(lambda: newest(tmp_path) >= killed_at + 2), errors(chief)
    other.signal(signal.SIGINT)
    assert (chief.wait(), other.wait()) == (130, 130), chief.stderr + other.stderr
    for running in (chief, other):
        assert f"step-{killed_at:08d}: epoch" in running.stdout
    assert not errors(chief)
    (line,) = errors(other)
    assert line.startswith("stopping once this step is done and saved")
    saved = checkpoint.load(tmp_path / "checkpoint")
    lines = (tmp_path / "checkpoint" / "metrics.jsonl").read_text().splitlines()
    assert saved.state["step"] == len(lines) > killed_at
    assert not list((tmp_path / "worker-1").glob("checkpoint")), "others keep nothing"


def test_workers_that_differ_do_not_begin(launcher, sources, tmp_path):
    both = train(launcher, tmp_path, sources[0], "--seed", "{index}")
    for running in both:
        assert running.wait() == 2, running.stderr
        (line,) = errors(running)
        assert re.match(r"error: the checksum of the flags is \d+ on replica 0 and", line)
    assert not newest(tmp_path)


def test_waiting_for_others_says_so_and_ctrl_c_ends_it(launcher, sources, tmp_path):
    both = addresses()
    running = launcher.start(
        "tests/distributed_run.py",
        "as",
        both,
        0,
        "train-dcgan.py",
        *SMALL,
        "--dataset",
        sources[0],
        folder=tmp_path,
    )
    line = f"this is worker {both.split(',')[0]}; waiting for all of {both.replace(',', ', ')}\n"
    assert running.wait_until(lambda: running.stdout == line), errors(running)
    running.signal(signal.SIGINT)
    assert running.wait() == -signal.SIGINT


def test_port_in_use(launcher, sources, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        running = launcher.run(
            "tests/distributed_run.py",
            "as",
            f"{address},{addresses(1)}",
            0,
            "train-dcgan.py",
            *SMALL,
            "--dataset",
            sources[0],
            folder=tmp_path,
        )
    assert running.status == 2
    (line,) = errors(running)
    assert line.startswith(f"error: TF_CONFIG: cannot serve at {address} (")


def test_batch_that_cannot_be_shared(launcher, sources, tmp_path):
    running = launcher.run(
        "tests/distributed_run.py",
        "two-devices",
        "train-dcgan.py",
        "--dataset",
        sources[0],
        "--batch-size",
        7,
        "--strategy",
        "mirrored",
        folder=tmp_path,
    )
    assert running.status == 2
    assert errors(running) == ["error: --batch-size is 7, which 2 replicas cannot share equally"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '"chief"',
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": -1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": "0"}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "chief", "index": 0}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"index": 0}}',
        '{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:port"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": [7]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "ps", "index": 0}}',
    ],
)
def test_wrong_tf_config(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match="--strategy multiworker needs") as caught:
        devices.strategy("multiworker")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"TF_CONFIG is {text!r}; ")


def test_tf_config_is_needed(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ValueError, match="TF_CONFIG is ''"):
        devices.strategy("multiworker")


@pytest.mark.parametrize(
    "cluster, job, index, expected",
    [
        ({"worker": ["a:1", "b:1"]}, "worker", 0, True),
        ({"worker": ["a:1", "b:1"]}, "worker", 1, False),
        ({"chief": ["a:1"], "worker": ["b:1"]}, "chief", 0, True),
        ({"chief": ["a:1"], "worker": ["b:1"]}, "worker", 0, False),
    ],
)
def test_one_process_is_the_chief(cluster, job, index, expected):
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(cluster), task_type=job, task_id=index
    )
    assert devices.is_chief(SimpleNamespace(cluster_resolver=resolver)) is expected


def test_one_process_is_its_own_chief():
    alone = devices.strategy("none")
    assert devices.is_chief(alone)
    assert devices.anywhere(alone, True) and not devices.anywhere(alone, False)
    devices.must_agree(alone, {"a number": 3})


# Precision


def test_bfloat16_takes_finite_steps_and_saves_float32(tmp_path):
    model = DCGAN(*both(TINY | {"precision": "bfloat16", "g_steps": 1}))
    before = model.weights()
    real = tf.random.stateless_uniform((8, 16, 16, 3), (0, 0), -1, 1)
    for step in range(2):
        measured = model.train_step(real, tf.constant(step))
        assert np.isfinite([measured[name] for name in ("d_loss", "g_loss")]).all()
    assert model.generator.get_layer("h1").compute_dtype == "bfloat16"
    model.state.save_training(tmp_path)
    saved = checkpoint.load(tmp_path)
    for name, value in (saved.weights | saved.training).items():
        assert value.dtype == np.float32 or name.endswith("iteration"), name
        assert np.isfinite(value).all()
    assert any((saved.weights[name] != before[name]).any() for name in before)
    assert DCGAN.restore(tmp_path).sample(2).dtype == np.float32
