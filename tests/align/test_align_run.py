"""align.run and the command: every kind of picture, resuming, names, and pasting back."""

import json
import os
import runpy
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from data.drawn import drawn_faces
from pictures import codecs

pytest.importorskip("dlib", reason="alignment needs dlib")

from align import geometry, landmarks, manifest, paste, run  # noqa: E402

ROOT = Path(__file__).parents[2]
FACES = ROOT.parent / "shared" / "data" / "lfw"
COMMAND = ROOT / "align" / "align-dlib.py"


@pytest.fixture(scope="session")
def photograph() -> np.ndarray:
    """A drawn face, dlib finds it, on a plain ground: uint8 (250, 250, 3)."""
    canvas = np.full((250, 250, 3), 128, np.uint8)
    canvas[45:205, 45:205] = drawn_faces(1, size=160)[0]
    return cv2.GaussianBlur(canvas, (0, 0), 1.2)  # no lens draws edges as sharp as these


@pytest.fixture(scope="session")
def photographs(photograph, tmp_path_factory) -> Path:
    """One picture of each kind that people have."""
    folder = tmp_path_factory.mktemp("photographs")
    picture = Image.fromarray(photograph)
    picture.save(folder / "plain.png")
    turned = Image.Exif()
    turned[0x0112] = 6  # shown after a quarter turn clockwise
    picture.transpose(Image.Transpose.ROTATE_90).save(folder / "turned.png", exif=turned)
    picture.convert("L").save(folder / "grey.png")
    alpha = picture.convert("RGBA")
    alpha.putalpha(Image.fromarray(np.full((250, 250), 255, np.uint8)))
    alpha.save(folder / "alpha.png")
    small = picture.resize((150, 150), Image.Resampling.LANCZOS)
    group = Image.new("RGB", (650, 250), (128, 128, 128))
    for left, face in ((0, small), (150, picture), (450, small)):
        group.paste(face, (left, 0))
    group.save(folder / "group.png")
    Image.new("RGB", (120, 80), "olive").save(folder / "nobody.PNG")
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("not a photograph")
    return folder


@pytest.fixture(scope="session")
def aligned(photographs, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("aligned")
    list(run.align(photographs, out, run.Settings(), workers=1))
    return out


def by_name(folder: Path) -> dict[str, dict]:
    return {record["name"]: record for record in manifest.read(folder)}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below folder; hidden ones, which only a killed process leaves, apart."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name[0] != "."]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def call(monkeypatch, capsys):
    """Run the command in this process: (exit status, standard output, standard error)."""

    def run_command(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [str(COMMAND), *map(str, arguments)])
        monkeypatch.setattr(sys, "path", sys.path[:])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(COMMAND), run_name="__main__")
        return ended.value.code, *capsys.readouterr()

    return run_command


def pasted(photograph, face, matrix, photograph_mask=None, blend="poisson") -> np.ndarray:
    box, hole, filled = paste.filling(
        photograph, face, matrix=matrix, photograph_mask=photograph_mask, blend=blend
    )
    result = photograph.copy()
    geometry.cut(result, box)[hole] = codecs.to_bytes(filled)
    return result


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((first.astype(float) - second) ** 2)))


def test_every_kind_of_picture_gets_its_status(aligned):
    status = {name: record["status"] for name, record in by_name(aligned).items()}
    assert status == {
        "plain": "aligned",
        "turned": "aligned",
        "grey": "aligned",
        "alpha": "aligned",
        "group": "aligned",
        "nobody": "no face",
        "empty": "unreadable",
        "text": "unreadable",
    }
    assert sorted(path.stem for path in aligned.glob("*.png")) == [
        "alpha",
        "grey",
        "group",
        "plain",
        "turned",
    ]
    assert {codecs.read(path).shape for path in aligned.glob("*.png")} == {(64, 64, 3)}


def test_a_record_says_where_the_face_lies(photographs, aligned):
    record = by_name(aligned)["plain"]
    assert (aligned / record["source"]).resolve() == (photographs / "plain.png").resolve()
    assert record["source_size"] == [250, 250] and record["output"] == "plain.png"
    left, top, right, bottom = record["box"]
    assert 40 < left < right < 210 and 40 < top < bottom < 230
    face = geometry.warp(codecs.read(photographs / "plain.png"), np.array(record["matrix"]), 64)
    np.testing.assert_array_equal(face, codecs.read(aligned / "plain.png"))
    assert "empty file" in by_name(aligned)["empty"]["reason"]


def test_exif_and_alpha_change_nothing(aligned):
    records = by_name(aligned)
    for name in ("turned", "alpha"):
        assert records[name]["matrix"] == records["plain"]["matrix"]
        assert (aligned / f"{name}.png").read_bytes() == (aligned / "plain.png").read_bytes()


def test_of_a_group_the_largest_face_is_taken(aligned):
    left, _, right, _ = by_name(aligned)["group"]["box"]
    assert 150 < left < right < 400


def test_all_faces_and_skip_multi(photographs, tmp_path):
    every = run.Settings(all_faces=True)
    [(record, _)] = run.align(photographs / "group.png", tmp_path / "all", every, workers=1)
    outputs = [face["output"] for face in manifest.faces(record)]
    assert outputs == ["group-face1.png", "group-face2.png", "group-face3.png"]
    assert [manifest.faces(record)[0]["box"]] == [record["box"]] and len(record["others"]) == 2
    assert sorted(path.name for path in (tmp_path / "all").glob("*.png")) == outputs

    [(record, _)] = run.align(
        photographs / "group.png", tmp_path / "one", run.Settings(skip_multi=True), workers=1
    )
    assert record["status"] == "several faces" and "3 faces" in record["reason"]
    assert not list((tmp_path / "one").glob("*.png"))


def test_the_detector_in_a_file_is_that_of_the_library(tmp_path):
    landmarks.dlib.get_frontal_face_detector().save(str(tmp_path / "own.svm"))
    assert (tmp_path / "own.svm").read_bytes() == landmarks.DETECTOR.read_bytes()


def test_a_large_photograph_is_detected_on_a_reduced_copy(photograph, monkeypatch):
    [small] = landmarks.find_faces(photograph)
    monkeypatch.setattr(landmarks, "DETECTION_SIDE", 250)
    [large] = landmarks.find_faces(np.repeat(np.repeat(photograph, 4, axis=0), 4, axis=1))
    assert large.box == tuple(4 * side for side in small.box)
    np.testing.assert_allclose((large.landmarks + 0.5) / 4 - 0.5, small.landmarks)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's memory counters")
def test_a_hundred_megapixels_stay_within_600_megabytes(photograph, tmp_path):
    canvas = np.full((9000, 12000), 128, np.uint8)  # grey, for a quick test; it is read in colour
    grey = cv2.cvtColor(photograph, cv2.COLOR_RGB2GRAY)
    canvas[4000:6000, 7000:9000] = cv2.resize(grey, (2000, 2000))
    Image.fromarray(canvas).save(tmp_path / "huge.jpg", quality=80)
    code = (
        "import json, sys; from align import run; from pathlib import Path\n"
        "job = run.Job(Path(sys.argv[1]), 'huge', Path(sys.argv[2]), 'face')\n"
        "print(json.dumps(run.align_picture(run.Settings(), job)))\n"
        "print(Path('/proc/self/status').read_text())"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "huge.jpg", tmp_path],
        cwd=ROOT,
        text=True,
        capture_output=True,
        timeout=300,
        check=True,
    )
    line, status = answer.stdout.split("\n", 1)
    record = json.loads(line)
    assert record["status"] == "aligned" and record["source_size"] == [12000, 9000]
    peak_kilobytes = int(status.split("VmHWM:")[1].split()[0])
    assert peak_kilobytes < 600_000
    [face] = landmarks.find_faces(photograph)
    box = np.array(face.box) * 8 + (7000, 4000, 7000, 4000)
    assert np.abs(np.array(record["box"]) - box).max() < 200
    matrix = geometry.matrix(face.landmarks, "innerEyesAndBottomLip", 64)
    assert psnr(codecs.read(tmp_path / "face.png"), geometry.warp(grey[..., None], matrix, 64)) > 17


def test_names_are_unique_whatever_the_case(tmp_path):
    photographs, out = tmp_path / "in", tmp_path / "out"
    for name in ("a/1.png", "b/1.png", "b/1.jpg", "B_1.png", "c/x.y.png"):
        codecs.write(photographs / name, np.zeros((8, 8, 3), np.uint8))
    flat = {
        record["source"]: record["name"]
        for record, _ in run.align(photographs, out, run.Settings(), workers=1)
    }
    assert {
        Path(source).as_posix().removeprefix("../in/"): name for source, name in flat.items()
    } == {
        "B_1.png": "B_1",
        "a/1.png": "1",
        "b/1.jpg": "b_1_2",
        "b/1.png": "b_1_3",
        "c/x.y.png": "x.y",
    }

    codecs.write(photographs / "A" / "1.png", np.zeros((8, 8, 3), np.uint8))  # sorts first
    again = {
        record["source"]: record["name"]
        for record, _ in run.align(photographs, out, run.Settings(), workers=1)
    }
    assert flat.items() <= again.items() and len(set(again.values())) == 6

    tree = [
        record["name"]
        for record, _ in run.align(
            photographs, tmp_path / "tree", run.Settings(), keep_tree=True, workers=1
        )
    ]
    assert tree == ["A/1", "B_1", "a/1_2", "b/1", "b/1_2", "c/x.y"]


def test_keep_tree_writes_below_the_same_folders(photograph, tmp_path):
    codecs.write(tmp_path / "in" / "x" / "y" / "p.png", photograph)
    list(run.align(tmp_path / "in", tmp_path / "out", run.Settings(), keep_tree=True, workers=1))
    assert (tmp_path / "out" / "x" / "y" / "p.png").is_file()


def test_running_again_skips_what_is_done(photographs, aligned, tmp_path):
    before = contents(aligned)
    for record, earlier in run.align(photographs, aligned, run.Settings(), workers=1):
        assert earlier == (record["status"] != "unreadable")
    assert contents(aligned) == before


def test_an_interrupted_run_goes_on(photographs, aligned, tmp_path):
    # In a folder beside the other one: sources are relative.
    out = tmp_path / "out"
    started = run.align(photographs, out, run.Settings(), workers=1)
    for _ in range(3):
        next(started)
    started.close()
    assert len(manifest.read(out)) == 3
    with open(out / manifest.FILE, "ab") as file:
        file.write(b'{"source": "torn')
    outcomes = [earlier for _, earlier in run.align(photographs, out, run.Settings(), workers=1)]
    assert outcomes.count(True) == 2  # the empty file is tried again
    assert [r["name"] for r in manifest.read(out)] == [r["name"] for r in manifest.read(aligned)]

    next(out.glob("*.png")).unlink()
    outcomes = [earlier for _, earlier in run.align(photographs, out, run.Settings(), workers=1)]
    assert outcomes.count(False) == 3
    assert {name: data for name, data in contents(out).items() if name.endswith("png")} == {
        name: data for name, data in contents(aligned).items() if name.endswith("png")
    }


def test_other_settings_do_not_mix(photographs, aligned):
    with pytest.raises(ValueError, match="aligned with size = 64, not 96"):
        next(run.align(photographs, aligned, run.Settings(size=96), workers=1))
    with pytest.raises(ValueError, match="transform = affine, not similarity"):
        next(run.align(photographs, aligned, run.Settings(transform="similarity"), workers=1))


def test_aligned_faces_inside_the_input_are_no_input(photograph, tmp_path):
    codecs.write(tmp_path / "p.png", photograph)
    for _ in range(2):
        assert len(list(run.align(tmp_path, tmp_path / "out", run.Settings(), workers=1))) == 1


def test_a_killed_run_goes_on_and_workers_change_nothing(photograph, tmp_path):
    for number in range(12):
        codecs.write(tmp_path / "in" / f"{number:02}.png", np.roll(photograph, number, axis=1))
    out, alone = tmp_path / "a" / "out", tmp_path / "b" / "out"
    command = [
        sys.executable,
        COMMAND,
        tmp_path / "in",
        "align",
        "innerEyesAndBottomLip",
        out,
        "--workers",
        "2",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 240
        while not (out / manifest.FILE).exists() or len(manifest.read(out)) < 4:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.002)
        process.kill()
    before = len(manifest.read(out))
    again = [earlier for _, earlier in run.align(tmp_path / "in", out, run.Settings(), workers=1)]
    assert again == before * [True] + (12 - before) * [False]
    list(run.align(tmp_path / "in", alone, run.Settings(), workers=1))
    assert contents(out) == contents(alone)


def test_the_command_says_what_is_wrong_in_one_line(photographs, tmp_path, call):
    anchors = "innerEyesAndBottomLip"
    for arguments, message in {
        (tmp_path / "no", "align", anchors, tmp_path / "o"): "no: no such file or folder",
        (
            photographs,
            "--dlibFacePredictor",
            "no.dat",
            "align",
            anchors,
            tmp_path / "o",
        ): "--dlibFacePredictor no.dat: no such file",
        (
            photographs,
            "align",
            anchors,
            tmp_path / "o",
            "--dlib-face-predictor",
            photographs / "text.jpg",
            "--workers",
            "1",
        ): "not a landmark predictor",
        (photographs, "unalign", photographs, tmp_path / "o"): "no manifest.jsonl",
    }.items():
        status, _, errors = call(*arguments)
        assert status == 2 and message in errors
        assert errors.startswith("error: ") and errors.count("\n") == 1


def test_the_command_sums_up_and_exits_2_if_nothing_was_aligned(photographs, tmp_path, call):
    status, output, _ = call(
        photographs / "nobody.PNG",
        "align",
        "outerEyesAndNose",
        tmp_path,
        "--skipMulti",
        "--verbose",
    )
    assert status == 2
    assert "0 aligned, 1 no face, 0 several faces, 0 unreadable" in output
    assert f"{os.path.relpath(photographs / 'nobody.PNG')}: no face found" in output


def test_the_command_aligns_and_pastes_back(photographs, tmp_path, call):
    status, output, errors = call(
        photographs,
        "align",
        "outerEyesAndNose",
        tmp_path / "a",
        "--workers",
        "1",
        "--size",
        "32",
        "--transform",
        "similarity",
    )
    assert "5 aligned, 1 no face, 0 several faces, 2 unreadable" in output
    assert status == 1 and errors.count("passed over ") == 2 and "text.jpg: not a" in errors
    status, output, _ = call(
        tmp_path / "a", "unalign", tmp_path / "a", tmp_path / "back", "--blend", "feather"
    )
    assert status == 0 and output == f"5 photographs written to {tmp_path / 'back'}\n"
    assert codecs.read(tmp_path / "back" / "group.png").shape == (250, 650, 3)


def test_without_a_predictor_it_says_how_to_get_one(monkeypatch):
    monkeypatch.setattr(landmarks.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install face_recognition_models.*--dlibFacePred"):
        landmarks.predictor_path()


def test_a_broken_manifest_is_named(aligned, tmp_path):
    (tmp_path / manifest.FILE).write_bytes((aligned / manifest.FILE).read_bytes() + b"{}\n")
    with pytest.raises(ValueError, match=r"manifest.jsonl:9: not a record"):
        manifest.read(tmp_path)


@pytest.mark.skipif(not FACES.is_dir(), reason="the photographs of LFW are not here")
def test_photographs_of_people_are_aligned_and_pasted_back(tmp_path):
    people = tmp_path / "in"
    people.mkdir()
    for path in sorted(FACES.glob("A*/*_0001.jpg"))[:40:5]:
        (people / path.name).symlink_to(path.resolve())
    list(run.align(people, tmp_path / "a", run.Settings(size=256), workers=1))
    expected, distances = geometry.anchor_positions("innerEyesAndBottomLip", 256), []
    for record in manifest.read(tmp_path / "a"):
        before, face = (codecs.read(tmp_path / "a" / record[key]) for key in ("source", "output"))
        for found in landmarks.find_faces(face):
            points = found.landmarks[list(geometry.ANCHORS["innerEyesAndBottomLip"])]
            distances.append(np.linalg.norm(points - expected, axis=1).mean())
        after = pasted(before, face, np.array(record["matrix"]))
        changed = (after != before).any(axis=-1)
        assert changed.any() and psnr(after[changed], before[changed]) > 30
    assert len(distances) >= 5 and np.mean(distances) < 0.02 * 256


@pytest.mark.parametrize("name", ["plain", "turned", "grey", "alpha"])
def test_pasting_the_unchanged_face_back_gives_the_photograph(photographs, tmp_path, name):
    list(run.align(photographs / f"{name}.png", tmp_path / "a", run.Settings(size=256), workers=1))
    [written] = paste.unalign(tmp_path / "a", tmp_path / "a", tmp_path / "back")
    assert written == tmp_path / "back" / f"{name}.png"
    before = codecs.read_picture(photographs / f"{name}.png")
    after = codecs.read_picture(written)
    matrix = np.array(by_name(tmp_path / "a")[name]["matrix"])
    square = geometry.unwarp_mask(np.zeros((256, 256, 1)), matrix, (250, 250))[..., 0] == 0
    np.testing.assert_array_equal(after.pixels[~square], before.pixels[~square])
    assert psnr(after.pixels[square], before.pixels[square]) > 30
    assert (after.alpha is None) == (before.alpha is None)


def test_a_mask_limits_the_change_and_the_face_may_have_another_size(
    photographs, aligned, tmp_path
):
    codecs.write(tmp_path / "faces" / "plain.jpg", np.full((32, 32, 3), 200, np.uint8))
    painted = np.zeros((64, 64, 1), np.uint8)
    painted[20:40, 30:50] = 255
    codecs.write(tmp_path / "mask.png", painted)
    [written] = paste.unalign(aligned, tmp_path / "faces", tmp_path, tmp_path / "mask.png", "none")
    before, after = codecs.read(photographs / "plain.png"), codecs.read(written)
    mask = (painted < 128).astype(np.float32)
    matrix = np.array(by_name(aligned)["plain"]["matrix"])
    hole = geometry.unwarp_mask(mask, matrix, before.shape)[..., 0] == 0
    changed = (before != after).any(axis=-1)
    assert not changed[~hole].any() and changed[hole].mean() > 0.95
    assert (after[hole] == 200).all()


def test_all_faces_are_pasted_into_one_photograph(photographs, tmp_path):
    settings = run.Settings(all_faces=True)
    list(run.align(photographs / "group.png", tmp_path / "a", settings, workers=1))
    for number in (1, 3):
        codecs.write(tmp_path / "c" / f"group-face{number}.png", np.zeros((64, 64, 3), np.uint8))
    [written] = paste.unalign(tmp_path / "a", tmp_path / "c", tmp_path / "back", blend="none")
    changed = (codecs.read(written) != codecs.read(photographs / "group.png")).any(axis=-1)
    centres = [
        np.mean(np.reshape(face["box"], (2, 2)), axis=0).astype(int)
        for face in manifest.faces(by_name(tmp_path / "a")["group"])
    ]
    assert [bool(changed[y, x]) for x, y in centres] == [True, False, True]


def test_unalign_names_what_is_missing(aligned, tmp_path):
    codecs.write(tmp_path / "c" / "stranger.png", np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(ValueError, match="no face is named like one of"):
        next(paste.unalign(aligned, tmp_path / "c", tmp_path / "back"))
    codecs.write(tmp_path / "c" / "plain.png", np.zeros((64, 64, 3), np.uint8))
    codecs.write(tmp_path / "masks" / "grey.png", np.zeros((64, 64, 1), np.uint8))
    with pytest.raises(ValueError, match="masks: no pictures are named like .* plain.png"):
        next(paste.unalign(aligned, tmp_path / "c", tmp_path / "back", tmp_path / "masks"))


@pytest.mark.parametrize("blend", ["none", "feather", "poisson"])
def test_nothing_hidden_in_the_photograph_reaches_the_paste(photograph, blend):
    [found] = landmarks.find_faces(photograph)
    matrix = geometry.matrix(found.landmarks, "innerEyesAndBottomLip", 64)
    face = drawn_faces(1, size=64, seed=3)[0]
    photograph_mask = np.ones((250, 250, 1), np.float32)
    photograph_mask[60:150, 90:160] = 0
    noise = np.random.default_rng(0).integers(0, 256, photograph.shape).astype(np.uint8)
    other = np.where(photograph_mask > 0, photograph, noise)
    first, second = (
        pasted(image, face, matrix, photograph_mask, blend) for image in (photograph, other)
    )
    square = geometry.unwarp_mask(np.zeros((64, 64, 1)), matrix, photograph.shape)
    filled = np.maximum(square, photograph_mask)[..., 0] == 0
    hidden = photograph_mask[..., 0] == 0
    assert 0 < filled.sum() < hidden.sum()  # the hole reaches beyond the square
    np.testing.assert_array_equal(first[filled], second[filled])
    np.testing.assert_array_equal(first[~filled], photograph[~filled])
    assert (first[filled] != photograph[filled]).any()


def test_a_grey_face_goes_into_a_colour_photograph_and_the_other_way(photograph):
    matrix = np.array([[0.5, 0, -30], [0, 0.5, -30]])
    face = np.full((64, 64, 1), 77, np.uint8)
    assert pasted(photograph, face, matrix, blend="none")[120, 120].tolist() == [77] * 3
    grey = photograph[..., :1].copy()
    colour = pasted(grey, np.repeat(face, 3, axis=2), matrix, blend="none")
    assert colour[120, 120].tolist() == [77] and colour.shape == grey.shape
