"""latent.py against NumPy and SciPy references on losses whose minima are known."""

import dataclasses

import numpy as np
import pytest
import scipy.optimize

from search import latent
from search.latent import Search, search

APPROACHES = {
    "adam": Search(steps=30, lr=0.05),
    "momentum": Search("momentum", steps=30, lr=0.01),
    "lbfgs": Search("lbfgs", steps=30),
    "hmc": Search("hmc", steps=8, hmc_beta=4, hmc_eps=0.05, hmc_l=6),
}


class Network:
    """|tanh(z A) B - target| summed per row, a small stand-in for the contextual loss."""

    def __init__(self, count: int, z_dim: int = 12, pixels: int = 60):
        random = np.random.RandomState(0)
        self.a = random.normal(0, 0.6, (z_dim, 30))
        self.b = random.normal(0, 0.4, (30, pixels))
        self.z = random.uniform(-1, 1, (count, z_dim))
        self.target = np.tanh(random.uniform(-1, 1, (count, z_dim)) @ self.a) @ self.b
        self.evaluations = 0

    def rows(self, rows) -> latent.ValueAndGrad:
        """The losses of the given rows, each computed by itself."""

        def value_and_grad(z):
            self.evaluations += 1
            parts = [self._one(x, self.target[row]) for x, row in zip(z, rows, strict=True)]
            return np.array([p[0] for p in parts]), np.array([p[1] for p in parts])

        return value_and_grad

    def _one(self, z, target):
        hidden = np.tanh(z @ self.a)
        difference = hidden @ self.b - target
        back = (np.sign(difference) @ self.b.T) * (1 - hidden**2)
        return np.abs(difference).sum(), back @ self.a.T


def quadratic(center, curvature):
    """sum of curvature/2 (z - center)^2, center and curvature (N, Z) or broadcast to it."""

    def value_and_grad(z):
        return (curvature / 2 * (z - center) ** 2).sum(axis=1), curvature * (z - center)

    return value_and_grad


def last(steps) -> latent.Step:
    return list(steps)[-1]


def test_adam_is_the_published_algorithm():
    network = Network(3)
    value_and_grad = network.rows(range(3))
    options = Search(steps=25, lr=0.1, beta1=0.8, beta2=0.95)
    steps = list(search(value_and_grad, network.z, options))
    assert [step.step for step in steps] == list(range(26))
    for row in range(3):
        z, m, v = network.z[row].copy(), np.zeros(12), np.zeros(12)
        for t in range(1, 26):
            loss, g = network._one(z, network.target[row])
            assert steps[t - 1].loss[row] == pytest.approx(loss, rel=1e-12)
            m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g * g
            z -= 0.1 * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.95**t)) + 1e-8)
            z = np.minimum(1, np.maximum(-1, z))
        np.testing.assert_allclose(steps[-1].z[row], z, atol=1e-12)
        assert steps[-1].loss[row] == pytest.approx(network._one(z, network.target[row])[0])


def test_momentum_is_nesterovs_in_its_other_form():
    network = Network(2)
    steps = list(search(network.rows(range(2)), network.z, APPROACHES["momentum"]))
    for row in range(2):
        z, velocity = network.z[row], 0.0
        for step in steps:
            np.testing.assert_allclose(step.z[row], z, atol=1e-12)
            gradient = network._one(z, network.target[row])[1]
            velocity = 0.9 * velocity - 0.01 * gradient
            z = np.clip(z + 0.9 * velocity - 0.01 * gradient, -1, 1)


def original_hmc(value_and_grad, z, options, random):
    """The original program's transitions, written as it writes them; z, beta are copies."""
    z, beta, accepted = z.copy(), options.hmc_beta, []
    for _ in range(options.steps):
        old = z.copy()
        v = random.randn(*z.shape)
        v_old = v.copy()
        loss, g = value_and_grad(z)
        loss_old = loss
        for _ in range(options.hmc_l):
            v -= options.hmc_eps / 2 * beta * g
            z += options.hmc_eps * v
            z = np.clip(z, -1, 1)
            loss, g = value_and_grad(z)
            v -= options.hmc_eps / 2 * beta * g
        for n in range(len(z)):
            accept = np.exp(
                beta * loss_old[n]
                + np.sum(v_old[n] ** 2) / 2
                - beta * loss[n]
                - np.sum(v[n] ** 2) / 2
            )
            rejected = accept < 1 and random.uniform() > accept
            accepted.append(not rejected)
            if rejected:
                z[n] = old[n]
        beta *= options.hmc_anneal
    return z, accepted


class Recorded:
    """Draws in the order in which the original asks NumPy for them."""

    def __init__(self, seed):
        self.random = np.random.RandomState(seed)

    def velocity(self, iteration, shape):
        return self.random.randn(*shape)

    def acceptance(self, iteration, needed):
        return np.array([self.random.uniform() if need else 0.0 for need in needed])


def test_hmc_is_the_originals_without_its_extra_evaluations():
    network = Network(4)
    options = Search("hmc", steps=12, hmc_beta=2, hmc_eps=0.05, hmc_l=6, hmc_anneal=1.05)
    value_and_grad = network.rows(range(4))
    expected, accepted = original_hmc(value_and_grad, network.z, options, np.random.RandomState(4))
    assert 8 < sum(accepted) < 44  # of 48: both cases are seen
    network.evaluations = 0
    result = last(search(value_and_grad, network.z, options, Recorded(4)))
    np.testing.assert_allclose(result.z, expected, atol=1e-10)
    assert network.evaluations == 1 + 12 * 6


def expected_acceptance(ratio, leapfrogs, dimensions):
    """Of HMC on a standard Gaussian, with leapfrogs of length ratio: drawn, not chained."""
    random = np.random.RandomState(0)
    old = random.normal(size=(2, 20000, dimensions))  # z and velocity, as stationarity has them
    half, drift = np.array([[1, 0], [-ratio / 2, 1]]), np.array([[1, ratio], [0, 1]])
    transition = np.linalg.matrix_power(half @ drift @ half, leapfrogs)
    new = np.einsum("ij,jnd->ind", transition, old)
    change = ((new**2).sum(axis=(0, 2)) - (old**2).sum(axis=(0, 2))) / 2
    return np.minimum(1, np.exp(-change)).mean()


@pytest.mark.parametrize("eps", [0.02, 0.12])
def test_hmc_samples_a_gaussian(eps):
    deviation = 0.1
    center = np.linspace(-0.3, 0.3, 8)
    options = Search("hmc", steps=2000, hmc_beta=1, hmc_eps=eps, hmc_l=6)
    target = quadratic(center, deviation**-2)
    chain = [step.z[0] for step in search(target, np.zeros((1, 8)), options)][100:]
    moved = np.mean([np.any(a != b) for a, b in zip(chain, chain[1:], strict=False)])
    assert moved == pytest.approx(expected_acceptance(eps / deviation, 6, 8), abs=0.04)
    np.testing.assert_allclose(np.mean(chain, axis=0), center, atol=0.02)
    np.testing.assert_allclose(np.std(chain, axis=0), deviation, rtol=0.12)


def test_hmc_changes_neither_its_arguments_nor_its_options():
    network = Network(2)
    options = dataclasses.replace(APPROACHES["hmc"], hmc_anneal=0.5)
    z, before = network.z.copy(), dataclasses.asdict(options)
    first = last(search(network.rows(range(2)), z, options))
    again = last(search(network.rows(range(2)), z, options))
    np.testing.assert_array_equal(z, network.z)
    np.testing.assert_array_equal(first.z, again.z)
    assert dataclasses.asdict(options) == before


def test_hmc_neither_overflows_nor_accepts_what_is_not_finite():
    def cliff(z):
        outside = np.abs(z[:, 0]) > 0.5
        return np.where(outside, np.nan, -1e6 * z[:, 0]), np.tile([-1e6, 0, 0], (2, 1))

    options = Search("hmc", steps=20, hmc_beta=0.1, hmc_eps=1e-3, hmc_l=3)
    with np.errstate(all="raise"):
        steps = list(search(cliff, np.zeros((2, 3)), options))
    assert all(np.isfinite(step.loss).all() for step in steps)
    assert (steps[-1].loss < 0).all()


def test_lbfgs_finds_the_minimum_of_a_quadratic_in_the_box():
    random = np.random.RandomState(1)
    factor = random.normal(size=(20, 20))
    hessian = factor @ factor.T + np.eye(20)
    center = random.uniform(-1.5, 1.5, (6, 20))

    def value_and_grad(z):
        gradient = (z - center) @ hessian
        return (gradient * (z - center)).sum(axis=1) / 2, gradient

    result = last(search(value_and_grad, np.zeros((6, 20)), Search("lbfgs", steps=150)))
    assert np.abs(result.z).max() == 1  # some coordinates end at their bounds
    for row in range(6):
        reference = scipy.optimize.lsq_linear(
            np.linalg.cholesky(hessian).T, np.linalg.cholesky(hessian).T @ center[row], (-1, 1)
        )
        np.testing.assert_allclose(result.z[row], reference.x, atol=1e-5)


def test_lbfgs_goes_down_the_rosenbrock_valley():
    def value_and_grad(z):
        parts = [(scipy.optimize.rosen(x), scipy.optimize.rosen_der(x)) for x in z]
        return np.array([p[0] for p in parts]), np.array([p[1] for p in parts])

    z = np.array([[-0.9, 0.8, 0.3], [0.2, -0.7, 0.1]])
    losses = [step.loss for step in search(value_and_grad, z, Search("lbfgs", steps=80))]
    assert (losses[-1] < 1e-8).all()
    assert (np.diff(losses, axis=0) <= 0).all()


def test_lbfgs_takes_about_as_many_evaluations_as_scipys():
    network = Network(6, pixels=400)
    network.target += np.random.RandomState(2).laplace(0, 0.3, network.target.shape)
    losses = [s.loss for s in search(network.rows(range(6)), network.z, Search("lbfgs", steps=120))]
    for row in range(6):
        reference = scipy.optimize.minimize(
            network._one,
            network.z[row],
            (network.target[row],),
            "L-BFGS-B",
            jac=True,
            bounds=[(-1, 1)] * 12,
            options={"maxfun": 40},
        )
        assert losses[60][row] <= reference.fun * 1.002
        assert losses[-1][row] <= reference.fun * 1.0005


def test_a_preconditioner_that_is_the_inverse_hessian_makes_lbfgs_newtons_method():
    random = np.random.RandomState(1)
    scales = 10.0 ** random.uniform(-2, 2, (3, 30))  # which the unit matrix is far from
    center = random.uniform(-0.9, 0.9, (3, 30))
    z, options = np.zeros((3, 30)), Search("lbfgs", steps=4)
    preconditioner = np.eye(30) / scales[:, None] * [[[7.0]], [[1.0]], [[0.1]]]  # up to a factor
    with_it = last(search(quadratic(center, scales), z, options, None, preconditioner))
    np.testing.assert_allclose(with_it.z, center, atol=1e-6)
    assert np.abs(last(search(quadratic(center, scales), z, options)).z - center).max() > 0.1


@pytest.mark.parametrize("approach", APPROACHES)
@pytest.mark.parametrize("tolerance", [0, 0.01])
def test_an_image_alone_and_anywhere_among_sixty_is_the_same_bit_for_bit(approach, tolerance):
    network = Network(60)
    options = dataclasses.replace(APPROACHES[approach], tolerance=tolerance, patience=3)
    together = list(search(network.rows(range(60)), network.z, options))
    order = np.random.RandomState(3).permutation(60)
    shuffled = last(search(network.rows(order), network.z[order], options))
    np.testing.assert_array_equal(shuffled.z, together[-1].z[order])
    for row in (0, 7, 59):
        for one, many in zip(
            search(network.rows([row]), network.z[row : row + 1], options), together, strict=False
        ):
            np.testing.assert_array_equal(one.z[0], many.z[row])
            assert one.loss[0] == many.loss[row]


@pytest.mark.parametrize("approach", APPROACHES)
@pytest.mark.parametrize("clip", latent.CLIPS)
def test_equal_images_are_searched_equally_and_by_the_seed(approach, clip):
    if (approach, clip) == ("lbfgs", "stochastic"):
        pytest.skip("refused")
    network = Network(1)
    z = np.tile(network.z, (3, 1))
    options = dataclasses.replace(APPROACHES[approach], clip=clip, lr=0.3)
    rows = network.rows([0, 0, 0])
    result = last(search(rows, z, options, numbers=60)).z
    np.testing.assert_array_equal(result, np.tile(result[:1], (3, 1)))
    other = last(search(rows, z, dataclasses.replace(options, seed=1), numbers=60)).z
    random = approach == "hmc" or clip == "stochastic"
    assert (result == other).all() != random


@pytest.mark.parametrize("approach", APPROACHES)
def test_losses_belong_to_the_z_they_come_with(approach):
    network = Network(5)
    options = dataclasses.replace(APPROACHES[approach], tolerance=0.02, patience=3)
    for step in search(network.rows(range(5)), network.z, options):
        np.testing.assert_allclose(step.loss, network.rows(range(5))(step.z)[0], rtol=1e-12)
        assert step.z.dtype == np.float64 and np.abs(step.z).max() <= 1


@pytest.mark.parametrize("approach", ["adam", "momentum", "lbfgs"])
def test_a_settled_image_rests_at_its_best_while_others_go_on(approach):
    curvature = np.array([[1.0], [1.0], [30.0]])
    center = np.array([[0.0], [0.9], [0.4]]) * np.ones(4)
    z = np.zeros((3, 4))  # the first is at its minimum
    options = Search(approach, steps=400, lr=0.02, tolerance=1e-3, patience=5)
    steps = list(search(quadratic(center, curvature), z, options))
    assert steps[-1].step < 400  # ends when all have settled
    np.testing.assert_array_equal(steps[-1].z[0], 0)
    for row in range(3):
        assert steps[-1].loss[row] == min(step.loss[row] for step in steps)


@pytest.mark.parametrize("approach", ["adam", "momentum"])
def test_settling_takes_patience_and_a_tolerance(approach):
    still = lambda z: (np.ones(len(z)), np.zeros_like(z))  # noqa: E731
    options = Search(approach, steps=40, tolerance=1e-3, patience=5)
    assert last(search(still, np.zeros((2, 3)), options)).step == 5
    never = dataclasses.replace(options, tolerance=0)
    assert last(search(still, np.zeros((2, 3)), never)).step == 40


def test_evaluations_per_step():
    for approach, options in APPROACHES.items():
        network = Network(2)
        steps = len(list(search(network.rows(range(2)), network.z, options)))
        per_step = options.hmc_l if approach == "hmc" else 1
        assert network.evaluations == 1 + (steps - 1) * per_step


@pytest.mark.parametrize("approach", APPROACHES)
def test_no_steps_yield_the_start(approach):
    network = Network(2)
    steps = list(search(network.rows(range(2)), network.z, Search(approach, steps=0)))
    assert len(steps) == 1
    np.testing.assert_array_equal(steps[0].z, network.z)


def test_cosine_lowers_the_step_to_nothing():
    slope = lambda z: (z.sum(axis=1), np.ones_like(z))  # noqa: E731
    options = Search("momentum", steps=4, lr=0.1, momentum=0.0, schedule="cosine")
    z = np.array([step.z[0, 0] for step in search(slope, np.zeros((1, 1)), options)])
    np.testing.assert_allclose(
        -np.diff(z), [0.1, 0.0853553390593, 0.05, 0.0146446609407], atol=1e-12
    )


def test_stochastic_clipping_draws_anew_what_leaves_the_box_the_same_for_every_image():
    pull = lambda z: (-5 * z[:, :2].sum(axis=1), np.array([-5.0, -5.0, 0.0]) + 0 * z)  # noqa: E731
    options = Search("momentum", steps=1, lr=0.1, clip="stochastic")
    z = np.array([[0.5, 0.9, 0.2], [0.7, -0.9, 0.3]])
    moved = last(search(pull, z, options)).z
    np.testing.assert_allclose(moved[:, 2], [0.2, 0.3])
    assert np.abs(moved).max() <= 1 and moved[1, 1] == pytest.approx(-0.9 + 1.9 * 0.5)
    assert moved[0, 0] == moved[1, 0]  # redrawn in both
    assert len({moved[0, 0], moved[0, 1], 1.0}) == 3


@pytest.mark.parametrize("approach", ["adam", "momentum", "lbfgs"])
@pytest.mark.parametrize("remains", [0.0, 5.0])
def test_no_clipping_ends_where_loss_and_its_share_of_a_gaussian_prior_balance(approach, remains):
    def value_and_grad(z):
        loss, gradient = quadratic(2.0, 4.0)(z)
        return loss + remains, gradient

    options = Search(approach, steps=300, lr=0.05, schedule="cosine", clip="none", prior_weight=0.5)
    step = last(search(value_and_grad, np.zeros((2, 3)), options, numbers=np.full(2, 10.0)))

    def total(x):  # three coordinates, x each; the prior of variance 1/3
        return (6 * (x - 2) ** 2 + remains) * (1 + 0.5 * 4.5 * x**2 / 10)

    best = scipy.optimize.minimize_scalar(
        total, bounds=(1, 2.1), method="bounded", options={"xatol": 1e-9}
    )
    assert best.x == pytest.approx(2, abs=1e-4) if not remains else best.x < 1.9
    np.testing.assert_allclose(step.z, best.x, atol=2e-3)
    np.testing.assert_allclose(step.loss, best.fun, atol=1e-4)


def test_no_prior_where_a_loss_is_below_zero():
    below = lambda z: (quadratic(0.5, 2.0)(z)[0] - 9, quadratic(0.5, 2.0)(z)[1])  # noqa: E731
    step = last(search(below, np.zeros((2, 3)), Search("lbfgs", steps=50, clip="none")))
    np.testing.assert_allclose(step.z, 0.5, atol=1e-6)


def test_restarts_keep_the_best_of_each_image():
    def wells(z):  # minima near -.5 (deeper in row 0) and .5 (deeper in row 1)
        tilt = np.array([0.2, -0.2])
        x = z[:, 0]
        return 16 * (x**2 - 0.25) ** 2 + tilt * x, (64 * x * (x**2 - 0.25) + tilt)[:, None]

    options = Search(steps=60, lr=0.05)
    starts = [np.full((2, 1), 0.4), np.full((2, 1), -0.4)]
    steps = list(latent.search_restarts(wells, starts, options))
    assert [step.step for step in steps] == list(range(122))
    np.testing.assert_allclose(steps[60].z, 0.5, atol=0.03)
    np.testing.assert_allclose(steps[-1].z[:, 0], [-0.5, 0.5], atol=0.03)
    assert all((step.loss <= steps[60].loss).all() for step in steps[60:])


@pytest.mark.parametrize("approach", APPROACHES)
def test_a_loss_that_is_not_finite_is_named(approach):
    broken = lambda z: (np.array([1.0, np.nan]), np.zeros_like(z))  # noqa: E731
    with pytest.raises(ValueError, match="loss is nan at step 0, image 1"):
        last(search(broken, np.zeros((2, 3)), Search(approach, steps=2)))


def test_lbfgs_steps_back_from_what_is_not_finite():
    def value_and_grad(z):
        loss, gradient = quadratic(0.5, 1.0)(z)
        return np.where(z[:, 0] > 0.55, np.nan, loss), gradient

    result = last(search(value_and_grad, np.zeros((1, 2)), Search("lbfgs", steps=60)))
    np.testing.assert_allclose(result.z, 0.5, atol=1e-3)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"approach": "sgd"}, "approach is 'sgd'; choose from adam, momentum, lbfgs, hmc"),
        ({"schedule": "step"}, "schedule is 'step'; choose from constant, cosine"),
        ({"clip": "soft"}, "clip is 'soft'; choose from hard, stochastic, none"),
        ({"start": "zero"}, "start is 'zero'; choose from random, bank, ridge"),
        ({"steps": -1}, "steps is -1; it must be a whole number from 0"),
        ({"restarts": 0}, "restarts is 0; it must be a whole number from 1"),
        ({"lr": 0}, "lr is 0; it must be a number above 0"),
        ({"lr": float("nan")}, "lr is nan; it must be a number above 0"),
        ({"beta1": 1}, r"beta1 is 1; it must be in \[0, 1\)"),
        ({"tolerance": -1}, "tolerance is -1; it must be a number from 0"),
        ({"approach": "lbfgs", "clip": "stochastic"}, "choose clip hard or none"),
    ],
)
def test_bad_options_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Search(**values)
