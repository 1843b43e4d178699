"""The layers of the program: a file imports what lies below it or beside it, and no more."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Lowest first; packages on one line may import each other. A new package is placed here.
LEVELS = """
cli
ops pictures align search data
networks training
model translation
completion measuring
"""
TOP = {"web", "bench", "tests"}  # and every script: they may import anything
WITHOUT_TENSORFLOW = ("cli", "pictures", "align", "search", "measuring.metrics", "completion")
WAYS_TO_COMPLETE = {"completion/searching.py", "completion/one_pass.py"}  # which may know it


def level_of() -> dict[str, int]:
    lines = LEVELS.strip().splitlines()
    return {name: level for level, line in enumerate(lines) for name in line.split()}


def files_of(name: str) -> list[Path]:
    """The file of a module ("cli", "search.linear"), or those of a package without its scripts."""
    place = ROOT / name.replace(".", "/")
    found = place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]
    return [path for path in found if path.stem.isidentifier() and path.exists()]


def imports_of(path: Path, when_loaded: bool = False) -> set[str]:
    """Dotted names of all modules that a file imports; `when_loaded`: only of those that it imports
    outside of functions."""
    found, waiting = set(), [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        if not (when_loaded and isinstance(node, ast.FunctionDef | ast.Lambda)):
            waiting += ast.iter_child_nodes(node)
    return found


def packages(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def reach(path: Path) -> set[str]:
    """Packages and modules, the project's and others', that importing a file loads."""
    reached, waiting = set(), [path]
    while waiting:
        for name in imports_of(waiting.pop(), when_loaded=True) - reached:
            reached.add(name)
            place = ROOT / name.replace(".", "/")
            parents = [p / "__init__.py" for p in (place, *place.parents) if ROOT in p.parents]
            waiting += [p for p in (place.with_suffix(".py"), *parents) if p.exists()]
    return packages(reached)


def is_script(path: Path) -> bool:
    return path.read_text().startswith("#!") or not path.stem.isidentifier()


def test_every_module_has_its_level():
    modules = {path.stem for path in ROOT.glob("*.py") if not is_script(path)}
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")} - TOP
    unplaced = (modules | found) - set(level_of())
    assert not unplaced, f"place {unplaced} in LEVELS of {Path(__file__).name}"


@pytest.mark.parametrize("name", level_of())
def test_imports_go_down(name):
    levels = level_of()
    scripts = {path.stem for path in ROOT.glob("*.py") if is_script(path)}
    above = {other for other, level in levels.items() if level > levels[name]} | scripts | TOP
    for path in files_of(name):
        assert not packages(imports_of(path)) & above, path


@pytest.mark.parametrize("name", WITHOUT_TENSORFLOW)
def test_works_without_tensorflow(name):
    for path in files_of(name):
        if str(path.relative_to(ROOT)) in WAYS_TO_COMPLETE:
            continue
        assert not reach(path) & {"tensorflow", "keras"}, path
        if name != "cli":  # whose import_tensorflow loads it quietly, for those who need it
            assert not packages(imports_of(path)) & {"tensorflow", "keras"}, path


def test_finds_imports_of_every_form(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(
        "import a.b, c as d\nfrom e.f import g\nfrom . import h\ndef late():\n    import i\n"
    )
    assert imports_of(path) == {"a.b", "c", "e.f", "e.f.g", "i"}
    assert imports_of(path, when_loaded=True) == {"a.b", "c", "e.f", "e.f.g"}
