"""relumen train cyclegan as a user meets it."""

from relumen.run import RunFolder


def test_help_has_an_example(relumen):
    code, said = relumen("train", "cyclegan", "--help")
    assert code == 0 and "Example: relumen train cyclegan" in said


def test_it_trains_on_one_of_several_defects(relumen, tmp_path, defects_folder):
    code, said = relumen("train", "cyclegan", "--data", defects_folder, "-o", tmp_path / "run")
    assert code == 2 and "low-resolution, missing-planes, noise. Say which: --defect low-resolution." in said
    small = (
        "generator={width: 2, blocks: 1, downsampling: 0, norm: none, dropout: 0, activation: linear}",
        "discriminator.widths=[2, 2]", "data.patch=16", "batch=1", "steps=1", "log_every=1", "check_every=1",
    )  # fmt: skip
    changes = [part for change in small for part in ("--set", change)]
    clean = defects_folder / "missing-planes" / "high"
    options = ["--data", defects_folder, "--defect", "noise", "--clean", clean, "--images", "1"]
    code, said = relumen("train", "cyclegan", *options, "-o", tmp_path / "run", *changes)
    assert code == 0, said
    assert f"Next: relumen export {tmp_path / 'run'}" in said
    about = RunFolder.open(tmp_path / "run").about()
    assert (about.system, about.command.split()[:3]) == ("cyclegan", ["relumen", "train", "cyclegan"])
    assert about.data.startswith("2 clean images, and defective ones that need be no partners of them: 1 of noise")


def test_it_asks_for_images(relumen):
    code, said = relumen("train", "cyclegan")
    assert code == 2 and "--data FOLDER" in said
