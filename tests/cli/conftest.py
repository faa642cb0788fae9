"""What the tests of the command line share."""

import pytest

from relumen import cli


@pytest.fixture
def relumen(monkeypatch, capsys):
    """Runs the command; gives (exit code, everything it printed as one line)."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["relumen", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        return code, " ".join((captured.out + captured.err).split())

    return run
