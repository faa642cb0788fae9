import pytest
from pydantic import ValidationError

from relumen.errors import UserError
from relumen.export.description import PackageDescription

GOOD = {
    "name": "Nuclei x2",
    "summary": "Doubles the resolution.",
    "authors": [{"name": "Ada"}],
    "cite": [{"text": "A paper", "url": "https://example.org"}],
    "training": {"data": "Nuclei"},
}


def test_a_short_description_is_enough():
    description = PackageDescription.checked(GOOD)
    assert (description.scale, description.tile, description.halo, description.normalise.measured) == (
        2,
        128,
        None,
        True,
    )
    with pytest.raises(ValidationError, match="frozen"):
        description.scale = 4


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "x2"}, "name: .*at least 5.*received 'x2'"),
        ({"name": "nuclei/x2"}, "name: "),
        ({"summary": " "}, "summary: "),
        ({"scale": 0}, r"scale: .*received 0"),
        ({"colour": "red"}, "colour: Extra"),
        ({"authors": []}, "authors: "),
        ({"authors": [{"name": "Ada", "email": "nowhere"}]}, "authors.0.email: "),
        ({"authors": [{"name": "Ada", "orcid": "12"}]}, "authors.0.orcid: "),
        ({"cite": [{"text": "A paper"}]}, "cite.0: a citation needs a doi or a url"),
        ({"maintainers": [{"name": "Ada"}]}, "maintainers need a github_user, and Ada has none"),
        ({"uploader": {"name": "Ada"}}, "the uploader needs an email, and Ada has none"),
        ({"halo": 64}, "a tile of 128 pixels is all halo"),
        ({"input_channels": ["a", "b"]}, "make a package for each channel"),
        ({"output_channels": ["a", "a"]}, "two channels have the same name"),
        ({"pixel_size_um": -1.0}, "pixel_size_um: "),
        ({"git_repo": "my disk"}, "git_repo: "),
        ({"training": {}}, "training.data: Field required$"),
        ({"validation": [{"caption": "c", "columns": ["a", "b"], "rows": [[1]]}]}, "a row of 1 values under 2 columns"),
    ],
)
def test_faults_are_told_with_their_place(changes, words):
    with pytest.raises(UserError, match=f"(?s)The description of the package has faults:\n.*{words}"):
        PackageDescription.checked(GOOD | changes)


def test_several_channels_need_no_normalisation_outside():
    several = {"input_channels": ["a", "b"], "output_channels": ["a", "b"], "normalise": "none"}
    assert PackageDescription.checked(GOOD | several).input_channels == ("a", "b")


@pytest.mark.parametrize(
    ("name", "nickname"), [("Nuclei x2", "nuclei-x2"), ("(W2S) + more__", "w2s-more"), ("_____", "model")]
)
def test_the_nickname_is_one_word(name, nickname):
    assert PackageDescription.checked(GOOD | {"name": name}).nickname == nickname


def test_tags_are_completed_without_repeats():
    tags = PackageDescription.checked(GOOD | {"tags": ["relumen", "nuclei"], "scale": 1}).all_tags
    assert tags == ["relumen", "nuclei", "restoration", "microscopy", "2d", "deepimagej"]
