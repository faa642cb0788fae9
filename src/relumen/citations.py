"""The works that relumen stands on, and how each is cited: the one owner of all references.

Packages, ``relumen cite`` and CITATION.cff say the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import relumen
from relumen.errors import UserError
from relumen.package import package_folder
from relumen.rdf import read_rdf
from relumen.run import RunFolder, kind_of
from relumen.shipped import shipped_names, shipped_path

Name = tuple[str, str]
"""Given names and family names; the given names are empty for a group of people."""


@dataclass(frozen=True)
class Reference:
    """A work to cite.

    Attributes:
        key: in BibTeX.
        authors: in order; none where the title says it all.
        title: of the work.
        venue: where it appeared, where known.
        year: of publication, where known.
        doi: where known.
        url: where the work is, without a doi.
        note: what it is, where title and venue don't say it.
    """

    key: str
    authors: tuple[Name, ...]
    title: str
    venue: str = ""
    year: int | None = None
    doi: str | None = None
    url: str | None = None
    note: str = ""

    @property
    def link(self) -> str:
        """An address of the work, or nothing."""
        return f"https://doi.org/{self.doi}" if self.doi else self.url or ""

    @property
    def short(self) -> str:
        """One line with two authors at most: "Wang et al., ESRGAN: ..., ECCV workshops 2018"."""
        names = [family for _, family in self.authors]
        authors = f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
        return ", ".join(filter(None, (authors, self.title, " ".join(self._published))))

    def as_text(self) -> str:
        """One line with all authors and the link."""
        *most, last = [f"{given} {family}".strip() for given, family in self.authors] or [""]
        authors = f"{', '.join(most)} and {last}" if most else last
        parts = (authors, self.title.rstrip("."), " ".join(self._published), self.note, self.link)
        return ". ".join(filter(None, parts))

    def as_bibtex(self) -> str:
        """An entry for BibTeX; names are in UTF-8."""
        # Braces keep a group of people from being read as a given name and a family name.
        authors = [f"{family}, {given}" if given else f"{{{family}}}" for given, family in self.authors]
        fields = {
            "author": " and ".join(authors),
            "title": f"{{{_escaped(self.title)}}}",
            "howpublished": _escaped(self.venue),
            "year": str(self.year or ""),
            "note": _escaped(self.note),
            "doi": self.doi or "",
            "url": "" if self.doi else self.url or "",
        }
        return _entry(self.key, fields)

    @property
    def _published(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.venue, str(self.year or ""))))


def references(what: str | None = None) -> tuple[Reference, ...]:
    """What to cite.

    Args:
        what: a system of :data:`SYSTEMS`, a kind of network of :data:`WORKS`, a run folder, or a package, also by the
            name of one that comes with relumen; None for relumen alone.

    Returns:
        relumen and the works behind it; for a package what its own rdf.yaml names.

    Raises:
        UserError: it is none of these, or the package names nothing.
    """
    if what is None:
        return (RELUMEN,)
    if what in SYSTEMS or what in WORKS:
        return RELUMEN, *(SYSTEMS | WORKS)[what]
    path = Path(what)
    if not path.exists() and what in shipped_names():
        path = shipped_path(what)
    if not path.exists():
        raise UserError(f"There is no {what}. Give one of {', '.join(SYSTEMS)}, a run folder, or a package.")
    if (path / "config.yaml").is_file():
        return RELUMEN, *WORKS.get(kind_of(RunFolder(path).config()), ())
    with package_folder(path) as folder:
        return _named_in(read_rdf(folder), what)


def _named_in(rdf: dict[str, Any], package: str) -> tuple[Reference, ...]:
    entries = rdf.get("cite")
    found = []
    for entry in entries if isinstance(entries, list) else []:
        told = entry if isinstance(entry, dict) else {}
        text, doi, url = (_line(told.get(key)) for key in ("text", "doi", "url"))
        if text:
            doi = doi and doi.removeprefix("https://doi.org/")
            found.append(Reference(f"model-{len(found) + 1}", (), text, doi=doi, url=url))
    if not found:
        raise UserError(f"{package} names no work to cite: its rdf.yaml has no list under 'cite'. Ask its authors.")
    return tuple(found)


def _line(value: object) -> str | None:
    """A foreign text as one line that can't steer the terminal."""
    return "".join(c for c in " ".join(value.split()) if c.isprintable()) if isinstance(value, str) else None


def _entry(key: str, fields: dict[str, str]) -> str:
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{{key},", *lines, "}"])


def _escaped(text: str) -> str:
    """Text with the signs that LaTeX would take for commands made plain."""
    named = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(named.get(sign, f"\\{sign}" if sign in "&%$#_{}" else sign) for sign in text)


RELUMEN = Reference(
    key="relumen",
    authors=(("", "the relumen developers"),),
    title="relumen",
    year=2026,
    url="https://github.com/relumen/relumen",
    note=f"Software, version {relumen.__version__}",
)
ESRGAN = Reference(
    key="wang-esrgan",
    authors=(
        ("Xintao", "Wang"), ("Ke", "Yu"), ("Shixiang", "Wu"), ("Jinjin", "Gu"), ("Yihao", "Liu"), ("Chao", "Dong"),
        ("Yu", "Qiao"), ("Chen Change", "Loy"),
    ),
    title="ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks",
    venue="ECCV workshops",
    year=2018,
    doi="10.1007/978-3-030-11021-5_5",
)  # fmt: skip
CHATTON = Reference(
    key="chatton-w2s",
    authors=(("Martin", "Chatton"),),
    title="Microscopy Image Restoration using Deep Learning on W2S",
    url="https://github.com/mchatton/w2s-tensorflow",
)
W2S = Reference(
    key="zhou-w2s",
    authors=(
        ("Ruofan", "Zhou"), ("Majed", "El Helou"), ("Daniel", "Sage"), ("Thierry", "Laroche"), ("Arne", "Seitz"),
        ("Sabine", "Süsstrunk"),
    ),
    title="W2S: A Joint Denoising and Super-Resolution Dataset",
    year=2020,
    doi="10.48550/arXiv.2003.05961",
)  # fmt: skip
HAN = Reference(
    key="han-cascade",
    authors=(("Liang", "Han"), ("Zhaozheng", "Yin")),
    title="A Cascaded Refinement GAN for Phase Contrast Microscopy Image Super Resolution",
    venue="MICCAI",
    year=2018,
    doi="10.1007/978-3-030-00934-2_39",
)
SU = Reference(
    key="su-filters",
    authors=(("Hang", "Su"), ("Zhaozheng", "Yin"), ("Seungil", "Huh"), ("Takeo", "Kanade")),
    title="Cell segmentation in phase contrast microscopy images via semi-supervised classification over "
    "optics-related features",
    venue="Medical Image Analysis",
    year=2013,
    doi="10.1016/j.media.2013.04.004",
)
LAI = Reference(
    key="lai-lapsrn",
    authors=(("Wei-Sheng", "Lai"), ("Jia-Bin", "Huang"), ("Narendra", "Ahuja"), ("Ming-Hsuan", "Yang")),
    title="Deep Laplacian Pyramid Networks for Fast and Accurate Super-Resolution",
    venue="CVPR",
    year=2017,
    doi="10.48550/arXiv.1704.03915",
)
RAZDAIBIEDINA = Reference(
    key="razdaibiedina-limited",
    authors=(("Anastasia", "Razdaibiedina"), ("Jeevaa", "Velayutham"), ("Miti", "Modi")),
    title="Multi-defect microscopy image restoration under limited data conditions",
    venue="Medical Imaging meets NeurIPS",
    year=2019,
    doi="10.48550/arXiv.1910.14207",
)
DUMOULIN = Reference(
    key="dumoulin-style",
    authors=(("Vincent", "Dumoulin"), ("Jonathon", "Shlens"), ("Manjunath", "Kudlur")),
    title="A Learned Representation for Artistic Style",
    venue="ICLR",
    year=2017,
    doi="10.48550/arXiv.1610.07629",
)
WEIGERT = Reference(
    key="weigert-care",
    authors=(
        ("Martin", "Weigert"), ("Uwe", "Schmidt"), ("Tobias", "Boothe"), ("Andreas", "Müller"),
        ("Alexandr", "Dibrov"), ("Akanksha", "Jain"), ("Benjamin", "Wilhelm"), ("Deborah", "Schmidt"),
        ("Coleman", "Broaddus"), ("Siân", "Culley"), ("Mauricio", "Rocha-Martins"), ("Fabián", "Segovia-Miranda"),
        ("Caren", "Norden"), ("Ricardo", "Henriques"), ("Marino", "Zerial"), ("Michele", "Solimena"),
        ("Jochen", "Rink"), ("Pavel", "Tomancak"), ("Loic", "Royer"), ("Florian", "Jug"), ("Eugene W.", "Myers"),
    ),
    title="Content-aware image restoration: pushing the limits of fluorescence microscopy",
    venue="Nature Methods",
    year=2018,
    doi="10.1038/s41592-018-0216-7",
)  # fmt: skip
KUPYN = Reference(
    key="kupyn-deblurgan",
    authors=(
        ("Orest", "Kupyn"), ("Volodymyr", "Budzan"), ("Mykola", "Mykhailych"), ("Dmytro", "Mishkin"),
        ("Jiří", "Matas"),
    ),
    title="DeblurGAN: Blind Motion Deblurring Using Conditional Adversarial Networks",
    venue="CVPR",
    year=2018,
    doi="10.48550/arXiv.1711.07064",
)  # fmt: skip
ZHU = Reference(
    key="zhu-cyclegan",
    authors=(("Jun-Yan", "Zhu"), ("Taesung", "Park"), ("Phillip", "Isola"), ("Alexei A.", "Efros")),
    title="Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks",
    venue="ICCV",
    year=2017,
    doi="10.48550/arXiv.1703.10593",
)
ISOLA = Reference(
    key="isola-pix2pix",
    authors=(("Phillip", "Isola"), ("Jun-Yan", "Zhu"), ("Tinghui", "Zhou"), ("Alexei A.", "Efros")),
    title="Image-to-Image Translation with Conditional Adversarial Networks",
    venue="CVPR",
    year=2017,
    doi="10.48550/arXiv.1611.07004",
)
GHEISARI = Reference(
    key="gheisari-rls",
    authors=(("Marzieh", "Gheisari"), ("Auguste", "Genovesio")),
    title="Reconstructing Interpretable Features in Computational Super-Resolution microscopy via Regularized Latent "
    "Search",
    venue="Biological Imaging",
    year=2024,
    doi="10.48550/arXiv.2405.19112",
)
STYLEGAN2 = Reference(
    key="karras-stylegan2",
    authors=(
        ("Tero", "Karras"), ("Samuli", "Laine"), ("Miika", "Aittala"), ("Janne", "Hellsten"), ("Jaakko", "Lehtinen"),
        ("Timo", "Aila"),
    ),
    title="Analyzing and Improving the Image Quality of StyleGAN",
    venue="CVPR",
    year=2020,
    doi="10.48550/arXiv.1912.04958",
)  # fmt: skip
ADA = Reference(
    key="karras-ada",
    authors=(
        ("Tero", "Karras"), ("Miika", "Aittala"), ("Janne", "Hellsten"), ("Samuli", "Laine"), ("Jaakko", "Lehtinen"),
        ("Timo", "Aila"),
    ),
    title="Training Generative Adversarial Networks with Limited Data",
    venue="NeurIPS",
    year=2020,
    doi="10.48550/arXiv.2006.06676",
)  # fmt: skip
PAPAMAKARIOS = Reference(
    key="papamakarios-maf",
    authors=(("George", "Papamakarios"), ("Theo", "Pavlakou"), ("Iain", "Murray")),
    title="Masked Autoregressive Flow for Density Estimation",
    venue="NeurIPS",
    year=2017,
    doi="10.48550/arXiv.1705.07057",
)

SYSTEMS: dict[str, tuple[Reference, ...]] = {
    "esrgan": (ESRGAN, CHATTON, W2S),
    "cascade": (HAN, SU),
    "limited": (RAZDAIBIEDINA, DUMOULIN),
    "rls": (GHEISARI, STYLEGAN2, ADA, PAPAMAKARIOS),
}
"""What each system stands on, the method's paper first."""

WORKS: dict[str, tuple[Reference, ...]] = {
    "esrgan": SYSTEMS["esrgan"],
    "cascade": SYSTEMS["cascade"],
    "lapsrn": (LAI, *SYSTEMS["cascade"]),
    "cin-gan": SYSTEMS["limited"],
    "cgan": (RAZDAIBIEDINA,),
    "care": (WEIGERT, RAZDAIBIEDINA),
    "deblurgan": (KUPYN, RAZDAIBIEDINA),
    "cyclegan": (ZHU, RAZDAIBIEDINA),
    "prior": (STYLEGAN2, ADA, GHEISARI),
    "pix2pix": (ISOLA, GHEISARI),
}
"""The same of each kind of network that a run trains (:func:`relumen.run.kind_of`), its own paper first."""
