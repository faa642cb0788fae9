"""Makes the folder of a prior that comes with relumen out of its run: python -m relumen.evaluation.ship_prior.

python -m relumen.evaluation.ship_prior runs/prior-cells shipped/prior-cells ["It does not ..." ...]
"""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml

from relumen.data import records
from relumen.errors import UserError
from relumen.evaluation.gaussianization import COLUMNS, cells_of, draw_gaussianization
from relumen.evaluation.prior import norms_of
from relumen.prior.folder import AboutFlow, Prior
from relumen.prior.samples import samples, write_samples
from relumen.run import RunFolder, Stage, write_text
from relumen.storage import HALF, store_small
from relumen.tables import markdown
from relumen.training.config import parse_config
from relumen.training.prior_config import PriorConfig
from relumen.training.prior_data import SHIPPED
from relumen.training.prior_transfer import DISCRIMINATOR, discriminator_of
from relumen.training.shipping import tables

_COMPARED = 64  # images, to see what half precision changes
_SHOWN = 32
_COARSE = 8  # significant bits of the flow's and the discriminator's matrices: what they change is told on the card


def ship_prior(path: Path, folder: Path, *limitations: str) -> Path:
    """Stores a prior, its flow and its discriminator in half precision, with what is known of them, pictures, a card.

    Args:
        path: a finished run of ``relumen train prior`` with its flow.
        folder: to make; files of the same names are replaced.
        limitations: what it is not good for, beside what no such prior is.

    Returns:
        The folder.

    Raises:
        UserError: the run is not finished, has no flow, or was trained on other images than relumen's own.
    """
    prior, run = Prior.open(path), RunFolder(path)
    config = parse_config(run.config())
    if not isinstance(config, PriorConfig) or not prior.about.finished:
        raise UserError(f"{path} is no finished run of a prior. Go on with: relumen train prior --resume {path}")
    if config.images.crops or config.images.bbbc021:
        raise UserError(f"{path} was trained on images that don't come with relumen; its card could not state them.")
    about_flow = prior.about_flow
    _ = prior.flow  # there is one, and it fits
    folder.mkdir(parents=True, exist_ok=True)
    store_small(run.model_file, folder / run.model_file.name)
    store_small(prior.flow_file, folder / prior.flow_file.name, _COARSE)
    critic = discriminator_of(run)
    if critic is not None:  # without it a prior of other stains begins with half of what was learned
        kept = RunFolder(folder).milestone_file(DISCRIMINATOR)
        critic.save(kept)
        store_small(kept, kept, _COARSE)
    for file in (run.about_file, prior.about_flow_file):
        shutil.copyfile(file, folder / file.name)
    values = config.model_dump(mode="json")
    values["init"] = None if config.init is None else config.init.name  # no paths of the machine that trained it
    values["images"].pop("cache")
    write_text(folder / "config.yaml", yaml.safe_dump(values, sort_keys=False))
    shipped = Prior.open(folder)
    write_samples(shipped, folder / "samples.png", count=_SHOWN, seed=0)
    norms = norms_of(shipped)
    draw_gaussianization(norms).savefig(folder / "figure-1.png", dpi=110)
    card = _card(
        shipped,
        about_flow,
        norms=markdown(COLUMNS, cells_of(norms)),
        rounded=_rounding(prior, shipped),
        command=shlex.join(["python", "-m", "relumen.evaluation.ship_prior", str(path), str(folder), *limitations]),
        limitations=limitations,
    )
    write_text(folder / "README.md", card)
    return folder


def _rounding(prior: Prior, shipped: Prior) -> str:
    """What half precision changes, in words."""
    before, after = (samples(each, _COMPARED, 1) for each in (prior, shipped))
    changes = 255 * np.abs(before - after)
    w = prior.style_vectors(1000, 2)[1]
    norms = [np.square(np.asarray(each.flow(w)[0])).sum(1) for each in (prior, shipped)]
    return (
        f"images by {changes.mean():.2g} grey levels of 255 (at most {changes.max():.2g}), squared norms of F(w) by "
        f"{np.abs(norms[0] - norms[1]).mean():.2g} of {norms[0].mean():.0f}"
    )


def _told(stage: Stage) -> str:
    """A stage of the training, in Markdown."""
    return (
        f"`{stage.command}`: {stage.steps} steps in {stage.seconds / 60:.0f} minutes on {stage.machine}.\n"
        f"   Images: {stage.data}"
    )


def _card(prior: Prior, flow: AboutFlow, *, norms: str, rounded: str, command: str, limitations: Sequence[str]) -> str:
    """What a person should know before they use the prior, in Markdown."""
    about, architecture = prior.about, prior.generator.architecture
    real = any(SHIPPED in stage.data for stage in about.all_stages)
    sources = sorted({f"- {r.source}: {r.licence}" for r in records().values() if r.field.startswith("translocation")})
    return _CARD.format(
        name=prior.path.name,
        size=architecture.size,
        stains=", ".join(about.stains),
        inputs=architecture.style_inputs,
        w_dim=architecture.w_dim,
        stages="\n".join(f"{i}. {_told(stage)}" for i, stage in enumerate(about.all_stages, 1)),
        software=about.software,
        tables=tables(about.measures),
        flow_trained=flow.command,
        samples=flow.samples,
        fresh=" new ones in each pass" if flow.fresh else "",
        flow_minutes=flow.seconds / 60,
        likelihood=flow.log_likelihood,
        norms=norms,
        rounded=rounded,
        coarse=_COARSE,
        half=HALF,
        shipped=command,
        limitations="".join(f"- {each}\n" for each in limitations),
        sources="\n".join(sources) if real else "All training images were drawn by relumen itself.",
    )


_CARD = """\
# {name}

A generator of fluorescence images of cells, {size} x {size} pixels, channels {stains}, with the normalizing flow of
its style vectors: the prior of regularized latent search. **Everything that it makes is synthesised.**

![Samples](samples.png)

*Random samples, one seed, none left out. No microscope took these.*

## Use

    relumen search low/*.tif --prior {name} --factor 16 -o found
    relumen prior sample {name} -n 32 -o samples.png
    relumen train prior --init {name} ...          # a start for other stains, with its discriminator

or `relumen.prior.folder.Prior.open(Path("{name}"))` in Python: StyleGAN2 with {inputs} style inputs of {w_dim} numbers.

## Training

{stages}

- {software}
- Flow: `{flow_trained}`; {samples} style vectors,{fresh} in {flow_minutes:.0f} minutes; log-likelihood of
  held-out ones {likelihood:.1f}
- Then `{shipped}`: matrices in half precision, those of flow and discriminator to {coarse} of its {half} bits, which
  changes {rounded}

## Figures

Kernel distance (KID's estimator) to images that were held out, in features of relumen's own network of microscopy
images, which no prior has trained: can't be compared with published KIDs, which are of Inception's features. The
interval holds 95 % of the values on random halves. That of training images is what a perfect generator would reach.

{tables}

Squared norms of 5,000 codes that the flow was not trained on (Fig. 1 of Gheisari and Genovesio; `figure-1.png`):

{norms}

![Squared norms](figure-1.png)

## What it is not good for

- Drawn cells are simpler than real ones. A search with this prior shows what such cells would look like at low
  resolution, not what is in your sample: train a prior on images of your own cells, stains and pixel size.
- It knows one cell size, one exposure and these stains, in this order; images centred on a nucleus.
{limitations}- Nothing that it makes may be measured as if it had been seen.

## Licence

BSD-3-Clause, as relumen.

{sources}
"""


if __name__ == "__main__":
    print(ship_prior(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]))
