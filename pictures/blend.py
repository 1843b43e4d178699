"""Fill the hole of a picture from a generated one: plain paste, feathered seam, Poisson blending.

Known pixels leave every method exactly as they came, and what the original holds under the hole is
never read: noise or NaN there changes nothing. OpenCV's seamlessClone keeps neither promise: it
shrinks the mask by three pixels, so its boundary values come from inside the hole.

Both soft methods add a correction to the generated picture inside the hole. It starts from the
mismatch `original - generated` at the known pixels around it, and spreads inwards in two ways.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

METHODS = ("none", "feather", "poisson")

DIRECT_UNKNOWNS = 400  # above this an inverse costs more than a few multigrid cycles
CUT = 2**10  # pixels: whole blocks at every level of multigrid that a picture of any size has
DAMPING = 0.8  # of Jacobi's method
COARSE = 1.6  # times the correction found on blocks, which make a smooth field too stiff
ACCURACY = 1e-4  # of the correction; one step of an 8-bit picture is 8e-3
MAXIMUM_STEPS = 500  # measured: 12 suffice, whatever the hole

Solve = Callable[[np.ndarray], np.ndarray]  # (unknowns, C) -> (unknowns, C), float64


def blend(original: np.ndarray, generated: np.ndarray, mask: np.ndarray, method: str) -> np.ndarray:
    """The original with its hole filled from the generated picture: float32 (H, W, C).

    original, generated: float (H, W, C) in [-1, 1]; mask: (H, W, 1), 1 = known, 0 = hole.
    Known pixels are returned unchanged, filled ones clipped to [-1, 1]. Without any known pixel
    there is no boundary to meet, and the result is the generated picture.
    """
    if method not in METHODS:
        raise ValueError(f"unknown blending method {method!r}; choose from {', '.join(METHODS)}")
    if original.ndim != 3 or original.shape != generated.shape:
        raise ValueError(f"cannot blend pictures of shapes {original.shape} and {generated.shape}")
    if mask.shape != (*original.shape[:2], 1) or not np.isin(mask, (0, 1)).all():
        raise ValueError(
            f"mask of shape {mask.shape} for a picture of shape {original.shape}: "
            "it must be (H, W, 1) and hold only 0 and 1"
        )
    hole = mask[:, :, 0] == 0  # (H, W)
    result = np.where(hole[:, :, None], generated, original).astype(np.float32)
    if not (np.isfinite(result).all() and np.isfinite(generated).all()):
        raise ValueError("cannot blend: a known pixel or the generated picture is not finite")
    if method != "none" and hole.any() and not hole.all():
        mismatch = np.where(hole[:, :, None], 0.0, original - generated)
        correction = membrane(mismatch, hole) if method == "poisson" else fade(mismatch, hole)
        result[hole] += correction
    result[hole] = np.clip(result[hole], -1, 1)
    return result


def fade(mismatch: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The mismatch of the known pixels nearby, fading to nothing with distance: (unknowns, C).

    Known pixels count by distance^-3 (Shepard 1968), which leaves no streaks, as the nearest alone
    would. The fade is a raised cosine that ends where the hole is deepest.
    mismatch: (H, W, C), zero in the hole; hole: bool (H, W), neither empty nor everything.
    """
    distance = cv2.distanceTransform(np.uint8(hole), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    deepest = int(np.ceil(distance.max()))  # this far, each hole pixel finds a known one
    down, across = (min(deepest, length - 1) for length in hole.shape)
    rows, columns = (np.flatnonzero(hole.any(axis=axis)) for axis in (1, 0))
    top, left = max(rows[0] - down, 0), max(columns[0] - across, 0)
    near = np.s_[top : rows[-1] + down + 1, left : columns[-1] + across + 1]
    hole, distance = hole[near], distance[near]
    squares = np.arange(-down, down + 1)[:, None] ** 2 + np.arange(-across, across + 1) ** 2
    known = np.dstack([~hole, mismatch[near]]).astype(float)
    sums = _convolved(known, np.maximum(squares, 1) ** -1.5)[hole]
    depth = (distance[hole] - 1) / distance.max()  # 0 beside a known pixel
    return sums[:, 1:] / sums[:, :1] * (0.5 + 0.5 * np.cos(np.pi * depth))[:, None]


def _convolved(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """(H, W, C) with a kernel of odd sides: the part of the values' size, by Fourier transforms."""
    whole = [n + m - 1 for n, m in zip(values.shape, kernel.shape, strict=False)]
    shape = [cv2.getOptimalDFTSize(side) for side in whole]
    spectrum = np.fft.rfft2(kernel, shape)[..., None]
    made = np.fft.irfft2(np.fft.rfft2(values, shape, (0, 1)) * spectrum, shape, (0, 1))
    top, left = (side // 2 for side in kernel.shape)
    return made[top : top + values.shape[0], left : left + values.shape[1]]


def membrane(mismatch: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The smoothest field over the hole that meets the mismatch around it: (unknowns, C).

    Perez, Gangnet and Blake 2003, "Poisson Image Editing": the picture that meets the known pixels
    with the gradient closest to the generated one's is generated + membrane, where the membrane
    solves the Laplace equation with the mismatch as boundary values (their equation 5). That is the
    same solution as solving for the picture, but the unknown is smooth, and few steps reach it.
    Each hole pixel becomes the mean of its 4-neighbours; those beyond the picture do not exist, so
    nothing is imposed where the hole touches its border (Neumann).

    mismatch: (H, W, C), zero in the hole; hole: bool (H, W), neither empty nor everything.
    """
    return solve_membrane(neighbour_sums(np.pad(mismatch, ((1, 1), (1, 1), (0, 0))))[hole], hole)


def neighbour_sums(values: np.ndarray) -> np.ndarray:
    """(H + 2, W + 2, C) to the sums of each inner pixel's 4 neighbours, (H, W, C)."""
    return values[:-2, 1:-1] + values[2:, 1:-1] + values[1:-1, :-2] + values[1:-1, 2:]


def solve_membrane(boundary: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The membrane, (unknowns, C), from the sums of the mismatch beside each pixel of the hole.

    Works on the box around the hole, cut so that the blocks of multigrid lie as in the whole.
    """
    rows, columns = (np.flatnonzero(hole.any(axis=axis)) for axis in (1, 0))
    top, left = (max(first - 1, 0) // CUT * CUT for first in (rows[0], columns[0]))
    hole = hole[top : rows[-1] + 2, left : columns[-1] + 2]
    matrix = laplacian(hole)
    return conjugate_gradients(matrix, boundary, multigrid(matrix, *np.nonzero(hole)))


@dataclass(frozen=True)
class Grid:
    """A symmetric matrix over pixels of a grid, or over blocks of them, which only neighbours link.

    diagonal: (N, 1); for each of four directions neighbours: (4, N), the number of the one there,
    and links: (4, N, 1), minus the matrix's value for the pair, 0 where there is none.
    """

    diagonal: np.ndarray
    neighbours: np.ndarray
    links: np.ndarray

    def __matmul__(self, x: np.ndarray) -> np.ndarray:
        result = self.diagonal * x
        for neighbours, links in zip(self.neighbours, self.links, strict=True):
            result -= links * np.take(x, neighbours, axis=0)
        return result

    def inverse(self) -> np.ndarray:
        """(N, N)."""
        matrix = np.diag(self.diagonal[:, 0])
        rows = np.arange(len(matrix))
        for neighbours, links in zip(self.neighbours, self.links[..., 0], strict=True):
            np.subtract.at(matrix, (rows, neighbours), links)
        return cv2.invert(matrix, flags=cv2.DECOMP_CHOLESKY)[1]  # NumPy's waits for busy cores

    def of_blocks(self, block: np.ndarray) -> "Grid":
        """The matrix that is left where all pixels of a block have one value (Galerkin's), given
        the number of each one's block, (N,)."""
        size = block.max() + 1
        diagonal = np.bincount(block, self.diagonal[:, 0], size)
        neighbours = np.zeros((4, size), np.intp)
        links = np.zeros((4, size, 1))
        for k, (there, link) in enumerate(zip(self.neighbours, self.links[..., 0], strict=True)):
            across = (block[there] != block) & (link > 0)
            diagonal -= np.bincount(block, np.where(across, 0, link), size)
            links[k, :, 0] = np.bincount(block, np.where(across, link, 0), size)
            neighbours[k, block[across]] = block[there[across]]
        return Grid(diagonal[:, None], neighbours, links)


def laplacian(hole: np.ndarray) -> Grid:
    """Laplacian of the 4-connected pixel grid: the rows and columns of the hole's pixels alone."""
    inside = np.pad(hole, 1)
    number = np.zeros(inside.shape, np.intp)
    number[inside] = np.arange(hole.sum())
    exists = np.pad(np.ones(hole.shape), 1)[..., None]
    steps = ((0, 1), (0, -1), (1, 0), (-1, 0))
    neighbours = np.stack([np.roll(number, step, (0, 1))[inside] for step in steps])
    links = np.stack([np.roll(inside, step, (0, 1))[inside] for step in steps])
    return Grid(neighbour_sums(exists)[hole], neighbours, links[..., None].astype(float))


def multigrid(
    matrix: Grid, rows: np.ndarray, columns: np.ndarray, direct_unknowns: int = DIRECT_UNKNOWNS
) -> Solve:
    """An approximate inverse of a positive definite matrix over the pixels at (rows, columns).

    One V-cycle of aggregation over blocks of 2x2 pixels, whose correction is enlarged (Braess 1995,
    "Towards algebraic multigrid for elliptic problems of second order"), with one damped Jacobi
    sweep before and after; exact where the unknowns are few. Time and memory are linear in the
    unknowns: blending a hole of 250,000 pixels takes 1 s on a CPU.
    """
    if len(rows) <= direct_unknowns:
        inverse = matrix.inverse()
        return lambda residual: inverse @ residual
    rows, columns = rows // 2, columns // 2
    blocks, block = np.unique(rows * (columns.max() + 1) + columns, return_inverse=True)
    rows, columns = np.divmod(blocks, columns.max() + 1)
    coarse = multigrid(matrix.of_blocks(block), rows, columns, direct_unknowns)
    damping = DAMPING / matrix.diagonal

    def v_cycle(residual: np.ndarray) -> np.ndarray:
        x = damping * residual
        rest = residual - matrix @ x
        sums = [np.bincount(block, channel, len(blocks)) for channel in rest.T]
        x += COARSE * coarse(np.stack(sums, axis=1))[block]
        return x + damping * (residual - matrix @ x)

    return v_cycle


def conjugate_gradients(
    matrix: Grid, right: np.ndarray, precondition: Solve, accuracy: float = ACCURACY
) -> np.ndarray:
    """Solve matrix @ x = right for every column of right (unknowns, C) at once.

    Stops when the preconditioned residual is below `accuracy` everywhere. It estimates the error of
    x, which was at most 4 times as large with random boundaries, for holes from line to labyrinth.
    """
    x = precondition(right)
    residual = right - matrix @ x
    estimate = precondition(residual)
    direction, product = estimate, (residual * estimate).sum(axis=0)
    for _ in range(MAXIMUM_STEPS):
        if np.abs(estimate).max() < accuracy:
            return x
        image = matrix @ direction
        curvature = (direction * image).sum(axis=0)
        step = product / np.maximum(curvature, np.finfo(float).tiny)  # a solved channel stays put
        x += step * direction
        residual -= step * image
        estimate = precondition(residual)
        previous, product = product, (residual * estimate).sum(axis=0)
        direction = estimate + product / np.maximum(previous, np.finfo(float).tiny) * direction
    raise ArithmeticError(f"Poisson blending did not settle in {MAXIMUM_STEPS} steps")
