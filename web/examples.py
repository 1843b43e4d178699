"""Pictures to try the page with: a photograph in the public domain, and drawn faces."""

import shutil
from pathlib import Path

from data.drawn import drawn_faces
from pictures import codecs

PHOTOGRAPH = Path(__file__).parents[1] / "examples" / "astronaut.jpg"  # NASA: Eileen Collins


def write(folder: Path) -> list[Path]:
    """Write the examples into `folder` and return their paths."""
    folder.mkdir(parents=True)
    paths = [Path(shutil.copy(PHOTOGRAPH, folder))]
    for number, face in enumerate(drawn_faces(3, size=256)):
        paths.append(folder / f"drawn-{number + 1}.png")
        codecs.write(paths[-1], face)
    return paths
