"""Drawn cells as files: each is there before the next one is drawn."""

import pytest

from relumen.training.cells import Culture
from relumen.training.cells_writing import drawn, write_folder


def test_each_cell_is_written_before_the_next_is_drawn(tmp_path):
    written = []

    def watched():
        for cell in drawn(Culture("nfkb", ("dmso",), size=64), 3, seed=0):
            written.append(sorted(path.name for path in (tmp_path / "cells").iterdir()))
            yield cell

    write_folder(tmp_path, watched())
    names = [f"0000{i}-dmso.tif" for i in range(3)]
    assert written == [names[:0], names[:1], names[:2]]
    assert [line.partition(",")[0] for line in (tmp_path / "features.csv").read_text().splitlines()[1:]] == names


def test_a_folder_that_was_not_finished_has_no_table(tmp_path):
    def failing():
        yield from drawn(Culture("nfkb", size=64), 1, seed=0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_folder(tmp_path / "drawn", failing())
    assert len(list((tmp_path / "drawn" / "images").iterdir())) == 1
    assert not (tmp_path / "drawn" / "features.csv").exists()
