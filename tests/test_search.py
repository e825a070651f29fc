"""The search lane: what may be chosen, a hunt that finds what plain draws do not, and findings made small with their share."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from genba.envs.chosen import Chosen
from genba.envs.errors import BadInput
from genba.envs.streams import Streams
from genba.envs.task import SEED_RANGES, get_task, task_ids
from genba.envs.worlds import Worlds
from genba.safety.episodes import Row
from genba.safety.plan import SEEDS_PER_BASE
from genba.safety.search_explore import Budget, Tried, explore, folded, plain_points, value
from genba.safety.search_minimise import Minimiser, leads_of
from genba.safety.search_space import Draw, Point, Space, space_of
from genba.safety.suite import Condition, load_suite, suite_for

HORIZON_S = 5.0
Margin = Callable[[Point], float]


# --- what may be chosen ---


def test_chosen_draws_take_the_place_of_the_seeds_and_nothing_else_changes() -> None:
    seeds = np.array([3, 4])
    plain = Streams("a/1", seeds)
    chosen = Chosen("a/1", seeds, {"x": np.array([[0.25, np.nan], [np.nan, 0.75]])})
    drawn = plain.uniform("x", (2,))
    np.testing.assert_array_equal(chosen.uniform("x", (2,)), [[0.25, drawn[0, 1]], [drawn[1, 0], 0.75]])
    np.testing.assert_array_equal(chosen.uniform("y", (3,)), plain.uniform("y", (3,)))
    later = np.array([5, 9])
    np.testing.assert_array_equal(chosen.uniform("x", (2,), later), plain.uniform("x", (2,), later))
    np.testing.assert_array_equal(chosen.between("x", -1.0, 1.0), 2.0 * chosen.uniform("x") - 1.0)


@pytest.mark.parametrize("wrong", [0.0, 1.0, -0.5, np.inf])
def test_a_chosen_draw_that_could_not_be_drawn_is_refused(wrong: float) -> None:
    with pytest.raises(BadInput, match="chosen draws of x: expected numbers between 0 and 1"):
        Chosen("a/1", np.array([1]), {"x": np.array([[wrong]])})
    with pytest.raises(BadInput, match="expected 2, found 1"):
        Chosen("a/1", np.array([1]), {"x": np.array([[0.5]])}).uniform("x", (2,))


@pytest.mark.parametrize("task_id", task_ids())
def test_the_draws_of_a_seed_chosen_by_name_give_that_seeds_start(task_id: str) -> None:
    """The space holds everything that the start depends on: of every task, another seed with all draws chosen starts the same."""
    task = get_task(task_id)
    suite = load_suite(suite_for(task_id))
    space = space_of(Worlds(task, 2, 1, disturbances=sorted(suite.disturbances)), suite.conditions)
    seeds, other = np.arange(40, 46), np.arange(140, 146)
    streams = Streams(task.key, seeds)
    draws: dict[str, NDArray[np.float64]] = {}
    for draw in space.start:
        found = streams.uniform(draw.stream, (draw.component + 1,))
        wider = np.full((6, draw.component + 1), np.nan)
        if draw.stream in draws:
            wider[:, : draws[draw.stream].shape[1]] = draws[draw.stream]
        wider[:, draw.component] = found[:, draw.component]
        draws[draw.stream] = wider
    for name, given in draws.items():  # components without effect are left to the seed
        draws[name] = np.column_stack([given, np.full((6, 16), np.nan)])
    wanted, start = task.place(streams), task.place(Chosen(task.key, other, draws))
    np.testing.assert_array_equal(start.qpos, wanted.qpos)
    for group in ("fields", "held", "memory"):
        for name, values in getattr(wanted, group).items():
            np.testing.assert_array_equal(getattr(start, group)[name], values)


def test_the_space_leaves_out_what_changes_nothing_and_knows_what_a_disturbance_draws() -> None:
    suite = load_suite("kit-pick")
    space = space_of(
        Worlds(get_task("kit-pick"), 2, 1, disturbances=sorted(suite.disturbances)), suite.conditions
    )
    names = [draw.name for draw in space.start]
    assert "part.xy[1]" in names and "reach.start[0]" in names and "part.shape" in names
    assert "cell/tote.spread.x[0]" not in names  # one value in this variant
    assert not [name for name in names if name.startswith("tray.shift")]  # between minus and plus nothing
    assert [draw.name for draw in space.of_disturbance["push"]] == ["push/angle[0]", "push/start[0]"]
    assert space.most("push") == 3 and space.most("none") == 0


def test_disturbances_that_act_together_draw_what_each_would() -> None:
    names = ("push", "sensor-bias", "push + sensor-bias")
    conditions = [Condition(disturbance=name, severity=level) for name in names for level in (1, 3)]
    space = space_of(Worlds(get_task("kit-pick"), 2, 1, disturbances=names[:2]), conditions)
    one, other, both = (space.of_disturbance[name] for name in names)
    assert both == (*one, *other) and one and other
    point = Point(names[2], 3, space.nominal(names[2]), 1)
    assert {draw.stream for draw in both} < set(space.episode(0, point).draws)
    assert space.share(point) == pytest.approx(1 / 7)


def test_a_stream_whose_last_draw_has_no_effect_is_chosen_whole() -> None:
    task = get_task("kit-pick,tote.spread.y=0")
    space = space_of(Worlds(task, 2, 1), ())
    names = [draw.name for draw in space.start]
    assert "part.xy[0]" in names and "part.xy[1]" not in names
    episode = space.episode(0, Point("none", 0, space.nominal("none"), 1))
    assert episode.draws is not None and len(episode.draws["part.xy"]) == 2
    task.place(
        Chosen(task.key, np.array([1]), {name: np.array([row]) for name, row in episode.draws.items()})
    )


def test_no_check_judges_with_the_seeds_of_a_search() -> None:
    largest = SEED_RANGES["judge"] + (SEEDS_PER_BASE + 2**32) * SEEDS_PER_BASE
    assert largest < SEED_RANGES["search"] < 2**53


# --- the hunt, on a made-up cell ---

DRAWS = (*(Draw("x", i) for i in range(8)), Draw("kind", 0, 3))
SPACE = Space(DRAWS, {"push": (Draw("push/angle", 0),)}, {"push": (1, 3)})


def made_up(margin: Margin, played: list[Point] | None = None) -> Callable[..., list[Row]]:
    def play(points: list[Point]) -> list[Row]:
        if played is not None:
            played.extend(points)
        return [
            {"success": True, "cycle_s": 2.0, "margin.a": margin(point), "margin.b": 1.0} for point in points
        ]

    return play


def corner(point: Point) -> float:
    """Below zero where the first three draws are all high, 1.7e-4 of all starts."""
    return 2.9 - float(point.values[:3].sum())


@pytest.mark.parametrize("seed", range(5))
def test_a_small_corner_that_plain_draws_miss_is_found(seed: int) -> None:
    plain = [corner(point) for point in plain_points(SPACE, 1000, seed)]
    tried = explore(SPACE, ("a", "b", "success"), HORIZON_S, made_up(corner), Budget(episodes=1000), seed)
    assert min(plain) > 0.0 and min(corner(each.point) for each in tried) < 0.0


def test_the_same_seed_and_budget_propose_the_same_and_never_more_than_the_budget() -> None:
    first: list[Point] = []
    again: list[Point] = []
    for played in (first, again):
        budget = Budget(episodes=500)
        explore(SPACE, ("a",), HORIZON_S, made_up(lambda point: 1.0, played), budget, 3)
        assert budget.played == len(played) == 500
    assert [each.values.tolist() for each in first] == [each.values.tolist() for each in again]
    assert all(0 < value < 1 for point in first for value in point.values)


@pytest.mark.parametrize(
    ("seconds", "plain"), [(0.5, [16]), (5.0, [16]), (12.0, [16]), (20.0, [16, 34]), (1000.0, [16, 80])]
)
def test_plain_draws_take_a_quarter_of_the_seconds_and_never_none(
    monkeypatch: pytest.MonkeyPatch, seconds: float, plain: list[int]
) -> None:
    """At 0.1 s an episode, after 2 s in which the worlds were built."""
    clock, batches = [0.0], list[Sequence[Point]]()
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    settled = made_up(lambda point: 1.0)

    def play(points: Sequence[Point]) -> list[Row]:
        batches.append(points)
        clock[0] += 0.1 * len(points)
        return settled(list(points))

    budget = Budget(seconds=seconds, began=0.0)
    clock[0] = 2.0
    tried = explore(SPACE, ("a",), HORIZON_S, play, budget, 3)
    count = len(plain)
    assert [len(points) for points in batches[:count]] == plain
    expected = plain_points(SPACE, sum(plain), 3)
    assert [each.point.values.tolist() for each in tried[: sum(plain)]] == [
        each.values.tolist() for each in expected
    ]
    assert seconds < 5 or len(batches[count]) > 16  # the hunt


def test_values_beyond_the_edges_are_mirrored() -> None:
    np.testing.assert_allclose(folded(np.array([-0.2, 0.3, 1.2, 2.1, 3.5])), [0.2, 0.3, 0.8, 0.1, 0.5])


def test_what_is_no_number_is_a_violation_and_what_never_applied_is_not() -> None:
    row = {"success": False, "margin.a": np.nan, "margin.b": np.inf}
    assert value(row, "a", 5.0) == -np.inf and value(row, "b", 5.0) == np.inf
    assert value(row, "success", 5.0) == -1.0
    assert value({"success": True, "cycle_s": 2.0}, "success", 5.0) == 3.0


# --- making findings small ---


def minimised(margin: Margin, *points: Point, budget: int = 1000) -> list[tuple[Point, int]]:
    play = made_up(margin)
    tried = [Tried(point, row) for point, row in zip(points, play(list(points)), strict=True)]
    work = Minimiser(SPACE, HORIZON_S, play, Budget(episodes=budget))
    leads = leads_of(tried, ("a",), HORIZON_S, SPACE, 10)
    return [(lead.tried.point, lead.members) for lead in work.run(leads)]


def far(disturbance: str = "push", severity: int = 3) -> Point:
    values = np.full(len(SPACE.draws(disturbance)), 0.9)
    return Point(disturbance, severity, SPACE.settled(disturbance, values[None])[0], 1)


def test_only_what_a_violation_needs_stays_away_from_nominal() -> None:
    ((point, _),) = minimised(lambda point: 0.7 - point.values[2], far())
    assert point.disturbance == "none" and point.severity == 0
    moved = np.flatnonzero(point.values != SPACE.nominal("none"))
    assert moved.tolist() == [2] and 0.7 < point.values[2] <= 0.7 + 0.4 / 16


def test_the_lowest_severity_that_still_violates_stays() -> None:
    ((point, _),) = minimised(lambda point: 1.5 - point.severity, far())
    assert (point.disturbance, point.severity) == ("push", 2)
    np.testing.assert_array_equal(point.values, SPACE.nominal("push"))


def test_a_choice_is_kept_where_it_matters_and_counts_as_one_in_so_many() -> None:
    ((point, _),) = minimised(lambda point: 0.5 if point.values[8] < 2 / 3 else -0.5, far())
    assert point.values[8] == 2.5 / 3 and SPACE.share(point) == pytest.approx(1 / 3)


def test_findings_of_one_kind_are_one_and_of_two_kinds_two() -> None:
    low, high = far("none", 0), far("none", 0)
    values = low.values.copy()
    values[:8] = 0.1
    low = replace(low, values=values)
    near = replace(high, values=np.where(np.arange(9) == 4, 0.8, high.values))
    found = minimised(lambda point: 0.2 - abs(point.values[4] - 0.5), low, high, near)
    assert sorted(members for _, members in found) == [1, 2]
    assert sorted(bool(point.values[4] > 0.5) for point, _ in found) == [False, True]


def test_a_budget_that_ends_leaves_true_findings_that_are_less_small() -> None:
    for budget in (1, 3, 9, 20, 40):
        ((point, _),) = minimised(corner, far("none", 0), budget=budget) or [(far(), 0)]
        if point.disturbance == "none":
            assert corner(point) < 0


def test_the_share_is_that_of_plain_draws_at_least_as_far_out() -> None:
    values = SPACE.nominal("push")
    values[0], values[3], values[9] = 0.9, 0.2, 0.25
    point = Point("push", 2, values, 0)
    drawn = np.random.default_rng(0).random((200_000, 3))
    counted = ((drawn[:, 0] > 0.9) & (drawn[:, 1] < 0.2) & (drawn[:, 2] < 0.25)).mean()
    assert SPACE.share(point) == pytest.approx(counted / 3, rel=0.1)  # one condition of three is as severe
    assert SPACE.share(point) == pytest.approx(0.1 * 0.2 * 0.25 / 3, rel=1e-9)
