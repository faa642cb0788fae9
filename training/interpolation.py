"""Network interpolation: any balance between fidelity and sharpness, chosen after the training."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from relumen.errors import UserError
from relumen.halo import measure_halo
from relumen.images import read_image
from relumen.normalisation import EPS
from relumen.restore import Restorer
from relumen.run import PIXEL_ONLY, About, RunFolder
from relumen.training.config import ESRGANConfig, parse_config
from relumen.training.data import load_held_out
from relumen.training.held_out import held_out_figures

if TYPE_CHECKING:
    import keras


def interpolated(run: RunFolder, alpha: float, say: Callable[[str], None] = print) -> tuple[keras.Model, About]:
    """The network between a run's pixel-only generator and its last one, and what is known of it.

    Every weight is (1 - alpha) * pixel-only + alpha * last (ESRGAN, Sec. 3.4). Halo and held-out figures are made
    anew; where the held-out images are no longer there, that is said, and there are no figures.

    Args:
        run: an ESRGAN run whose second phase has begun.
        alpha: 0 for the pixel-only network, 1 for the last one.
        say: told what the user should know.

    Raises:
        UserError: alpha is out of its range, or the run has no two networks.
    """
    if not 0 <= alpha <= 1:
        raise UserError(f"alpha lies between 0 (pixel loss only) and 1 (the last network). Received: {alpha:g}")
    config, about = parse_config(run.config()), run.about()
    if not isinstance(config, ESRGANConfig) or not run.milestone_file(PIXEL_ONLY).is_file():
        raise UserError(
            f"{run.path} has no pixel-only network beside its last one, so there is nothing to interpolate: "
            "only ESRGAN runs with a second phase that has begun have both. Leave out --alpha."
        )
    network, start = run.network(), run.network(PIXEL_ONLY)
    network.set_weights(
        [(1 - alpha) * a + alpha * b for a, b in zip(start.get_weights(), network.get_weights(), strict=True)]
    )

    def predict(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(network(batch, training=False))

    sample = np.asarray(read_image(run.sample_file).pixels, np.float32)
    halo = measure_halo(predict, ((sample - sample.mean()) / (sample.std() + EPS))[..., np.newaxis], scale=about.scale)
    figures = ()
    try:
        sources = load_held_out(config.data, config.scale)
    except UserError as error:
        say(f"The card will have no figures on held-out images, for these can't be read: {error}")
    else:
        restorer = Restorer.of_network("the network", predict, halo=halo, scale=about.scale)
        figures = held_out_figures(sources, restorer, config.seed)
    return network, about.model_copy(update={"alpha": alpha, "halo": halo, "figures": figures})
