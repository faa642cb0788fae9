import pytest

from relumen.export.engines import ENGINES
from relumen.export.verify import SIZES_IN_TILES, verify_package
from relumen.shipped import shipped_packages, shipped_path

pytestmark = pytest.mark.jvm


@pytest.mark.parametrize("package", ["small_package", "cascade_package"])
def test_an_exported_package_passes_in_the_engines_of_fiji(package, request):
    check_passes(request.getfixturevalue(package), SIZES_IN_TILES)


@pytest.mark.parametrize("name", shipped_packages())
def test_what_ships_passes_in_the_engines_of_fiji(name):
    """Of these larger networks a picture that is one tile, and one of several: small packages above know all sizes."""
    check_passes(shipped_path(name), (0.4, 1.7))


def check_passes(package, sizes):
    report = verify_package(package, jvm=True, sizes=sizes)
    assert [check for check in report.checks if check.status != "passed"] == []
    assert report.versions["java"]
    for engine in ENGINES.values():
        made = [check for check in report.checks if check.name.startswith(engine.name)]
        assert len(made) == 1 + len(sizes)  # the test tensor comes first
        assert all(check.value is not None and check.value <= 1e-4 for check in made)
