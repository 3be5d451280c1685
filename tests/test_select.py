from __future__ import annotations

import numpy as np
import pytest
import torch

from musicgym.select import count_bits, where


def test_where_on_a_python_bool_returns_the_chosen_object_itself() -> None:
    x, y = [1], [2]
    assert where(True, x, y) is x
    assert where(False, x, y) is y


def test_where_on_numpy_chooses_elementwise_in_float64() -> None:
    chosen = where(np.array([True, False]), 0.3, -0.5)
    assert chosen.dtype == np.float64
    assert chosen.tolist() == [0.3, -0.5]


@pytest.mark.parametrize(
    ("x", "y"),
    [(0.3, -0.5), (0.3, 0), (1, -0.6), (torch.tensor([7, 7]), 0.1), (0.1, torch.tensor([7, 7]))],
    ids=[
        "two floats",
        "float and int",
        "int and float",
        "integers and float",
        "float and integers",
    ],
)
def test_where_on_torch_keeps_float64_wherever_a_float_takes_part(x: object, y: object) -> None:
    chosen = where(torch.tensor([True, False]), x, y)
    assert chosen.dtype == torch.float64
    first = x if isinstance(x, float | int) else 7
    second = y if isinstance(y, float | int) else 7
    assert chosen.tolist() == [first, second]


def test_where_on_torch_keeps_integers_and_bools() -> None:
    condition = torch.tensor([True, False])
    assert where(condition, 1, 0).dtype == torch.int64
    assert where(condition, condition, True).dtype == torch.bool


def test_where_keeps_the_device_of_the_condition() -> None:
    chosen = where(torch.zeros(3, dtype=torch.bool, device="meta"), 0.3, -0.5)
    assert chosen.device.type == "meta"


def test_count_bits_counts_every_twelve_bit_number_on_every_kind_of_number() -> None:
    expected = [bin(x).count("1") for x in range(4096)]
    assert [count_bits(x) for x in range(4096)] == expected
    assert count_bits(np.arange(4096)).tolist() == expected
    assert count_bits(torch.arange(4096)).tolist() == expected
