"""examples/walkthrough.ipynb, run cell by cell without Jupyter."""

import json
import os
import re
import subprocess

import pytest
from processes import ROOT

from pictures import codecs

NOTEBOOK = ROOT / "examples" / "walkthrough.ipynb"


def cells() -> list[str]:
    """The code of its cells, in order."""
    found = json.loads(NOTEBOOK.read_text())["cells"]
    return ["".join(cell["source"]) for cell in found if cell["cell_type"] == "code"]


def shell(line: str) -> None:
    done = subprocess.run(line, shell=True, capture_output=True, text=True)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


def test_it_ships_without_outputs():
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        assert not cell.get("outputs") and not cell.get("execution_count")
    assert len(cells()) <= 10


@pytest.mark.slow
def test_every_cell_runs(tmp_path, monkeypatch):
    for path in ROOT.iterdir():
        if not path.name.startswith("."):
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "notebook").mkdir()
    monkeypatch.chdir(tmp_path / "notebook")  # beside the scripts, as examples/ is
    monkeypatch.setattr("sys.path", ["", *map(str, os.sys.path)])
    names = {"shell": shell}
    for cell in cells():
        lines = cell.replace("\\\n", " ")
        exec(re.sub("^!(.*)$", r"shell(f'''\1''')", lines, flags=re.MULTILINE), names)
    made = tmp_path / "walkthrough"
    assert codecs.read(made / "results" / "astronaut.png").shape == (512, 512, 3)
    assert len(list((made / "drawn-completed" / "results").iterdir())) == 8
