"""CycleGAN: its losses and steps, the pool, what it keeps, and ./train-cyclegan.py."""

import random
import signal

import numpy as np
import pytest
import tensorflow as tf
from processes import ROOT, Launcher, without_tensorflow
from stress_kill import assert_same_end, kill, lines, training_moments, write_faces

from completion.mending import Mender
from data.drawn import drawn_faces
from data.paired import any_with_any
from data.pipeline import open_dataset
from pictures import codecs
from training import losses
from translation.cycle_recipe import LOSSES, PRESETS, both
from translation.cyclegan import CycleGAN

TINY = {"image_size": 16, "filters": 2, "d_filters": 2, "blocks": 1, "batch_size": 2}
FACES = codecs.to_float(drawn_faces(8, 16))


@pytest.fixture
def eagerly():
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def cyclegan(**values) -> CycleGAN:
    """With a last layer that does not start at zero."""
    model = CycleGAN(*both(TINY | values))
    rng = np.random.default_rng(0)
    for name in ("generator_ab", "generator_ba"):
        kernel = model.networks[name].get_layer("out").kernel
        kernel.assign(rng.normal(0, 0.05, kernel.shape).astype(np.float32))
    for name in [n for n in model.networks if n.startswith("average")]:
        model.networks[name].set_weights(model.networks[f"generator_{name[-2:]}"].get_weights())
    return model


def batch(number: int = 0) -> tuple[tf.Tensor, tf.Tensor]:
    """Faces, and for the other kind their negatives."""
    rows = np.arange(2) + 2 * (number % 4)
    return tf.constant(FACES[rows]), tf.constant(-FACES[rows][::-1])


def stepped(model: CycleGAN, count: int = 1) -> dict[str, float]:
    for _ in range(count):
        step = model.state.position.step
        measured = model.step(batch(step), tf.constant(step))
        model.state.position.step += 1
    return {name: float(value) for name, value in measured.items()}


def assert_all_moved(model: CycleGAN, before: dict) -> None:
    after = model.state.weights()
    for network in ("generator_ab", "generator_ba", "discriminator_a", "discriminator_b"):
        assert any((after[n] != before[n]).any() for n in after if n.startswith(network)), network


def everything(model: CycleGAN) -> dict[str, np.ndarray]:
    return model.state.weights() | model.state.training()


def test_untrained_it_changes_nothing():
    model = CycleGAN(*both(TINY))
    np.testing.assert_allclose(model.translate(FACES, "ab", width=8), FACES, atol=1e-6)


def test_what_a_step_measures(eagerly):
    """Against distances of what the networks make, in NumPy, and least squares by hand."""
    model = cyclegan(pool=0)
    a, b = (part.numpy() for part in batch())
    networks = {name: lambda x, n=n: n(x).numpy() for name, n in model.networks.items()}
    there, back = networks["generator_ab"], networks["generator_ba"]
    made_b, made_a = there(a), back(b)
    logits = {
        "b": (networks["discriminator_b"](b), networks["discriminator_b"](made_b)),
        "a": (networks["discriminator_a"](a), networks["discriminator_a"](made_a)),
    }
    expected = {
        "cycle": np.abs(back(made_b) - a).mean() + np.abs(there(made_a) - b).mean(),
        "identity": np.abs(there(b) - b).mean() + np.abs(back(a) - a).mean(),
        "g_loss": sum(((fake - 1) ** 2).mean() / 2 for _, fake in logits.values()),
        "d_loss": sum(
            ((true - 1) ** 2).mean() / 2 + (fake**2).mean() / 2 for true, fake in logits.values()
        ),
    }
    before = model.state.weights()
    assert stepped(model) == pytest.approx(expected, rel=1e-4)
    assert_all_moved(model, before)


@pytest.mark.parametrize(("loss", "channels"), [("gan", 1), ("wgan-gp", 3)])
def test_a_finite_step_by_every_loss(eagerly, loss, channels):
    model = CycleGAN(*both(TINY | {"loss": loss, "channels": channels, "identity": 0.0}))
    before = model.state.weights()
    measured = model.step(tuple(part[..., :channels] for part in batch()), tf.constant(0))
    assert set(measured) == {"g_loss", "cycle", "d_loss"}
    assert np.isfinite([float(value) for value in measured.values()]).all()
    assert_all_moved(model, before)


def test_identity_pulls_toward_what_is_there(eagerly):
    """Where G's are constant shifts of half a grey, its gradient undoes them."""
    model = cyclegan(identity=1.0, cycle=100.0, pool=0)
    for way in ("ab", "ba"):
        out = model.networks[f"generator_{way}"].get_layer("out")
        out.kernel.assign(np.zeros(out.kernel.shape, np.float32))
        out.bias.assign(np.full(3, 0.5 if way == "ab" else -0.5, np.float32))
    assert stepped(model)["cycle"] == pytest.approx(0, abs=1e-6)  # there and back is no help
    moved = [model.networks[f"generator_{w}"].get_layer("out").bias.numpy() for w in ("ab", "ba")]
    assert (moved[0] < 0.5).all() and (moved[1] > -0.5).all()


def test_the_pool_shows_earlier_pictures_half_of_the_time():
    model = cyclegan(pool=6)
    seen = {}
    for step in range(60):
        made = tf.fill((2, 16, 16, 3), float(step))
        shown = model._pooled("a", made, tf.constant(step)).numpy()[:, 0, 0, 0]
        for value in shown:
            seen.setdefault(step, []).append(step - value)
    assert all(seen[step] == [0, 0] for step in range(3))  # it fills
    ages = np.concatenate([seen[step] for step in range(3, 60)])
    assert (ages >= 0).all() and 0.3 < (ages == 0).mean() < 0.75 and ages.max() > 3
    held = model.pools["pool_a"].numpy()[:, 0, 0, 0]
    assert len(set(held)) > 3 and held.max() > 50


def test_a_resumed_run_ends_as_an_uninterrupted_one(eagerly, tmp_path):
    """Bit for bit, the pool included."""
    alone, second = (cyclegan(pool=2, ema=40.0) for _ in range(2))
    stepped(alone)  # with which the pool is full
    alone.state.save_training(tmp_path)
    stepped(alone)
    second.state.resume(tmp_path)
    stepped(second)
    found, expected = everything(second), everything(alone)
    assert {"pool_a", "pool_b"} < found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_a_saved_model_translates_both_ways(tmp_path):
    model = cyclegan()
    model.state.save(tmp_path / "model")
    made = model.translate(FACES, "ab", width=8)
    order = [3, 0, 0, 7]
    np.testing.assert_array_equal(model.translate(FACES[order], "ab", width=8), made[order])
    found = {}
    for direction, way in (("A-B", "ab"), ("B-A", "ba")):
        mender = Mender.of(tmp_path / "model", direction)
        assert direction in mender.describe() and not mender.graded
        found[way] = mender.network(FACES, 0.0)
        np.testing.assert_array_equal(found[way], model.translate(FACES, way, width=8))
    assert np.abs(found["ab"] - found["ba"]).max() > 1e-3


def test_any_picture_goes_with_any(tmp_path):
    for number, face in enumerate(drawn_faces(3, 16)):
        codecs.write(tmp_path / f"{number}.png", face)
    other = open_dataset(tmp_path, 16, batch_size=1)
    a, b = any_with_any(FACES[:6], np.arange(6), other, seed=0)
    alone = any_with_any(FACES[4:5], np.arange(4, 5), other, seed=0)
    for part, one in zip((a, b), alone, strict=True):
        np.testing.assert_array_equal(part[4], one[0])
    true = codecs.to_float(other.load(np.arange(3)))
    which = [
        int(np.argmin([min(np.abs(p - t).max(), np.abs(p - t[:, ::-1]).max()) for t in true]))
        for p in b
    ]
    assert sorted(which[:3]) == sorted(which[3:]) == [0, 1, 2]


def test_presets_are_the_papers():
    _, disco = both(PRESETS["discogan"])
    _, dual = both(PRESETS["dualgan"])
    assert (disco.loss, disco.identity, dual.loss, dual.identity) == ("gan", 0, "wgan-gp", 0)
    assert set(LOSSES) == {"lsgan", "gan", "wgan-gp"}
    assert losses.generator_loss("lsgan", tf.constant([[3.0]])).numpy() == [2]


# ./train-cyclegan.py

SMALL = "--image-size 16 --filters 2 --d-filters 2 --blocks 1 --batch-size 4 --pool 5".split()
COURSE = "--epoch 2 --save-every 2 --sample-every 5 --keep 3".split()


@pytest.mark.slow
def test_kills_leave_no_trace(tmp_path):
    """And validation measures what is translated."""
    a, b = write_faces(tmp_path / "a", 13), write_faces(tmp_path / "b", 9)

    def train(folder, *more):
        words = ("--dataset", a, "--target", b, "--checkpoint-dir", "checkpoint")
        return launcher.start("train-cyclegan.py", *words, *SMALL, *COURSE, *more, folder=folder)

    with Launcher() as launcher:
        alone = train(tmp_path / "alone")
        assert alone.wait() == 0, alone.stderr
        assert "translate.py PICTURES --direction A-B --checkpoint-dir checkpoint" in alone.stdout
        rng = random.Random(0)
        for number, moment in enumerate(("after some steps", "writing a checkpoint")):
            folder = tmp_path / str(number)
            running = train(folder)
            assert kill(running, training_moments(folder, rng)[moment]), running.stderr
            assert running.status == -signal.SIGKILL
            again = train(folder)
            assert again.wait() == 0, again.stderr
            assert_same_end(folder, tmp_path / "alone")
        measured = train(tmp_path / "measured", "--validation", b, "--eval-every", 3)
        assert measured.wait() == 0, measured.stderr
        assert any("frechet_distance" in line for line in lines(tmp_path / "measured"))


def test_one_clear_line(tmp_path):
    for flags, words in (
        (("--target", "nowhere"), "nowhere: no such file or folder"),
        (("--target", ".", "--loss", "hinge"), "argument --loss: invalid choice: 'hinge'"),
        (("--target", ".", "--image-size", "48"), "image_size is 48; choose from 16, 32, 64"),
    ):
        done = without_tensorflow(ROOT / "train-cyclegan.py", *flags, cwd=tmp_path)
        assert done.returncode == 2 and words in done.stderr, done.stderr
