"""What a picture comes to when channels or neighbouring pixels are averaged; and pictures of which
such averages are known."""

import cv2
import numpy as np

LUMA = np.array([[0.299], [0.587], [0.114]])  # of red, green, blue (ITU-R BT.601)


def grey(pixels: np.ndarray) -> np.ndarray:
    """The brightness (..., 1) of pixels (..., 3) or (..., 1), in their unit: float32 of float32,
    float64 of others."""
    kind = np.float32 if pixels.dtype == np.float32 else np.float64
    return pixels @ LUMA.astype(kind) if pixels.shape[-1] == 3 else np.asarray(pixels, kind)


def block_means(image: np.ndarray, block: int) -> np.ndarray:
    """(H, W, C) averaged over block x block pixels; the last blocks continue the edge."""
    height, width, channels = image.shape
    image = cv2.copyMakeBorder(image, 0, -height % block, 0, -width % block, cv2.BORDER_REPLICATE)
    size = (image.shape[1] // block, image.shape[0] // block)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).reshape(*size[::-1], channels)


def blocks(means: np.ndarray, block: int, shape: tuple[int, ...]) -> np.ndarray:
    """Means (H, W, C), each over its block x block pixels, cut to the shape (H, W, ...)."""
    return means.repeat(block, axis=0).repeat(block, axis=1)[: shape[0], : shape[1]]


def enlarged(picture: np.ndarray, factor: int) -> np.ndarray:
    """float (H, W, C) -> float32 (factor H, factor W, C), bicubic."""
    height, width, channels = picture.shape
    size = width * factor, height * factor
    large = cv2.resize(np.float32(picture), size, interpolation=cv2.INTER_CUBIC)
    return large.reshape(*size[::-1], channels)


def with_means(made: np.ndarray, means: np.ndarray, block: int, smooth: int = 3) -> np.ndarray:
    """A picture (H, W, C) in [-1, 1] changed so that its block_means are `means`, in [-1, 1]:
    float32.

    First smoothly, by the difference enlarged (back-projection, Irani & Peleg 1991), a few times,
    so that no block shows; what is left, each block is shifted by.
    """
    for _ in range(smooth):
        step = enlarged(means - block_means(made, block), block)
        made = np.clip(made + step[: made.shape[0], : made.shape[1]], -1, 1)
    low, high = np.full_like(means, -2), np.full_like(means, 2)
    for _ in range(16):  # the mean of what is clipped rises with the shift: halve
        middle = (low + high) / 2
        below = block_means(_shifted(made, middle, block), block) < means
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return _shifted(made, (low + high) / 2, block)


def _shifted(picture: np.ndarray, shifts: np.ndarray, block: int) -> np.ndarray:
    return np.clip(picture + blocks(shifts, block, picture.shape), -1, 1).astype(np.float32)


def with_brightness(made: np.ndarray, given: np.ndarray) -> np.ndarray:
    """The colours of a picture (H, W, 3) at the brightness of another, (H, W, 1 or 3), paler where
    they would not fit into [-1, 1]: float32."""
    brightness = grey(given)
    colour = made - grey(made)
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(colour > 0, (1 - brightness) / colour, (-1 - brightness) / colour)
    share = np.where(colour == 0, 1, room).min(axis=2, keepdims=True)
    return np.float32(brightness + np.clip(share, 0, 1) * colour)
