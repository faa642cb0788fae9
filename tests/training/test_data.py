import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

from relumen.degrade import Degradation, crop_to_multiple, reduced
from relumen.errors import UserError
from relumen.training.data import Batches, load_data
from relumen.training.density import cell_mask
from relumen.training.settings import DataConfig
from relumen.training.sources import Pair


@pytest.fixture
def paired_folder(tmp_path, cells):
    folder = tmp_path / "pairs"
    for part in ("low", "high"):
        (folder / part).mkdir(parents=True)
    for i, top in enumerate((100, 300, 500)):
        high = cells[top : top + 96, 300:396]
        tifffile.imwrite(folder / "high" / f"{i}.tif", high)
        tifffile.imwrite(folder / "low" / f"{i}.tif", high[::2, ::2])
    return folder


def batches(data, config, **changes):
    arguments = {"scale": 2, "batch": 4, "augment": 0.5, "seed": 3, **changes}
    return Batches(data.training, config, **arguments)


def test_a_batch_is_a_function_of_seed_and_step(data_folder):
    config = DataConfig(folder=data_folder, patch=16, degradation=Degradation())
    data = load_data(config, 2)
    first, second = batches(data, config), batches(data, config)
    second(0), second(1)  # what was drawn before does not matter
    for a, b in zip(first(7), second(7), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first(7)[0], first(8)[0])
    assert not np.array_equal(first(7)[0], batches(data, config, seed=4)(7)[0])


def test_pairs_are_never_parted(paired_folder):
    """Whatever is shuffled, flipped and turned, the target is still the picture that the input was taken from."""
    config = DataConfig(folder=paired_folder, patch=16)
    made = batches(load_data(config, 2), config, augment=1.0)
    for step in range(made.steps_per_epoch):
        low, high = made(step)
        candidates = [high[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
        difference = np.min([np.abs(low - c).max((1, 2, 3)) for c in candidates], axis=0)
        np.testing.assert_allclose(difference, 0, atol=1e-5)


def places(height, width, first=0):
    """An input whose every pixel tells its place, and its target, whose every pixel tells its place too."""
    low = (first + np.arange(height * width)).reshape(height, width)
    high = 4 * np.kron(low, np.ones((2, 2), int)) + np.tile([[0, 1], [2, 3]], (height, width))
    return Pair("places", low.astype(np.float32), high.astype(np.float32), whole=(0.0, 1.0))  # in units of themselves


def decoded(part):
    return np.rint(part[..., 0].astype(np.float64) * (1 + 1e-6)).astype(int)


@pytest.mark.parametrize("batch", [1, 8])
def test_each_target_pixel_is_the_partner_of_its_input_pixel(batch):
    """Through shuffling, augmentation and batching; of several images, the last batch of an epoch filled up."""
    sources = (places(50, 41), places(33, 60, first=5000))
    made = Batches(sources, DataConfig(folder=".", patch=16), scale=2, batch=batch, augment=0.875, seed=1)
    for step in range(2 * made.steps_per_epoch):
        low, high = (decoded(part) for part in made(step))
        assert low.shape == (batch, 16, 16) and high.shape == (batch, 32, 32)
        np.testing.assert_array_equal(high // 4, np.kron(low, np.ones((1, 2, 2), int)))
        corners = high % 4  # the four pixels of a block lie as the whole patch does
        np.testing.assert_array_equal(corners, np.tile(corners[:, :2, :2], (1, 16, 16)))
        steps = np.stack([low[:, 1, 0] - low[:, 0, 0], low[:, 0, 1] - low[:, 0, 0]], axis=1)
        signs = np.stack([corners[:, 1, 0] - corners[:, 0, 0], corners[:, 0, 1] - corners[:, 0, 0]], axis=1)
        np.testing.assert_array_equal(np.sign(steps), np.sign(signs))
        np.testing.assert_array_equal(np.abs(steps) > 1, np.abs(signs) > 1)  # a row is more than one place away


@pytest.mark.parametrize("size", [(512, 512), (512, 500), (64, 65), (97, 131)])
def test_every_pixel_is_in_some_patch(size):
    made = Batches((places(*size),), DataConfig(folder=".", patch=64), scale=2, batch=1, augment=0.0, seed=0)
    if size == (512, 512):
        assert len(made) == 15 * 15
    shown = np.concatenate([decoded(made(step)[0]).ravel() for step in range(made.steps_per_epoch)])
    assert np.array_equal(np.unique(shown), np.arange(size[0] * size[1]))


def variants(made, steps):
    """Which of its eight ways each patch of some steps was shown in, as rows of a batch."""
    ways = []
    for step in steps:
        low = decoded(made(step)[0])
        ways.append([(a, b) for a, b in zip(low[:, 1, 0] - low[:, 0, 0], low[:, 0, 1] - low[:, 0, 0], strict=True)])
    return ways


def test_elements_of_a_batch_and_steps_and_epochs_are_augmented_anew():
    """All eight ways occur within a batch, at one place of it over the steps, and for one patch over the epochs."""
    one = Batches((places(64, 64),), DataConfig(folder=".", patch=64), scale=2, batch=64, augment=0.875, seed=5)
    assert len(one) == 1
    ways = variants(one, range(64))
    assert len(set(ways[0])) == 8
    assert len({row[0] for row in ways}) == 8
    assert len({tuple(row) for row in ways}) == 64
    every = {way for row in ways for way in row}
    assert every == {(a, b) for a in (64, -64) for b in (1, -1)} | {(b, a) for a in (64, -64) for b in (1, -1)}


def test_the_chances_are_those_of_the_paper():
    """Half of the patches are changed; of these an eighth is the unchanged one of the eight ways."""
    made = Batches((places(64, 64),), DataConfig(folder=".", patch=64), scale=2, batch=100, augment=0.5, seed=2)
    ways = [way for row in variants(made, range(20)) for way in row]
    shares = {way: ways.count(way) / len(ways) for way in set(ways)}
    assert shares.pop((64, 1)) == pytest.approx(0.5 + 0.5 / 8, abs=0.04)
    assert list(shares.values()) == pytest.approx([0.5 / 8] * 7, abs=0.03)


def test_an_epoch_shows_every_patch_once_up_to_the_border(paired_folder):
    config = DataConfig(folder=paired_folder, patch=20, overlap=0.5)
    data = load_data(config, 2)
    made = batches(data, config, augment=0.0, batch=1)
    assert len(made) == 2 * 4 * 4  # at 0, 10, 20 and, so that nothing is lost, 28
    source = data.training[0]
    mean, deviation = source.low.mean(), source.low.std() + 1e-6
    last = (source.low[-20:, -20:] - mean) / deviation
    shown = [made(step)[0][0, ..., 0] for step in range(made.steps_per_epoch)]
    assert len({patch.tobytes() for patch in shown}) == 32
    assert any(np.allclose(patch, last, atol=1e-5) for patch in shown)


def test_images_without_a_whole_patch_are_left_out_and_so_are_blank_ones():
    blank = Pair("blank", np.zeros((64, 64), np.float32), np.ones((128, 128), np.float32))
    config = DataConfig(folder=".", patch=64)
    made = Batches((places(63, 200), places(64, 64), blank), config, scale=2, batch=1, augment=0.0, seed=0)
    assert len(made) == 1
    with pytest.raises(UserError, match=r"The largest is 63 x 200; .* --set data.patch=56"):
        Batches((places(63, 200), places(10, 300)), config, scale=2, batch=1, augment=0.0, seed=0)
    with pytest.raises(UserError, match=r"The largest is 6 x 300; .* --set data.patch=8"):
        Batches((places(6, 300),), config, scale=2, batch=1, augment=0.0, seed=0)
    with pytest.raises(UserError, match=r"as large as a patch of 64 pixels shows a structure: all are blank"):
        Batches((blank,), config, scale=2, batch=1, augment=0.0, seed=0)


def test_inputs_are_in_units_of_the_whole_image(data_folder):
    config = DataConfig(folder=data_folder, patch=16, degradation=Degradation(photons=(50, 50)))
    data = load_data(config, 2)
    made = batches(data, config, augment=0.0, batch=len(batches(data, config)))
    low, high = made(0)
    assert low.mean() == pytest.approx(high.mean(), abs=0.03)
    assert low.std() > high.std() > 0.5  # one scale for both, set by the noisy input


def test_empty_patches_can_be_left_out(tmp_path, cells):
    folder = tmp_path / "images"
    folder.mkdir()
    picture = np.zeros((128, 128), np.uint8)
    picture[:48, :48] = cells[300:348, 300:348]
    tifffile.imwrite(folder / "a.tif", picture)
    tifffile.imwrite(folder / "b.tif", picture)
    counts = []
    for share in (1.0, 0.0):
        config = DataConfig(folder=folder, patch=16, keep_empty=share, degradation=Degradation())
        counts.append(len(batches(load_data(config, 2), config)))
    assert counts[1] < 0.6 * counts[0]


def test_channels_and_planes_are_images_of_their_own_and_the_pixel_size_is_read(tmp_path, cells):
    from relumen.image_writing import write_image
    from relumen.images import Image, PixelSize

    folder = tmp_path / "images"
    folder.mkdir()
    stack = np.stack([cells[:64, :64], cells[64:128, :64]])
    for name in ("a.tif", "b.tif"):
        write_image(folder / name, Image(stack, "CYX", PixelSize(0.1, 0.1)))
    data = load_data(DataConfig(folder=folder, degradation=Degradation()), 2)
    assert [source.name for source in data.training] == ["a.tif C0", "a.tif C1"]
    assert data.pixel_size_um == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda f: (f / "low" / "1.tif").unlink(), "Without a partner: 1.tif"),
        (lambda f: tifffile.imwrite(f / "low" / "1.tif", np.zeros((7, 7), np.uint8)), "2 times as large"),
        (lambda f: tifffile.imwrite(f / "low" / "1.tif", np.full((48, 48), np.nan, np.float32)), "finite"),
        (lambda f: [p.unlink() for p in (f / "low").iterdir()], "no image"),
    ],
)
def test_broken_folders_get_a_plain_message(paired_folder, break_it, words):
    break_it(paired_folder)
    with pytest.raises(UserError, match=words):
        load_data(DataConfig(folder=paired_folder), 2)


def test_high_quality_images_alone_need_a_degradation(data_folder):
    with pytest.raises(UserError, match="high-quality images alone"):
        load_data(DataConfig(folder=data_folder), 2)


SIDES = ("top", "bottom", "left", "right")


def seen(sources):
    """The numbers of the input pixels, and of the target pixels, that sources show."""
    return [set(np.concatenate([part(source).ravel() for source in sources]).astype(int))
            for part in (lambda source: source.low, lambda source: source.high)]  # fmt: skip


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("made", [False, True], ids=["pairs", "made"])
def test_a_region_is_never_trained_on_and_nothing_else_is_judged_on(side, made, tmp_path):
    """Every pixel tells its place: the two parts are apart by the gap, and targets lie where their inputs do."""
    pair = places(40, 50)
    for part, pixels in (("high", pair.high), ("low", pair.low)):
        (tmp_path / part).mkdir()
        for name in "abc":
            tifffile.imwrite(tmp_path / part / f"{name}.tif", pixels)
    degradation = Degradation(factor=2, blur=0, photons=None) if made else None
    folder = tmp_path / "high" if made else tmp_path
    config = DataConfig(
        folder=folder, region={"side": side, "share": 0.3, "gap": 3}, validation=0.3, degradation=degradation
    )
    data = load_data(config, 2)
    assert [source.name for source in data.validation] == ["c.tif"] and len(data.training) == 2
    assert f"the {side} 30 % (and 3 rows or columns beside it) of all images" in data.describe()
    length = 40 if side in ("top", "bottom") else 50
    band = round(0.3 * length)
    lines = np.arange(2000) // 50 if side in ("top", "bottom") else np.arange(2000) % 50
    lines = lines if side in ("top", "left") else length - 1 - lines  # counted from the region's side
    for sources, expected in ((data.validation, lines < band), (data.training, lines >= band + 3)):
        for source in sources:
            assert source.high.shape == tuple(2 * n for n in source.low.shape)
        lows, highs = seen(sources)
        assert {high // 4 for high in highs} == set(np.flatnonzero(expected))
        if not made:  # else an input pixel is the mean of four targets
            assert lows == set(np.flatnonzero(expected))
        first = sources[0]
        assert first.low[0, 0] == (first.high[:2, :2].mean() if made else first.high[0, 0] // 4)


def test_offsets_move_the_pixel_grid_within_the_trained_part(tmp_path):
    high = places(20, 24).high
    for name in "ab":
        tifffile.imwrite(tmp_path / f"{name}.tif", high)
    degradation = Degradation(factor=4, blur=0, photons=None)
    config = DataConfig(
        folder=tmp_path, degradation=degradation, offsets=2, region={"side": "bottom", "share": 0.3, "gap": 1}
    )
    data = load_data(config, 4)
    assert len(data.training) == 4 and len(data.validation) == 1
    corners = {source.high[0, 0] for source in data.training}
    assert corners == {high[y, x] for y in (0, 2) for x in (0, 2)}
    for source in data.training:
        assert source.low[0, 0] == source.high[:4, :4].mean()
        assert source.high.max() < data.validation[0].high.min()
    assert data.validation[0].high[0, 0] == high[4 * (10 - 3), 0]


@pytest.fixture(scope="module")
def reduced_frame(phase):
    return reduced(crop_to_multiple(phase.astype(np.float32), 8), 8)


def test_cells_are_rougher_than_what_lies_between_them(reduced_frame):
    """Judged by the frame itself: where it deviates most from its background there is a cell."""
    mask = cell_mask(reduced_frame)
    assert 0.1 < mask.mean() < 0.6
    departure = np.abs(reduced_frame - gaussian_filter(reduced_frame, 16))
    bright, plain = departure > np.percentile(departure, 97), departure < np.percentile(departure, 50)
    assert mask[bright].mean() > 0.9 > 0.3 > mask[plain].mean()
    np.testing.assert_array_equal(cell_mask(reduced_frame * 3 + 700), mask)  # whatever the gain and the offset


def test_classes_of_cell_density_are_shown_equally_often(reduced_frame):
    numbers = np.arange(reduced_frame.size, dtype=np.float32).reshape(reduced_frame.shape)
    source = Pair("frame", reduced_frame, np.kron(numbers, np.ones((2, 2), np.float32)), whole=(0.0, 1.0))
    mask = cell_mask(reduced_frame)

    def shown(densities):
        config = DataConfig(folder=".", patch=16, densities=densities)
        made = Batches((source,), config, scale=2, batch=1, augment=0.0, seed=0)
        starts = [divmod(decoded(made(step)[1])[0, 0, 0], 128) for step in range(made.steps_per_epoch)]
        classes = [min(int(5 * mask[y : y + 16, x : x + 16].mean()), 4) for y, x in starts]
        return len(made), np.bincount(classes, minlength=5), len(set(starts))

    plain, counts, distinct = shown(1)
    assert plain == distinct == counts.sum() and counts.max() > counts.min() > 0  # as they come
    even, evened, still = shown(5)
    assert list(evened) == [counts.max()] * 5 and even == 5 * counts.max()
    assert still == distinct  # none is left out
