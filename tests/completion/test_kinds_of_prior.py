"""Priors of classes and of styles, as they are searched and shown."""

import sys

import numpy as np
import pytest
from lively import with_starts
from picturing import QUICK, last, save

import sample
from completion.case import Hole, prepare
from completion.options import with_changes
from completion.searching import Searching
from measuring import sampling
from model import DCGAN
from pictures import codecs
from training.recipe import STYLE, both

SMALL = {"image_size": 16, "gf_dim": 4, "df_dim": 4, "z_dim": 6}
SHORT = with_changes(QUICK, {"guide": "none", "context": "plain", "start": "random", "steps": 8})


@pytest.fixture(scope="module")
def classed() -> DCGAN:
    """Plain pictures of one class, rich ones of the other."""
    model = DCGAN(*both(SMALL | {"classes": ("plain", "rich"), "condition": "concat"}))
    for variable in model.generator.weights:
        if variable.path.endswith("kernel"):
            variable.assign(variable * (40 if "h0_lin" in variable.path else 6))
    told = model.generator.get_layer("h0_lin_class").kernel
    told.assign(np.stack([-2 * np.ones(told.shape[1]), 2 * np.ones(told.shape[1])]))
    model.state.changed()
    return model


@pytest.fixture(scope="module")
def styled() -> DCGAN:
    return DCGAN(*both(STYLE | SMALL))


def cases(folder, pictures):
    return [
        prepare(save(folder / f"{i}.png", pixels), 16, 3, Hole("center"))
        for i, pixels in enumerate(codecs.to_bytes(pictures))
    ]


def test_the_class_that_fits_best_is_found(classed, tmp_path):
    shown = [classed.given(name).sample(2, seed=5) for name in ("plain", "rich")]
    asked = cases(tmp_path, np.concatenate(shown))
    completer = Searching.of(classed)
    found = last(completer.complete(asked, SHORT))
    for name, rows in (("plain", slice(0, 2)), ("rich", slice(2, 4))):
        only = last(completer.complete(asked, with_changes(SHORT, {"class_name": name})))
        np.testing.assert_array_equal(found.loss[rows], only.loss[rows])
        np.testing.assert_array_equal(found.latent[rows], only.latent[rows])
        np.testing.assert_array_equal(found.generated[rows], only.generated[rows])
        other = slice(0, 2) if name == "rich" else slice(2, 4)
        assert (only.loss[other] > found.loss[other]).all()
    assert "as the best of plain, rich" in completer.describe(SHORT)


def test_what_is_found_in_one_class_is_shown_in_another(classed, tmp_path):
    asked = cases(tmp_path, classed.given("plain").sample(2))
    options = with_changes(SHORT, {"class_name": "plain", "as_class": "rich"})
    found = last(Searching.of(classed).complete(asked, options))
    expected = classed.given("rich").generate(np.float32(found.latent))
    np.testing.assert_allclose(found.generated, expected, atol=1e-5)
    with pytest.raises(ValueError, match="class is 'grey'; choose from plain, rich"):
        Searching.of(classed).checked(with_changes(SHORT, {"as_class": "grey"}))


def test_starts_are_those_of_the_class(classed):
    completer = Searching.of(classed)
    few = {"samples": 128, "components": 8}
    for name in ("plain", "rich"):
        given = classed.given(name)
        completer._starts[given.label] = with_starts(given, **few)._starts[None]
    plain, rich = (completer.fitted_starts(classed.given(n)) for n in ("plain", "rich"))
    assert plain.pictures.variances.sum() < rich.pictures.variances.sum() / 4


def test_each_prior_heeds_what_it_has(classed, styled):
    assert {"class_name", "as_class"} <= Searching.of(classed).heeds
    assert "per_layer" not in Searching.of(classed).heeds
    assert "per_layer" in Searching.of(styled).heeds
    assert not {"class_name", "as_class", "fidelity"} & Searching.of(styled).heeds


def test_a_style_for_each_layer_fits_better(styled, tmp_path):
    asked = cases(tmp_path, styled.sample(2, seed=4)[:, ::-1])  # not its own, but as colourful
    completer = with_starts(styled, samples=128, components=16)
    options = with_changes(
        QUICK, {"guide": "none", "steps": 6, "approach": "lbfgs", "clip": "none"}
    )
    one = last(completer.complete(asked, options))
    several = last(completer.complete(asked, with_changes(options, {"per_layer": True})))
    assert one.latent.shape == (2, 6) and several.latent.shape == (2, 36)
    assert (several.loss < one.loss).all()


# sample.py


def run(monkeypatch, path, *arguments):
    monkeypatch.setattr(
        sys, "argv", ["sample.py", "--checkpointDir", str(path), *map(str, arguments)]
    )
    return sample.main()


def test_pairs_and_a_class_alone(monkeypatch, classed, tmp_path):
    classed.save(tmp_path / "model")
    run(monkeypatch, tmp_path / "model", "--count", 3, "--out", tmp_path / "pairs.png")
    pairs = codecs.read(tmp_path / "pairs.png")
    assert pairs.shape == (48, 32, 3)
    assert pairs[:, :16].std() < pairs[:, 16:].std() / 4
    out = tmp_path / "each"
    run(monkeypatch, tmp_path / "model", "--class", "rich", "--numbers", "0-2", "--out", out)
    riches = np.concatenate([codecs.read(out / f"{i:06d}.png") for i in range(3)])
    assert np.abs(riches.astype(int) - pairs[:, 16:]).max() <= 1
    with pytest.raises(ValueError, match="choose a --class: plain, rich"):
        run(monkeypatch, tmp_path / "model", "--walk", "--out", tmp_path / "walk.gif")


def test_coarse_styles_of_one_and_fine_ones_of_another(monkeypatch, styled, classed, tmp_path):
    styled.save(tmp_path / "model")
    out = tmp_path / "mix.png"
    run(monkeypatch, tmp_path / "model", "--mix", "0,1", "2-4", "--truncation", 0.7, "--out", out)
    cells = codecs.read(out).reshape(3, 16, 4, 16, 3).swapaxes(1, 2).astype(int)
    latents = styled.draw(5, truncation=0.7)
    own = codecs.to_bytes(styled.generate(latents)).astype(int)
    assert (cells[0, 0] == 255).all()
    assert np.abs(cells[1:, 0] - own[:2]).max() <= 1 and np.abs(cells[0, 1:] - own[2:]).max() <= 1
    mixed = np.concatenate([np.tile(latents[1], 4), np.tile(latents[4], 2)])
    expected = codecs.to_bytes(styled.generate(mixed[None]))[0].astype(int)
    assert np.abs(cells[2, 3] - expected).max() <= 1
    assert np.abs(cells[2, 3] - own[1]).max() > 5 and np.abs(cells[2, 3] - own[4]).max() > 5
    with pytest.raises(ValueError, match="styles are mixed by a style-based model"):
        sampling.mixed(classed.given("plain"), latents, latents)
