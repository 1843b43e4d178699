"""sample.py and sampling.py: chosen samples, walks, arithmetic, nearest pictures."""

import argparse
import os
import sys

import numpy as np
import pytest
from PIL import Image
from scipy import stats

import sample
from data.drawn import drawn_faces
from measuring import sampling
from measuring.features import Extractor
from model import DCGAN
from networks.config import Config
from pictures import codecs, grids
from search.space import Cube
from training import checkpoint

SIZE = 16


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    DCGAN(Config(image_size=SIZE, z_dim=8, gf_dim=4, df_dim=4)).save(folder / "model")
    return DCGAN.restore(folder / "model")


def run(monkeypatch, model, *arguments):
    arguments = ["sample.py", "--checkpointDir", model.path, *arguments]
    monkeypatch.setattr(sys, "argv", list(map(str, arguments)))
    return sample.main()


def test_numbers():
    assert sample._numbers("3,17,20-23") == [3, 17, 20, 21, 22, 23]
    for text in ("", "a", "1,", "-3", "1-", "1-b"):
        with pytest.raises(argparse.ArgumentTypeError, match="is not a list of numbers like"):
            sample._numbers(text)


def test_latents_are_the_models_by_number(model):
    drawn = model.draw(9, seed=4, truncation=0.5)
    np.testing.assert_array_equal(sampling.latents(model, [7, 2], 4, 0.5), drawn[[7, 2]])


def test_a_grid_and_single_files_hold_the_same_samples(monkeypatch, model, tmp_path, capsys):
    run(monkeypatch, model, "--count", 4, "--seed", 3, "--out", tmp_path / "grid.png")
    run(monkeypatch, model, "--numbers", "3,1", "--seed", 3, "--out", tmp_path / "each")
    assert capsys.readouterr().out.split() == [str(tmp_path / "grid.png"), str(tmp_path / "each")]
    grid = codecs.read(tmp_path / "grid.png")
    np.testing.assert_array_equal(grid, grids.grid(codecs.to_bytes(model.sample(4, seed=3))))
    assert sorted(p.name for p in (tmp_path / "each").iterdir()) == ["000001.png", "000003.png"]
    third = codecs.read(tmp_path / "each" / "000003.png").astype(int)
    assert np.abs(third - grid[SIZE:, SIZE:]).max() <= 1  # another batch, another rounding


def test_single_files_of_many_batches(model, tmp_path, monkeypatch):
    z = model.draw(300)
    sampling.write_each(model, z, list(range(300)), tmp_path)
    assert len(list(tmp_path.iterdir())) == 300
    last = codecs.read(tmp_path / "000299.png").astype(int)
    assert np.abs(last - codecs.to_bytes(model.generate(z[299:]))[0]).max() <= 1


# Walks


def test_a_walk_visits_every_z_and_returns():
    z = np.random.default_rng(0).uniform(-1, 1, (3, 50)).astype(np.float32)
    path = sampling.walk(Cube(50), z, 10)
    assert path.shape == (30, 50) and path.dtype == np.float32
    np.testing.assert_allclose(path[[0, 10, 20]], z, atol=1e-5)
    steps = np.linalg.norm(np.roll(path, -1, axis=0) - path, axis=1)
    assert steps.max() < 2.5 * steps.mean()  # no jump, the one back to the start included


def test_a_walk_stays_where_training_drew_z():
    z = np.random.default_rng(0).uniform(-0.7, 0.7, (2, 4000))
    halfway = sampling.walk(Cube(4000), z, 2, truncation=0.7)[1]
    assert stats.kstest(halfway / 0.7, stats.uniform(-1, 2).cdf).pvalue > 0.01
    line = z.mean(axis=0)
    assert stats.kstest(line / 0.7, stats.uniform(-1, 2).cdf).pvalue < 1e-6


def test_walk_command(monkeypatch, model, tmp_path):
    run(
        monkeypatch,
        model,
        "--walk",
        "--numbers",
        "0,5",
        "--frames",
        3,
        "--out",
        tmp_path / "walk.gif",
    )
    with Image.open(tmp_path / "walk.gif") as gif:
        assert (gif.n_frames, gif.size) == (6, (SIZE, SIZE))


# Arithmetic


def test_arithmetic_shows_samples_means_and_the_result(model):
    plus, minus, also = np.split(model.draw(7), [3, 5])
    figure = sampling.arithmetic(model, plus, minus, also)
    height, gap = 4 * SIZE + sampling.GAP, sampling.GAP
    assert figure.shape == (height, 3 * (SIZE + gap) + 3 * SIZE, 3)
    result = plus.mean(axis=0) - minus.mean(axis=0) + also.mean(axis=0)
    expected = codecs.to_bytes(model.generate(result[None]))[0].astype(int)
    centre = figure[-2 * SIZE : -SIZE, -2 * SIZE : -SIZE]
    assert np.abs(centre - expected).max() <= 1
    mean = codecs.to_bytes(model.generate(plus.mean(axis=0, keepdims=True)))[0].astype(int)
    assert np.abs(figure[-SIZE:, :SIZE] - mean).max() <= 1
    assert (figure[:SIZE, SIZE + gap : 2 * SIZE + gap] == 255).all()  # two samples, not three


def test_arithmetic_command(monkeypatch, model, tmp_path, capsys):
    flags = ("--out", tmp_path / "sum.png", "--arithmetic")
    run(monkeypatch, model, *flags, "3,4", "4,3", "5")
    assert "C by 0.0 grey levels" in (said := capsys.readouterr().out)
    assert "no difference to see; A and B are too much alike" in said
    run(monkeypatch, model, *flags, "0-2", "3", "4,5")
    assert "no difference" not in capsys.readouterr().out
    assert codecs.read(tmp_path / "sum.png").shape[1] == 6 * SIZE + 3 * sampling.GAP


# Nearest pictures


def test_nearest_finds_a_copy_and_says_how_far_others_are():
    pictures = drawn_faces(60, SIZE)
    noise = np.random.default_rng(0).integers(-2, 3, (2, SIZE, SIZE, 3))
    samples = np.clip(pictures[[41, 7]] + noise, 0, 255).astype(np.uint8)
    found = sampling.find_nearest(samples, pictures, 3)
    assert found.pictures.shape == found.distances.shape == (2, 3)
    assert list(found.pictures[:, 0]) == [41, 7]
    error = samples[0].astype(float) - pictures[41]
    assert found.distances[0, 0] == pytest.approx(np.sqrt((error**2).mean()))
    assert (np.diff(found.distances) >= 0).all()
    others = np.float32(pictures.reshape(60, -1))
    distance = np.sqrt(((others[:, None] - others) ** 2).mean(axis=2))
    np.fill_diagonal(distance, np.inf)
    assert found.usual == pytest.approx(np.median(distance.min(axis=1)), rel=1e-5)
    assert found.distances[0, 0] < found.usual / 5


def test_nearest_in_features():
    pictures = drawn_faces(20, SIZE)
    colour = Extractor("colour", 3, SIZE, lambda x: x.mean((1, 2)))
    mirrored = pictures[5:6, :, ::-1]  # far in pixels, the same in colour
    found = sampling.find_nearest(mirrored, pictures, 2, colour)
    assert found.pictures[0, 0] == 5 and found.distances[0, 0] == pytest.approx(0, abs=1e-6)


def test_nearest_command(monkeypatch, model, tmp_path, capsys):
    for number, face in enumerate(drawn_faces(4, SIZE)):
        codecs.write(tmp_path / "train" / f"face{number}.png", face)
    run(
        monkeypatch,
        model,
        "--nearest",
        tmp_path / "train",
        "--numbers",
        "2,9",
        "--neighbours",
        9,
        "--out",
        tmp_path / "nearest.png",
    )
    shown = capsys.readouterr().out
    assert "sample 2: " in shown and "sample 9: " in shown and "face" in shown
    assert "pictures there are usually" in shown
    width = SIZE + sampling.GAP + 4 * SIZE  # of nine neighbours there are four
    assert codecs.read(tmp_path / "nearest.png").shape == (2 * SIZE, width, 3)


# What is wrong


def test_one_picture_needs_the_name_of_one(monkeypatch, model, tmp_path):
    with pytest.raises(ValueError, match="--walk makes one picture; choose a name like walk.gif"):
        run(monkeypatch, model, "--walk", "--out", tmp_path / "folder")


def test_without_a_model(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoint, "SHIPPED", (tmp_path / "none",))
    with pytest.raises(ValueError, match="./checkpoint hold none and none ships"):
        checkpoint.choose(None)


def test_the_default_model_is_no_larger_than_the_pictures(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for size in (128, 64, 32):
        folder = tmp_path / f"of-{size}"
        folder.mkdir()
        (folder / "config.json").write_text(f'{{"image_size": {size}}}')
        (folder / "weights.npz").touch()
    monkeypatch.setattr(checkpoint, "SHIPPED", [tmp_path / f"of-{s}" for s in (128, 64, 32)])
    for pixels, size in ((float("inf"), 128), (128, 128), (100, 64), (64, 64), (40, 32), (8, 32)):
        assert checkpoint.default_folders(pixels=pixels)[0].name == f"of-{size}"


def test_the_default_model_is_said(monkeypatch, model, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoint, "SHIPPED", (model.path,))
    assert checkpoint.choose(None) == model.path
    assert "the model that ships" in capsys.readouterr().out
    (tmp_path / "checkpoint").symlink_to(model.path)
    checkpoint.choose(None)
    ships = f"; --checkpoint-dir {os.path.relpath(model.path)} is the one that ships"
    assert capsys.readouterr().out == f"using the model in checkpoint{ships}\n"
