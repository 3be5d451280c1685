"""Statistics of few runs on several tasks: worked out by hand, and as rliable has them."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from musicgym.benchmarks.statistics import (
    RESAMPLES,
    ends,
    estimate,
    improvement,
    improvement_estimate,
    interquartile_mean,
    mean,
    mean_estimates,
    median,
    optimality_gap,
    profile,
    resampled,
    upper_limits,
    weights,
)

Floats = npt.NDArray[np.float64]
#: Five runs on four tasks, and what rliable 1.2.0 (arch 7.2.0) says of them with 50,000 resamples;
#: 5,000 for the probability of improvement, 20,000 for the profile.
X = np.array([
    [0.10, 0.52, 0.33, 0.91], [0.20, 0.47, 0.35, 0.88], [0.05, 0.61, 0.30, 1.02],
    [0.15, 0.55, 0.41, 0.95], [0.40, 0.58, 0.28, 0.79],
])  # fmt: skip
Y = np.array([
    [0.12, 0.44, 0.33, 0.80], [0.18, 0.47, 0.29, 0.85], [0.02, 0.49, 0.36, 0.97],
    [0.15, 0.40, 0.38, 0.90], [0.30, 0.50, 0.31, 0.86],
])  # fmt: skip
RLIABLE = {
    interquartile_mean: ([0.452, 0.417, 0.482], [0.398, 0.376, 0.418]),
    mean: ([0.4925, 0.4595, 0.528], [0.456, 0.4305, 0.4825]),
    median: ([0.44, 0.411, 0.469], [0.397, 0.375, 0.418]),
    optimality_gap: ([0.5085, 0.4735, 0.541], [0.544, 0.5175, 0.5695]),
}


@pytest.mark.parametrize("statistic", RLIABLE, ids=lambda f: f.__name__)
def test_aggregates_and_their_intervals_are_those_of_rliable(
    statistic: Callable[..., Floats],
) -> None:
    for scores, said in zip((X, Y), RLIABLE[statistic], strict=True):
        found = estimate(statistic, scores)
        assert found[0] == pytest.approx(said[0], abs=1e-12)
        assert found[1:] == pytest.approx(said[1:], abs=0.005)


def test_the_probability_of_improvement_is_that_of_rliable() -> None:
    found = improvement_estimate(X, Y)
    assert found[0] == pytest.approx(0.635, abs=1e-12)
    assert found[1:] == pytest.approx([0.46, 0.805], abs=0.02)


def test_the_profile_is_that_of_rliable() -> None:
    found = profile(X, [0.0, 0.1, 0.3, 0.5, 0.8, 0.95])
    assert found[0] == pytest.approx([1, 0.9, 0.7, 0.45, 0.2, 0.05])
    assert found[1] == pytest.approx([1, 0.8, 0.55, 0.35, 0.1, 0], abs=1e-9)
    assert found[2] == pytest.approx([1, 1, 0.85, 0.5, 0.25, 0.15], abs=1e-9)


def test_rliable_itself_says_the_same_of_other_scores() -> None:
    metrics = pytest.importorskip("rliable.metrics")
    x, y = np.random.default_rng(3).random((2, 7, 9)).round(1)  # with ties
    for ours, theirs in (
        (interquartile_mean, metrics.aggregate_iqm),
        (mean, metrics.aggregate_mean),
        (median, metrics.aggregate_median),
        (optimality_gap, metrics.aggregate_optimality_gap),
    ):
        assert ours(x) == pytest.approx(theirs(x))
    assert improvement(x, y) == pytest.approx(metrics.probability_of_improvement(x, y))


def test_the_interquartile_mean_pools_the_runs_of_all_tasks() -> None:
    # 0 1 2 | 3 4 5 6 7 8 | 9 10 11: a task at a time it would be the mean of the six in the middle
    # rows, which is the same only because the rows rise; so a task is turned round.
    scores = np.arange(12.0).reshape(4, 3)
    scores[:, 0] = [900.0, 800.0, 3.0, 0.0]
    # In rising order 0 1 2 | 3 4 5 7 8 10 | 11 800 900.
    assert interquartile_mean(scores) == pytest.approx((3 + 4 + 5 + 7 + 8 + 10) / 6)


def test_of_five_runs_the_best_and_the_worst_are_left_out() -> None:
    assert interquartile_mean([[9.0], [1.0], [2.0], [4.0], [-50.0]]) == pytest.approx(7 / 3)


def test_the_median_is_of_the_tasks_means() -> None:
    assert median([[0.0, 5.0, 1.0], [2.0, 5.0, 4.0]]) == 2.5  # means 1, 5 and 2.5


def test_what_is_above_the_goal_makes_up_for_nothing() -> None:
    assert optimality_gap([[0.0, 3.0], [0.5, 1.0]]) == pytest.approx((1 + 0 + 0.5 + 0) / 4)
    assert optimality_gap([[0.0, 3.0]], goal=2.0) == 1.0


def test_runs_of_a_task_stay_in_their_task_when_they_are_drawn() -> None:
    scores = np.arange(15.0).reshape(5, 3)
    drawn = resampled(scores, seed=1)
    assert drawn.shape == (RESAMPLES, 5, 3)
    assert (drawn % 3 == np.arange(3)).all()
    rows = drawn // 3  # drawn in each task anew: the columns differ
    assert (rows[:, :, 0] != rows[:, :, 1]).mean() == pytest.approx(0.8, abs=0.02)
    assert drawn.mean(0) == pytest.approx(np.tile(scores.mean(0), (5, 1)), abs=0.5)


def test_an_interval_is_made_of_the_resamples_of_each_task() -> None:
    # Two runs at 0 and 1 on one task: the mean is 0, 1/2 or 1, in 1/4, 1/2, 1/4 of the resamples.
    assert estimate(mean, [[0.0], [1.0]]) == [0.5, 0.0, 1.0]
    # On a hundred tasks their mean hardly strays: its standard deviation is (1/8)**0.5 / 10.
    _, low, high = estimate(mean, np.tile([[0.0], [1.0]], 100))
    assert high - low == pytest.approx(2 * 1.96 * 0.03536, rel=0.1)


def test_means_of_many_rows_have_the_intervals_of_each() -> None:
    found = mean_estimates(np.vstack([X.T, Y.T]))
    assert found[:, 0] == pytest.approx(np.concatenate([X.mean(0), Y.mean(0)]))
    assert found[1, 1:] == pytest.approx(estimate(mean, X[:, 1:2])[1:], abs=0.01)


def test_one_run_has_a_value_and_no_interval() -> None:
    for found in (
        estimate(mean, X[:1]), improvement_estimate(X[:1], Y), mean_estimates(X[:1].T)[0],
        profile(X[:1], [0.5])[:, 0], [1.0, *upper_limits([[3.0]]), np.nan],
    ):  # fmt: skip
        assert np.isfinite(found[0]) and np.isnan(found[1:]).all()


def test_the_probability_of_improvement_counts_a_tie_as_half_in_every_task() -> None:
    x, y = [[1.0, 5.0], [2.0, 5.0]], [[1.0, 9.0], [0.0, 5.0], [2.0, 0.0]]
    first = (0.5 + 1 + 0 + 1 + 1 + 0.5) / 6
    second = 2 * (0 + 0.5 + 1) / 6
    assert improvement(x, y) == pytest.approx((first + second) / 2)
    assert improvement(y, x) == pytest.approx(1 - (first + second) / 2)
    assert improvement_estimate(x, x)[0] == 0.5


def test_the_improvement_of_a_clear_winner_is_certain() -> None:
    assert improvement_estimate(X + 2, Y) == [1, 1, 1]


def test_a_profile_falls_and_lies_in_its_interval() -> None:
    share, low, high = profile(X, np.linspace(-0.1, 1.1, 40))
    assert (np.diff(share) <= 0).all() and share[0] == 1 and share[-1] == 0
    assert (low <= share).all() and (share <= high).all()


def test_the_upper_limit_of_a_mean_is_students() -> None:
    # Mean 3, deviation 1.5811, t of 4 degrees of freedom at 95 % is 2.1318.
    assert upper_limits([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(3 + 2.1318 * 1.5811 / 5**0.5,
                                                                    abs=1e-4)  # fmt: skip
    assert upper_limits([[0.05] * 5]) == pytest.approx([0.05])


def test_weights_take_as_many_groups_as_there_are() -> None:
    taken = weights(7, seed=0)
    assert taken.shape == (RESAMPLES, 7) and (taken.sum(1) == 7).all()
    assert taken.mean(0) == pytest.approx(np.ones(7), abs=0.1) and (taken == weights(7, 0)).all()


def test_scores_of_different_tasks_are_not_compared() -> None:
    with pytest.raises(ValueError, match="on 4 tasks and on 3"):
        improvement(X, Y[:, :3])
    with pytest.raises(ValueError, match="not \\(runs, tasks\\)"):
        interquartile_mean([1.0, 2.0])


def test_two_thousand_resamples_take_milliseconds() -> None:
    scores = np.random.default_rng(0).random((5, 12))
    estimate(interquartile_mean, scores)
    started = time.process_time()
    for _ in range(5):
        estimate(interquartile_mean, scores)
    assert (time.process_time() - started) / 5 < 0.05  # measured: 2 ms


def test_strata_add_their_degrees_of_freedom_to_an_interval_of_few_groups() -> None:
    # t of 44 degrees of freedom is 2.0154, times (5 / 4)**0.5 is 2.2533; of 4 it is 2.7764.
    assert ends(np.ones(5), strata=11)[0] == pytest.approx(0.01212, abs=2e-5)
    assert ends(np.ones(5))[0] == pytest.approx(0.00095, abs=2e-5)
