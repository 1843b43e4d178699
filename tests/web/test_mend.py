"""The page that mends pictures, as translate.py does."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from one_pass import pix2pix, shaken
from PIL import Image
from visiting import SECONDS, choose

from completion import mending
from pictures import codecs
from web.mend import Menders, MendPage
from web.safety import Limits

PHOTOGRAPH = Path(__file__).parents[2] / "examples" / "astronaut.jpg"
ENLARGE, COLOUR = "It is small: enlarge it 2 times", "It is grey: give it colours"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Of a network for holes, and of three that mend: the last anything, and so no faces."""
    folder = tmp_path_factory.mktemp("menders")
    kinds = ({}, {"damage": "lowres:2"}, {"damage": "grey"}, {"damage": "blur", "guide": "none"})
    for number, values in enumerate(kinds):
        shaken(pix2pix(**values)).state.save(folder / str(number))
    return [folder / str(number) for number in range(len(kinds))]


@pytest.fixture
def page(folders, tmp_path):
    """Its actions, without a page around them."""
    made = MendPage.__new__(MendPage)
    made.menders, made.limits, made.folder = Menders(folders), Limits(), tmp_path
    return made


def test_what_is_wrong_chooses_among_the_networks_for_faces(folders):
    assert Menders(folders).folders == {ENLARGE: folders[1], COLOUR: folders[2]}


def test_of_two_networks_for_the_same_both_are_offered(folders, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folders[2], other)
    offered = {ENLARGE: folders[1], f"{COLOUR} ({folders[2]})": folders[2]}
    assert Menders([*folders, other]).folders == offered | {f"{COLOUR} ({other})": other}


def test_it_mends_as_translate_does_and_keeps_transparency(page, folders, tmp_path):
    photograph = tmp_path.parent / "clear.png"
    with Image.open(PHOTOGRAPH) as image:
        image.putalpha(200)
        image.save(photograph)
    (before, after), saved, status = page.mend(str(photograph), ENLARGE, 0.5)
    job = mending.Job(mending.Mender.of(folders[1]), tmp_path, fidelity=0.5, face=True)
    wanted, _ = mending.mended(job, photograph, codecs.read_picture(photograph))
    with Image.open(after) as image:
        made = np.asarray(image)
    assert (made[..., :3] == wanted).all() and (made[..., 3] == 200).all()
    assert saved["value"] == after
    assert codecs.read(before).shape == wanted.shape == (1024, 1024, 3)
    assert "1 face" in status


@pytest.mark.parametrize("path", [None, "no picture", "photograph"])
def test_what_cannot_be_mended_is_told_in_words_for_the_page(page, path, request, tmp_path):
    if path == "photograph":
        path = str(request.getfixturevalue("photograph"))
    elif path:
        path = tmp_path.parent / "torn.png"
        path.write_bytes(b"torn")
    with pytest.warns(UserWarning, match=r"upload one|not a picture|No face is found") as told:
        *_, status = page.mend(path, COLOUR, 0)
    assert status == "" and not os.listdir(tmp_path)
    assert not any("--" in str(warning.message) for warning in told)


def test_a_visitor_finds_it_and_mends(visit):
    page = visit()
    page.get_by_text("Is it whole, but small, grey or old?").click()
    mend = page.get_by_role("button", name="Mend", exact=True)
    mend.wait_for()
    choose(page, PHOTOGRAPH)
    page.locator("#bad img").wait_for()
    page.get_by_label(COLOUR).check()
    mend.click()
    page.get_by_text("Done").wait_for(timeout=1000 * SECONDS)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save picture").click()
    assert codecs.read(download.value.path()).shape == codecs.read(PHOTOGRAPH).shape
    page.get_by_text("Is something missing?").click()
    page.get_by_text("Complete a picture").wait_for()
