"""Checkpoint folders: complete, atomic, told apart from damaged and foreign ones."""

import dataclasses
import json
import os

import numpy as np
import pytest
import tensorflow as tf

from model import DCGAN
from networks.config import Config
from pictures import files
from search.linear import LinearModel
from training import checkpoint
from training.recipe import Recipe, both
from training.state import Position

CONFIG = Config(image_size=16, gf_dim=4, df_dim=4, z_dim=8, d_norm="spectral")
RECIPE = Recipe(batch_size=4, ema=50.0)
BATCHES = np.random.RandomState(0).uniform(-1, 1, (4, 4, 16, 16, 3)).astype(np.float32)


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    """Without tf.function: tracing costs more than a few steps do."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def take_steps(model, numbers):
    for i in numbers:
        model.train_step(tf.constant(BATCHES[i]), tf.constant(i))
        model.state.position.step = i + 1


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model after two steps, and the training folder that it was then saved into."""
    folder = tmp_path_factory.mktemp("training") / "checkpoint"
    model = DCGAN(CONFIG, RECIPE)
    take_steps(model, range(2))
    model.state.position = Position(2, 1, 1, 3, 0.5)
    model.state.linear = LinearModel.of_training(BATCHES, mirrored=True)
    model.state.save_training(folder)
    return model, folder


@pytest.fixture
def folder(trained, tmp_path):
    """Three checkpoints, of steps 2, 4 and 6, all readable."""
    saved = checkpoint.load(trained[1])
    for step in (2, 4, 6):
        state = saved.state | {"step": step}
        parts = saved.config, saved.weights, saved.training, state, saved.linear
        checkpoint.save(checkpoint.step_path(tmp_path / "checkpoint", step), *parts)
    return tmp_path / "checkpoint"


def only_line(error) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


# Contents


def test_a_checkpoint_holds_everything(trained):
    model, folder = trained
    (path,) = checkpoint.step_paths(folder)
    assert path.name == "step-00000002"
    assert sorted(p.name for p in path.iterdir()) == [
        "config.json",
        "linear.npz",
        "state.json",
        "training.npz",
        "weights.npz",
    ]
    saved = checkpoint.load(folder)
    assert saved.kind == "dcgan"
    assert both(saved.config) == (CONFIG, RECIPE)
    assert Position(**saved.state) == model.state.position
    networks = (model.generator, model.discriminator, model.average)
    variables = [v for network in networks for v in network.weights]
    assert len(saved.weights) == len(variables)
    assert {"discriminator/h1_conv/u", "average/bn0/moving_mean"} <= set(saved.weights)
    expected = {"g/iteration", "d/iteration"}
    for name, network in (("g", model.generator), ("d", model.discriminator)):
        for variable in network.trainable_variables:
            slot = f"{name}/{variable.path.replace('/', '_')}"
            expected |= {f"{slot}_momentum", f"{slot}_velocity"}
    assert set(saved.training) == expected
    assert saved.training["d/iteration"] == 2
    assert saved.training["g/iteration"] == 4
    assert all(value.any() for name, value in saved.training.items() if "kernel" in name)


def test_a_resumed_model_takes_the_same_steps(trained):
    """Bit for bit, in a process that has made other models and optimisers."""
    model, folder = trained
    DCGAN(CONFIG, RECIPE)
    resumed = DCGAN(CONFIG, RECIPE)
    assert resumed.state.resume(folder) == folder / "step-00000002"
    np.testing.assert_equal(vars(resumed.linear), vars(model.linear))
    assert resumed.state.position == model.state.position
    uninterrupted = DCGAN(CONFIG, RECIPE)
    take_steps(uninterrupted, range(4))
    take_steps(resumed, range(2, 4))
    arrays = resumed.weights() | resumed.state.training()
    for name, expected in (uninterrupted.weights() | uninterrupted.state.training()).items():
        np.testing.assert_array_equal(arrays[name], expected, err_msg=name)


def test_a_model_folder_restores_to_the_same_function(trained, tmp_path):
    model, _ = trained
    model.save(tmp_path / "model")
    names = sorted(p.name for p in (tmp_path / "model").iterdir())
    assert names == ["config.json", "linear.npz", "weights.npz"]
    assert not any("average" in name for name in checkpoint.load(tmp_path / "model").weights)
    restored = DCGAN.restore(tmp_path / "model")
    assert (restored.config, restored.recipe) == (CONFIG, RECIPE)
    np.testing.assert_equal(vars(restored.linear), vars(model.linear))
    z = model.draw(3)
    np.testing.assert_array_equal(restored.generate(z), model.generate(z))
    np.testing.assert_array_equal(restored.logits(BATCHES[0]), model.logits(BATCHES[0]))
    with pytest.raises(ValueError, match="holds a model but no training state; use --init-from"):
        DCGAN(CONFIG, RECIPE).state.resume(tmp_path / "model")


def test_init_from_takes_weights_with_fresh_optimisers_and_counters(trained):
    model, folder = trained
    tuned = DCGAN(CONFIG, dataclasses.replace(RECIPE, loss="hinge", g_lr=0.1))
    tuned.state.init_from(folder)
    for name, array in model.weights().items():
        np.testing.assert_array_equal(tuned.weights()[name], array)
    assert tuned.state.position == Position()
    assert tuned.linear is None  # of other pictures; the training fits its own
    assert not any(value.any() for value in tuned.state.training().values())


def test_an_average_that_was_not_saved_starts_as_a_copy(trained, tmp_path):
    plain = DCGAN(CONFIG)
    plain.save(tmp_path / "plain")
    model = DCGAN(CONFIG, RECIPE)
    model.state.init_from(tmp_path / "plain")
    for average, own in zip(model.average.weights, plain.generator.weights, strict=True):
        np.testing.assert_array_equal(average, own)


# What a user can get wrong


def test_another_model_is_refused_by_the_field_that_differs(trained):
    _, folder = trained
    for change, words in (
        ({"image_size": 32}, "its image_size is 16, here it is 32"),
        ({"channels": 1}, "its channels is 3, here it is 1"),
        ({"gf_dim": 8}, "its gf_dim gives widths (8, 4), here (16, 8)"),
    ):
        other = DCGAN(dataclasses.replace(CONFIG, **change), RECIPE)
        way_out = (
            "; choose another --checkpoint-dir, or --no-resume to move it aside and start anew"
        )
        for load, more in ((other.state.resume, way_out), (other.state.init_from, "")):
            with pytest.raises(ValueError) as error:
                load(folder)
            assert only_line(error) == f"{folder}/step-00000002: another model: {words}{more}"


def test_another_kind_of_model_is_refused_before_it_is_built(tmp_path):
    checkpoint.save(tmp_path / "other", {"kind": "pix2pix", "loss": "lsgan"}, {})
    with pytest.raises(ValueError, match="other: another model: its kind is pix2pix, here it is"):
        DCGAN.restore(tmp_path / "other")


def test_missing_and_foreign_folders_are_one_line(tmp_path):
    with pytest.raises(ValueError, match="no such checkpoint folder"):
        checkpoint.load(tmp_path / "nowhere")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match="holds no checkpoint"):
        checkpoint.load(tmp_path)
    assert not checkpoint.exists(tmp_path)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "config.json").write_text('{"architectures": ["Bert"]}')
    with pytest.raises(checkpoint.DamagedCheckpoint) as error:
        checkpoint.load(foreign)
    assert only_line(error).startswith(f"{foreign}: damaged checkpoint (")


def test_a_variable_of_another_shape_is_named(trained, tmp_path):
    _, folder = trained
    saved = checkpoint.load(folder)
    weights = saved.weights | {"generator/h1/bias": np.zeros(9)}
    checkpoint.save(tmp_path / "odd", saved.config, weights)
    with pytest.raises(ValueError, match=r"odd: generator/h1/bias is \(9,\), expected \(4,\)"):
        DCGAN.restore(tmp_path / "odd")
    del weights["generator/h1/bias"]
    checkpoint.save(tmp_path / "odd", saved.config, weights)
    with pytest.raises(ValueError, match=r"generator/h1/bias is missing, expected \(4,\)"):
        DCGAN.restore(tmp_path / "odd")


# Damage


@pytest.mark.parametrize("name", ["weights.npz", "training.npz"])
def test_one_byte_less_falls_back_and_says_so(folder, name):
    path = folder / "step-00000006" / name
    path.write_bytes(path.read_bytes()[:-1])
    said = []
    assert checkpoint.load(folder, said.append).path == folder / "step-00000004"
    assert len(said) == 1
    assert said[0].startswith(f"{folder}/step-00000006: damaged checkpoint (")
    assert said[0].endswith("); trying the one before")
    assert DCGAN.restore(folder).config == CONFIG


def test_several_damaged_ones_fall_back_further_and_none_left_is_an_error(folder):
    for number, step in enumerate((6, 4)):
        os.truncate(folder / f"step-{step:08d}" / "weights.npz", 100)
        said = []
        assert checkpoint.load(folder, said.append).state["step"] == step - 2
        assert len(said) == number + 1
    (folder / "step-00000002" / "state.json").unlink()
    with pytest.raises(checkpoint.DamagedCheckpoint, match="step-00000006: damaged checkpoint"):
        checkpoint.load(folder)


def test_any_damage_is_noticed(folder):
    """Cut at, or a bit flipped in, random places: never other numbers, never a traceback."""
    intact = checkpoint.load(folder / "step-00000006")
    rng = np.random.default_rng(0)
    for name in ("weights.npz", "training.npz", "config.json", "state.json"):
        path = folder / "step-00000006" / name
        whole = path.read_bytes()
        edges = [0, 1, 30, len(whole) - 30, len(whole) - 2]  # headers and directory of an archive
        for place in [*edges, *rng.integers(len(whole), size=12)]:
            flipped = bytearray(whole)
            flipped[place] ^= 1 << int(rng.integers(8))
            for content in (whole[:place], bytes(flipped)):
                path.write_bytes(content)
                loaded = checkpoint.load(folder)
                if loaded.path.name == "step-00000006" and name.endswith(".npz"):
                    for part in ("weights", "training"):
                        for key, array in getattr(loaded, part).items():
                            np.testing.assert_array_equal(array, getattr(intact, part)[key])
        path.write_bytes(whole)


# Writing


def test_a_save_that_fails_leaves_what_was_there(folder, monkeypatch):
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    def full(path, **arrays):
        path.write_bytes(b"part")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    for step in (6, 8):
        with pytest.raises(OSError, match="No space left on device") as error:
            checkpoint.save(checkpoint.step_path(folder, step), {}, {"a": np.zeros(1)})
        assert error.value.filename == str(folder / f"step-{step:08d}")
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_a_checkpoint_appears_only_when_it_is_complete(tmp_path, monkeypatch):
    seen = []
    write = checkpoint._write_json

    def watched(path, content):
        write(path, content)
        seen.append(checkpoint.exists(tmp_path))

    monkeypatch.setattr(checkpoint, "_write_json", watched)
    path = checkpoint.step_path(tmp_path, 1)
    checkpoint.save(path, {}, {"a": np.zeros(1)}, {"b": np.zeros(1)}, {"step": 1})
    assert seen == [False, False]
    assert checkpoint.exists(tmp_path)


def test_the_last_few_are_kept(folder):
    (folder / ".step-00000003").mkdir()  # half removed
    checkpoint.remove_old(folder, 2)
    assert sorted(p.name for p in folder.iterdir()) == ["step-00000004", "step-00000006"]
    checkpoint.remove_old(folder, 5)
    assert len(checkpoint.step_paths(folder)) == 2


def test_tidying_makes_damaged_ones_not_count(folder):
    """With --keep 1 they would else push out the good one."""
    (folder / ".step-00000008.0123abcd").mkdir()
    (folder / ".metrics.0123abcd.jsonl").touch()
    for _ in range(2):
        checkpoint.tidy(folder, 4)
        assert sorted(p.name for p in folder.iterdir()) == [
            "damaged-step-00000006",
            "step-00000002",
            "step-00000004",
        ]
        assert checkpoint.load(folder).path.name == "step-00000004"
    checkpoint.tidy(folder / "nowhere", 0)


def test_what_is_set_aside_can_be_loaded(folder):
    aside = files.set_aside(folder)
    assert checkpoint.load(aside).state["step"] == 6 and not checkpoint.exists(folder)


def test_state_may_hold_infinity(tmp_path):
    state = dataclasses.asdict(Position())
    checkpoint.save(tmp_path / "step-00000000", {}, {"a": np.zeros(1)}, {"b": np.zeros(1)}, state)
    assert Position(**checkpoint.load(tmp_path).state) == Position()
    json.loads((tmp_path / "step-00000000" / "state.json").read_text())


def test_what_older_programs_kept_beside_a_model_is_made_anew(tmp_path):
    def kept(*names):
        made = {name: np.zeros(1) for name in names}
        return checkpoint.cached(tmp_path, "starts", "a", lambda: made, needed=names).keys()

    assert kept("codes") == {"codes"}
    for names in (("codes", "jacobian"), ("codes",)):
        assert kept(*names) == {"codes", "jacobian"}
