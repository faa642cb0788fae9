import io
import os
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from relumen.archive import Limits, unpack
from relumen.errors import CheckFailedError, UserError


def _zip(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as zipped:
        for name, content in members.items():
            zipped.writestr(zipfile.ZipInfo(name), content, method)
    return path


def _refused(archive: Path, tmp_path: Path, words: str, limits: Limits | None = None) -> None:
    before = [path for path in sorted(tmp_path.rglob("*")) if path != tmp_path / "deep"]
    with pytest.raises(UserError, match=words) as caught:
        unpack(archive, tmp_path / "deep" / "target", limits)
    assert str(archive) in str(caught.value)
    after = [path for path in sorted(tmp_path.rglob("*")) if path != tmp_path / "deep"]
    assert after == before, "something was left behind"


def test_unpacks_files_and_folders_and_leaves_inner_zips(tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as zipped:
        zipped.writestr("saved_model.pb", b"graph")
    archive = _zip(tmp_path / "a.zip", {"rdf.yaml": b"x: 1", "sub/": b"", "sub/weights.zip": inner.getvalue()})
    unpack(archive, tmp_path / "target")
    found = {path.relative_to(tmp_path / "target").as_posix() for path in (tmp_path / "target").rglob("*")}
    assert found == {"rdf.yaml", "sub", "sub/weights.zip"}
    assert (tmp_path / "target/sub/weights.zip").read_bytes() == inner.getvalue()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/etc/passwd", "absolute path"),
        ("\\\\server\\share", "absolute path"),
        ("C:/windows/x", "absolute path"),
        ("c:x", "absolute path"),
        ("../evil", "leads out"),
        ("a/../../evil", "leads out"),
        ("a\\..\\..\\evil", "leads out"),
        ("a\\b", "differs between systems"),
        ("a//b", "differs between systems"),
        ("a/./b", "differs between systems"),
        ("a\nb", "differs between systems"),
        ("a" * 300, "255 bytes"),
    ],
)
def test_refuses_names_that_lead_elsewhere(tmp_path, name, words):
    _refused(_zip(tmp_path / "a.zip", {"good": b"1", name: b"evil"}), tmp_path, words)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_refuses_links_and_devices(tmp_path, kind):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        member = zipfile.ZipInfo("link")
        member.external_attr = (kind | 0o777) << 16
        zipped.writestr(member, "/etc/passwd")
    _refused(archive, tmp_path, "link or a device")


TWICE = [("a", "a"), ("a", "A"), ("\u00e9", "e\u0301"), ("a/b", "a"), ("a", "a/b")]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(("first", "second"), TWICE)
def test_refuses_two_members_in_one_place(tmp_path, first, second):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr(first, b"1")
        zipped.writestr(second, b"2")
    _refused(archive, tmp_path, "two members|also a file")


def test_refuses_encrypted_members(tmp_path):
    archive = _zip(tmp_path / "a.zip", {"secret": b"x"}, zipfile.ZIP_STORED)
    content = bytearray(archive.read_bytes())
    local, central = content.index(b"PK\x03\x04"), content.index(b"PK\x01\x02")
    content[local + 6] |= 1
    content[central + 8] |= 1
    archive.write_bytes(content)
    _refused(archive, tmp_path, "encrypted")


def test_refuses_a_bomb_by_ratio_and_by_size(tmp_path):
    archive = _zip(tmp_path / "a.zip", {"zeros": bytes(3 << 20)})
    _refused(archive, tmp_path, "do not explain", Limits(free_bytes=1 << 20))
    _refused(archive, tmp_path, "do not explain", Limits(total_bytes=2 << 20))
    unpack(archive, tmp_path / "target")  # small enough to be harmless
    assert (tmp_path / "target/zeros").stat().st_size == 3 << 20


def test_counts_what_is_read_not_what_headers_promise(tmp_path):
    archive = _zip(tmp_path / "a.zip", {"zeros": bytes(1 << 20)})
    content = bytearray(archive.read_bytes())
    central = content.index(b"PK\x01\x02")
    struct.pack_into("<I", content, central + 24, 10)  # claims to unpack to ten bytes
    archive.write_bytes(content)
    _refused(archive, tmp_path, "not a zip that can be unpacked|do not explain", Limits(free_bytes=1000, ratio=1))


def test_refuses_too_many_members(tmp_path):
    archive = _zip(tmp_path / "a.zip", {f"{index}": b"" for index in range(11)})
    _refused(archive, tmp_path, "11 members", Limits(members=10))


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip at all" * 10, b"PK\x05\x06" + bytes(10)])
def test_refuses_what_is_no_zip(tmp_path, content):
    archive = tmp_path / "a.zip"
    archive.write_bytes(content)
    _refused(archive, tmp_path, "not a zip that can be unpacked")


def test_refuses_damaged_and_truncated_zips(tmp_path):
    archive = _zip(tmp_path / "a.zip", {"noise": os.urandom(50_000)})
    whole = archive.read_bytes()
    archive.write_bytes(whole[:20_000])
    _refused(archive, tmp_path, "not a zip that can be unpacked")
    damaged = bytearray(whole)
    damaged[10_000:10_100] = bytes(100)
    archive.write_bytes(damaged)
    _refused(archive, tmp_path, "not a zip that can be unpacked")


def test_a_missing_zip_and_a_disk_that_refuses(tmp_path):
    with pytest.raises(UserError, match="no zip file"):
        unpack(tmp_path / "none.zip", tmp_path / "target")
    archive = _zip(tmp_path / "a.zip", {"a": b"1"})
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckFailedError, match="could not be unpacked"):
        unpack(archive, tmp_path / "file" / "target")
