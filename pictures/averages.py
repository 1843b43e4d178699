"""What a picture comes to when channels or neighbouring pixels are averaged."""

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
