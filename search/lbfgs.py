"""Projected L-BFGS for many images at once, each as if it were alone."""

from collections.abc import Callable, Iterator

import numpy as np

from search.steps import Settling, Step, check_finite, dot

Evaluate = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # z -> loss (N,), gradient

MEMORY = 10  # pairs of (step, change of gradient) kept per image
FIRST_LENGTH = 1.0  # of the first step, in units of z
DECREASE = 1e-4  # of what the slope promises, to accept a step (Armijo)
TRIALS = 8  # rejected lengths before the direction itself is given up


def lbfgs(
    evaluate: Evaluate,
    z: np.ndarray,
    steps: int,
    bound: float,
    settling: Settling,
    preconditioner: np.ndarray | None = None,
) -> Iterator[Step]:
    """Projected L-BFGS, every image with its own history and its own line search.

    Nocedal & Wright, Numerical Optimization, algorithm 7.4, on the coordinates that are not held
    at a bound, from a preconditioner instead of the unit matrix where there is one. Each
    evaluation serves all images: one that accepts its trial point takes a new direction, another
    tries a shorter step.

    bound: of every coordinate; inf where there is none. preconditioner: (N, Z, Z).
    """
    loss, gradient = evaluate(z)
    check_finite(loss, 0)
    history = _History(z.shape, preconditioner)
    free = _free(z, gradient, bound)
    direction, length = _direction(history, gradient, free)
    trials = np.zeros(len(z), int)
    stuck = np.zeros(len(z), bool)
    yield settling.hold(Step(0, z, loss))
    for iteration in range(1, steps + 1):
        trial = np.clip(z + length[:, None] * direction, -bound, bound)
        trial_loss, trial_gradient = evaluate(trial)
        promise = np.minimum(dot(gradient, trial - z), 0)
        resting = settling.settled | stuck
        accepted = (trial_loss <= loss + DECREASE * promise) & ~resting

        trials = np.where(accepted, 0, trials + 1)
        given_up = trials >= TRIALS
        stuck |= given_up & history.empty
        length = np.where(
            accepted, 1.0, _shorter(length, loss, trial_loss=trial_loss, promise=promise)
        )
        history.add(accepted, trial - z, trial_gradient - gradient)
        history.forget(given_up)
        trials = np.where(given_up, 0, trials)

        z = np.where(accepted[:, None], trial, z)
        loss = np.where(accepted, trial_loss, loss)
        gradient = np.where(accepted[:, None], trial_gradient, gradient)
        new_direction, new_length = _direction(history, gradient, _free(z, gradient, bound))
        turn = accepted | given_up
        direction = np.where(turn[:, None], new_direction, direction)
        length = np.where(turn, new_length, length)

        yield settling.hold(Step(iteration, z, loss))
        if (settling.settled | stuck).all():
            return


def _free(z: np.ndarray, gradient: np.ndarray, bound: float) -> np.ndarray:
    """Which coordinates (N, Z) are not pushed against the bound by the gradient."""
    return ~(((z <= -bound) & (gradient > 0)) | ((z >= bound) & (gradient < 0)))


def _direction(
    history: "_History", gradient: np.ndarray, free: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Direction (N, Z) of descent over the free coordinates and the first length (N,) to try."""
    gradient = np.where(free, gradient, 0)
    direction = -np.where(free, history.inverse_hessian_times(gradient), 0)
    norm = np.sqrt(dot(direction, direction))
    steepest = FIRST_LENGTH / np.maximum(norm, np.finfo(float).tiny)
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
        self.steps = np.zeros((MEMORY, *shape))
        self.changes = np.zeros((MEMORY, *shape))
        self.curvature = np.zeros((MEMORY, shape[0]))  # s.y; 0 marks an empty place

    @property
    def empty(self) -> np.ndarray:
        """Which images (N,) have no pair."""
        return self.curvature[-1] == 0

    def add(self, rows: np.ndarray, step: np.ndarray, change: np.ndarray) -> None:
        """Keep the pair of the given rows (N,) whose curvature is clearly positive."""
        curvature = dot(step, change)
        floor = 1e-8 * np.sqrt(dot(step, step) * dot(change, change))
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
            weights.append(rho * dot(step, result))
            result = result - weights[-1][:, None] * change
        change = self.changes[-1]
        energy = np.maximum(dot(change, self._precondition(change)), np.finfo(float).tiny)
        scale = np.where(self.empty, 1.0, self.curvature[-1] / energy)
        result = scale[:, None] * self._precondition(result)
        for step, change, rho in zip(self.steps, self.changes, inverse, strict=True):
            weight = weights.pop() - rho * dot(change, result)
            result = result + weight[:, None] * step
        return result

    def _precondition(self, vector: np.ndarray) -> np.ndarray:
        if self.preconditioner is None:
            return vector
        return (self.preconditioner * vector[:, None]).sum(axis=2)  # row by row, as in _dot
