"""relumen export of one defect of CIN-GAN, as a user meets it."""

import yaml


def test_export_of_one_defect(relumen, tiny_cin_gan_run, tmp_path):
    code, said = relumen("export", tiny_cin_gan_run, "--defect", "noise", "--name", "Grain", "-o", tmp_path / "grain")
    assert code == 0 and f"Package: {tmp_path / 'grain'}." in said
    assert yaml.safe_load((tmp_path / "grain" / "rdf.yaml").read_text())["name"] == "Grain noise"


def test_a_restorer_has_no_defect_to_choose(relumen, tiny_cgan_run, tmp_path):
    code, said = relumen("export", tiny_cgan_run, "--defect", "noise", "-o", tmp_path / "p")
    assert code == 2 and "restores images, and makes no defects to choose from. Leave out --defect." in said
    assert not (tmp_path / "p").exists()


def test_what_makes_defects_does_not_restore(relumen, tiny_cin_gan_run, tmp_path):
    image = tiny_cin_gan_run / "sample.tif"
    code, said = relumen("restore", image, "--model", tiny_cin_gan_run, "-o", tmp_path / "out.tif")
    assert code == 2 and "makes defects (low-resolution, missing-planes, noise) of clean images" in said
