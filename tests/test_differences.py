import numpy as np
import pytest

from relumen.differences import deviations, largest_deviation


@pytest.fixture(scope="module")
def answer(cells):
    return cells[:64, :64].astype(np.float32)


def test_differences_are_in_standard_deviations(answer):
    other = answer.copy()
    other[3, 5] += 2 * answer.std()
    found = deviations(other, answer)
    assert found[3, 5] == pytest.approx(2, abs=1e-4)
    assert np.count_nonzero(found) == 1
    assert largest_deviation(other, answer) == found.max()


def test_parts_are_measured_by_the_whole(answer):
    part = answer[:8, :8]
    assert largest_deviation(part + answer.std(), part, answer) == pytest.approx(1, abs=1e-4)


def test_the_last_bits_of_large_values_can_be_left_out(answer):
    flat = (1000 + 1e-3 * answer / answer.std()).astype(np.float32)
    next_up = np.nextafter(flat, np.float32(np.inf))
    assert largest_deviation(next_up, flat) > 0.01
    assert largest_deviation(next_up, flat, last_bits=False) == 0
    assert largest_deviation(flat + np.float32(0.01), flat, last_bits=False) > 1


def test_values_that_are_none_are_told(answer):
    broken = answer.copy()
    broken[0, 0] = np.nan
    assert np.isnan(largest_deviation(broken, answer))
    assert np.isnan(largest_deviation(answer, broken))
