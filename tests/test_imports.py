"""The layers of the program: a module imports what lies below it, and no more."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Lowest first; what stands on one line does not import each other. A new module is placed here.
LEVELS = """
cli blend tables devices
ops augment images features linear
losses checkpoint journal config metrics masks data align gallery baselines
starts networks
latent
model
training completion watching sampling
outputs methods
jobs evaluation
"""
NETWORKS = set(
    "ops augment losses linear starts latent checkpoint journal config networks model".split()
)
PICTURES = set("blend images features data align metrics masks".split())
TOP = {"web", "bench", "tests"}  # and every script: they may import anything
WITHOUT_TENSORFLOW = "masks blend align latent linear starts metrics cli images".split()


def level_of() -> dict[str, int]:
    lines = LEVELS.strip().splitlines()
    return {module: level for level, line in enumerate(lines) for module in line.split()}


def files_of(module: str) -> list[Path]:
    """The file of a module, or those of a package without the scripts in it."""
    folder = ROOT / module
    files = folder.rglob("*.py") if folder.is_dir() else [ROOT / f"{module}.py"]
    return [path for path in files if path.stem.isidentifier()]


def imports_of(path: Path, when_loaded: bool = False) -> set[str]:
    """First parts of the names of all modules that a file imports; `when_loaded`: only of those
    that it imports outside of functions."""
    found, waiting = set(), [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module.split(".")[0])
        if not (when_loaded and isinstance(node, ast.FunctionDef | ast.Lambda)):
            waiting += ast.iter_child_nodes(node)
    return found


def module_imports(module: str, when_loaded: bool = False) -> set[str]:
    found = (imports_of(path, when_loaded) for path in files_of(module))
    return set().union(*found) - {module}


def reach(module: str, when_loaded: bool = False) -> set[str]:
    """What a module imports, directly or through modules of the project."""
    reached, waiting = set(), {module}
    while waiting:
        found = module_imports(waiting.pop(), when_loaded)
        waiting |= (found & set(level_of())) - reached
        reached |= found
    return reached


def is_script(path: Path) -> bool:
    return path.read_text().startswith("#!") or not path.stem.isidentifier()


def test_every_module_has_its_level():
    modules = {path.stem for path in ROOT.glob("*.py") if not is_script(path)}
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - TOP
    unplaced = (modules | packages) - set(level_of())
    assert not unplaced, f"place {unplaced} in LEVELS of {Path(__file__).name}"


@pytest.mark.parametrize("module", level_of())
def test_imports_go_down(module):
    levels = level_of()
    scripts = {path.stem for path in ROOT.glob("*.py") if is_script(path)}
    not_below = {name for name, level in levels.items() if level >= levels[module]}
    assert not module_imports(module) & (not_below | (scripts - set(levels)) | TOP)


def test_networks_and_pictures_do_not_know_each_other():
    for module in NETWORKS:
        assert not module_imports(module) & PICTURES, module
    for module in PICTURES:
        assert not module_imports(module) & NETWORKS, module


@pytest.mark.parametrize("module", ["model", "training"])
def test_what_training_is_evaluated_by_is_passed_in(module):
    assert not reach(module) & {"data", "align", "metrics", "features", "masks", "web"}


def test_blend_imports_nothing_of_the_project():
    assert not module_imports("blend") & set(level_of())


@pytest.mark.parametrize("module", WITHOUT_TENSORFLOW)
def test_works_without_tensorflow(module):
    assert not reach(module, when_loaded=True) & {"tensorflow", "keras"}
    if module != "cli":  # whose import_tensorflow loads it quietly, for those who need it
        assert not module_imports(module) & {"tensorflow", "keras"}


def test_finds_imports_of_every_form(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(
        "import a.b, c as d\nfrom e.f import g\nfrom . import h\ndef late():\n    import i\n"
    )
    assert imports_of(path) == {"a", "c", "e", "i"}
    assert imports_of(path, when_loaded=True) == {"a", "c", "e"}
