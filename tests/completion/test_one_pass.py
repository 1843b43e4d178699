"""A one-pass network as a Completer, restored from its folder as complete.py does."""

from pathlib import Path

import numpy as np
import pytest
from lively import lively, saved
from one_pass import pix2pix, shaken
from PIL import Image

from completion import restore
from completion.case import Hole, prepare
from completion.one_pass import OnePass
from completion.options import PRESETS, with_changes
from data.drawn import drawn_faces
from pictures import codecs, masks

BEST = PRESETS["best"]
KINDS = ("center", "random", "left", "strokes")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network and, beside it, a DCGAN that it names as its prior."""
    folder = tmp_path_factory.mktemp("models")
    saved(folder / "prior", lively())
    shaken(pix2pix(prior="../prior")).state.save(folder / "network")
    shaken(pix2pix(guide="none")).state.save(folder / "unguided")
    return folder


@pytest.fixture(scope="module")
def network(folder):
    return restore(folder / "network")


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    return [case_of(folder / f"{i}.png", pixels, i) for i, pixels in enumerate(drawn_faces(10, 16))]


def case_of(path: Path, pixels: np.ndarray, number: int):
    Image.fromarray(pixels).save(path)
    return prepare(path, 16, 3, Hole(KINDS[number % 4], seed=number // 4))


def generated(completer, cases, draw=0, **changes) -> np.ndarray:
    options = completer.checked(with_changes(BEST, changes))
    *_, last = completer.complete(cases, options, draw)
    return last.generated


def test_its_folder_says_what_it_is(network, cases):
    assert (network.kind, network.size, network.channels) == ("pix2pix", 16, 3)
    assert network.fingerprint() == restore(network.path).fingerprint()
    expected, moment = network.complete(cases[:1], network.checked(BEST))
    assert expected.generated.shape == (1, 16, 16, 3) and expected.step == 0
    assert (moment.step, moment.loss, moment.latent) == (1, None, None)
    assert network.steps(BEST) == 1 and "in one pass" in network.describe(BEST)
    assert moment.generated.shape == (1, 16, 16, 3)


def test_hidden_pixels_reach_nothing(network, tmp_path):
    """Of pictures that differ where they are hidden; in the alternatives neither."""
    faces = drawn_faces(4, 16)
    mask = masks.make("strokes", (16, 16), seed=3)
    noise = np.random.default_rng(0).integers(0, 256, faces.shape, np.uint8)
    codecs.write(tmp_path / "mask.png", np.uint8(255 * (1 - mask)))
    found = []
    for pictures in (faces, np.where(mask > 0, faces, noise)):
        prepared = []
        for i, pixels in enumerate(pictures):
            Image.fromarray(pixels).save(tmp_path / f"{i}.png")
            hole = Hole(file=tmp_path / "mask.png")
            prepared.append(prepare(tmp_path / f"{i}.png", 16, 3, hole))
        found.append([generated(network, prepared, draw) for draw in (0, 1)])
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("draw", [0, 2])
def test_companions_and_position_change_no_bit(network, cases, draw):
    together = generated(network, cases, draw)
    for rows in ([9, 0], [3, 3, 8], list(range(9, -1, -1))):
        again = generated(network, [cases[row] for row in rows], draw)
        np.testing.assert_array_equal(again, together[rows])
    alone = generated(network, cases[4:5], draw)  # of its own width: rounded otherwise
    np.testing.assert_allclose(alone[0], together[4], atol=1e-4)


@pytest.mark.parametrize("method", ["network", "both"])
def test_alternatives_differ_and_the_first_stays(folder, cases, method):
    completer = restore(folder / "network", method=method)
    some = cases[:3]
    changes = {"alternatives": 3, "steps": 2}
    first, *others = (generated(completer, some, draw, **changes) for draw in range(3))
    np.testing.assert_array_equal(first, generated(completer, some))
    np.testing.assert_array_equal(others[0], generated(completer, some, 1, **changes))
    hole = np.stack([case.square_mask for case in some]) == 0
    for one, other in ((first, others[0]), (first, others[1]), others):
        assert np.abs((one - other) * hole).max() > 1e-3
    seeded = generated(completer, some, 2, seed=5, **changes)
    assert not np.array_equal(seeded, others[1])


def test_a_prior_may_have_fewer_pixels(folder, tmp_path):
    shaken(pix2pix(image_size=32, prior="../prior")).state.save(folder / "larger")
    completer = restore(folder / "larger", method="both")
    path = tmp_path / "face.png"
    Image.fromarray(drawn_faces(1, 32)[0]).save(path)
    some = [prepare(path, 32, 3, Hole("center"))]
    first, other = (generated(completer, some, draw, alternatives=2, steps=2) for draw in (0, 1))
    hole = some[0].square_mask == 0
    assert first.shape == (1, 32, 32, 3) and np.abs((first - other) * hole).max() > 1e-3


def test_fidelity_reaches_the_network(network, cases):
    sharp, smooth = (generated(network, cases[:2], fidelity=x) for x in (0.0, 1.0))
    assert np.abs(sharp - smooth).max() > 1e-4


def test_a_smooth_result_is_that_of_the_mirror_image_mirrored(network, tmp_path):
    pixels = drawn_faces(2, 16)
    both = [
        case_of(tmp_path / f"{i}.png", pixels[0] if i == 0 else pixels[0][:, ::-1], 0)
        for i in range(2)
    ]
    smooth, sharp = (generated(network, both, fidelity=x) for x in (1.0, 0.0))
    np.testing.assert_allclose(smooth[1][:, ::-1], smooth[0], atol=1e-5)
    assert np.abs(sharp[1][:, ::-1] - sharp[0]).max() > 1e-3


def test_the_search_is_the_priors(folder):
    prior = restore(folder / "network", method="search")
    assert prior.kind == "dcgan" and prior.path.resolve() == (folder / "prior").resolve()


def test_what_it_cannot_do_is_refused(folder, network, tmp_path):
    with pytest.raises(ValueError, match="guide is 'linear', but .*network completes in one pass"):
        network.checked(with_changes(BEST, {"guide": "linear"}))
    unguided = restore(folder / "unguided")
    with pytest.raises(ValueError, match="alternatives is 2, but .*unguided has no linear guide"):
        unguided.checked(with_changes(BEST, {"alternatives": 2}))
    for method in ("search", "both"):
        with pytest.raises(ValueError, match=f"method is {method}, but .*names no prior"):
            restore(folder / "unguided", method=method)
    Image.fromarray(drawn_faces(1, 16)[0]).save(tmp_path / "a.png")
    case = prepare(tmp_path / "a.png", 16, 3, Hole("lowres"))
    with pytest.raises(ValueError, match="mask lowres gives a smaller picture"):
        list(network.complete([case], network.checked(BEST)))


def test_it_begins_with_what_the_linear_model_expects(network, folder, cases):
    """Which an untrained network gives back; a network without one begins with its result."""
    plain = OnePass.of(pix2pix())
    begin, end = plain.complete(cases[:3], plain.checked(BEST))
    hole = np.stack([case.square_mask for case in cases[:3]]) == 0
    np.testing.assert_allclose((begin.generated * hole), (end.generated * hole), atol=1e-5)
    unguided = restore(folder / "unguided")
    assert [m.step for m in unguided.complete(cases[:1], unguided.checked(BEST))] == [1]


def test_a_prior_is_found_beside_a_training_folder(tmp_path):
    """Whose checkpoints lie one folder deeper."""
    saved(tmp_path / "prior", lively())
    model = pix2pix(prior="../prior")
    model.state.build_optimizers()
    model.state.save_training(tmp_path / "checkpoint")
    prior = restore(tmp_path / "checkpoint", method="search")
    assert prior.path.resolve() == (tmp_path / "prior").resolve()


def test_complete_speaks_of_no_steps_and_animates_three_pictures(call, folder, tmp_path):
    """What is known, what to expect, and the result."""
    Image.fromarray(drawn_faces(1, 16)[0]).save(tmp_path / "a.png")
    status, said, error = call("a.png", "--checkpointDir", folder / "network", model=None)
    assert status == 0, error
    (line,) = [line for line in said.splitlines() if line.startswith("completions/results/a.png")]
    assert "dB in the hole" in line and "step" not in line and "loss" not in line
    with Image.open(tmp_path / "completions" / "completion.gif") as animation:
        assert animation.n_frames == 3
        assert animation.info["duration"] == 1000
