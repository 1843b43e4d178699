"""Colour profiles: a picture's own colours to sRGB, which the networks know, and back."""

import io
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

ALIKE = 2  # levels of 255; a profile that changes no colour by more is taken for sRGB itself

Convert = Callable[[Image.Image], Image.Image]


@lru_cache(16)
def to_srgb(profile: bytes | None, mode: str) -> Convert | None:
    """What takes pictures of mode L, RGB, CMYK or LAB with this ICC profile to sRGB.

    None where nothing is to be done: the profile is sRGB's or as good as that, or is no profile
    of such pictures.
    """
    space = "L" if mode == "L" else "RGB"
    convert = _transform(
        _opened(profile, mode), ImageCms.createProfile("sRGB"), source_mode=mode, target_mode="RGB"
    )
    if convert is None:
        return None
    if mode == space:
        every = _lattice(mode)
        changed = np.asarray(convert(every)).astype(int) - np.asarray(every.convert("RGB"))
        if np.abs(changed).max() <= ALIKE:
            return None
    return lambda image: convert(image).getchannel("G") if space == "L" else convert(image)


@lru_cache(16)
def from_srgb(profile: bytes | None, mode: str) -> Convert | None:
    """The way back, for a mode L or RGB."""
    if to_srgb(profile, mode) is None:
        return None
    back = _transform(
        ImageCms.createProfile("sRGB"), _opened(profile, mode), source_mode="RGB", target_mode=mode
    )
    return back and (lambda image: back(image.convert("RGB")))


def _opened(profile: bytes | None, mode: str) -> ImageCms.ImageCmsProfile | None:
    if mode == "LAB":
        return ImageCms.createProfile("LAB")
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(profile)) if profile else None
    except (OSError, ImageCms.PyCMSError):
        return None


def _transform(source, target, source_mode: str, target_mode: str) -> Convert | None:
    if source is None or target is None:
        return None
    try:
        found = ImageCms.buildTransform(source, target, source_mode, target_mode)
    except ImageCms.PyCMSError:
        return None  # a profile of another kind of picture
    return lambda image: ImageCms.applyTransform(image, found)


def _lattice(mode: str) -> Image.Image:
    """Every grey, or colours all over the cube."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    levels = np.linspace(0, 255, 18).round().astype(np.uint8)
    return Image.fromarray(np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3))
