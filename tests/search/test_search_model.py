"""DCGAN.complete: the search over z through the networks, for many pictures at once."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from lively import SIZE, Z, lively

import model
from model import Task, batch_width
from pictures import masks
from search.latent import Search
from search.objective import Objective

COUNT = 60
FEW = {"adam": 4, "momentum": 4, "lbfgs": 5, "hmc": 2}
SEARCHES = [
    Search(approach=approach, steps=steps, lr=0.05, hmc_l=3, hmc_eps=0.05, hmc_beta=1.0)
    for approach, steps in FEW.items()
] + [
    Search(steps=4, lr=0.5, schedule="cosine", clip="stochastic"),
    Search(steps=4, clip="none"),
    Search(steps=9, lr=0.1, tolerance=3e-2, patience=2),
]


def names(search: Search) -> str:
    return f"{search.approach}-{search.schedule}-{search.clip}-{search.tolerance}"


@pytest.fixture(scope="module")
def given():
    """Pictures (60, S, S, 3), masks of several kinds, weights of both kinds, starts."""
    rng = np.random.default_rng(0)
    pictures = lively().generate(rng.uniform(-1, 1, (COUNT, Z))) + rng.normal(
        0, 0.1, (COUNT, SIZE, SIZE, 3)
    )
    kinds = ("center", "random", "left", "strokes")
    known = np.stack([masks.make(kinds[i % 4], (SIZE, SIZE), seed=i) for i in range(COUNT)])
    weights = np.stack(
        [masks.neighbourhood_weights(m, 7) if i % 3 else m for i, m in enumerate(known)]
    )
    return np.clip(pictures, -1, 1), known, weights, rng.uniform(-1, 1, (COUNT, Z))


ORIGINAL = Objective()


def complete(given, rows, search, width, objective=ORIGINAL, means=None):
    """The last step of a search for some of the pictures, and the first."""
    pictures, known, weights, z = (part[rows] for part in given)
    if means is not None:
        means = means[rows]
    steps = list(
        lively().complete(pictures, known, search, objective, weights, z, means, width=width)
    )
    return steps[-1], steps[0]


def generated(step, width):
    return lively().generate(step.z, width)


@pytest.mark.parametrize("search", SEARCHES, ids=names)
def test_companions_and_position_change_no_bit(given, search):
    everybody = np.arange(COUNT)
    all_last, all_first = complete(given, everybody, search, width=8)
    for rows in ([59], [7, 3, 5], everybody[::-1]):
        last, first = complete(given, rows, search, width=8)
        for mine, theirs in ((first, all_first), (last, all_last)):
            np.testing.assert_array_equal(mine.z, theirs.z[rows])
            np.testing.assert_array_equal(mine.loss, theirs.loss[rows])
            np.testing.assert_array_equal(generated(mine, 8), generated(theirs, 8)[rows])


def test_companions_change_no_bit_one_by_one_and_with_block_means(given):
    means = np.float32(given[0].reshape(COUNT, 8, 2, 8, 2, 3).mean(axis=(2, 4)))
    search, objective = Search(steps=3), Objective(lowres=True, norm="l2", perceptual="paper")
    for width in (1, 8):
        together, _ = complete(given, np.arange(9), search, width, objective, means)
        for row in (0, 4, 8):
            alone, _ = complete(given, [row], search, width, objective, means)
            np.testing.assert_array_equal(alone.z[0], together.z[row])
            np.testing.assert_array_equal(
                generated(alone, width)[0], generated(together, width)[row]
            )


@pytest.fixture
def small_features(monkeypatch):
    monkeypatch.setattr(model, "PERCEPTUAL_PIXELS", 32)
    monkeypatch.delitem(vars(lively()), "features", raising=False)


def test_features_around_the_hole_are_another_term(given, small_features):
    """Of each picture by itself, of its known pixels alone; 0 where G(z) agrees with them."""
    search, objective = Search(steps=2), Objective(features=50)
    pictures, known, weights, z = (part[:8] for part in given)
    drawn = lively().generate(z, 8)
    noisy = np.where(known > 0, pictures, np.nan)
    for seen, differs in ((noisy, True), (np.where(known > 0, drawn, np.nan), False)):
        first, plain = (
            next(lively().complete(seen, known, search, of, weights=weights, z=z, width=8))
            for of in (objective, Objective())
        )
        added = first.loss - plain.loss
        assert (added > 0.1).all() if differs else np.abs(added).max() < 0.01
    together, _ = complete(given, np.arange(8), search, 8, objective)
    others, _ = complete(given, [5, 20, 3], search, 8, objective)
    np.testing.assert_array_equal(together.z[[5, 3]], others.z[[0, 2]])


def test_all_batches_but_a_single_image_have_one_width():
    assert batch_width(1) == 1
    assert len({batch_width(count) for count in (2, 7, 8, 9, 33, 64, 1000)}) == 1


def test_across_widths_only_rounding_differs(given):
    pictures, known, weights, z = given
    pictures, z = np.where(known > 0, pictures, 0).astype(np.float32), z.astype(np.float32)
    task = Task(pictures, weights, np.zeros((COUNT, 1, 1, 3), np.float32), weights)
    found = {w: lively().value_and_grad(task, Objective(), w)(z) for w in (1, 8, 32)}
    for width in (1, 32):
        for mine, reference in zip(found[width], found[8], strict=True):
            scale = np.abs(reference).max(axis=-1, keepdims=True)
            assert (np.abs(mine - reference) / scale).max() < 1e-5


@pytest.mark.parametrize(
    "search",
    [
        Search(steps=40, lr=0.1, schedule="cosine"),
        Search(approach="lbfgs", steps=25),
    ],
    ids=["cosine", "lbfgs"],
)
def test_across_widths_the_loss_found_is_the_same(given, search):
    rows = np.arange(8)
    losses = {}
    for width in (1, 8):
        last, _ = complete(given, rows, search, width)
        difference = np.abs(generated(last, width) - given[0][rows]) * given[1][rows]
        losses[width] = difference.sum(axis=(1, 2, 3))
    np.testing.assert_allclose(losses[1].mean(), losses[8].mean(), rtol=0.02)


@pytest.mark.parametrize("noise", [0.7, np.nan, np.inf])
def test_hidden_pixels_are_never_read(given, noise):
    pictures, known, weights, z = given
    noisy = np.where(known > 0, pictures, noise)
    search = Search(steps=3, restarts=2)
    starts = [z[:9], -z[:9]]
    ends = [
        list(lively().complete(p[:9], known[:9], search, weights=weights[:9], z=starts))[-1]
        for p in (pictures, noisy)
    ]
    np.testing.assert_array_equal(ends[0].z, ends[1].z)
    np.testing.assert_array_equal(*(lively().generate(end.z) for end in ends))


def test_every_step_is_yielded_and_nothing_is_written(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pictures, known, _, _ = given
    steps = list(lively().complete(pictures[:3], known[:3], Search(steps=2)))
    assert [step.step for step in steps] == [0, 1, 2]
    assert not list(tmp_path.iterdir())


def test_without_starts_the_seed_decides_and_all_images_share_one_draw(given):
    pictures, known, _, _ = given

    def first(seed):
        return next(lively().complete(pictures[:3], known[:3], Search(steps=1, seed=seed))).z

    np.testing.assert_array_equal(first(4), first(4))
    assert (first(4) == first(4)[:1]).all()
    assert not (first(4) == first(5)).any()


def test_each_image_keeps_the_best_of_its_starts(given):
    pictures, known, weights, z = (part[:5] for part in given)
    search = Search(steps=3)
    single = [
        list(lively().complete(pictures, known, search, weights=weights, z=start))[-1]
        for start in (z, -z)
    ]
    restarts = dataclasses.replace(search, restarts=2)
    both = list(lively().complete(pictures, known, restarts, weights=weights, z=[z, -z]))[-1]
    best = np.minimum(single[0].loss, single[1].loss)
    np.testing.assert_allclose(both.loss, best, rtol=1e-6)
    assert len(set(np.argmin([one.loss for one in single], axis=0))) == 2, "either start won"


def test_a_loss_that_is_not_finite_is_named_with_its_step(given):
    pictures, known, weights, z = (part[:2] for part in given)
    bad = z.copy()
    bad[1, 0] = np.nan
    with pytest.raises(ValueError, match="completion loss is nan at step 0, image 1"):
        list(lively().complete(pictures, known, Search(steps=2), weights=weights, z=bad))


def test_many_searches_trace_once(given):
    model = lively()
    rows = np.arange(8)
    complete(given, rows, Search(steps=1), width=8)
    traced = model._traced[Objective()]
    before = traced.experimental_get_tracing_count()
    for first in (8, 16, 24):
        complete(given, rows + first, Search(steps=1, lr=0.3), width=8)
    assert traced.experimental_get_tracing_count() == before


def test_a_search_follows_the_weights():
    """Folded weights are those of the moment, not of the first search."""
    model = lively(gf_dim=4)
    kernel = model.generator.get_layer("h2").kernel
    before = kernel.numpy()
    pictures, known = np.zeros((1, SIZE, SIZE, 3)), np.ones((1, SIZE, SIZE, 1))

    def first_loss():
        return next(model.complete(pictures, known, Search(steps=0), Objective(lam=0.0))).loss[0]

    one = first_loss()
    kernel.assign(kernel * 0)
    model.state.changed()  # as train_step and loading do
    assert first_loss() == pytest.approx(0, abs=1e-4)
    kernel.assign(tf.constant(before))
    model.state.changed()
    assert first_loss() == one
