"""Search over z; starts.py says where from.

A search minimises losses it knows nothing of, through one callable:
value_and_grad: z (N, Z) -> (loss (N,), gradient (N, Z)), where row n of the gradient belongs to
loss n alone. Every image stands alone: state is kept in arrays of one row per image, each row
computed by elementwise operations and sums along itself, and what is random depends on the seed
and the iteration, never on the row. So companions and position change nothing, bit for bit, where
they change nothing in value_and_grad. Neither networks nor files are known here.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from search import starts

ValueAndGrad = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

APPROACHES = ("adam", "momentum", "lbfgs", "hmc")
SCHEDULES = ("constant", "cosine")
CLIPS = ("hard", "stochastic", "none")

Z_VARIANCE = 1 / 3  # of a coordinate drawn uniformly from [-1, 1], as in training


@dataclass(frozen=True)
class Search:
    """How to search; the defaults are the original program's. Raises ValueError for a bad value.

    steps: updates (adam, momentum), evaluations after the first (lbfgs), transitions (hmc).
    lr, schedule: step size of adam and momentum, held or lowered to 0 along half a cosine.
    clip: what happens to coordinates that leave [-1, 1]: hard moves them to the nearest bound,
        stochastic draws them anew from [-1, 1] (Lipton & Tripathi, arXiv 1702.04782), none lets
        them go and adds prior_weight times the negative log density of the Gaussian that has z's
        variance, |z|^2 / (2/3), to the loss.
    tolerance, patience: an image has settled, and rests at its best z, once its loss has fallen
        by less than tolerance times itself in patience steps; 0 never stops. Not used by hmc,
        which does not minimise but sample.
    start, restarts: where from and how often, see starts.py and search_restarts.
    """

    approach: str = "adam"
    steps: int = 1000
    lr: float = 0.01
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    momentum: float = 0.9
    schedule: str = "constant"
    clip: str = "hard"
    prior_weight: float = 1.0
    hmc_beta: float = 0.2
    hmc_eps: float = 0.001
    hmc_l: int = 100
    hmc_anneal: float = 1.0
    start: str = "random"
    restarts: int = 1
    tolerance: float = 0.0
    patience: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in (
            ("approach", APPROACHES),
            ("schedule", SCHEDULES),
            ("clip", CLIPS),
            ("start", starts.KINDS),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; choose from {', '.join(choices)}"
                )
        for names, test, range_ in (
            (("steps", "seed"), lambda x: int(x) == x >= 0, "a whole number from 0"),
            (
                ("hmc_l", "restarts", "patience"),
                lambda x: int(x) == x >= 1,
                "a whole number from 1",
            ),
            (
                ("lr", "eps", "hmc_beta", "hmc_eps", "hmc_anneal"),
                lambda x: 0 < x < np.inf,
                "a number above 0",
            ),
            (("beta1", "beta2", "momentum"), lambda x: 0 <= x < 1, "in [0, 1)"),
            (("prior_weight", "tolerance"), lambda x: 0 <= x < np.inf, "a number from 0"),
        ):
            for name in names:
                if not test(getattr(self, name)):
                    raise ValueError(f"{name} is {getattr(self, name)}; it must be {range_}")
        if (self.approach, self.clip) == ("lbfgs", "stochastic"):
            raise ValueError(
                "clip is 'stochastic' with approach lbfgs, whose line search needs a "
                "loss that does not jump; choose clip hard or none"
            )


class Step(NamedTuple):
    """One moment of a search: loss (N,) is that at z (N, Z), float64."""

    step: int
    z: np.ndarray
    loss: np.ndarray


class Draws:
    """The random numbers of a search: by seed, restart and iteration, the same for every image."""

    def __init__(self, seed: int, restart: int = 0) -> None:
        self.key = (seed, restart)

    def _generator(self, purpose: int, iteration: int) -> np.random.Generator:
        return np.random.default_rng((*self.key, purpose, iteration))

    def redrawn(self, iteration: int, shape: tuple[int, int]) -> np.ndarray:
        """What replaces clipped coordinates: uniform in [-1, 1], one row, for shape (N, Z)."""
        return np.broadcast_to(self._generator(0, iteration).uniform(-1, 1, shape[1]), shape)

    def velocity(self, iteration: int, shape: tuple[int, int]) -> np.ndarray:
        """The velocity at the start of a transition: standard normal, one row, for (N, Z)."""
        return np.broadcast_to(self._generator(1, iteration).standard_normal(shape[1]), shape)

    def acceptance(self, iteration: int, needed: np.ndarray) -> np.ndarray:
        """Uniform in [0, 1) (N,), compared with the acceptance ratio where needed (N,)."""
        return np.full(needed.shape, self._generator(2, iteration).uniform())


def search(
    value_and_grad: ValueAndGrad,
    z: np.ndarray,
    options: Search,
    draws: Draws | None = None,
    preconditioner: np.ndarray | None = None,
) -> Iterator[Step]:
    """Minimise (hmc: sample) each image's loss from z (N, Z); yields Step 0, the start, and on.

    Adam and momentum evaluate once per step and once more at the last z, whose loss nobody would
    know otherwise; lbfgs once per step and yields the best z so far; hmc hmc_l times. With a
    tolerance it ends early once all images have settled. draws replaces the random numbers;
    preconditioner (N, Z, Z), inverse Hessians up to a factor, is what lbfgs takes the losses' to be
    before it has seen any of their curvature; other approaches do not use it.
    z is not changed. Raises ValueError where a loss is not finite, with the step and the row.
    """
    draws = draws or Draws(options.seed)

    def evaluate(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        loss, gradient = (np.asarray(part, np.float64) for part in value_and_grad(z))
        if options.clip == "none":
            weight = options.prior_weight / Z_VARIANCE
            loss, gradient = loss + weight / 2 * _dot(z, z), gradient + weight * z
        return loss, gradient

    def clip(z: np.ndarray, iteration: int) -> np.ndarray:
        if options.clip == "hard":
            return np.clip(z, -1, 1)
        if options.clip == "stochastic":
            return np.where(np.abs(z) > 1, draws.redrawn(iteration, z.shape), z)
        return z

    z = clip(np.array(z, np.float64), 0)
    if options.approach == "hmc":
        return _hmc(evaluate, z, options, clip, draws)
    if options.approach == "lbfgs":
        return _lbfgs(evaluate, z, options, clip, preconditioner)
    change = _adam(options) if options.approach == "adam" else _momentum(options)
    return _descend(evaluate, z, options, clip, change)


def search_restarts(
    value_and_grad: ValueAndGrad,
    starting_points: Sequence[np.ndarray],
    options: Search,
    preconditioner: np.ndarray | None = None,
) -> Iterator[Step]:
    """One search after another from starting_points, each (N, Z); each image keeps its best result.

    Step.step counts on through all of them. From the second search on, a row shows the present z
    where that is better than the best result so far, which is what it shows otherwise.
    """
    best, count = None, 0
    for restart, z in enumerate(starting_points):
        draws = Draws(options.seed, restart)
        for step in search(value_and_grad, z, options, draws, preconditioner):
            shown = step if best is None else _better(step, best)
            yield shown._replace(step=count)
            count += 1
        best = shown


def _better(a: Step, b: Step) -> Step:
    first = a.loss < b.loss
    return Step(a.step, np.where(first[:, None], a.z, b.z), np.where(first, a.loss, b.loss))


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Row by row; a matrix product would round differently for different numbers of rows."""
    return (a * b).sum(axis=1)


def _check_finite(loss: np.ndarray, step: int) -> None:
    bad = np.flatnonzero(~np.isfinite(loss))
    if bad.size:
        raise ValueError(f"completion loss is {loss[bad[0]]} at step {step}, image {bad[0]}")


class _Settling:
    """Which images have settled; holds those at the best z they have seen."""

    def __init__(self, options: Search, z: np.ndarray) -> None:
        self.tolerance, self.patience = options.tolerance, options.patience
        self.settled = np.zeros(len(z), bool)
        self.waited = np.zeros(len(z), int)
        self.reference = None  # the loss that has to be undercut

    def hold(self, step: Step) -> Step:
        """The step, with settled images at their best z; a step 0 is what others compare with."""
        if not self.tolerance:
            return step
        if self.reference is None:
            self.best, self.reference = step, step.loss
            return step
        going = step._replace(loss=np.where(self.settled, np.inf, step.loss))
        self.best = _better(going, self.best)
        fallen = step.loss < self.reference - self.tolerance * np.abs(self.reference)
        self.reference = np.where(fallen, step.loss, self.reference)
        self.waited = np.where(fallen, 0, self.waited + 1)
        self.settled |= self.waited >= self.patience
        return Step(
            step.step,
            np.where(self.settled[:, None], self.best.z, step.z),
            np.where(self.settled, self.best.loss, step.loss),
        )


def _descend(evaluate, z, options, clip, change) -> Iterator[Step]:
    """z += change(gradient, iteration), clipped, until settled or out of steps."""
    settling = _Settling(options, z)
    for iteration in range(options.steps + 1):
        loss, gradient = evaluate(z)
        _check_finite(loss, iteration)
        step = settling.hold(Step(iteration, z, loss))
        yield step
        if settling.settled.all():
            return
        moved = clip(step.z + change(gradient, iteration), iteration + 1)
        z = np.where(settling.settled[:, None], step.z, moved)


def _learning_rate(options: Search, iteration: int) -> float:
    if options.schedule == "constant":
        return options.lr
    return options.lr * (1 + np.cos(np.pi * iteration / max(options.steps, 1))) / 2


def _adam(options: Search) -> Callable[[np.ndarray, int], np.ndarray]:
    """Kingma & Ba, arXiv 1412.6980, algorithm 1."""
    mean, square = 0.0, 0.0

    def change(gradient: np.ndarray, iteration: int) -> np.ndarray:
        nonlocal mean, square
        mean = options.beta1 * mean + (1 - options.beta1) * gradient
        square = options.beta2 * square + (1 - options.beta2) * gradient**2
        mean_hat = mean / (1 - options.beta1 ** (iteration + 1))
        square_hat = square / (1 - options.beta2 ** (iteration + 1))
        return -_learning_rate(options, iteration) * mean_hat / (np.sqrt(square_hat) + options.eps)

    return change


def _momentum(options: Search) -> Callable[[np.ndarray, int], np.ndarray]:
    """Nesterov's momentum, as the blog post's projected gradient writes it."""
    velocity = 0.0

    def change(gradient: np.ndarray, iteration: int) -> np.ndarray:
        nonlocal velocity
        previous = velocity
        velocity = options.momentum * previous - _learning_rate(options, iteration) * gradient
        return -options.momentum * previous + (1 + options.momentum) * velocity

    return change


def _hmc(evaluate, z, options, clip, draws) -> Iterator[Step]:
    """Hamiltonian Monte Carlo on exp(-hmc_beta * loss), hmc_beta times hmc_anneal per transition.

    Neal, arXiv 1206.1901, figure 2, with every leapfrog's z clipped as the original does.
    """
    loss, gradient = evaluate(z)
    _check_finite(loss, 0)
    yield Step(0, z, loss)
    beta = options.hmc_beta
    for iteration in range(options.steps):
        start_velocity = velocity = draws.velocity(iteration, z.shape)
        new_z, new_loss, new_gradient = z, loss, gradient
        for leapfrog in range(options.hmc_l):
            velocity = velocity - options.hmc_eps / 2 * beta * new_gradient
            new_z = clip(
                new_z + options.hmc_eps * velocity, 1 + iteration * options.hmc_l + leapfrog
            )
            new_loss, new_gradient = evaluate(new_z)
            velocity = velocity - options.hmc_eps / 2 * beta * new_gradient
        log_ratio = (
            beta * (loss - new_loss)
            + (_dot(start_velocity, start_velocity) - _dot(velocity, velocity)) / 2
        )
        # exp of a negative number cannot overflow; a NaN compares false, which rejects.
        ratio = np.exp(np.minimum(log_ratio, 0))
        accepted = draws.acceptance(iteration, log_ratio < 0) <= ratio
        z = np.where(accepted[:, None], new_z, z)
        gradient = np.where(accepted[:, None], new_gradient, gradient)
        loss = np.where(accepted, new_loss, loss)
        beta *= options.hmc_anneal
        yield Step(iteration + 1, z, loss)


LBFGS_MEMORY = 10  # pairs of (step, change of gradient) kept per image
LBFGS_FIRST_LENGTH = 1.0  # of the first step, in units of z
LBFGS_DECREASE = 1e-4  # of what the slope promises, to accept a step (Armijo)
LBFGS_TRIALS = 8  # rejected lengths before the direction itself is given up


def _lbfgs(evaluate, z, options, clip, preconditioner) -> Iterator[Step]:
    """Projected L-BFGS, every image with its own history and its own line search.

    Nocedal & Wright, Numerical Optimization, algorithm 7.4, on the coordinates that are not held
    at a bound, from a preconditioner instead of the unit matrix where there is one. Each
    evaluation serves all images: one that accepts its trial point takes a new direction, another
    tries a shorter step.
    """
    loss, gradient = evaluate(z)
    _check_finite(loss, 0)
    settling = _Settling(options, z)
    history = _History(z.shape, preconditioner)
    free = _free(z, gradient, options)
    direction, length = _direction(history, gradient, free)
    trials = np.zeros(len(z), int)
    stuck = np.zeros(len(z), bool)
    yield settling.hold(Step(0, z, loss))
    for iteration in range(1, options.steps + 1):
        trial = clip(z + length[:, None] * direction, iteration)
        trial_loss, trial_gradient = evaluate(trial)
        promise = np.minimum(_dot(gradient, trial - z), 0)
        resting = settling.settled | stuck
        accepted = (trial_loss <= loss + LBFGS_DECREASE * promise) & ~resting

        trials = np.where(accepted, 0, trials + 1)
        given_up = trials >= LBFGS_TRIALS
        stuck |= given_up & history.empty
        length = np.where(accepted, 1.0, _shorter(length, loss, trial_loss, promise))
        history.add(accepted, trial - z, trial_gradient - gradient)
        history.forget(given_up)
        trials = np.where(given_up, 0, trials)

        z = np.where(accepted[:, None], trial, z)
        loss = np.where(accepted, trial_loss, loss)
        gradient = np.where(accepted[:, None], trial_gradient, gradient)
        new_direction, new_length = _direction(history, gradient, _free(z, gradient, options))
        turn = accepted | given_up
        direction = np.where(turn[:, None], new_direction, direction)
        length = np.where(turn, new_length, length)

        yield settling.hold(Step(iteration, z, loss))
        if (settling.settled | stuck).all():
            return


def _free(z: np.ndarray, gradient: np.ndarray, options: Search) -> np.ndarray:
    """Which coordinates (N, Z) are not pushed against a bound by the gradient."""
    if options.clip != "hard":
        return np.ones(z.shape, bool)
    return ~(((z <= -1) & (gradient > 0)) | ((z >= 1) & (gradient < 0)))


def _direction(
    history: "_History", gradient: np.ndarray, free: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Direction (N, Z) of descent over the free coordinates and the first length (N,) to try."""
    gradient = np.where(free, gradient, 0)
    direction = -np.where(free, history.inverse_hessian_times(gradient), 0)
    norm = np.sqrt(_dot(direction, direction))
    steepest = LBFGS_FIRST_LENGTH / np.maximum(norm, np.finfo(float).tiny)
    return direction, np.where(history.empty, steepest, 1.0)


def _shorter(length, loss, trial_loss, promise) -> np.ndarray:
    """The length at the minimum of the parabola through both losses and the slope, in bounds."""
    excess = np.where(np.isfinite(trial_loss), trial_loss - loss - promise, np.inf)
    factor = -promise / np.maximum(np.maximum(2 * excess, -promise), np.finfo(float).tiny)
    return length * np.clip(factor, 0.1, 0.5)


class _History:
    """The last pairs of step s and change of gradient y of every image, newest last."""

    def __init__(self, shape: tuple[int, int], preconditioner: np.ndarray | None) -> None:
        self.preconditioner = preconditioner  # (N, Z, Z); None for the unit matrix
        self.steps = np.zeros((LBFGS_MEMORY, *shape))
        self.changes = np.zeros((LBFGS_MEMORY, *shape))
        self.curvature = np.zeros((LBFGS_MEMORY, shape[0]))  # s.y; 0 marks an empty place

    @property
    def empty(self) -> np.ndarray:
        """Which images (N,) have no pair."""
        return self.curvature[-1] == 0

    def add(self, rows: np.ndarray, step: np.ndarray, change: np.ndarray) -> None:
        """Keep the pair of the given rows (N,) whose curvature is clearly positive."""
        curvature = _dot(step, change)
        floor = 1e-8 * np.sqrt(_dot(step, step) * _dot(change, change))
        rows = rows & (curvature > floor)
        for kept, new in ((self.steps, step), (self.changes, change), (self.curvature, curvature)):
            kept[:, rows] = np.concatenate([kept[1:, rows], new[None, rows]])

    def forget(self, rows: np.ndarray) -> None:
        """Empty the given rows (N,)."""
        self.curvature[:, rows] = 0

    def inverse_hessian_times(self, vector: np.ndarray) -> np.ndarray:
        """(N, Z): the two-loop recursion; only preconditioned where there is no pair."""
        inverse = np.divide(
            1, self.curvature, out=np.zeros_like(self.curvature), where=self.curvature > 0
        )
        result, weights = vector, []
        for step, change, rho in zip(
            self.steps[::-1], self.changes[::-1], inverse[::-1], strict=True
        ):
            weights.append(rho * _dot(step, result))
            result = result - weights[-1][:, None] * change
        change = self.changes[-1]
        energy = np.maximum(_dot(change, self._precondition(change)), np.finfo(float).tiny)
        scale = np.where(self.empty, 1.0, self.curvature[-1] / energy)
        result = scale[:, None] * self._precondition(result)
        for step, change, rho in zip(self.steps, self.changes, inverse, strict=True):
            weight = weights.pop() - rho * _dot(change, result)
            result = result + weight[:, None] * step
        return result

    def _precondition(self, vector: np.ndarray) -> np.ndarray:
        if self.preconditioner is None:
            return vector
        return (self.preconditioner * vector[:, None]).sum(axis=2)  # row by row, as in _dot
