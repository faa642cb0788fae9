import numpy as np
import pytest
import tifffile

from relumen.cli.progress import progress_bar
from relumen.errors import UserError
from relumen.jobs import plan_jobs, run_jobs


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "day 1"
    folder.mkdir()
    for name in ("a.tif", "b.tif"):
        tifffile.imwrite(folder / name, np.zeros((4, 4), np.uint8))
    (folder / "notes.txt").touch()
    return folder


def test_folders_and_patterns_are_expanded_in_order(folder, tmp_path):
    for images in ([str(folder)], [str(folder / "*.tif")], [str(folder / "*")]):
        jobs = plan_jobs(images, tmp_path / "out")
        assert [(j.source.name, j.target.name) for j in jobs] == [
            ("a.tif", "a_restored.tif"),
            ("b.tif", "b_restored.tif"),
        ]


def test_folders_of_results_are_made_where_there_is_something_to_write(folder, tmp_path):
    def work(job, on_progress):
        if job.source.name == "b.tif":
            raise UserError("b.tif is damaged")
        job.target.write_text("result")

    output = tmp_path / "new" / "day 2"
    jobs = plan_jobs([str(folder)], output) + plan_jobs(
        [str(folder / "b.tif")], tmp_path / "other" / "folder" / "r.tif"
    )
    assert not output.parent.exists()
    with progress_bar("image") as bar, pytest.raises(UserError, match="2 of 3 images failed"):
        run_jobs(jobs, work, bar, lambda line: None)
    assert [path.name for path in output.iterdir()] == ["a_restored.tif"]
    assert not (tmp_path / "other").exists()


def test_one_image_goes_to_the_file_that_is_named(folder, tmp_path):
    (job,) = plan_jobs([str(folder / "a.tif")], tmp_path / "clean.tif")
    assert job.target == tmp_path / "clean.tif"


def test_existing_results_are_refused_skipped_or_overwritten(folder, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a_restored.tif").write_text("mine")
    with pytest.raises(UserError, match="--existing overwrite"):
        plan_jobs([str(folder)], out)
    assert [j.source.name for j in plan_jobs([str(folder)], out, existing="skip")] == ["b.tif"]
    assert len(plan_jobs([str(folder)], out, existing="overwrite")) == 2
    assert (out / "a_restored.tif").read_text() == "mine"


@pytest.mark.parametrize(
    ("images", "output", "changes", "words"),
    [
        (["day 1"], "out.tif", {}, "2 images need a folder"),
        (["day 1/*.lsm"], "out", {}, "No file matches"),
        (["day 1/notes.txt*"], "out", {}, "None of these is an image"),
        (["day 1/a.tif"], "day 1/a.tif", {}, "would replace the image itself"),
        (["day 1/a.tif"], "day 1/b.tif", {"beside": [".txt", "-mean.tif"]}, "b.tif exists"),
        (["day 1/notes.txt"], "day 1/notes.tif", {"beside": [".txt"]}, "beside .*notes.tif would replace the image"),
        (["day 1/a.tif"], "out", {"existing": "maybe"}, "refuse, skip or overwrite"),
        (["day 1/a.tif"], "out", {"output_type": "int8"}, "float32 or input"),
        (["day 1/a.tif"], "day 1/notes.txt/out", {}, "can't be made"),
    ],
)
def test_wrong_use(folder, tmp_path, monkeypatch, images, output, changes, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=words):
        plan_jobs(images, tmp_path / output, **changes)
    assert (folder / "a.tif").stat().st_size > 0
