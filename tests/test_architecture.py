"""The house: imports go down only, in no circle, and the command line starts light."""

import ast
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "cgprot"
FLOORS = [
    {"units", "errors", "shipped", "compiled"},
    {"beads"},
    {"model", "files", "mapping"},
    {"train", "engine", "analyse", "reference"},
    {"simulate", "interop"},
    {"refine"},
    {"verbs"},
    {"cli"},
    {"__main__"},
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
HEAVY = ("torch", "openmm", "MDAnalysis", "mdtraj", "cupy", "numba", "matplotlib")


def imports(path: Path) -> set[str]:
    """Every module that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def room_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def wrong_imports(room: str, modules: set[str]) -> list[str]:
    """The imports that go up or sideways from a room."""
    rooms = {name.split(".")[1] for name in modules if name.startswith("cgprot.")}
    return sorted(other for other in rooms - {room} if FLOOR[other] >= FLOOR[room] and FLOOR[other] > 0)


def test_imports_go_down_only():
    for path in PACKAGE.rglob("*.py"):
        room = room_of(path)
        if room != "__init__":
            assert not wrong_imports(room, imports(path)), path
    assert wrong_imports("model", {"cgprot.files.dataset"}) == ["files"]
    assert wrong_imports("beads", {"cgprot.cli"}) == ["cli"]


def test_no_import_circle():
    graph = {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): imports(path)
        for path in PACKAGE.rglob("*.py")
    }
    finished: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, " -> ".join((*above, module))
        if module in graph and module not in finished:
            for other in graph[module]:
                visit(other, (*above, module))
            finished.add(module)

    for module in graph:
        visit(module, ())


def test_libraries_stay_in_their_rooms():
    for path in PACKAGE.rglob("*.py"):
        roots = {name.split(".")[0] for name in imports(path)}
        room = room_of(path)
        if {"openmm", "pdbfixer"} & roots:
            assert room == "reference", path
        if "torch" in roots:
            assert room in {"model", "train", "engine", "simulate", "interop"}, path
        if "cupy" in roots:
            assert room in {"engine", "simulate"}, path


def test_help_loads_nothing_heavy():
    script = (
        "import sys\nfrom cgprot.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
    assert "simulate" in result.stdout


def test_files_stay_short():
    for path in (*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.cu")):
        assert len(path.read_text().splitlines()) <= 300, path
