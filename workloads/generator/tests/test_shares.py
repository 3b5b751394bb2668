import numpy as np

from generator.shares import Shares

FREQUENCIES = [0.0, 1, 1e-6, 0, 5, 2e-5, 2e-5, 40, 0.25]


class Fixed:
    """A source of random numbers that returns the given numbers."""

    def __init__(self, numbers: np.ndarray) -> None:
        self._numbers = numbers

    def random(self, count: int) -> np.ndarray:
        assert count == len(self._numbers)
        return self._numbers


def test_each_number_draws_the_value_whose_share_it_falls_into() -> None:
    edges = np.cumsum(FREQUENCIES)
    edges /= edges[-1]
    numbers = np.concatenate([edges[:-1], np.nextafter(edges, 0)[1:], np.linspace(0, 1, 100_000, endpoint=False)])

    drawn = Shares(dict(enumerate(FREQUENCIES))).draw(Fixed(numbers), len(numbers))  # type: ignore[arg-type]

    expected = [int((edges <= number).sum()) for number in numbers]
    assert drawn.tolist() == expected
    assert not {0, 3} & set(expected), "a value with no share is never drawn"
    assert {2, 5, 6} <= set(expected)
