"""A prior's folder: the generator, what is known of it, and the normalizing flow of its style vectors."""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from relumen.errors import CheckFailedError, UserError
from relumen.keras_files import load_network
from relumen.run import About, RunFolder, software, write_text
from relumen.whole import file_appears_whole, temporary_sibling

if TYPE_CHECKING:
    import keras

    from relumen.models.flow import MaskedAutoregressiveFlow
    from relumen.models.stylegan2 import Generator
    from relumen.prior.variables import Imported

_CHUNK = 1000  # codes that are mapped at a time
_MOMENTS_OF, _MOMENTS_SEED = 10_000, (0, 41)
_TYPICAL = 256


class AboutFlow(BaseModel):
    """What is known of a flow; every field is written by its training."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")

    samples: int = Field(ge=1, description="Style vectors that it was trained on, or of each pass where it was fresh.")
    fresh: bool = Field(description="Whether every pass had codes of its own.")
    seed: int = Field(description="Of the codes that they were mapped from.")
    generator: str = Field(description="SHA-256 of the mapping network's weights, of which it is the flow.")
    epochs: int = Field(ge=0, description="Passes until the best was reached.")
    log_likelihood: float = Field(description="Mean natural logarithm of the density of held-out w.")
    command: str = Field(description="The command that trained it.")
    seconds: float = Field(ge=0, description="Time spent training.")


@dataclass(frozen=True)
class Prior:
    """A prior: a run of ``relumen train prior``, an imported checkpoint, or one that comes with relumen.

    Attributes:
        path: its folder.
        about: what is known of it.
    """

    path: Path
    about: About

    @classmethod
    def open(cls, path: Path) -> Prior:
        """The prior of a folder, or one that comes with relumen, by its name.

        Raises:
            UserError: there is none, or its training has not come to a checkpoint.
        """
        from relumen.shipped import shipped_names, shipped_path

        if not path.exists() and str(path) in shipped_names():
            path = shipped_path(str(path))
        run = RunFolder(path)
        whole = run.about_file.is_file() and run.model_file.is_file()
        if not whole and not run.config_file.is_file():  # a run without them has not come to a checkpoint
            priors = ", ".join(name for name in shipped_names() if name.startswith("prior-"))
            raise UserError(
                f"{path} is no prior: it has no model.keras with about.json. Name a run of relumen train prior or a "
                f"folder of relumen prior import{f', or one of {priors}' if priors else ''}."
            )
        about = run.about()
        if about.system != "prior":
            raise UserError(f"{path} is no prior: it was trained by relumen train {about.system}.")
        return cls(path, about)

    @property
    def flow_file(self) -> Path:
        """The flow."""
        return self.path / "flow.keras"

    @property
    def about_flow_file(self) -> Path:
        """What is known of the flow."""
        return self.path / "flow.json"

    @property
    def stains(self) -> tuple[str, ...]:
        """What the channels show; "channel1", "channel2" and so on where that isn't known."""
        return self.about.stains or tuple(f"channel{i + 1}" for i in range(self.about.channels))

    @property
    def ships(self) -> bool:
        """Whether it comes with relumen, whose own folders are not written to."""
        from relumen.shipped import shipped_names, shipped_path

        return any(self.path.resolve() == shipped_path(name).resolve() for name in shipped_names())

    @property
    def has_flow(self) -> bool:
        """Whether there is a flow, and it is that of this generator."""
        return self.flow_file.is_file() and self.about_flow.generator == digest(self.generator.mapping)

    @cached_property
    def generator(self) -> Generator:
        """The generator, in single precision.

        Raises:
            UserError: it can't be read.
        """
        network: Any = RunFolder(self.path).network()
        return network

    @cached_property
    def flow(self) -> MaskedAutoregressiveFlow:
        """The flow of its style vectors.

        Raises:
            UserError: there is none yet, it can't be read, or it is that of other weights.
        """
        if not self.flow_file.is_file():
            raise UserError(f"{self.path} has no flow yet. Train it with: relumen train flow {self.path}")
        if not self.has_flow:
            raise UserError(
                f"{self.flow_file} is the flow of another generator: this one was trained on since. Train it again "
                f"with: relumen train flow {self.path}"
            )
        flow: Any = load_network(self.flow_file, "Train it again.")
        return flow

    @property
    def about_flow(self) -> AboutFlow:
        """What is known of the flow.

        Raises:
            UserError: the file is missing or damaged.
        """
        try:
            return AboutFlow.model_validate_json(self.about_flow_file.read_text(encoding="utf-8"))
        except (OSError, ValidationError, UnicodeDecodeError) as error:
            raise UserError(
                f"{self.about_flow_file} is missing or damaged ({error}). Train the flow again with: "
                f"relumen train flow {self.path} --overwrite"
            ) from error

    def style_vectors(self, count: int, seed: int | tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Latent codes z (count, z_dim), standard normal, and the style vectors w = G_m(z) (count, w_dim) of them.

        Args:
            count: of codes.
            seed: equal seeds give equal codes.
        """
        length = self.generator.architecture.z_dim
        z = np.random.default_rng(seed).standard_normal((count, length)).astype(np.float32)
        w = [np.asarray(self.generator.mapping(z[i : i + _CHUNK])) for i in range(0, count, _CHUNK)]
        return z, np.concatenate(w)

    @cached_property
    def style_moments(self) -> tuple[NDArray[np.float32], float]:
        """Mean (w_dim,) of 10,000 style vectors, and their root mean squared distance from it.

        References:
            Gheisari and Genovesio, Sec. 4.1: where a search starts.
        """
        w = self.style_vectors(_MOMENTS_OF, _MOMENTS_SEED)[1]
        return w.mean(0), float(np.sqrt(w.var(0).sum()))

    @cached_property
    def typical_images(self) -> NDArray[np.float32]:
        """Images (256, size, size, channels), 0..1, of random codes; kept, since a server asks for them often."""
        from relumen.prior.samples import samples

        return samples(self, _TYPICAL, seed=0)

    def write_flow(self, flow: MaskedAutoregressiveFlow, about: AboutFlow, history: str = "") -> None:
        """Stores the flow, what is known of it, and the curves of its training as CSV where there are any.

        Whatever ends the process, there is a flow with what is known of that very one, or none.

        Raises:
            UserError: the folder can't be written to.
            CheckFailedError: the disk is full.
        """
        with file_appears_whole(self.flow_file) as network, file_appears_whole(self.about_flow_file) as known:
            flow.save(network)
            known.write_text(about.model_dump_json(indent=1) + "\n", encoding="utf-8")
            self.flow_file.unlink(missing_ok=True)  # what is known appears first, and is not of an older flow
        if history:
            write_text(self.path / "flow-history.csv", history)


def digest(network: keras.Model) -> str:
    """SHA-256 of a network's weights, as half precision tells them apart: a shipped prior has the same as its run."""
    answer = hashlib.sha256()
    for weight in network.get_weights():
        answer.update(np.ascontiguousarray(weight, np.float16).tobytes())
    return answer.hexdigest()


def write_imported(imported: Imported, source: Path, folder: Path, *, command: str, stains: tuple[str, ...]) -> Prior:
    """Makes the folder of a prior out of an imported checkpoint.

    Args:
        imported: of :func:`relumen.prior.checkpoints.import_checkpoint`.
        source: the checkpoint.
        folder: to make, or one that holds neither a network nor a training.
        command: that imports.
        stains: what the channels show; none: it isn't known.

    Raises:
        UserError: the folder holds a network or a training already, or can't be written to; or the stains are not as
            many as the channels. Whatever was in the folder is still there.
        CheckFailedError: the disk is full.
    """
    channels = imported.architecture.channels
    if stains and len(stains) != channels:
        raise UserError(f"{source} makes images of {channels} channels. Received stains of {len(stains)}: {stains}")
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    about = About(
        system="prior",
        scale=1,
        channels=channels,
        stains=stains,
        halo=None,
        tile=imported.architecture.size,
        data=f"as the makers of {source.name} tell it ({imported.layout}, SHA-256 {sha256})",
        degradation=None,
        command=command,
        machine="not trained by relumen",
        software=software(),
        seconds=0,
        steps=0,
        finished=True,
    )
    made = False
    try:
        run = RunFolder(folder)
        if any(file.exists() for file in (run.model_file, run.about_file, run.config_file)):
            raise UserError(f"{folder} holds a network or a training already. Name another folder with -o.")
        made = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        with temporary_sibling(folder / "import", is_folder=True) as inside:
            partial = RunFolder(inside)
            imported.generator().save(partial.model_file)
            partial.write_about(about)
            os.replace(partial.about_file, run.about_file)
            os.replace(partial.model_file, run.model_file)
    except OSError as error:
        if os.strerror(errno.ENOSPC) in str(error):  # HDF5 tells it in words only
            raise CheckFailedError(f"{folder} could not be written: the disk is full. Free some space.") from error
        why = error.strerror or error
        raise UserError(f"{folder} can't be written to ({why}). Choose another with -o.") from error
    finally:
        if made:
            with suppress(OSError):
                folder.rmdir()  # fails where it holds anything
    return Prior.open(folder)
