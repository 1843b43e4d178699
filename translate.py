#!/usr/bin/env python3
"""Mend pictures that are whole but small, pixelated, grey, faded or scratched, by a network that
train-pix2pix.py or train-cyclegan.py has made. Detail is invented, not recovered."""

import argparse
from pathlib import Path

import cli
from cli import flag, fraction


def parser() -> argparse.ArgumentParser:
    from align import cluster
    from pictures.files import WRITTEN, path_of
    from translation.cycle_recipe import DIRECTIONS

    p = cli.Parser(description=__doc__)
    p.add_argument("imgs", nargs="+", type=path_of, help="pictures, or folders of them, or URLs")
    flag(
        p,
        "--checkpointDir",
        type=Path,
        required=True,
        help="folder of a model; it says what it mends",
    )
    flag(p, "--outDir", type=path_of, default=Path("translations"), help="(default: %(default)s)")
    flag(p, "--format", choices=WRITTEN, default="png", help="of results/ (%(default)s)")
    flag(p, "--fidelity", type=fraction, help="0 is sharp, 1 smooth and nearer to the truth (0)")
    flag(p, "--direction", choices=DIRECTIONS, help="of train-cyclegan.py's networks (A-B)")
    flag(p, "--face", action="store_true", help="mend the faces found, and nothing else")
    flag(
        p,
        "--face-points",
        nargs=3,
        type=cli.point,
        metavar="x,y",
        help="inner corners of the eyes and bottom lip, in pixels, where no face is found",
    )
    cluster.add_flags(p)
    return p


def main() -> int:
    arguments = parser().parse_args()

    from align import cluster
    from completion import mending, outputs
    from pictures import files
    from training import checkpoint

    engine = cluster.asked_for(arguments)
    paths = outputs.inputs(arguments.imgs, arguments.out_dir)
    checkpoint.must_exist(arguments.checkpoint_dir, "train-pix2pix.py")
    mender = mending.Mender.of(arguments.checkpoint_dir, arguments.direction, warn=print)
    if arguments.fidelity is not None and not mender.graded:
        raise ValueError(f"--fidelity would change nothing: {mender.describe()}")
    if arguments.face_points and len(paths) > 1:
        raise ValueError(f"--face-points are those of one picture; {len(paths)} are given")
    job = mending.Job(
        mender,
        out_dir=arguments.out_dir,
        fidelity=arguments.fidelity or 0.0,
        face=arguments.face,
        face_points=arguments.face_points,
        suffix=arguments.format,
    )
    print(mender.describe())
    with files.locked(arguments.out_dir):
        done, before, bad = mending.run(job, paths, engine)
    print(f"{done} mended, {before} done before, {bad} passed over; see {arguments.out_dir}")
    return cli.status(bad, len(paths))


if __name__ == "__main__":
    cli.run(main)
