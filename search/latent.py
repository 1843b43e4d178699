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

import numpy as np

from search import starts
from search.lbfgs import lbfgs
from search.space import Cube, Space
from search.steps import Settling, Step, better, check_finite, dot

ValueAndGrad = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

APPROACHES = ("adam", "momentum", "lbfgs", "hmc")
SCHEDULES = ("constant", "cosine")
CLIPS = ("hard", "stochastic", "none")


@dataclass(frozen=True)
class Search:
    """How to search; the defaults are the original program's. Raises ValueError for a bad value.

    steps: updates (adam, momentum), evaluations after the first (lbfgs), transitions (hmc).
    lr, schedule: step size of adam and momentum, held or lowered to 0 along half a cosine.
    clip: what happens to coordinates that leave the space's bounds, for a DCGAN [-1, 1]: hard moves
        them to the nearest bound, stochastic draws them anew (Lipton & Tripathi, arXiv 1702.04782),
        none lets them go and adds the space's prior to the loss, times prior_weight and times the
        loss that is left per number it sums: what can agree exactly is hardly held back.
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


class Draws:
    """The random numbers of a search: by seed, restart and iteration, the same for every image."""

    def __init__(self, seed: int, restart: int = 0) -> None:
        self.key = (seed, restart)

    def _generator(self, purpose: int, iteration: int) -> np.random.Generator:
        return np.random.default_rng((*self.key, purpose, iteration))

    def redrawn(self, iteration: int, space: Space, count: int) -> np.ndarray:
        """What replaces clipped coordinates: a latent of the space, one row, `count` times."""
        return space.draw(self._generator(0, iteration), 1).repeat(count, axis=0)

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
    space: Space | None = None,
    numbers: np.ndarray | float = 1.0,
) -> Iterator[Step]:
    """Minimise (hmc: sample) each image's loss from z (N, Z); yields Step 0, the start, and on.

    Adam and momentum evaluate once per step and once more at the last z, whose loss nobody would
    know otherwise; lbfgs once per step and yields the best z so far; hmc hmc_l times. With a
    tolerance it ends early once all images have settled. draws replaces the random numbers;
    preconditioner (N, Z, Z), inverse Hessians up to a factor, is what lbfgs takes the losses' to be
    before it has seen any of their curvature; other approaches do not use it. space: where the
    latents live; default the cube of a DCGAN. numbers (N,): how many each loss sums,
    which the prior's weight goes by. z is not changed. Raises ValueError where a loss is not
    finite, with the step and the row.
    """
    draws, space = draws or Draws(options.seed), space or Cube(z.shape[1])

    def evaluate(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        loss, gradient = (np.asarray(part, np.float64) for part in value_and_grad(z))
        if options.clip == "none":
            # Where errors are Laplace's, of a scale that nobody knows, the likeliest scale is
            # loss / numbers, and the likeliest z that of the least log(loss) + energy / numbers: to
            # first order, of the least of what follows.
            energy, slope = space.prior(z, options.prior_weight)
            scale = np.maximum(loss, 0) / numbers
            growth = 1 + (loss > 0) * energy / numbers
            gradient = growth[:, None] * gradient + scale[:, None] * slope
            loss = loss + scale * energy
        return loss, gradient

    def clip(z: np.ndarray, iteration: int) -> np.ndarray:
        if options.clip == "hard":
            return np.clip(z, -space.bound, space.bound)
        if options.clip == "stochastic":
            return np.where(np.abs(z) > space.bound, draws.redrawn(iteration, space, len(z)), z)
        return z

    z = clip(np.array(z, np.float64), 0)
    settling = Settling(len(z), options.tolerance, options.patience)
    if options.approach == "hmc":
        return _hmc(evaluate, z, options, clip=clip, draws=draws)
    if options.approach == "lbfgs":
        return lbfgs(
            evaluate,
            z,
            steps=options.steps,
            bound=space.bound if options.clip == "hard" else np.inf,
            settling=settling,
            preconditioner=preconditioner,
        )
    change = _adam(options) if options.approach == "adam" else _momentum(options)
    return _descend(evaluate, z, options.steps, clip=clip, change=change, settling=settling)


def search_restarts(
    value_and_grad: ValueAndGrad,
    starting_points: Sequence[np.ndarray],
    options: Search,
    preconditioner: np.ndarray | None = None,
    space: Space | None = None,
    numbers: np.ndarray | float = 1.0,
    first: int = 0,
) -> Iterator[Step]:
    """One search after another from starting_points, each (N, Z); each image keeps its best result.

    first: the number of the first, which with the seed decides its draws: other numbers, other
    draws. Step.step counts on through all of them. From the second search on, a row shows the
    present z where that is better than the best result so far, which is what it shows otherwise.
    """
    best, count = None, 0
    for restart, z in enumerate(starting_points, first):
        steps = search(
            value_and_grad,
            z,
            options,
            draws=Draws(options.seed, restart),
            preconditioner=preconditioner,
            space=space,
            numbers=numbers,
        )
        for step in steps:
            shown = step if best is None else better(step, best)
            yield shown._replace(step=count)
            count += 1
        best = shown


def _descend(evaluate, z, steps, clip, change, settling) -> Iterator[Step]:
    """z += change(gradient, iteration), clipped, until settled or out of steps."""
    for iteration in range(steps + 1):
        loss, gradient = evaluate(z)
        check_finite(loss, iteration)
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
    check_finite(loss, 0)
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
            + (dot(start_velocity, start_velocity) - dot(velocity, velocity)) / 2
        )
        # exp of a negative number cannot overflow; a NaN compares false, which rejects.
        ratio = np.exp(np.minimum(log_ratio, 0))
        accepted = draws.acceptance(iteration, log_ratio < 0) <= ratio
        z = np.where(accepted[:, None], new_z, z)
        gradient = np.where(accepted[:, None], new_gradient, gradient)
        loss = np.where(accepted, new_loss, loss)
        beta *= options.hmc_anneal
        yield Step(iteration + 1, z, loss)
