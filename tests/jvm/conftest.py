"""One virtual machine for a whole test run: ImageJ lives in it; Fiji's engines have processes of their own."""

import pytest

from relumen.imagej_bridge.session import open_session


@pytest.fixture(scope="session")
def imagej():
    return open_session()
