"""./complete.py by a tiny model, as tests call it."""

import sys

import pytest
from lively import lively, saved

import cli
import complete
from model import DCGAN


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Folders of a saved model by its number of channels, and the restored models by folder."""
    folder = tmp_path_factory.mktemp("models")
    folders = {c: saved(folder / f"channels{c}", lively(channels=c)) for c in (1, 3)}
    return folders, {path: DCGAN.restore(path) for path in folders.values()}


@pytest.fixture
def call(models, monkeypatch, capsys, tmp_path):
    """Run complete.py in an empty folder: (status, standard output, standard error). Models that
    are known are not restored again."""
    folders, restored = models
    restore = DCGAN.restore.__func__

    def quick(cls, folder, warn=print):
        return restored[folder] if folder in restored else restore(cls, folder, warn)

    monkeypatch.setattr(DCGAN, "restore", classmethod(quick))
    monkeypatch.chdir(tmp_path)

    def run(*arguments, model=3):
        arguments = map(str, arguments)
        chosen = ["--checkpointDir", str(folders[model])] if model else []
        monkeypatch.setattr(sys, "argv", ["complete.py", *arguments, *chosen])
        with pytest.raises(SystemExit) as ended:
            cli.run(complete.main)
        return ended.value.code, *capsys.readouterr()

    return run
