import sys

import pytest
import yaml
from typer.testing import CliRunner

from relumen.cli import app, main
from relumen.configs import validated
from relumen.errors import UserError
from relumen.imagej_bridge.server.config import ServeConfig, default_folder, is_loopback, read_token

SECRET = "0123456789abcdef"


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("LocalHost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.2", False),
        ("localhost.example.org", False),
        ("127.0.0.1.example.org", False),
        ("", False),
    ],
)
def test_only_this_machine_is_served_without_a_token(host, ours):
    assert is_loopback(host) is ours
    validated(ServeConfig, {"host": host, "token": SECRET})
    if ours:
        validated(ServeConfig, {"host": host})
    else:
        with pytest.raises(UserError, match="--token-file"):
            validated(ServeConfig, {"host": host})


def test_a_token_is_read_from_a_file_or_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("RELUMEN_TOKEN", raising=False)
    assert read_token(None) is None
    monkeypatch.setenv("RELUMEN_TOKEN", SECRET)
    assert read_token(None) == SECRET
    file = tmp_path / "token"
    file.write_text(f"  {SECRET}1\n")
    assert read_token(file) == SECRET + "1"


@pytest.mark.parametrize(
    "token", ["", "short", "with a space in the midst", "a-long-token-of-söhne", "line\nbreak" * 3]
)
def test_a_token_is_long_and_plain_and_never_shown(tmp_path, token):
    file = tmp_path / "token"
    file.write_text(token)
    with pytest.raises(UserError, match="at least 16") as told:
        read_token(file)
    assert not token or token not in str(told.value)


def test_a_token_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="can't be read"):
        read_token(tmp_path / "none")


def test_a_token_is_not_shown_with_a_config():
    assert SECRET not in repr(validated(ServeConfig, {"token": SECRET}))


def test_jobs_lie_in_the_users_state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "relumen" / "server"
    monkeypatch.setenv("XDG_STATE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / ".local" / "state" / "relumen" / "server"


def test_every_field_says_what_it_is():
    assert all(field.description for field in ServeConfig.model_fields.values())


def test_help_shows_an_example():
    told = CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "200"})
    assert told.exit_code == 0
    assert "relumen serve --port 8765" in told.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "0.0.0.0"], "there is no token"),
        (["--config", "none.yaml"], "none.yaml can't be read"),
        (["--queue", "0"], "queue"),
        (["--token-file", "none"], "can't be read"),
        (["--host", "203.0.113.1", "--token-file", "token"], "can't listen at 203.0.113.1"),
        (["--folder", "token"], "can't be made"),
    ],
)
def test_wrong_use_ends_with_plain_words(tmp_path, monkeypatch, capsys, arguments, words):
    pytest.importorskip("relumen.imagej_bridge.server.work")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RELUMEN_TOKEN", raising=False)
    (tmp_path / "token").write_text(SECRET)
    monkeypatch.setattr(sys, "argv", ["relumen", "serve", "--port", "0", "--folder", "jobs", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_options_count_more_than_the_file(tmp_path, monkeypatch):
    from relumen.imagej_bridge.server import serve as module

    pytest.importorskip("relumen.imagej_bridge.server.work")
    started = []
    monkeypatch.setattr(module, "serve", lambda config, make_worker, say: started.append(config))
    monkeypatch.setenv("RELUMEN_TOKEN", SECRET)
    file = tmp_path / "serve.yaml"
    file.write_text(yaml.safe_dump({"port": 1, "queue": 7, "max_pixels": 9, "warm": ["prior-cells"]}))
    arguments = ["serve", "--config", str(file), "--port", "2", "--prior", "runs/a", "--prior", "runs/b", "--ray"]
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 0, told.output
    (config,) = started
    assert (config.port, config.queue, config.max_pixels, config.warm) == (2, 7, 9, ("prior-cells",))
    assert [str(each) for each in config.priors] == ["runs/a", "runs/b"]
    assert config.replicas == 2
    assert config.token.get_secret_value() == SECRET
