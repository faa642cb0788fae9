"""What many tests share: small real images, a small trained run, and the package made of it."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from filelock import FileLock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")  # bioimageio.core would set torch, for child processes too
if "PYTEST_XDIST_WORKER" in os.environ:  # as many workers as cores: each takes one
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

TINY = (
    "generator={blocks: 1, width: 8, growth: 4}",
    "discriminator={width: 4, dense: 8}",
    "data.patch=16",
    "batch=2",
    "phase_1.steps=6",
    "phase_2.steps=4",
    "log_every=1",
    "check_every=5",
)
"""Changes to the compact preset that train in seconds."""

TINY_CASCADE = (
    "generator={network: cascade, widths: [8, 8, 4, 4], stem: 1, convs: 1}",
    "discriminator.widths=[4, 4]",
    "data.patch=8",
    "data.densities=1",
    "batch=2",
    "steps=6",
    "log_every=1",
    "check_every=3",
)
"""Changes to the cascade's compact preset that train in seconds."""

TINY_LIMITED = (
    "generator={network: resnet, width: 8, blocks: 1, downsampling: 0, norm: none, dropout: 0, activation: linear}",
    "discriminator.widths=[4, 4, 4]",
    "data.patch=32",
    "batch=2",
    "steps=4",
    "log_every=1",
    "check_every=2",
)
"""Changes to the compact presets of CIN-GAN and cGAN that train in seconds."""


Once = Callable[[str, Callable[[Path], object]], Path]

LONG = (
    "jvm",
    "docs.test_tutorials",
    "docs.test_how_to",
    "training.test_prior",
    "training.test_loop",
    "docs.test_notebooks",
    "tests.test_shipped",
    "training.test_replicas",
    "cli.test_evaluate_rls",
)
"""Groups of tests that take minutes, the longest first."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives a worker whole files, whose fixtures are costly, and one worker all that fetches Java's libraries.

    Groups that take minutes come first, so that at the end no worker waits for another; ``--no-loadscope-reorder``
    keeps this order.
    """
    java = {item.path for item in items if item.get_closest_marker("jvm")}

    def group(item: pytest.Item) -> str:
        return "jvm" if item.path in java else f"{item.path.parent.name}.{item.path.stem}"

    for item in items:
        item.add_marker(pytest.mark.xdist_group(group(item)))
    items.sort(key=lambda item: LONG.index(group(item)) if group(item) in LONG else len(LONG))


@pytest.fixture(scope="module", autouse=True)
def _forgotten() -> None:
    """TensorFlow keeps millions of objects of the files before: Python's collector need not visit them ever again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def cells() -> np.ndarray:
    """A real 8-bit field with cells all over, (1006, 1000)."""
    from relumen.data import image_path
    from relumen.images import read_image

    return np.array(read_image(image_path("kc167/01_POS218_F.tif")).pixels)


@pytest.fixture(scope="session")
def phase() -> np.ndarray:
    """A real 16-bit frame of cells in phase contrast, (1022, 1024)."""
    from relumen.data import image_path
    from relumen.images import read_image

    return np.array(read_image(image_path("phase_t98g/t01.tif")).pixels)


@pytest.fixture
def tiny() -> list[str]:
    """Changes to the compact preset that train in seconds."""
    return list(TINY)


@pytest.fixture
def data_folder(tmp_path: Path, cells: np.ndarray) -> Path:
    """Three small high-quality images, two to train on and one held out."""
    return write_images(tmp_path / "images", cells)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Makes a folder once, in whichever worker needs it first: ``once(name, make)`` gives it, made by ``make(it)``."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    shared.mkdir(exist_ok=True)

    def folder(name: str, make: Callable[[Path], object]) -> Path:
        path, made = shared / name, shared / f"{name}.made"
        with FileLock(shared / f"{name}.lock"):
            if not made.exists():
                shutil.rmtree(path, ignore_errors=True)  # of a worker that failed
                path.mkdir()
                make(path)
                made.touch()
        return path

    return folder


@pytest.fixture(scope="session")
def tiny_run(once: Once, cells: np.ndarray) -> Path:
    """A run folder that was trained for a few steps, beside its images/; to be read only."""

    def make(folder: Path) -> None:
        train("esrgan", folder / "tiny", write_images(folder / "images", cells), TINY, degrade=True)

    return once("run", make) / "tiny"


@pytest.fixture(scope="session")
def tiny_cascade_run(once: Once, phase: np.ndarray) -> Path:
    """A run folder of the cascade that was trained for a few steps at 8x, beside its images/; to be read only."""

    def make(folder: Path) -> None:
        train("cascade", folder / "tiny", write_images(folder / "images", phase), TINY_CASCADE, pixel_size=6.94)

    return once("cascade", make) / "tiny"


@pytest.fixture(scope="session")
def defects_folder(once: Once, cells: np.ndarray) -> Path:
    """Pairs of three defects, each in a subfolder with two images to train on and one held out; to be read only."""
    return once("defects", lambda folder: write_defects(folder, cells))


@pytest.fixture(scope="session")
def tiny_cgan_run(once: Once, defects_folder: Path) -> Path:
    """A restorer of three defects without normalisation, trained adversarially for a few steps; to be read only."""
    changes = (*TINY_LIMITED, "losses.adversarial=0.1")
    return once("cgan", lambda folder: train("cgan", folder / "tiny", defects_folder, changes)) / "tiny"


@pytest.fixture(scope="session")
def tiny_cin_gan_run(once: Once, defects_folder: Path) -> Path:
    """A generator of three defects with instance normalisation and one halving, trained for a few steps; read only."""
    changes = (*TINY_LIMITED, "generator.norm=instance", "generator.downsampling=1", "generator.width=4")
    changes += ("losses.critic_steps=1", "draw=false", "average=0")
    return once("cin-gan", lambda folder: train("cin-gan", folder / "tiny", defects_folder, changes)) / "tiny"


@pytest.fixture(scope="session")
def drawing_cin_gan_run(once: Once, defects_folder: Path) -> Path:
    """The same without normalisation, and with random numbers as an input; read only."""
    changes = (*TINY_LIMITED, "losses.critic_steps=1", "draw=true", "average=0")
    return once("drawing", lambda folder: train("cin-gan", folder / "tiny", defects_folder, changes)) / "tiny"


@pytest.fixture
def tiny_prior(tmp_path: Path) -> Path:
    """A prior of untrained weights, as if imported: images of 8 x 8 with two channels, style vectors of length 6."""
    return write_prior(tmp_path / "tiny-prior")


@pytest.fixture
def tiny_prior_with_flow(tiny_prior: Path) -> Path:
    """The same with its flow, as good as it is without training."""
    add_flow(tiny_prior)
    return tiny_prior


@pytest.fixture(scope="session")
def searchable_prior(once: Once) -> Path:
    """The same once for all tests; to be read only."""
    return once("prior", lambda folder: add_flow(write_prior(folder / "tiny-prior"))) / "tiny-prior"


@pytest.fixture(scope="session")
def cell_sized_prior(once: Once) -> Path:
    """One of images as large as drawn cells are, 128 x 128; to be read only."""
    widths = (4, 4, 4, 4, 4, 4)
    made = once("large-prior", lambda folder: add_flow(write_prior(folder / "cell-sized", widths=widths)))
    return made / "cell-sized"


@pytest.fixture(scope="session")
def small_package(once: Once, tiny_run: Path) -> Path:
    """The package of the tiny run; to be read only."""
    return once("package", lambda folder: export(tiny_run, folder / "tiny")) / "tiny"


@pytest.fixture(scope="session")
def cascade_package(once: Once, tiny_cascade_run: Path) -> Path:
    """A package of the cascade, 8x, untrained; to be read only."""

    def make(folder: Path) -> None:
        export(untrained_cascade(tiny_cascade_run, folder / "run", "pixel", halo=8), folder / "cascade")

    return once("cascade-package", make) / "cascade"


@pytest.fixture(scope="session")
def cgan_package(once: Once, tiny_cgan_run: Path) -> Path:
    """The package of the tiny restorer of three defects; to be read only."""
    return once("cgan-package", lambda folder: export(tiny_cgan_run, folder / "cgan")) / "cgan"


@pytest.fixture(scope="session")
def noise_package(once: Once, tiny_cin_gan_run: Path) -> Path:
    """The package that makes noise of clean images, of the tiny generator of three defects; to be read only."""
    return once("noise-package", lambda folder: export(tiny_cin_gan_run, folder / "noise", defect="noise")) / "noise"


@pytest.fixture(scope="session")
def fixed_run(once: Once, tiny_cascade_run: Path) -> Path:
    """A run of the cascade with the paper's normalisation, which takes inputs of 16 x 16; to be read only."""

    def make(folder: Path) -> None:
        untrained_cascade(tiny_cascade_run, folder / "fixed", "paper", halo=0, tile=16)

    return once("fixed-run", make) / "fixed"


@pytest.fixture(scope="session")
def fixed_package(once: Once, fixed_run: Path) -> Path:
    """The package of a network that takes inputs of 16 x 16; to be read only."""
    return once("fixed-package", lambda folder: export(fixed_run, folder / "fixed")) / "fixed"


def untrained_cascade(run: Path, folder: Path, norm: Literal["pixel", "paper"], **about: int) -> Path:
    """A copy of a run with another network; wide enough that its normalisation magnifies no rounding errors."""
    import keras

    from relumen.models.cascade import generator, last_level
    from relumen.run import RunFolder

    copy = RunFolder(Path(shutil.copytree(run, folder)))
    keras.utils.set_random_seed(0)
    last_level(generator(8, widths=(16, 16, 16, 16), stem=1, convs=1, norm=norm)).save(copy.model_file)
    copy.write_about(copy.about().model_copy(update=about))
    return copy.path


def write_prior(folder: Path, seed: int = 0, widths: tuple[int, ...] = (8, 8)) -> Path:
    """A prior of random weights in a folder that is made."""
    import keras

    from relumen.models.stylegan2 import Architecture, Generator
    from relumen.prior.folder import write_imported
    from relumen.prior.variables import Imported

    keras.utils.set_random_seed(seed)
    generator = Generator(Architecture(widths, channels=2, z_dim=6, w_dim=6))
    weights = {each.path.removeprefix("generator/"): each.numpy() for each in generator.weights}
    source = folder.parent / "checkpoint.pkl"
    source.write_bytes(b"any")
    imported = Imported("a layout", generator.architecture, weights)
    return write_imported(imported, source, folder, command="relumen prior import", stains=("DNA", "NF-kB")).path


def add_flow(folder: Path) -> None:
    """Gives a prior of :func:`write_prior` its flow: statistics alone, no training."""
    from relumen.models.flow import MaskedAutoregressiveFlow
    from relumen.prior.folder import AboutFlow, Prior, digest

    prior = Prior.open(folder)
    flow = MaskedAutoregressiveFlow(6, blocks=1, hidden=12, seed=0)
    flow.adapt(prior.style_vectors(500, 9)[1])
    about = AboutFlow(
        samples=500,
        fresh=True,
        seed=9,
        generator=digest(prior.generator.mapping),
        epochs=0,
        log_likelihood=-7.5,
        command="relumen train flow",
        seconds=60.0,
    )
    prior.write_flow(flow, about)


def train(
    system: str, folder: Path, data: Path, changes: Sequence[str], pixel_size: float = 0.2, degrade: bool = False
) -> None:
    """Makes a run of the compact preset, changed to be trained for a few steps."""
    from relumen.training import start

    run = start.prepare(
        folder,
        system=system,
        preset="compact",
        data=data,
        degrade=degrade,
        pixel_size=pixel_size,
        overrides=list(changes),
    )
    start.go(run, command=f"relumen train {system}", machine="the tests' machine", say=lambda text: None)


def export(run: Path, folder: Path, defect: str | None = None) -> Path:
    """The package of a run, or of one of its defects, with all that the zoo wants to know."""
    from relumen.export.from_run import Credits, export_run

    credits = Credits(("A. Biologist", "B. Engineer"), "abiologist", "a@example.org", "https://example.org/images")
    return export_run(run, folder, defect=defect, credits=credits)


def write_images(folder: Path, cells: np.ndarray) -> Path:
    """Two images to train on and one held out."""
    import tifffile

    (folder / "validation").mkdir(parents=True)
    tifffile.imwrite(folder / "a.tif", cells[300:460, 300:460])
    tifffile.imwrite(folder / "b.tif", cells[500:660, 300:460])
    tifffile.imwrite(folder / "validation" / "c.tif", cells[300:460, 560:720])
    return folder


def write_defects(folder: Path, cells: np.ndarray) -> Path:
    """Pairs of 16 bits, of noise, missing planes and low resolution: images of 96 x 96 pixels."""
    import tifffile

    from relumen.degrade import Clean, unresolved, without_planes

    noise = np.random.default_rng(0)
    defects = {
        "noise": lambda image: Clean(image).with_noise(image, 60, 2, noise),
        "missing-planes": lambda image: without_planes(image, 8, 2),
        "low-resolution": lambda image: unresolved(image, 8, 3),
    }
    places = {"a.tif": (300, 300), "b.tif": (500, 300), "validation/c.tif": (300, 560)}
    for defect, make in defects.items():
        for name, (y, x) in places.items():
            image = cells[y : y + 96, x : x + 96] / np.float32(np.percentile(cells[y : y + 96, x : x + 96], 99.9))
            for kind, pixels in (("low", make(image)), ("high", image)):
                path = folder / defect / name
                path = path.parent / kind / path.name
                path.parent.mkdir(parents=True, exist_ok=True)
                tifffile.imwrite(path, np.clip(np.rint(pixels * 10000 + 500), 0, 65535).astype(np.uint16))
    return folder
