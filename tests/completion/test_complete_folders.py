"""./complete.py on many pictures: the report, second runs, bad files, interruptions and kills."""

import os
from pathlib import Path

import numpy as np
import pytest
from calling import FEW, assert_refused, files, painted, report, write
from lively import SIZE

from completion import folder as completing
from completion import outputs
from completion.case import Hole, prepare
from completion.outputs import Results
from data.drawn import drawn_faces
from measuring import metrics
from model import DCGAN
from pictures import codecs

MEASURED = {
    "name",
    "result",
    "input",
    "source",
    "grids",
    "modified",
    "settings",
    "first_loss",
    "last_loss",
    "losses",
    "steps",
    "seconds",
}


# The report


def test_the_report_of_built_in_holes(call, tmp_path):
    write(tmp_path / "in", 2, size=24)
    call("in", *FEW, "--blend", "feather")
    entries = report(tmp_path / "completions")
    for number, pixels in enumerate(drawn_faces(2, 24)):
        entry = entries[f"face00{number}"]
        assert set(entry) == MEASURED | {"psnr", "ssim"}
        assert entry["steps"] == 2 and entry["seconds"] > 0
        assert entry["losses"] == [entry["last_loss"]]
        assert entry["settings"]["blend"] == "feather"
        result = codecs.read(tmp_path / "completions" / entry["result"])
        hole = codecs.read(tmp_path / "completions" / "masks" / f"face00{number}.png", 1) > 0
        known = 1.0 - hole[None]
        pair = codecs.to_float(result)[None], codecs.to_float(pixels)[None], known
        assert entry["psnr"] == pytest.approx(metrics.psnr(*pair)[0])
        assert entry["ssim"] == pytest.approx(metrics.ssim(*pair)[0])


def test_a_hole_of_ones_own_is_measured_against_a_reference(call, tmp_path):
    write(tmp_path / "in", 1, size=24)
    write(tmp_path / "true", 1, size=24, seed=1)
    mask = painted(tmp_path / "mask.png", 24, slice(4, 9), slice(6, 20))
    call("in", "--mask", mask, *FEW, "--outDir", "a")
    assert set(report(tmp_path / "a")["face000"]) == MEASURED
    call("in", "--mask", mask, *FEW, "--outDir", "b", "--reference", "true")
    entry = report(tmp_path / "b")["face000"]
    assert set(entry) == MEASURED | {"psnr", "ssim"}
    hole = codecs.read(mask, 1) > 0
    difference = codecs.read(tmp_path / "b" / entry["result"]) - drawn_faces(1, 24, 1)[0] * 1.0
    square = (difference[np.broadcast_to(hole, difference.shape)] ** 2).mean()
    assert entry["psnr"] == pytest.approx(10 * np.log10(255**2 / square))

    write(tmp_path / "wrong", 1, size=30)
    status, _, error = call("in", "--mask", mask, *FEW, "--outDir", "c", "--reference", "wrong")
    assert status == 2 and "is 30x30 pixels, the picture it is true of 24x24" in error


def test_alternatives_differ_and_their_number_does_not_change_the_first(call, tmp_path):
    write(tmp_path / "in", 2)
    call("in", *FEW, "--maskType", "left", "--outDir", "one")
    status, *_ = call("in", "--alternatives", 4, *FEW, "--maskType", "left")
    out = tmp_path / "completions"
    assert status == 0
    for name, entry in report(out).items():
        alone = codecs.read(tmp_path / "one" / "results" / f"{name}.png")
        np.testing.assert_array_equal(alone, codecs.read(out / entry["result"]))
        assert len(entry["losses"]) == 4
        assert entry["last_loss"] == entry["losses"][0]
        found = [codecs.read(out / "alternatives" / name / f"{n}.png") for n in (1, 2, 3, 4)]
        assert len({pixels.tobytes() for pixels in found}) == 4
        np.testing.assert_array_equal(found[0], codecs.read(out / "results" / f"{name}.png"))
        sheet = codecs.read(out / "alternatives" / f"{name}.png")
        np.testing.assert_array_equal(sheet, np.concatenate(found, axis=1))


# Thousands of files


def test_what_is_done_is_skipped(call, tmp_path):
    write(tmp_path / "in", 3)
    call("in", *FEW)
    out = tmp_path / "completions"
    before = {p: p.stat().st_mtime_ns for p in out.glob("results/*")}
    codecs.write(tmp_path / "in" / "new.png", drawn_faces(1, SIZE, 7)[0])
    status, said, _ = call("in", *FEW)
    assert status == 0 and "1 completed, 3 done before, 0 passed over" in said
    assert before == {p: p.stat().st_mtime_ns for p in before}
    (out / "results" / "face001.png").unlink()  # what was thrown away is made again
    assert "1 completed, 3 done before" in call("in", *FEW)[1]
    assert len(files(out / "results")) == 4 and (out / "results" / "face001.png").exists()
    # Another search of the same picture is no second run, but its result replaces the first.
    assert "4 completed, 0 done before" in call("in", "--nIter", 1)[1]
    assert len(files(out / "results")) == 4 and len(report(out)) == 4
    assert before != {p: p.stat().st_mtime_ns for p in before}
    assert "0 completed, 4 done before" in call("in", "--nIter", 1)[1]


def test_what_is_completed_anew_replaces_all_that_was_made_of_it(call, tmp_path, monkeypatch):
    write(tmp_path / "in", 1, size=24)
    out = tmp_path / "completions"
    mask = painted(tmp_path / "mask.png", 24, slice(4, 9), slice(6, 20))
    call("in", "--mask", mask, *FEW, "--alternatives", 3, "--outInterval", 1)
    assert (out / "hats_imgs" / "0001.png").exists()
    before, made = codecs.read(out / "results" / "face000.png"), files(out, "**/*")
    painted(mask, 24, slice(10, 22), slice(3, 20))
    os.utime(mask, (1, 1))
    monkeypatch.chdir(tmp_path / "in")  # seen from elsewhere it is the same file
    call("face000.png", "--mask", mask, *FEW, "--outDir", out)
    gone = [f"alternatives/face000/{n}.png" for n in (1, 2, 3)]
    gone += ["alternatives/face000.png", "completed/0001.png", "hats_imgs/0001.png"]
    assert files(out, "**/*") == sorted({*made} - {*gone})
    assert not (out / "alternatives" / "face000").exists()
    known = codecs.read(mask, 1) == 0
    after = codecs.read(out / "results" / "face000.png")
    assert (before != after).any()
    np.testing.assert_array_equal(codecs.read(out / "masks" / "face000.png", 1) == 0, known)
    np.testing.assert_array_equal(known * after, known * drawn_faces(1, 24)[0])
    [entry] = report(out).values()
    assert entry["source"] == "../in/face000.png" and entry["settings"]["hole"]["modified"] == 1
    assert "0 completed, 1 done" in call("face000.png", "--mask", mask, *FEW, "--outDir", out)[1]


def test_another_picture_of_one_name_replaces_nothing(call, tmp_path, monkeypatch):
    out = tmp_path / "out"
    for number, place in enumerate(("one", "two")):
        write(tmp_path / place, 1, seed=number)
        monkeypatch.chdir(tmp_path / place)
        call("face000.png", *FEW, "--outDir", out)
    first = (out / "results" / "face000.png").read_bytes()
    assert files(out / "results") == ["face000.png", "two_face000.png"]
    assert (out / "batch_0001" / "masked.png").exists()
    call("face000.png", *FEW, "--maskType", "left", "--outDir", out)
    assert files(out / "results") == ["face000.png", "two_face000.png"]
    assert (out / "results" / "face000.png").read_bytes() == first
    assert not (out / "batch_0002").exists()


@pytest.mark.parametrize("steps", range(4))
def test_killed_while_it_replaces_a_result_leaves_one(tmp_path, monkeypatch, steps):
    """The old one or the new, never none, and it counts as done where it is sure which."""
    out, old, new = tmp_path / "out", np.full((SIZE, SIZE, 3), 9, np.uint8), drawn_faces(1, SIZE)[0]
    path = write(tmp_path / "in", 1) / "face000.png"
    case = prepare(path, SIZE, 3, Hole("center"))

    def complete(pixels: np.ndarray, **settings) -> None:
        name = (results := Results(out, "png")).names([path])[path]
        with results.reporting():
            results.add(outputs.write(out, "png", case, name, [pixels], settings, measured={}))

    def killed(step):
        def instead(*given):
            done.append(step)
            if len(done) > steps:
                raise KeyboardInterrupt
            return step(*given)

        return instead

    complete(old, lam=1)
    done = []
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(outputs, "move_all", killed(outputs.move_all))
        patch.setattr(Results, "_add_lines", killed(Results._add_lines))
        patch.setattr(Results, "_save_report", lambda self: None)
        complete(new, lam=2)
    result = out / "results" / "face000.png"
    np.testing.assert_array_equal(codecs.read(result), new if steps == 3 else old)
    assert Results(out, "png").is_done(path, {"lam": 1}) == (steps == 0)
    assert not Results(out, "png").is_done(path, {"lam": 2})
    complete(new, lam=2)
    np.testing.assert_array_equal(codecs.read(result), new)
    assert Results(out, "png").is_done(path, {"lam": 2})
    assert not Results(out, "png").is_done(path, {"lam": 1})
    assert [file.name for file in (out / "results").iterdir()] == ["face000.png"]


def test_another_format_is_no_second_run(call, tmp_path):
    write(tmp_path / "in", 2)
    call("in", *FEW)
    assert "2 completed, 0 done before" in call("in", *FEW, "--format", "jpg")[1]
    assert "0 completed, 2 done before" in call("in", *FEW, "--format", "jpg")[1]
    suffixes = [Path(name).suffix for name in files(tmp_path / "completions" / "results")]
    assert sorted(suffixes) == [".jpg", ".jpg", ".png", ".png"]


def test_a_picture_is_read_once_and_its_mask_once(call, tmp_path, monkeypatch):
    """Decoded a second time for the write, from the bytes that were read."""
    write(tmp_path / "in", 3, size=24)
    painted(tmp_path / "mask.png", 24, slice(4, 9), slice(6, 20))
    read = []

    def load(path):
        read.append(Path(path).stem)
        return Path(path).read_bytes()

    monkeypatch.setattr(codecs, "load", load)
    assert call("in", "--mask", "mask.png", *FEW)[0] == 0
    read = [name for name in read if name.startswith("face") or name == "mask"]
    assert sorted(read) == ["face000", "face001", "face002", "mask", "mask", "mask"]


def test_large_files_close_a_batch_early(call, tmp_path, monkeypatch):
    write(tmp_path / "in", 3)
    monkeypatch.setattr(completing, "WAITING_BYTES", 1)
    assert call("in", *FEW)[0] == 0
    assert len(files(tmp_path / "completions" / "results")) == 3
    assert (tmp_path / "completions" / "batch_0002").exists()


def test_a_kill_loses_nothing_that_is_done(call, tmp_path, monkeypatch):
    """Killed, a run makes no report; what it has done is known all the same."""
    write(tmp_path / "in", 3)
    out = tmp_path / "completions"
    with monkeypatch.context() as patch:
        patch.setattr(Results, "_save_report", lambda self: None)
        call("in", *FEW)
    assert not (out / "report.json").exists()
    with (out / "report.jsonl").open("a") as journal:
        journal.write('{"name": "face00')  # as a power cut leaves it
    (out / "results" / "face001.png").unlink()  # killed before it was written
    assert "1 completed, 2 done before" in call("in", *FEW)[1]
    assert list(report(out)) == ["face000", "face002", "face001"]
    assert not (out / "report.jsonl").exists()


def test_a_folder_that_holds_its_results_is_not_completed_again(call, tmp_path):
    write(tmp_path / "in", 2)
    for _ in range(2):
        status, said, _ = call("in", *FEW, "--outDir", "in/out")
        assert status == 0
    assert "0 completed, 2 done before, 0 passed over" in said


def test_bad_files_are_named_and_passed_over(call, tmp_path):
    write(tmp_path / "in", 3)
    (tmp_path / "in" / "empty.jpg").touch()
    (tmp_path / "in" / "text.png").write_text("no picture")
    status, said, error = call("in", *FEW)
    assert status == 1 and "3 completed, 0 done before, 2 passed over" in said
    named = [line for line in error.splitlines() if line.startswith("passed over")]
    assert "in/empty.jpg: not a readable picture (empty file)" in named[0]
    assert len(named) == 2 and "in/text.png: not a readable picture" in named[1]
    assert call("in/text.png", *FEW)[0] == 2
    assert call("in", "--preview")[0] == 1
    assert call("in/text.png", "--preview")[:2] == (2, "")
    assert_refused(call("nowhere", *FEW), "nowhere: no such file or folder")


@pytest.mark.parametrize("where", ["completing.finish_all", "codecs.write", "model.DCGAN.generate"])
def test_an_interrupted_run_leaves_whole_files_and_is_taken_up(call, tmp_path, monkeypatch, where):
    write(tmp_path / "in", 5)
    module, *_, name = where.split(".")
    owner = {"completing": completing, "codecs": codecs, "model": DCGAN}[module]
    original, calls = getattr(owner, name), []

    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) == 8:
            if module == "codecs":  # in the middle of a file
                options["exif"] = _Interrupting()
            else:
                raise KeyboardInterrupt
        return original(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, interrupted)
        status, *_ = call("in", *FEW, "--batch-size", 2, "--alternatives", 2)
    out = tmp_path / "completions"
    assert status == 130
    assert not [p for p in out.rglob(".*")]
    for path in out.rglob("*.png"):
        codecs.read(path)
    done = len(report(out)) if (out / "report.json").exists() else 0
    assert done == len(files(out / "results"))
    status, said, _ = call("in", *FEW, "--batch-size", 2, "--alternatives", 2)
    assert status == 0 and f"{5 - done} completed, {done} done before" in said
    assert files(out / "results") == [f"face00{i}.png" for i in range(5)]


class _Interrupting:
    """Metadata that Ctrl-C comes with."""

    def __bool__(self):
        raise KeyboardInterrupt
