"""data.split: faces parted by person, as the model's card says, and the same again."""

import os
from pathlib import Path

import pytest

from data import split
from pictures import files

# By sha256sum and bc: to test, to choose by, to train on, to train on.
NUMBERS = {"Alan_M": 0, "Aaron_Patterson": 1, "Aaron_Eckhart": 2, "George_W_Bush": 9}


def paths(*names):
    return [Path("folder") / name for name in names]


def test_people_by_name():
    found = split.people(paths("George_W_Bush_0001.png", "George_W_Bush_0013.jpg", "000017.png"))
    assert found == ["George_W_Bush", "George_W_Bush", "000017"]


def test_numbered_pictures_of_one_name_are_no_person():
    assert split.people(paths("photo_0001.png", "photo_0002.png")) == ["photo_0001", "photo_0002"]


def test_a_persons_split_is_that_of_the_card():
    assert {name: split.number(name) for name in NUMBERS} == NUMBERS


@pytest.fixture
def aligned(tmp_path):
    folder = tmp_path / "lfw-aligned-64"
    for name in NUMBERS:
        for photograph in (1, 2):
            path = folder / name[:2] / f"{name}_{photograph:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(path.stem)
    (folder / "manifest.jsonl").touch()
    return folder


def found(folder):
    return {str(path.relative_to(folder.parent)): path.read_text() for path in files.find([folder])}


def state(folder):
    return {path: path.stat() for path in sorted(folder.rglob("*"))}


@pytest.mark.parametrize("links", [True, False])
def test_nobody_is_on_both_sides_and_a_second_run_changes_nothing(aligned, links, monkeypatch):
    def refuse(*paths):
        raise OSError(18, "Invalid cross-device link")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    before = found(aligned)
    split.main([str(aligned)])
    train, val = (aligned.with_name(f"lfw-{part}-64") for part in ("train", "val"))
    assert set(found(train)) == {
        f"lfw-train-64/{place}_{photograph:04d}.png"
        for place in ("Ge/George_W_Bush", "Aa/Aaron_Eckhart")
        for photograph in (1, 2)
    }
    assert found(val) == {
        "lfw-val-64/Aa/Aaron_Patterson_0001.png": "Aaron_Patterson_0001",
        "lfw-val-64/Aa/Aaron_Patterson_0002.png": "Aaron_Patterson_0002",
    }
    assert {p.name for p in aligned.parent.iterdir()} == {aligned.name, train.name, val.name}
    assert found(aligned) == before
    one = val / "Aa" / "Aaron_Patterson_0001.png"
    assert one.samefile(aligned / "Aa" / one.name) == links
    after = state(aligned.parent)
    split.main([str(aligned)])
    assert state(aligned.parent) == after


def test_a_face_aligned_anew_takes_the_place_of_the_old_one(aligned):
    shown = split.split(aligned, with_test=True)
    assert [folder.name for folder in shown] == ["lfw-train-64", "lfw-val-64", "lfw-test-64"]
    path = aligned / "Al" / "Alan_M_0001.png"
    with files.replacing(path) as temporary:
        temporary.write_text("better")
    split.split(aligned, with_test=True)
    assert (aligned.with_name("lfw-test-64") / "Al" / path.name).read_text() == "better"


def test_other_names_of_folders_and_what_is_wrong(tmp_path, monkeypatch, capsys):
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "George_W_Bush_0001.png").touch()
    (tmp_path / "faces" / "Aaron_Patterson_0001.png").touch()
    monkeypatch.chdir(tmp_path / "faces")
    split.main(["."])
    assert capsys.readouterr().out == (
        f"{tmp_path}/faces-train: 1 pictures of 1 people\n"
        f"{tmp_path}/faces-val: 1 pictures of 1 people\n"
    )
    with pytest.raises(ValueError, match="none: no such file or folder"):
        split.main(["none"])
