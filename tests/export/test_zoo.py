import shutil
import zipfile
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from relumen.cli import app
from relumen.errors import CheckFailedError, UserError
from relumen.export.zoo_client import TOKEN_VARIABLE, ZooClient
from relumen.export.zoo_folder import prepare, zoo_files
from relumen.export.zoo_upload import upload

TOKEN = "secret-token"


@pytest.fixture
def zoo(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    from zoo_standin import StandInZoo

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = StandInZoo()
    yield server
    server.close()


@pytest.fixture
def client(zoo):
    with ZooClient(zoo.address, TOKEN, wait=lambda seconds: None) as client:
        yield client


def test_files_arrive_byte_for_byte_and_reviewers_are_asked(hand_made, zoo, client):
    files = zoo_files(hand_made)
    sent = upload(files, client)
    assert zoo.files == {name: (hand_made / name).read_bytes() for name in files.names}
    assert sent.artifact == "bioimage-io/affable-shark" and sent.in_review and sent.others == ()
    create = next(values for function, _, values in zoo.calls if function == "create")
    assert create["config"] == {"permissions": {"github|1": "rw+"}} and create["stage"] is True
    assert create["manifest"]["status"] == "draft" and zoo.manifest["status"] == "in-review"
    assert "status" not in yaml.safe_load(zoo.files["rdf.yaml"])
    assert all(TOKEN not in str(headers) for function, headers, _ in zoo.calls if function == "PUT")


def test_the_calls_are_those_of_the_zoos_own_library(hand_made, zoo, client, monkeypatch):
    from bioimageio.spec import upload as zoo_upload
    from bioimageio.spec._internal._settings import settings

    from relumen.export.zoo_library import _quiet, known_addresses

    upload(zoo_files(hand_made), client)
    ours, zoo.calls, zoo.files = zoo.calls, [], {}
    monkeypatch.setattr(settings, "hypha_upload", f"{zoo.address}/public/services/artifact-manager/create")
    monkeypatch.setattr(settings, "hypha_upload_token", TOKEN)
    from bioimageio.spec import ValidationContext, load_description

    with known_addresses(yaml.safe_load((hand_made / "rdf.yaml").read_text())) as known, _quiet():
        with ValidationContext(known_files=dict(known), log_warnings=False):
            zoo_upload(load_description(hand_made / "rdf.yaml"))
    theirs = zoo.calls

    def sequence(calls):
        return [function for function, _, _ in calls]

    made = sequence(ours)[1:]  # the collection is read first, for its reviewers
    made.remove("edit")  # the draft's fields, which an earlier draft needs
    assert [each for each in made if each != "list_files"] == [
        "create",
        *["put_file", "PUT"] * made.count("PUT"),
        "edit",
    ]
    assert sequence(theirs) == ["create", *["put_file", "PUT"] * sequence(theirs).count("PUT"), "edit"]
    for function in ("create", "put_file", "edit"):
        one, other = (next(call for call in calls if call[0] == function) for calls in (ours, theirs))
        assert one[1]["Authorization"] == other[1]["Authorization"]
        assert one[1]["Content-Type"] == other[1]["Content-Type"] == "application/json"
        assert set(other[2]) - {"version"} <= set(one[2])
        for key in set(other[2]) - {"version", "manifest", "file_path"}:
            assert one[2][key] == other[2][key]
    puts = [next(call for call in calls if call[0] == "PUT") for calls in (ours, theirs)]
    assert [headers.get("Content-Type") for _, headers, _ in puts] == ["", ""]
    # Where ours differ, and why: theirs wraps each file in a form's envelope, and asks for review in a refused way.
    assert puts[1][2].startswith(b"--") and b"form-data" in puts[1][2]
    assert theirs[-1][2]["version"] == "stage" and "stage" not in theirs[-1][2]
    assert "status" not in zoo.manifest


@pytest.mark.parametrize("broken", ["put_file", "PUT", "list_files", "edit"])
def test_a_short_outage_is_outlived(hand_made, zoo, client, broken):
    zoo.faults[broken] = [503, 502]
    assert upload(zoo_files(hand_made), client).in_review
    assert zoo.made == 1


def test_a_broken_upload_tells_how_to_go_on(hand_made, zoo, client):
    zoo.faults["PUT"] = [403]
    with pytest.raises(CheckFailedError, match="--draft bioimage-io/affable-shark") as failure:
        upload(zoo_files(hand_made), client)
    assert "refused sending rdf.yaml (403)" in str(failure.value) and zoo.manifest["status"] == "draft"
    sent = upload(zoo_files(hand_made), client, draft="affable-shark")
    assert zoo.made == 1 and sent.in_review and len(zoo.files) == len(zoo_files(hand_made).names)
    with pytest.raises(UserError, match="is in-review at the zoo"):
        upload(zoo_files(hand_made), client, draft=sent.artifact)


def test_refusals_are_plain_and_never_show_the_token(hand_made, zoo, client):
    zoo.faults["create"] = [500]
    with pytest.raises(CheckFailedError, match=r"refused create \(500\).*Try again later") as failure:
        upload(zoo_files(hand_made), client)
    assert TOKEN not in str(failure.value) and zoo.made == 0
    with ZooClient(zoo.address, "other") as stranger, pytest.raises(UserError, match="does not accept the token"):
        upload(zoo_files(hand_made), stranger)
    with pytest.raises(UserError, match="https://"):
        ZooClient("http://example.org", TOKEN)
    with ZooClient("http://127.0.0.1:9", TOKEN, wait=lambda seconds: None) as nowhere:
        with pytest.raises(CheckFailedError, match="can't be reached"):
            upload(zoo_files(hand_made), nowhere)


def test_a_file_that_is_cut_short_is_noticed(hand_made, zoo, client, monkeypatch):
    send = client.send
    monkeypatch.setattr(client, "send", lambda *given: (send(*given), zoo.files.update({"rdf.yaml": b"x"})))
    with pytest.raises(CheckFailedError, match="rdf.yaml has .* bytes here, and 1 at the zoo"):
        upload(zoo_files(hand_made), client)
    assert zoo.manifest["status"] == "draft"


def test_an_id_is_refused_before_anything_is_sent(package_copy, zoo, client):
    rdf = yaml.safe_load((package_copy / "rdf.yaml").read_text())
    (package_copy / "rdf.yaml").write_text(yaml.safe_dump(rdf | {"id": "brave-otter"}))
    with pytest.raises(UserError, match="has an id"):
        upload(zoo_files(package_copy), client)
    assert zoo.calls == []


def test_the_folder_holds_what_the_rdf_names(package_copy, tmp_path):
    (package_copy / ".DS_Store").write_bytes(b"")
    (package_copy / "notes.txt").write_text("mine")
    files = prepare(package_copy, tmp_path / "zoo")
    assert set(files.left_out) == {".DS_Store", "notes.txt"}
    copied = {path.name: path.read_bytes() for path in (tmp_path / "zoo").iterdir()}
    assert copied == {name: (package_copy / name).read_bytes() for name in files.names}
    prepare(package_copy, tmp_path / "zoo.zip")
    with zipfile.ZipFile(tmp_path / "zoo.zip") as zipped:
        assert {name: zipped.read(name) for name in zipped.namelist()} == copied
    with pytest.raises(UserError, match="--overwrite"):
        prepare(package_copy, tmp_path / "zoo")
    with pytest.raises(UserError, match="is the package itself"):
        prepare(package_copy, package_copy, overwrite=True)
    (package_copy / "cover.png").unlink()
    with pytest.raises(UserError, match="not whole"):
        prepare(package_copy, tmp_path / "zoo", overwrite=True)
    assert (tmp_path / "zoo" / "cover.png").is_file()


def test_the_commands(hand_made, zoo, tmp_path, monkeypatch):
    run = CliRunner().invoke
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    refused = run(app, ["zoo", "upload", str(hand_made)])
    assert isinstance(refused.exception, UserError) and "no token" in str(refused.exception)
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    sent = run(app, ["zoo", "upload", str(hand_made), "--server", zoo.address, "--yes", "--no-review"])
    assert sent.exit_code == 0, sent.output
    assert zoo.manifest["status"] == "draft" and len(zoo.files) == len(zoo_files(hand_made).names)
    prepared = run(app, ["zoo", "prepare", str(hand_made), "-o", str(tmp_path / "a.zip")])
    assert prepared.exit_code == 0 and (tmp_path / "a.zip").is_file()
    broken = shutil.copytree(hand_made, tmp_path / "broken")
    rdf = yaml.safe_load((broken / "rdf.yaml").read_text())
    (broken / "rdf.yaml").write_text(yaml.safe_dump(rdf | {"license": None}))
    zoo.calls.clear()
    stopped = run(app, ["zoo", "upload", str(broken), "--server", zoo.address, "--yes"])
    assert isinstance(stopped.exception, CheckFailedError) and zoo.calls == []
