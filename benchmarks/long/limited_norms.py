"""Which variant of cGAN's network is exported by default: its norm, and whether it halves its input.

Trains each at equal steps on the stand-ins, and judges them on images never trained on. Instance normalisation and
halving are the paper's; neither gives tiles that fit each other everywhere.

    python benchmarks/long/limited_norms.py            # about 20 minutes on 2 cores
"""

from __future__ import annotations

from pathlib import Path

from trials import DEFECTS, STAND_INS, Trial, make_stand_ins

from relumen.run import RunFolder

SAME = ("steps=500", "check_every=500", "losses.content=0")
HALVED = (
    "generator={{network: resnet, width: 16, blocks: 9, downsampling: 2, norm: {}, dropout: 0, activation: linear}}"
)
TRIALS = (
    Trial("dilated, no norm (`compact`)", "norms-dilated-none"),
    Trial("dilated, pixel norm", "norms-dilated-pixel", ("generator.norm=pixel",)),
    Trial("dilated, frozen norm", "norms-dilated-frozen", ("generator.norm=frozen",)),
    Trial("halved twice, no norm", "norms-halved-none", (HALVED.format("none"),)),
    Trial("halved twice, instance norm (the paper's, at a quarter of its width)", "norms-halved-instance",
          (HALVED.format("instance"),)),
)  # fmt: skip


def main() -> None:
    """Trains what is missing, and leaves a table beside this file."""
    make_stand_ins()
    lines = [
        "PSNR (dB) on held-out images of the stand-ins after 500 steps, made by `python "
        "benchmarks/long/limited_norms.py`.",
        "",
        f"| network | {' | '.join(DEFECTS)} | halo | parameters |",
        "|---|---|---|---|---|---|",
    ]
    for trial in TRIALS:
        trial.train("cgan", STAND_INS, same=SAME)
        lines.append(f"| {trial.name} | {' | '.join(_row(trial.run))} |")
    Path(__file__).with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _row(run: RunFolder) -> list[str]:
    about = run.about()
    figures = {name: [each.psnr for each in about.figures if each.condition == name] for name in DEFECTS}
    means = [f"{sum(values) / len(values):.2f}" if values else "-" for values in figures.values()]
    halo = "one size" if about.tile else "none is enough" if about.halo is None else str(about.halo)
    return [*means, halo, str(run.network().count_params())]


if __name__ == "__main__":
    main()
