import pytest

from relumen.export.engines import ENGINES
from relumen.export.verify import verify_package

pytestmark = pytest.mark.jvm


def test_an_exported_package_passes_in_the_engines_of_fiji(small_package):
    report = verify_package(small_package, jvm=True)
    assert [check for check in report.checks if check.status != "passed"] == []
    assert report.versions["java"]
    for engine in ENGINES.values():
        made = [check for check in report.checks if check.name.startswith(engine.name)]
        assert len(made) == 5  # the test tensor and pictures of four sizes
        assert all(check.value is not None and check.value <= 1e-4 for check in made)
