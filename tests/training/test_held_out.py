from dataclasses import replace

import numpy as np
import pytest
import tifffile

from relumen.degrade import Degradation, clean
from relumen.metrics import psnr, ssim
from relumen.restore import Restorer
from relumen.training.config import load_config
from relumen.training.data import load_data
from relumen.training.esrgan import ESRGAN
from relumen.training.held_out import held_out, held_out_figures, held_out_inputs, restored
from relumen.training.items import AS_GIVEN
from relumen.training.replicas import Replicas
from relumen.training.sources import Degradable, Pair
from relumen.upsampling import bicubic

DEGRADATION = Degradation(blur=(0.5, 1.0, 2.0), photons=(20.0, 500.0))


@pytest.fixture(scope="module")
def sources(cells):
    high = cells[300:428, 300:428].astype(np.float32)
    other = cells[500:564, 300:364].astype(np.float32)
    cleans = tuple(clean(high, blur, 2) for blur in DEGRADATION.blur)
    return Degradable("made", cleans, high, DEGRADATION), Pair("real", other[::2, ::2], other)


def doubling(batch):
    return np.repeat(np.repeat(batch, 2, axis=1), 2, axis=2)


def test_a_made_input_comes_at_three_levels_of_noise_and_the_middle_blur(sources):
    made = held_out_inputs(sources[0], (0,))
    assert [condition for condition, _, _ in made] == ["500 photons", "100 photons", "20 photons"]
    sharp = sources[0].cleans[1].noisy(1e9, 0.0, np.random.default_rng(0))
    errors = [float(np.std(low - sharp)) for _, low, _ in made]
    assert errors[0] < errors[1] / 2 < errors[2] / 4
    assert all(high is sources[0].high for _, _, high in made)


def test_a_real_pair_comes_as_it_is(sources):
    assert held_out_inputs(sources[1], (0,)) == [(AS_GIVEN, sources[1].low, sources[1].high)]
    averaged = replace(sources[1], condition="avg4")
    assert held_out_inputs(averaged, (0,)) == [("avg4", averaged.low, averaged.high)]


def test_a_patch_is_restored_in_units_of_its_whole_image(sources):
    seen = []

    def watched(batch):
        seen.append(batch)
        return doubling(batch)

    restorer = Restorer("nearest", watched, 2, 1, (64, 64), any_size=True, halo=4)
    patch = replace(sources[1], whole=(100.0, 50.0))
    output = restored(patch, patch.low, restorer)
    np.testing.assert_allclose(output, np.kron(patch.low, np.ones((2, 2))), atol=1e-3)
    assert seen[0].max() == pytest.approx((patch.low.max() - 100) / 50, abs=1e-4)
    output = restored(sources[1], patch.low, restorer)
    np.testing.assert_allclose(output, np.kron(patch.low, np.ones((2, 2))), atol=1e-3)
    assert seen[-1].std() == pytest.approx(1, abs=0.2)


def test_the_noise_is_a_function_of_the_seed(sources):
    first, again, other = ([low for _, _, low, _ in held_out(sources, seed)] for seed in (1, 1, 2))
    assert len(first) == 4
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[0], first[1])


def test_figures_are_of_the_network_and_of_bicubic(sources):
    doubled = Restorer("nearest", doubling, 2, 1, (64, 64), any_size=True, halo=4)
    figures = held_out_figures(sources, doubled, 1)
    assert [(f.image, f.condition) for f in figures][-2:] == [("made", "20 photons"), ("real", AS_GIVEN)]
    for figure, (_, _, low, high) in zip(figures, held_out(sources, 1), strict=True):
        nearest = np.kron(low, np.ones((2, 2)))
        assert figure.psnr == pytest.approx(psnr(high, nearest), abs=1e-4)
        assert figure.ssim == pytest.approx(ssim(high, nearest), abs=1e-4)
        assert figure.bicubic_psnr == psnr(high, bicubic(low, 2))
        assert figure.bicubic_ssim == ssim(high, bicubic(low, 2))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 8])
def test_images_that_are_looked_at_while_training_are_at_all_levels_of_noise(count, cells, tmp_path, tiny):
    folder = tmp_path / "images"
    (folder / "validation").mkdir(parents=True)
    tifffile.imwrite(folder / "a.tif", cells[300:364, 300:364])
    for i in range(count):
        tifffile.imwrite(folder / "validation" / f"{i}.tif", cells[400 + 20 * i :][:64, 300:364])
    config = load_config("esrgan", "compact", tiny, **{"data.folder": str(folder), "data.degradation": {}})
    made = ESRGAN(config, load_data(config.data, 2), Replicas(), command="", machine="")
    looked_at = [(source.name, condition) for source, condition, _, _ in made._validated()]
    assert 3 <= len(looked_at) <= 4 and len(set(looked_at)) == len(looked_at)
    assert {condition for _, condition in looked_at} == {"600 photons", "110 photons", "20 photons"}
    assert len({name for name, _ in looked_at}) >= min(count, 3)
