"""relumen fiji: what it puts into a Fiji, and what it says where it can't start one."""

import os
import sys
import zipfile

import pytest

from relumen.imagej_bridge.session import PLUGIN
from relumen.shipped import shipped_packages, shipped_path

MODEL = "cgan-fluorescence"


@pytest.fixture
def fiji(tmp_path):
    """A folder like a Fiji's, as far as an installer looks at it."""
    folder = tmp_path / "Fiji.app"
    (folder / "plugins").mkdir(parents=True)
    (folder / "jars").mkdir()
    return folder


@pytest.fixture
def few_packages(monkeypatch):
    """One package is enough to see how it is copied."""
    monkeypatch.setattr("relumen.imagej_bridge.fiji_folder.shipped_packages", lambda: [MODEL])


@pytest.fixture
def no_screen(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")


def files_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def jar(path, config):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("plugins.config", config)


def test_everything_is_installed_and_stays(relumen, fiji):
    code, said = relumen("fiji", "install", fiji)
    assert code == 0, said
    assert (fiji / "plugins" / PLUGIN.name).read_bytes() == PLUGIN.read_bytes()
    for name in shipped_packages():
        theirs = files_of(shipped_path(name))
        assert files_of(fiji / "models" / name) == theirs
    macros = sorted(path.name for path in (fiji / "macros" / "relumen").iterdir())
    assert macros == ["super_resolve.ijm", "super_resolve_folder.ijm"]
    assert "Next: restart Fiji; start `relumen serve`" in said
    before = {name: (fiji / name).stat().st_mtime_ns for name in files_of(fiji)}
    code, said = relumen("fiji", "install", fiji)
    assert code == 0 and "Installed" not in said and said.count("There already") == 3 + len(shipped_packages())
    assert before == {name: (fiji / name).stat().st_mtime_ns for name in files_of(fiji)}


def test_a_users_own_stays_and_an_older_jar_goes(relumen, fiji, few_packages):
    jar(fiji / "plugins" / "old" / "relumen_-0.0.9.jar", 'Plugins>relumen, "RLS...", relumen.Old\n')
    jar(fiji / "plugins" / "relumen_-extras.jar", 'Plugins, "Mine", mine.Plugin\n')
    own = fiji / "models" / MODEL / "rdf.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    macro = fiji / "macros" / "relumen" / "super_resolve.ijm"
    macro.parent.mkdir(parents=True)
    macro.write_text("mine")
    code, said = relumen("fiji", "install", fiji)
    assert code == 0, said
    assert f"Left as it is: {own.parent}, which differs. Move it away" in said and own.read_text() == "mine"
    assert f"Left as it is: {macro}, which differs" in said and macro.read_text() == "mine"
    assert [path.name for path in own.parent.iterdir()] == ["rdf.yaml"]
    assert "relumen_-0.0.9.jar, which is older" in said and "relumen_-extras.jar, which is not relumen's" in said
    assert sorted(path.name for path in fiji.rglob("*.jar")) == [PLUGIN.name, "relumen_-extras.jar"]


def test_what_an_engine_unpacked_into_a_package_is_no_difference(relumen, fiji, few_packages):
    relumen("fiji", "install", fiji)
    (fiji / "models" / MODEL / "unpacked").mkdir()
    _, said = relumen("fiji", "install", fiji)
    assert f"There already: {fiji / 'models' / MODEL}" in said


def test_a_package_is_whole_or_not_there(relumen, fiji, few_packages, monkeypatch):
    import shutil

    copy = shutil.copyfile

    def full(source, target):
        if "rdf.yaml" in str(source):
            raise OSError(28, "No space left on device")
        return copy(source, target)

    monkeypatch.setattr("shutil.copyfile", full)
    code, said = relumen("fiji", "install", fiji)
    assert code == 1 and "No space left on device" in said
    assert not [*(fiji / "models").iterdir()]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root writes anywhere")
def test_a_folder_that_can_not_be_written_to(relumen, fiji):
    (fiji / "plugins").chmod(0o500)
    code, said = relumen("fiji", "install", fiji)
    assert code == 2 and "can't be written to" in said


def test_a_damaged_jar_is_not_installed(relumen, fiji, tmp_path, monkeypatch):
    damaged = tmp_path / PLUGIN.name
    damaged.write_bytes(PLUGIN.read_bytes()[:-1])
    damaged.with_name(f"{PLUGIN.name}.sha256").write_bytes(PLUGIN.with_name(f"{PLUGIN.name}.sha256").read_bytes())
    monkeypatch.setattr("relumen.imagej_bridge.fiji_folder.PLUGIN", damaged)
    code, said = relumen("fiji", "install", fiji)
    assert code == 1 and "is damaged" in said and not [*fiji.rglob("*.jar")]


@pytest.mark.parametrize("what", ["install", "--fiji"])
def test_what_is_no_fiji(relumen, tmp_path, what, no_screen):
    code, said = relumen("fiji", what, tmp_path)
    assert code == 2 and f"There is no Fiji in {tmp_path}" in said and "Fiji.app" in said


def test_a_fiji_without_what_python_needs(relumen, fiji, no_screen):
    (fiji / "jars" / "imagej-legacy-2.0.0.jar").touch()
    code, said = relumen("fiji", "--fiji", fiji)
    assert code == 2 and "lacks imglib2-imglyb and imglib2-unsafe" in said and "Update it" in said


def test_a_window_needs_the_menu_and_a_screen(relumen, fiji, no_screen):
    for name in ("imagej-legacy-2.0.0.jar", "imglib2-imglyb-2.0.1.jar", "imglib2-unsafe-1.0.0.jar"):
        (fiji / "jars" / name).touch()
    code, said = relumen("fiji", "--fiji", fiji)
    assert code == 2 and f"Run: relumen fiji install {fiji}" in said
    (fiji / "plugins" / PLUGIN.name).write_bytes(PLUGIN.read_bytes())
    for options in (("--fiji", fiji), ()):
        code, said = relumen("fiji", *options)
        assert code == 2 and "There is no screen for ImageJ's window. Use --headless MACRO, or a machine" in said


def test_wrong_use_is_told_before_anything_starts(relumen, tmp_path):
    code, said = relumen("fiji", "--headless", tmp_path / "none.ijm")
    assert code == 2 and "There is no macro at" in said
    code, said = relumen("fiji", "--argument", "input=a.tif")
    assert code == 2 and "--argument is for a macro" in said
    macro = tmp_path / "macro.ijm"
    macro.write_text("a = 1;")
    code, said = relumen("fiji", "--headless", macro, "--server", "localhost:8765")
    assert code == 2 and "A server's address is such as http://127.0.0.1:8765" in said
    code, said = relumen("fiji", "--headless", macro, "--server", "http://127.0.0.1:1")
    assert code == 1 and "does not answer" in said
    code, said = relumen("fiji", "--headless", macro, "--server", "http://127.0.0.1:1", "--prior", tmp_path)
    assert code == 2 and "has a folder and priors of its own" in said
