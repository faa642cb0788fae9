"""The rooms are one import package, whole in the wheel, and each touches only what it may."""

import ast
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PROJECT["tool"]["setuptools"]
FOLDERS = {name: ROOT / folder for name, folder in SETUPTOOLS["package-dir"].items()}

GROUND = "ground floor"
ROOMS = {"cli", "evaluation", "export", "imagej_bridge", "models", "prior", "search", "training"}
MAY_TOUCH = {
    GROUND: {"models"},
    "models": set(),
    "prior": {"models", GROUND},
    "search": {"models", "prior", GROUND},
    "training": {"models", GROUND},
    "export": {"models", GROUND},
    "imagej_bridge": {"search", GROUND},
    "evaluation": ROOMS - {"imagej_bridge", "cli"} | {GROUND},
    "cli": ROOMS | {GROUND},
}
SLOW_TO_IMPORT = {
    "bioimageio", "fastapi", "jgo", "jpype", "keras", "matplotlib", "onnx", "onnxruntime", "ray", "scipy", "scyjava",
    "skimage", "tensorflow", "uvicorn",
}  # fmt: skip


def files_of_the_package() -> Iterator[tuple[str, Path]]:
    """Yields (path inside the wheel, path in the repository) of everything that should ship."""
    java = ROOT / "imagej_bridge" / "java"
    for package, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*")):
            if java in path.parents and path.suffix not in (".jar", ".sha256"):
                continue  # what the jar is made of, and with
            if path.is_file() and "__pycache__" not in path.parts and path.suffix not in (".md", ".pyc"):
                yield f"{package.replace('.', '/')}/{path.relative_to(folder).as_posix()}", path


def modules() -> Iterator[tuple[str, Path]]:
    """Yields (dotted name, path); a package has the name of its __init__ too."""
    for inside, path in files_of_the_package():
        if path.suffix == ".py":
            yield inside.removesuffix(".py").replace("/", "."), path


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS else GROUND


def imported(name: str, path: Path) -> Iterator[str]:
    """Yields the absolute name of everything that a module imports, also inside its functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = name.split(".")[: -node.level] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def python(code: str) -> list[str]:
    """Runs code in a fresh interpreter in the repository's root; gives what it printed, by line."""
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.splitlines()


def test_every_folder_with_modules_is_listed() -> None:
    found = {name.rpartition(".")[0] for name, _ in modules()}
    assert found == set(SETUPTOOLS["packages"])


def test_every_package_is_regular() -> None:
    names = {name for name, _ in modules()}
    assert {f"{package}.__init__" for package in SETUPTOOLS["packages"]} <= names


def test_our_bioimageio_does_not_hide_the_real_one() -> None:
    assert not list((ROOT / "bioimageio").glob("*.py"))
    for order in ("import bioimageio.core, relumen.export", "import relumen.export, bioimageio.core"):
        (origin,) = python(f"{order}; print(bioimageio.core.__file__)")
        assert "site-packages" in Path(origin).parts


@pytest.mark.parametrize("room", MAY_TOUCH)
def test_a_room_touches_only_what_it_may(room: str) -> None:
    trespasses = [
        f"{path.relative_to(ROOT)} imports {target}"
        for name, path in modules()
        if room_of(name) == room
        for target in imported(name, path)
        if target.split(".")[0] == "relumen" and room_of(target) not in MAY_TOUCH[room] | {room}
    ]
    assert not trespasses


def test_models_know_nothing_of_the_rest() -> None:
    targets = {target for name, path in modules() if room_of(name) == "models" for target in imported(name, path)}
    assert not {each for each in targets if each.startswith("relumen") and room_of(each) != "models"}


def test_help_imports_nothing_slow() -> None:
    lines = python(
        "import sys\n"
        "from relumen.cli import main\n"
        "sys.argv = ['relumen', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    assert any("restore" in line for line in lines)
    assert not SLOW_TO_IMPORT & set(lines[-1].split())


def test_the_wheel_is_whole(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for folder in {path.relative_to(ROOT).parts[0] for path in FOLDERS.values()}:
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "-w", tmp_path, source], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
        licences = [name for name in archive.namelist() if name.endswith("licenses/LICENSE")]
    assert inside - {name for name in inside if name.endswith(".md")} == {name for name, _ in files_of_the_package()}
    assert licences


def test_constraints_pin_all_that_is_stated() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.lower().replace("_", "-").split("==") for line in lines if line and line[0] != "#")
    stated = [*PROJECT["build-system"]["requires"], *PROJECT["project"]["dependencies"]]
    stated += [each for extra in PROJECT["project"]["optional-dependencies"].values() for each in extra]
    for requirement in map(Requirement, stated):
        assert requirement.specifier.contains(pins[requirement.name.lower().replace("_", "-")]), requirement


def test_one_version_everywhere() -> None:
    stated = PROJECT["project"]["version"]
    assert version("relumen") == stated
    assert f"\nversion: {stated}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## [{stated}]" in (ROOT / "CHANGELOG.md").read_text()
