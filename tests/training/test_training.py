"""The training loop and one step: draws, counters, the average, evaluation, resuming, NaN."""

import dataclasses
import json
import os
import signal
from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from data.drawn import drawn_faces
from data.pipeline import open_dataset
from model import DCGAN
from pictures import codecs
from training import augment, checkpoint, loop
from training.loop import Preview, Run, train
from training.recipe import both
from training.state import Position

CONFIG = {
    "image_size": 16,
    "gf_dim": 4,
    "df_dim": 4,
    "z_dim": 8,
    "batch_size": 4,
    "ema": 40.0,
    "augment": ("flip", "translation"),
}
PLAIN = CONFIG | {"g_norm": "none", "d_norm": "none", "g_steps": 1, "ema": 0.0, "augment": ()}
REAL = tf.constant(codecs.to_float(drawn_faces(8, 16)))


@pytest.fixture
def eagerly():
    """Without tf.function: tracing costs more than a few steps do."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    for number, face in enumerate(drawn_faces(10, 16)):
        codecs.write(folder / f"{number}.png", face)
    return open_dataset(folder, 16, batch_size=4)


def run_in(folder, **options) -> Run:
    places = {f"{name}_dir": folder / name for name in ("checkpoint", "sample", "log")}
    return Run(**places | {"epochs": 3, "save_every": 2, "sample_every": 4} | options)


def dcgan(**values) -> DCGAN:
    return DCGAN(*both(values))


def start(config, data, run):
    """A model at the start of a run."""
    model = dcgan(**config)
    loop.start(model, data, run)
    return model


def step_of(config, number=0, real=None):
    """One step of a fresh model."""
    model = dcgan(**config)
    recipe = model.recipe
    real = REAL[: recipe.d_steps * recipe.batch_size] if real is None else real
    return model, model.train_step(real, tf.constant(number))


# One step


def test_a_step_measures_what_it_says(eagerly):
    model, measured = step_of(CONFIG | {"augment": ()})
    assert {name: tuple(value.shape) for name, value in measured.items()} == {
        "d_loss_real": (),
        "d_loss_fake": (),
        "d_loss": (),
        "g_loss": (),
        "z": (4, 8),
        "real_logits": (4, 1),
        "fake_logits": (4, 1),
    }
    real, fake = np.log1p(np.exp([-measured["real_logits"], measured["fake_logits"]]))
    np.testing.assert_allclose(measured["d_loss_real"], real.mean(), rtol=1e-5)
    np.testing.assert_allclose(measured["d_loss_fake"], fake.mean(), rtol=1e-5)
    np.testing.assert_allclose(measured["d_loss"], real.mean() + fake.mean(), rtol=1e-5)
    assert np.abs(measured["z"]).max() <= 1


def test_of_a_step_the_loop_gets_scalars_alone_and_shows_the_rest(eagerly):
    model = dcgan(**PLAIN)
    measured = model.step(REAL[:4], tf.constant(0))
    assert set(model.shown) <= set(measured) and all(v.shape == () for v in measured.values())
    pictures, histograms = model.preview()
    assert {name: shown.shape for name, shown in pictures.items()} == {
        "G": (128, 128, 3),
        "real": (32, 32, 3),
    }
    assert histograms["z"].shape == (4, 8)
    assert all(0 < p.min() and p.max() < 1 for p in (histograms["d"], histograms["d_"]))


@pytest.mark.parametrize(("d_steps", "g_steps"), [(1, 2), (2, 1), (1, 1)])
def test_each_network_takes_its_steps(eagerly, d_steps, g_steps):
    config = CONFIG | {"d_steps": d_steps, "g_steps": g_steps}
    model, measured = step_of(config)
    assert model.d_optimizer.iterations.numpy() == d_steps
    assert model.g_optimizer.iterations.numpy() == g_steps
    assert measured["z"].shape == (4, 8)
    before = dcgan(**config).weights()
    for name, value in model.weights().items():
        assert np.isfinite(value).all()
        trained = name.split("/")[-1] in ("kernel", "beta")
        assert (value != before[name]).any() or not trained, name


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_any_batch_size(eagerly, batch_size):
    config = PLAIN | {"batch_size": batch_size}
    model, measured = step_of(config, real=tf.tile(REAL, (13, 1, 1, 1))[:batch_size])
    assert measured["z"].shape[0] == batch_size
    assert all(np.isfinite(value).all() for value in measured.values())


def test_step_and_seed_decide_every_draw(eagerly):
    model = dcgan(**PLAIN)
    one, again, later = (model.train_step(REAL[:4], tf.constant(i))["z"].numpy() for i in (3, 3, 4))
    np.testing.assert_array_equal(one, again)
    assert (one != later).all()
    other = step_of(PLAIN | {"seed": 1}, 3)[1]["z"].numpy()
    assert (one != other).all()


@pytest.mark.parametrize("recipe", [{}, {"loss": "wgan-gp", "d_norm": "none"}])
def test_no_two_draws_of_a_step_share_a_seed(eagerly, monkeypatch, recipe):
    """Those of each D and G step, of real and generated images, of each policy, of the penalty."""
    seeds = []
    draw = tf.random.stateless_uniform

    def watched(shape, seed, *more):
        seeds.append(tuple(np.array(seed)))
        return draw(shape, seed, *more)

    monkeypatch.setattr(tf.random, "stateless_uniform", watched)
    config = CONFIG | {"d_steps": 2, "g_steps": 2, "augment": augment.POLICIES, **recipe}
    step_of(config)
    penalties = 2 if recipe else 0
    assert len(seeds) == 1 + 4 * (2 * 2 + 2) + penalties
    assert len(set(seeds)) == len(seeds)


def test_the_average_starts_as_an_exact_copy():
    model = dcgan(**CONFIG)
    for average, own in zip(model.average.weights, model.generator.weights, strict=True):
        np.testing.assert_array_equal(average, own)
    assert dcgan(**CONFIG | {"ema": 0.0}).average is None


@pytest.mark.parametrize("batch_size", [2, 8])
def test_the_half_life_of_the_average_is_in_images(eagerly, batch_size):
    """Late in training, after 8 images of a still generator, whatever the batch size."""
    config = PLAIN | {"batch_size": batch_size, "ema": 8.0, "g_lr": 0.0}
    model = dcgan(**config)
    kernel = model.average.get_layer("h1").kernel
    target = model.generator.get_layer("h1").kernel.numpy()
    kernel.assign(target + 1)
    for i in range(8 // batch_size):
        model.train_step(REAL[:batch_size], tf.constant(10**6 + i))
    np.testing.assert_allclose(kernel.numpy() - target, 0.5, atol=1e-5)


def test_samples_come_from_the_average(eagerly):
    model = dcgan(**CONFIG)
    z = model.draw(2)
    before = model.generate(z)
    model.generator.get_layer("h1").kernel.assign_add(tf.ones_like(model.generator.weights[6]))
    model.state.changed()
    np.testing.assert_array_equal(model.generate(z), before)


def test_draws_are_each_their_own():
    model = dcgan(**CONFIG)
    draws = model.draw(5, seed=3)
    np.testing.assert_array_equal(model.draw(9, seed=3)[:5], draws)
    assert len(np.unique(draws)) == draws.size
    assert np.abs(draws).max() <= 1 < np.abs(model.draw(5, seed=3, truncation=2.0)).max()


def test_spectral_norms_follow_the_kernels_in_training():
    """After some steps every kernel, divided, has a largest singular value within 2% of 1."""
    model = dcgan(**PLAIN | {"d_norm": "spectral", "d_lr": 0.002})
    before = model.weights()
    for i in range(20):
        model.train_step(REAL[:4], tf.constant(i))
    weights = model.weights()
    for layer in ("h0_conv", "h1_conv", "lin"):
        name = f"discriminator/{layer}"
        kernel = weights[f"{name}/kernel"].reshape(-1, weights[f"{name}/kernel"].shape[-1])
        assert np.abs(kernel - before[f"{name}/kernel"].reshape(kernel.shape)).max() > 0.01
        v = weights[f"{name}/u"] @ kernel.T
        estimate = np.linalg.norm(v / np.linalg.norm(v) @ kernel)
        largest = np.linalg.svd(kernel.astype(np.float64), compute_uv=False)[0]
        assert abs(estimate / largest - 1) < 0.02, name


# The loop


@pytest.fixture(scope="module")
def uninterrupted(data, tmp_path_factory):
    """The folder of a run of three epochs, of two steps each, and its model."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    run = run_in(folder)
    model = start(CONFIG, data, run)
    train(model, data, run)
    return folder, model


def losses(folder) -> list:
    lines = (folder / "checkpoint" / "metrics.jsonl").read_text().splitlines()
    return [
        {k: v for k, v in json.loads(line).items() if k != "images_per_second"} for line in lines
    ]


def interrupting(step):
    """An evaluation that presses Ctrl-C at a step."""

    def evaluate(model):
        if model.state.position.step == step:
            os.kill(os.getpid(), signal.SIGINT)
        return {}

    return evaluate


def test_a_run_resumed_and_extended_equals_the_uninterrupted_one(
    uninterrupted, data, tmp_path, capsys
):
    """Batch norm, the average and augmentation too: number for number. The first part was to
    train two epochs and was stopped in the middle of the second; the rest trains three."""
    run = run_in(tmp_path, epochs=2, eval_every=1)
    with pytest.raises(KeyboardInterrupt):
        train(start(CONFIG, data, run), data, run, interrupting(step=3))
    saved = checkpoint.load(tmp_path / "checkpoint")
    assert (saved.state["step"], saved.state["epoch"], saved.state["batch"]) == (3, 1, 1)
    run = run_in(tmp_path)
    resumed = start(CONFIG, data, run)
    assert "step-00000003: epoch 1, step 3" in capsys.readouterr().out
    train(resumed, data, run)
    folder, model = uninterrupted
    assert [line for line in losses(tmp_path) if "d_loss" in line] == losses(folder)
    assert resumed.state.position == model.state.position == Position(6, 3, 0, 2)
    for arrays, expected in (
        (resumed.weights(), model.weights()),
        (resumed.state.training(), model.state.training()),
    ):
        for name, value in expected.items():
            np.testing.assert_array_equal(arrays[name], value, err_msg=name)
    names = [sorted(p.name for p in (f / "sample").iterdir()) for f in (tmp_path, folder)]
    # What is stopped before its first samples shows them then.
    assert names == [["train_01_0003.png", "train_01_0004.png"], ["train_01_0004.png"]]


def test_every_epoch_takes_the_pictures_in_another_order(uninterrupted, data):
    model = dcgan(**CONFIG)
    batches = [batch.numpy() for _, batch in loop._batches(model.state, data, 4)]
    assert model.state.position == Position()  # the loop counts what it has done
    assert len(batches) == 8
    epochs = np.array(batches).reshape(4, 8, -1)
    for epoch in epochs:
        assert len(np.unique(epoch, axis=0)) == 8  # no picture twice
    assert all((epochs[i] != epochs[0]).any() for i in (1, 2, 3))
    assert len(np.unique(epochs.reshape(32, -1), axis=0)) == 10  # none is left out for ever


def test_when_the_data_changed_the_epoch_starts_anew(data, tmp_path):
    model = dcgan(**PLAIN)
    model.state.position = Position(5, 1, 1, batches_per_epoch=9)
    model.step = fake_step
    train(model, data, run_in(tmp_path, epochs=2))
    assert model.state.position == Position(7, 2, 0, 2)


# What surrounds a step, with steps that take no time


def fake_step(real, step, **changes) -> dict[str, tf.Tensor]:
    """What a step measures, without taking one."""
    names = ("d_loss_real", "d_loss_fake", "d_loss", "g_loss")
    return dict.fromkeys(names, tf.constant(0.5)) | changes


@pytest.fixture
def resumed(uninterrupted, data, tmp_path):
    """A model that goes on from the end of the uninterrupted run, and its new run's folders."""
    folder, _ = uninterrupted
    saved = checkpoint.load(folder / "checkpoint")
    run = run_in(tmp_path, epochs=4, save_every=1)
    checkpoint.save(
        checkpoint.step_path(run.checkpoint_dir, 6),
        saved.config,
        saved.weights,
        saved.training,
        saved.state,
    )
    model = start(CONFIG, data, run)
    model.step = fake_step
    model.preview = lambda: Preview({"G": np.zeros((16, 16, 3), np.uint8)}, {})
    return model, run


@pytest.mark.parametrize(("name", "value"), [("d_loss_real", np.nan), ("g_loss", -np.inf)])
def test_a_loss_that_is_not_finite_names_itself_and_the_step(resumed, data, name, value):
    model, run = resumed
    model.step = partial(fake_step, **{name: tf.constant(value, tf.float32)})
    with pytest.raises(ValueError) as error:
        train(model, data, run)
    assert str(error.value) == (
        f"{name} is {value} at step 7 (epoch 3); training stopped, earlier checkpoints are as they "
        "were"
    )
    assert [path.name for path in checkpoint.step_paths(run.checkpoint_dir)] == ["step-00000006"]


def test_weights_that_are_not_finite_are_never_saved(resumed, data):
    """A step's losses may be finite and the weights that it ends with not."""
    model, run = resumed

    def poisoned(real, step):
        model.generator.get_layer("h1").bias.assign([np.nan] * 4)
        return fake_step(real, step)

    model.step = poisoned
    with pytest.raises(ValueError, match="generator/h1/bias is not finite after step 7"):
        train(model, data, run)
    assert [path.name for path in checkpoint.step_paths(run.checkpoint_dir)] == ["step-00000006"]


def test_evaluation_is_logged_and_the_best_is_kept(resumed, data, capsys):
    model, run = resumed
    figures = iter([{"frechet_distance": 5.0, "diversity": 0.5}, {"frechet_distance": 9.0}])
    train(model, data, dataclasses.replace(run, eval_every=1), lambda model: next(figures))
    assert model.state.position.best == 5.0
    best = checkpoint.load(run.checkpoint_dir / "best")
    at_seven = checkpoint.load(run.checkpoint_dir / "step-00000007")
    for name, value in best.weights.items():  # the average has become the generator
        expected = at_seven.weights[name.replace("generator", "average", 1)]
        np.testing.assert_array_equal(value, expected)
    assert (at_seven.state["best"], best.training) == (5.0, {})
    text = (run.checkpoint_dir / "metrics.jsonl").read_text()
    assert '"frechet_distance": 5.0, "diversity": 0.5' in text


def test_an_evaluation_that_fails_never_stops_training(resumed, data, capsys):
    model, run = resumed

    def fails(model):
        raise RuntimeError("no features\nhere")

    train(model, data, dataclasses.replace(run, eval_every=1), fails)
    assert model.state.position.step == 8
    assert "warning: no evaluation at step 7 (no features" in "".join(capsys.readouterr())


def test_a_checkpoint_is_not_replaced_by_the_same(resumed, data):
    """Replacing a folder takes a moment in which it is not there."""
    model, run = resumed
    saves = []
    save = model.state.save_training
    model.state.save_training = lambda folder: (
        saves.append(model.state.position.step) or save(folder)
    )
    train(model, data, run)
    assert saves == [7, 8]
    again = start(CONFIG, data, run)
    assert again.state.position.epoch == 4
    again.state.save_training = save
    before = [p.stat().st_ino for p in checkpoint.step_paths(run.checkpoint_dir)]
    train(again, data, run)
    assert [p.stat().st_ino for p in checkpoint.step_paths(run.checkpoint_dir)] == before
