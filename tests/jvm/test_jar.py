"""The plugin's jar: committed, built of these sources, and fit for the Java of any Fiji."""

import importlib.util
import shutil
import struct
import zipfile
from pathlib import Path

import pytest

from relumen.imagej_bridge.session import PLUGIN, plugin_commands

JAVA = Path(__file__).parents[2] / "imagej_bridge" / "java"
JAVA_8 = 52


def test_the_jar_is_the_one_that_its_digest_names():
    build = _script()
    assert build.digest(PLUGIN) == (JAVA / "relumen_-0.1.0.jar.sha256").read_text(encoding="utf-8")
    assert PLUGIN.read_bytes() == build.JAR.read_bytes()  # that which is installed


def test_its_classes_run_on_java_8():
    with zipfile.ZipFile(PLUGIN) as jar:
        classes = [name for name in jar.namelist() if name.endswith(".class")]
        versions = {struct.unpack(">IHH", jar.read(name)[:8])[2] for name in classes}
    assert len(classes) > 10 and versions == {JAVA_8}


def test_each_command_of_the_menu_has_its_class():
    with zipfile.ZipFile(PLUGIN) as jar:
        for java_class in plugin_commands().values():
            assert f"{java_class.replace('.', '/')}.class" in jar.namelist()


@pytest.mark.jvm  # it shares Maven's local copies
def test_the_jar_is_built_of_these_sources(tmp_path):
    if shutil.which("mvn") is None:
        pytest.skip("There is no Maven (mvn), which builds the jar")
    build = _script()
    assert build.digest(build.build(tmp_path / "java")) == build.digest(PLUGIN), "make jar, and commit what it writes"


def _script():
    spec = importlib.util.spec_from_file_location("build_plugin", JAVA / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
