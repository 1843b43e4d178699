"""The one-pass model: its losses, its steps, what it keeps, and that each picture stands alone."""

import dataclasses
import gc

import numpy as np
import pytest
import tensorflow as tf
from one_pass import ORIGINAL, pairs, pix2pix, shaken

from data.drawn import drawn_faces
from pictures import codecs, masks
from pictures.damage import CHOICES, make_pairs
from training import losses
from translation import pix2pix as module
from translation.pix2pix import PENALTY_EVERY, Pix2Pix
from translation.recipe import LOSSES

PAPER = {"network": "paper", "guide": "none"}


@pytest.fixture
def eagerly():
    """Without tf.function: tracing costs more than a few steps do."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def stepped(model: Pix2Pix, count: int = 1) -> dict[str, float]:
    """Go on for so many steps; what the last one measured."""
    for _ in range(count):
        number = model.state.position.step
        batch = tuple(tf.constant(part) for part in pairs(model, number))
        measured = model.step(batch, tf.constant(number))
        model.state.position.step += 1
    return {name: float(value) for name, value in measured.items()}


def everything(model: Pix2Pix) -> dict[str, np.ndarray]:
    return model.state.weights() | model.state.training()


def change(model, before, network) -> float:
    after = model.state.weights()
    names = [name for name in after if name.startswith(f"{network}/")]
    return max(np.abs(after[name] - before[name]).max() for name in names)


# Losses, against numbers worked out by hand


def test_l1_of_a_hole_and_of_what_is_known():
    """4 pixels of 2 channels, one hidden: |.5|, |1.5| there and .2 at one of the known."""
    made, true = np.zeros((2, 2, 2, 2), np.float32), np.zeros((2, 2, 2, 2), np.float32)
    hole = np.ones((2, 2, 2, 1), np.float32)
    hole[0, 1, 1] = 0
    made[0, 1, 1] = 0.5, -1.5
    made[0, 0, 0] = 0.2, 0
    made[1] = 0.4  # nothing hidden
    found = losses.completion_l1(tf.constant(made), tf.constant(true), tf.constant(hole), known=0.1)
    # 1 / (1 + 1) + .1 x .1 / (3 + 1), and 0 + .1 x 4 x .4 / (4 + 1)
    np.testing.assert_allclose(found, [0.5025, 0.032], rtol=1e-6)


def judging_by_means(model: Pix2Pix) -> Pix2Pix:
    """D's maps become m, m and 2 m of a picture's mean m, its features m and 3 m."""

    def judged(pictures, masks, training=True):
        m = tf.reduce_mean(pictures, axis=(1, 2, 3))[:, None]
        return [tf.concat([m, m], 1), 2 * m], [m, 3 * m]

    model._judged = judged
    return model


@pytest.mark.parametrize(
    ("loss", "g_loss", "d_loss"),
    [
        ("hinge", -0.5 - 1, (1.5 + 1.5) + (2 + 2)),
        # softplus(-.5) + softplus(-1), and twice softplus(.5) + softplus(1)
        ("gan", 0.474077 + 0.313262, 2 * (0.974077 + 1.313262)),
    ],
)
def test_adversarial_losses_are_summed_over_maps(loss, g_loss, d_loss):
    """Of completed pictures of mean .5, logits .5 and 1, and true ones of -.5."""
    model = judging_by_means(pix2pix(loss=loss, r1=3.0, guide="none"))
    completed, true = tf.fill((3, 16, 16, 3), 0.5), tf.fill((3, 16, 16, 3), -0.5)
    hole = tf.ones((3, 16, 16, 1))
    found = model._generator_losses(completed, true, hole)
    np.testing.assert_allclose(found, [[g_loss] * 3, [(1 + 3) / 2] * 3], rtol=1e-5)
    judged = model._discriminator_loss(completed, true, hole, False)
    np.testing.assert_allclose(judged, [d_loss] * 3, rtol=1e-5)
    # The score's slope is 3 / 768 by each of 768 numbers: |slope|^2 / 2 x gamma, for 8 steps.
    penalised = model._discriminator_loss(completed, true, hole, True)
    np.testing.assert_allclose(penalised - judged, [8 * 3 * (9 / 768) / 2] * 3, rtol=1e-3)


def test_smooth_pictures_are_trained_by_their_distance_alone(eagerly):
    alone, smooth = (
        shaken(pix2pix(**values))
        for values in (
            {"adversarial_from": 99, "smooth": 1.0, "hinted": 0.0},
            {"smooth": 1.0, "hinted": 0.0},
        )
    )
    measured = stepped(alone), stepped(smooth)
    assert measured[0]["l1"] == measured[1]["l1"]
    assert set(measured[1]) == {"l1"}
    for mine, other in zip(alone.generator.weights, smooth.generator.weights, strict=True):
        np.testing.assert_allclose(mine, other, rtol=0, atol=1e-7)


# Steps

RESNET = {"network": "resnet", "blocks": 1}
NETWORKS = ({}, {"guide": "none"}, PAPER)


@pytest.mark.parametrize("size", [16, 32])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("network", NETWORKS, ids=["linear", "none", "paper"])
def test_two_finite_steps_by_either_loss(eagerly, network, channels, size):
    """The first with D's penalty, the second without."""
    model = pix2pix(**network, channels=channels, image_size=size, batch_size=4, ema=0.0)
    for loss in LOSSES:
        model.recipe = dataclasses.replace(model.recipe, loss=loss)
        model.state.position.step = 0
        before = model.state.weights()
        measured = stepped(model, 2)
        assert set(measured) == {"l1", "g_loss", "feature_matching", "d_loss"}
        assert np.isfinite(list(measured.values())).all()
        assert all(np.isfinite(value).all() for value in everything(model).values())
        assert change(model, before, "generator") > 0 < change(model, before, "discriminator")


@pytest.mark.parametrize(
    ("network", "damage"),
    [({}, "lowres:2"), (RESNET, "grey+noise"), (PAPER, "old")],
    ids=["residual", "resnet", "paper"],
)
def test_two_finite_steps_by_other_damage(eagerly, network, damage):
    model = pix2pix(**network, damage=damage, batch_size=4, whole=True, hinted=0.0)
    assert np.isfinite(list(stepped(model, 2).values())).all()
    assert all(np.isfinite(value).all() for value in everything(model).values())


@pytest.mark.slow
@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("network", [{}, PAPER, RESNET], ids=["residual", "paper", "resnet"])
def test_two_finite_steps_of_every_kind(network, channels, size):
    """By every damage, of both sizes."""
    values = {"image_size": size, "channels": channels, "batch_size": 4}
    for damage in CHOICES[1:]:
        if channels == 3 or damage not in ("grey", "sepia"):
            model = pix2pix(**network, **values, damage=damage, whole=True, hinted=0.0)
            assert np.isfinite(list(stepped(model, 2).values())).all(), damage
            del model
            gc.collect()  # its graphs: all of them together take 10 GB


def test_untrained_it_gives_what_it_gets():
    model = pix2pix(damage="lowres:2")
    true, known, damaged = pairs(model)
    model._seen = tuple(tf.constant(part) for part in (true, known, damaged))
    np.testing.assert_allclose(complete(model, damaged, known), damaged, atol=1e-5)
    shown = model.preview().pictures["completed"]
    damaged, sharp, smooth, true = (shown[row * 16 : row * 16 + 16] for row in range(4))
    np.testing.assert_array_equal(damaged, sharp)
    np.testing.assert_array_equal(damaged, smooth)
    assert not np.array_equal(damaged, true)


def test_a_network_of_holes_begins_one_of_other_damage(tmp_path):
    holes, grey = shaken(pix2pix()), pix2pix(damage="grey")
    holes.state.save(tmp_path)
    grey.state.init_from(tmp_path)
    name = "generator/down1/kernel"
    np.testing.assert_array_equal(grey.state.weights()[name], holes.state.model_weights()[name])
    grey.state.save_training(tmp_path / "run")
    with pytest.raises(ValueError, match="its damage is grey, here it is hole"):
        holes.state.resume(tmp_path / "run")


def test_before_the_adversarial_part_begins_d_rests(eagerly):
    model = pix2pix(adversarial_from=1)
    before = model.state.weights()
    assert set(stepped(model)) == {"l1"}
    assert change(model, before, "generator") > 0 == change(model, before, "discriminator")
    assert set(stepped(model)) == {"l1", "g_loss", "feature_matching", "d_loss"}
    assert change(model, before, "discriminator") > 0


def test_the_penalty_is_taken_every_few_steps():
    model = pix2pix(adversarial_from=2)
    kinds = [model._traced_for(step) for step in range(2 * PENALTY_EVERY + 1)]
    names = {id(traced): key for key, traced in model._traced.items()}
    found = [names[id(kind)] for kind in kinds]
    assert found[:2] == [(False, False)] * 2
    assert [i for i, key in enumerate(found) if key == (True, True)] == [8, 16]
    assert pix2pix(r1=0.0)._traced_for(0) is not pix2pix()._traced[True, True]


@pytest.mark.parametrize("channels", [1, 3])
def test_perceptual_distance_is_measured_and_learned_from(eagerly, monkeypatch, channels):
    monkeypatch.setattr(module, "PERCEPTUAL_PIXELS", 32)
    with_it, without = (pix2pix(perceptual=x, channels=channels) for x in (10.0, 0.0))
    measured = stepped(with_it)
    assert measured["perceptual"] > 0 and np.isfinite(measured["perceptual"])
    stepped(without)
    moments = [model.state.training()["g/out_kernel_momentum"] for model in (with_it, without)]
    assert np.abs(moments[0] - moments[1]).max() > 1e-6


def test_hints_of_the_truth_are_learned_to_be_obeyed(eagerly):
    """Each batch's last pictures have one; without, the weights that read them move otherwise."""
    models = [shaken(pix2pix(hinted=hinted, smooth=0.0)) for hinted in (0.5, 0.0)]
    for model in models:
        stepped(model)
    kernels = [model.state.training()["g/in_kernel_momentum"] for model in models]
    trust = kernels[0].shape[2] - 1
    assert np.abs(kernels[0][:, :, trust]).max() > 1e-5
    assert not kernels[1][:, :, trust].any()


def test_the_average_follows_slowly(eagerly):
    model = pix2pix(ema=400.0)
    stepped(model, 2)
    weights = model.state.weights()
    apart = [
        np.abs(weights[n] - weights[n.replace("generator", "average")]).max()
        for n in weights
        if n.startswith("generator/") and n.endswith("kernel")
    ]
    assert max(apart) > 0


# What it keeps


def test_a_saved_model_completes_as_before(tmp_path):
    model = shaken(pix2pix())
    true, holes = pairs(model)
    model.state.save(tmp_path / "model")
    restored = Pix2Pix.restore(tmp_path / "model")
    assert (restored.config, restored.recipe) == (model.config, model.recipe)
    assert restored.state.fingerprint() == model.state.fingerprint()
    np.testing.assert_array_equal(complete(restored, true, holes), complete(model, true, holes))


@pytest.mark.parametrize("values", [{}, ORIGINAL | {"ema": 50.0}], ids=["best", "original"])
def test_a_resumed_run_ends_as_an_uninterrupted_one(eagerly, tmp_path, values):
    """Bit for bit, what dropout keeps included."""
    alone, second = (pix2pix(**values) for _ in range(2))
    stepped(alone)
    alone.state.save_training(tmp_path)
    stepped(alone)
    second.state.resume(tmp_path)
    stepped(second)
    assert everything(alone).keys() == everything(second).keys()
    for name, value in everything(alone).items():
        np.testing.assert_array_equal(everything(second)[name], value, err_msg=name)


def test_dropout_draws_anew_each_step():
    model = pix2pix(**ORIGINAL)
    layer = model.generator.get_layer("up1_dropout")

    def kept(step):
        module._seed_dropout(model.generator, model.recipe.seed, tf.constant(step))
        return layer(np.ones((2, 8, 8, 2), np.float32), training=True).numpy()

    np.testing.assert_array_equal(kept(5), kept(5))
    assert not np.array_equal(kept(5), kept(6))


# Each picture stands alone


def complete(model, true, holes, fidelity=0.0, width=4, **more):
    return model.complete(true, holes, fidelity=fidelity, width=width, **more)


@pytest.fixture(
    scope="module",
    params=[{}, {"guide": "none"}, ORIGINAL, RESNET],
    ids=["linear", "none", "original", "resnet"],
)
def model(request):
    return shaken(pix2pix(**request.param))


@pytest.fixture(scope="module")
def ten():
    """Ten pictures and holes of several kinds."""
    kinds = ("center", "random", "left", "strokes", "pattern")
    holes = [masks.make(kinds[i % 5], (16, 16), seed=i) for i in range(10)]
    return codecs.to_float(drawn_faces(10, 16)), np.stack(holes)


def test_no_hidden_pixel_reaches_a_result(model, ten):
    true, holes = ten
    made = complete(model, true, holes)
    noise = np.random.default_rng(0).uniform(-1, 1, true.shape)
    for hidden in (noise, np.nan):
        others = np.where(holes > 0, true, hidden).astype(np.float32)
        np.testing.assert_array_equal(complete(model, others, holes), made)


def test_companions_and_position_change_no_bit(model, ten):
    true, holes = ten
    hints = true[::-1]
    for more in ({}, {"hints": hints}):
        together = complete(model, true, holes, **more)
        assert together.shape == true.shape and np.abs(together).max() <= 1
        for rows in ([9], [3, 0, 7], [5, 5, 5, 5, 1], list(range(9, -1, -1))):
            some = {name: value[rows] for name, value in more.items()}
            again = complete(model, true[rows], holes[rows], **some)
            np.testing.assert_array_equal(again, together[rows])
    alone = complete(model, true[:1], holes[:1], width=1)
    np.testing.assert_allclose(alone, complete(model, true, holes)[:1], atol=1e-5)


def test_fidelity_and_hints_are_wishes_of_one_picture():
    model = shaken(pix2pix())
    true, holes = pairs(model)
    sharp, half, smooth = (complete(model, true, holes, fidelity=x) for x in (0.0, 0.5, 1.0))
    assert np.abs(sharp - half).max() > 1e-4 < np.abs(half - smooth).max()
    hinted = complete(model, true, holes, hints=np.zeros_like(true))
    assert np.abs(hinted - sharp).max() > 1e-4


# Pairs


def test_pairs_are_drawn_by_seed_and_number():
    true = codecs.to_float(drawn_faces(30, 16))
    numbers = np.arange(100, 130)
    pictures, holes = make_pairs(true, numbers, seed=3)
    alone = make_pairs(true[7:8], numbers[7:8], seed=3)
    np.testing.assert_array_equal(alone[0][0], pictures[7])
    np.testing.assert_array_equal(alone[1][0], holes[7])
    mirrored = [np.array_equal(new, old[:, ::-1]) for new, old in zip(pictures, true, strict=True)]
    kept = [np.array_equal(new, old) for new, old in zip(pictures, true, strict=True)]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True)) and 8 < sum(mirrored) < 22
    assert not np.array_equal(make_pairs(true, numbers, seed=4)[1], holes)


# What cannot be


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"image_size": 48}, "image_size is 48; choose from 16, 32, 64, 128, 256"),
        ({"network": "wide"}, "network is 'wide'; choose from residual, refined, resnet, paper"),
        ({"network": "paper"}, "guide is 'linear', which the paper's network does not have"),
        ({"loss": "wgan-gp"}, "loss is 'wgan-gp'; choose from gan, hinge"),
        ({"filters": 0}, "filters is 0; it must be at least 1"),
        ({"smooth": 0.9}, "smooth is 0.9 and hinted 0.1875"),
    ],
)
def test_what_cannot_be_is_refused(values, words):
    with pytest.raises(ValueError, match=words):
        pix2pix(**values)
