"""python -m align.smiles FOLDER TABLE: who smiles in aligned faces, as classes to train with.

Half of the faces of the folder, those with the widest mouths and the highest corners of them, are
"smiling", the others "serious". TABLE is for train-dcgan.py --classes TABLE. It is a rule of thumb:
of those near the border many could be either.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import cli
from align import landmarks
from pictures import codecs, files


def smile(face: np.ndarray) -> float:
    """How much an aligned face, uint8 (S, S, 1 or 3), smiles: the width of its mouth and twice the
    height of its corners above the middle of the lips, over the distance of the eyes. About .95 on
    average, .7 serious, 1.3 laughing."""
    points = landmarks.of_aligned(face)
    left, right, lips = points[48], points[54], points[[62, 66]].mean(axis=0)
    width, height = np.linalg.norm(right - left), lips[1] - (left[1] + right[1]) / 2
    eyes = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
    return float((width + 2 * height) / np.linalg.norm(eyes[1] - eyes[0]))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = cli.Parser(
        prog="python -m align.smiles",
        description="Write a table of lines name,class: smiling for half of the faces, by their "
        "mouths, and serious for the others.",
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="of aligned faces")
    parser.add_argument("table", metavar="TABLE", type=Path, help="a CSV file to write")
    options = parser.parse_args(arguments)
    found, bad = {}, 0
    for path in files.find([options.folder]):
        try:
            found[path.relative_to(options.folder)] = smile(codecs.read(path))
        except (OSError, ValueError) as error:
            cli.pass_over(error)
            bad += 1
    border = np.median([*found.values()]) if found else 0
    with files.replacing(options.table) as temporary, open(temporary, "w", newline="") as file:
        rows = ((path, "smiling" if value > border else "serious") for path, value in found.items())
        csv.writer(file).writerows(rows)
    print(f"{options.table}: {cli.counted(len(found), 'face')}, smiling above {border:.2f}")
    return cli.status(bad, bad + len(found))


if __name__ == "__main__":
    cli.run(main)
