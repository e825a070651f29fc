"""Contact judged both ways, separation, and the suite that asks for them: figures by hand, by file and by episode."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from types import SimpleNamespace

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from genba.envs.contact_model import (
    moving_mass,
    reduced_mass,
    reflected_mass,
    region_limit,
    region_limits,
    robot_mass,
    simple_mass,
    speed_limit,
    tool_mass,
    transient_force,
)
from genba.envs.errors import UnknownName
from genba.envs.people import REGIONS
from genba.envs.people_motion import Place
from genba.envs.robots import arm_names, load_robot
from genba.envs.task import get_task
from genba.envs.tasks.kit_pick import COLLEAGUE, KitPick
from genba.safety.contact_limits import RobotMass, held_force, judge_contact
from genba.safety.episodes import Loop
from genba.safety.formula import parse
from genba.safety.formula_eval import holds, robustness
from genba.safety.plan import Episode
from genba.safety.separation_distance import separation_distance
from genba.safety.suite import load_suite
from genba.tests.cell_kit import once_broken
from genba.tests.people_kit import WithWorker

Array = NDArray[np.float64]
DT = 0.002
TEN = RobotMass(10.0)
SPEEDS = {  # m/s at which the limit of force is just reached, by moving mass and load in kg
    (18.0, 1.0): {
        "chest": 0.6261, "abdomen": 0.7778, "back": 0.7937, "neck": 1.2961, "upper_arm": 1.1402, "forearm": 1.2394,
        "hand": 1.3590, "pelvis": 0.8050, "thigh": 0.6624, "lower_leg": 0.3573,
    },
    (11.0, 2.0): {
        "chest": 0.7047, "abdomen": 0.8754, "back": 0.8933, "neck": 1.3191, "upper_arm": 1.1832, "forearm": 1.2733,
        "hand": 1.3717, "pelvis": 0.9060, "thigh": 0.7536, "lower_leg": 0.4065,
    },
}  # fmt: skip
PERMITTED = [region for region, limit in region_limits().items() if limit.permitted]


@pytest.mark.parametrize("case", list(SPEEDS))
def test_the_speed_limits_of_the_two_body_formula(case: tuple[float, float]) -> None:
    assert set(SPEEDS[case]) == set(PERMITTED) and set(REGIONS) <= set(region_limits())
    mass = simple_mass(*case)
    assert mass == {(18.0, 1.0): 10.0, (11.0, 2.0): 7.5}[case]
    for region, expected in SPEEDS[case].items():
        limit = region_limit(region)
        found = speed_limit(limit, mass)
        assert found == pytest.approx(expected, abs=5e-5), region
        assert float(transient_force(limit, mass, found)) == pytest.approx(2.0 * limit.force)
        energy = 0.5 * float(reduced_mass(limit, mass)) * found**2
        assert energy == pytest.approx((2.0 * limit.force) ** 2 / (2.0 * limit.stiffness))


def test_on_a_small_area_the_pressure_limits_the_speed() -> None:
    hand = region_limit("hand")
    assert speed_limit(hand, 10.0, area=0.5e-4) == pytest.approx(0.9221, abs=5e-5)
    assert speed_limit(hand, 10.0, area=1e-2) == speed_limit(hand, 10.0)
    assert judge_contact("hand", [1.0], [1.0], TEN, DT, area=0.5e-4).transient.limit == pytest.approx(190.0)


def test_separation_is_the_sum_of_its_parts() -> None:
    figures = (1.0, 0.1, 0.5, 1.6, 0.10, 0.05, 0.01)
    assert separation_distance(*figures) == pytest.approx(1.47)
    assert separation_distance(*figures, braking="none") == pytest.approx(1.72)


def test_the_suite_asks_for_the_figures_of_the_file() -> None:
    rules = {each.id: each for each in load_suite("collaborative").constraints}
    for region in set(PERMITTED) & set(REGIONS):
        limit, name = region_limit(region), region.replace("_", "-")
        assert f"body.{region}.transient <= {2 * limit.force:g} N" in rules[f"transient-{name}"].formula
        assert f"[0, 0.5] (body.{region}.force <= {limit.force:g} N)" in rules[f"lasting-{name}"].formula
        assert rules[f"transient-{name}"].when == f"body.{region}.force > 0 N"
        assert f"{2 * limit.force:g} N" in rules[f"transient-{name}"].says.en
        assert f"{limit.force:g} N" in rules[f"lasting-{name}"].says.en
    assert limit.lasting_s == 0.5 and not region_limit("head").permitted
    own = [each for each in rules.values() if "body." in each.formula]
    assert len(own) == 2 + 2 * 9 and all(each.hard and each.cannot_show and each.says.ja for each in own)


def test_the_suite_s_separation_is_the_formula() -> None:
    rule = next(each for each in load_suite("collaborative").constraints if each.id == "body-separation")
    speed = np.linspace(0.0, 2.0, 21)
    trace = {"body.approach": speed, "body.distance": np.full(21, 1.0)}
    formula = parse(rule.formula.replace("always", "always [0, 0]"))
    required = separation_distance(speed, 0.04, speed / 4.0, robot_uncertainty=0.03)
    np.testing.assert_allclose(robustness(formula, trace, DT), 1.0 - required, atol=1e-12)
    assert holds(parse(rule.when or ""), trace).tolist() == [-1.0] + [1.0] * 20


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.floats(0.9, 0.999))
def test_what_is_held_is_what_the_suite_s_formula_finds(seed: int, stays: float) -> None:
    rng = np.random.default_rng(seed)
    force = np.repeat(rng.uniform(0.0, 300.0, 12), rng.integers(1, 400, 12))
    force = np.concatenate([force * (rng.random(len(force)) < stays), np.zeros(300)])
    found = robustness(
        parse("always (eventually [0, 0.5] (body.hand.force <= 140 N))"), {"body.hand.force": force}, DT
    )
    assert 140.0 - held_force(force, DT, 0.5) == found[0]


def test_exactly_half_a_second_is_still_short() -> None:
    force = np.zeros(600)
    force[100:350] = 150.0  # 250 samples of 2 ms
    assert held_force(force, DT, 0.5) == 0.0
    force[350] = 149.0
    assert held_force(force, DT, 0.5) == 149.0
    assert held_force(np.full(10, 5.0), DT, 0.5) == 0.0
    assert held_force(np.stack([force, 0.0 * force]), DT, 0.5).tolist() == [149.0, 0.0]


def traces(peak: float, speed: float, last: int) -> tuple[Array, Array]:
    force, closing = np.zeros(1000), np.full(1000, 3.0)  # fast, but far away
    force[100 : 100 + last], closing[100 : 100 + last] = peak, 0.0
    closing[100] = speed
    return force, closing


def test_the_nearer_of_both_limits_decides_and_is_named() -> None:
    short = judge_contact("hand", *traces(1000.0, 1.0, 5), TEN, DT)
    expected = float(transient_force(region_limit("hand"), 10.0, 1.0))
    assert (short.decided, short.speed, short.peak, short.lasting.force) == ("transient", 1.0, 1000.0, 0.0)
    assert short.transient.force == expected and short.margin == 280.0 - expected and short.passed
    fast = judge_contact("hand", *traces(1.0, 1.4, 5), TEN, DT)
    assert fast.decided == "transient" and not fast.passed and fast.margin < 0.0
    clamped = judge_contact("hand", *traces(141.0, 0.1, 300), TEN, DT)
    assert clamped.decided == "quasi-static" and clamped.margin == -1.0 and not clamped.passed
    assert clamped.transient.passed and not clamped.lasting.passed
    none = judge_contact("hand", np.zeros(50), np.full(50, 2.0), TEN, DT)
    assert none.decided == "no contact" and none.passed and not none.touched and none.speed == 0.0
    parting = judge_contact("hand", *traces(10.0, -1.0, 5), TEN, DT)
    assert parting.transient.force == 0.0 and parting.touched
    face = judge_contact("head", *traces(0.5, 0.01, 1), TEN, DT)
    assert face.decided == "not permitted" and not face.passed and face.margin == -0.5
    shown = clamped.as_json()
    assert shown["transient"]["limit"] == 280.0 and shown["lasting"]["limit"] == 140.0 and not shown["passed"]
    assert shown["mass_kind"] == "simple" and shown["confidence"] == "confirmed_secondary"


def test_a_heavier_robot_presses_harder_and_says_which_mass_it_was() -> None:
    force, closing = traces(10.0, 0.6, 5)
    simple = judge_contact("chest", force, closing, RobotMass(8.0), DT)
    reflected = judge_contact("chest", force, closing, RobotMass(2.5, "reflected"), DT)
    assert simple.transient.force > reflected.transient.force and reflected.mass_kind == "reflected"
    assert simple.mass == pytest.approx(1.0 / (1.0 / 40.0 + 1.0 / 8.0))


def test_a_broken_trace_is_no_evidence() -> None:
    with pytest.raises(ValueError, match="not a finite number"):
        judge_contact("hand", [np.nan, 0.0], [0.0, 0.0], TEN, DT)
    with pytest.raises(ValueError, match="one length"):
        judge_contact("hand", [1.0, 0.0], [0.0], TEN, DT)
    with pytest.raises(UnknownName, match="unknown region 'hands'. Did you mean hand"):
        judge_contact("hands", [1.0], [0.0], TEN, DT)


ROD = """<mujoco><worldbody><body name="rod"><joint axis="0 1 0" armature="0.05"/>
<geom type="capsule" fromto="0 0 0 0 0 -0.8" size="0.02" mass="3"/></body></worldbody></mujoco>"""


def test_the_reflected_mass_of_a_rod_is_its_inertia_over_the_square_of_the_arm() -> None:
    model = mujoco.MjModel.from_xml_string(ROD)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    dense = np.zeros((1, 1))
    mujoco.mj_fullM(model, data, dense)
    tip = np.array([0.0, 0.0, -0.8])
    assert reflected_mass(model, data, 1, tip, np.array([1.0, 0.0, 0.0])) == pytest.approx(dense[0, 0] / 0.64)
    assert reflected_mass(model, data, 1, tip, np.array([0.0, 0.0, 1.0])) == np.inf


TOOLS = {  # kg: of the tool, and m_R by hand with 0.14 kg in it
    "fr3": (0.7126, 8.6000), "ur5e-2f85": (0.92, 9.91), "ur5e-vacuum": (0.9, 9.89), "yk400xec": (0.25, 5.29),
    "yk400xec-driver": (1.22, 6.26), "yk400xec-soft": (0.48, 5.52),
}  # fmt: skip


@pytest.mark.parametrize("name", arm_names())
def test_the_simple_mass_of_a_robot_is_half_of_the_arm_and_all_that_its_flange_carries(name: str) -> None:
    """The load of the formula is tool and workpiece, so no part of the tool is halved."""
    robot = load_robot(name)
    base, every = robot.links[robot.root].mass, sum(link.mass for link in robot.links.values())
    tool, expected = TOOLS[name]
    assert tool_mass(robot) == pytest.approx(tool)
    assert moving_mass(robot) == pytest.approx(every - base - tool)
    assert robot_mass(robot, 0.14) == pytest.approx(expected, abs=5e-5)


def test_a_colleague_meets_the_arm_with_its_tool_and_the_heaviest_part() -> None:
    task = get_task("kit-pick,colleague=2")
    assert isinstance(task, KitPick) and task.colleague is not None
    assert task.colleague.robot_mass == pytest.approx(8.6, abs=5e-4)


def swing(o: NDArray[np.float32], seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> NDArray[np.float32]:
    """To and fro across the bench, sinking."""
    action = np.zeros((len(o), 5), np.float32)
    action[:, 1], action[:, 2] = np.where(steps // 40 % 2, 1.0, -1.0), -0.2
    return action


def press(o: NDArray[np.float32], seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> NDArray[np.float32]:
    """Ever towards the worker's end of the bench."""
    return np.tile(np.array([0.0, -1.0, 0.0, 0.0, 0.0], np.float32), (len(o), 1))


NEAR = replace(COLLEAGUE, stand=(0.46, -0.55), work=(0.46, -0.1, 0.15))
FAR = replace(COLLEAGUE, stand=(0.46, -2.5))
CROWDS = {
    "stay-in-path": (replace(NEAR, stand=(0.46, -0.50)), swing, {"transient-abdomen", "lasting-abdomen"}),
    "stumble": (NEAR, swing, {"contact-head", "transient-chest"}),
    "lean-over": (NEAR, swing, {"contact-head"}),
    "stand": (NEAR, press, {"lasting-chest"}),
}


def margins(motion: str, place: Place, act: object, until: Collection[str] = ()) -> dict[str, float]:
    """Worst margins of three episodes, by constraint of the worker's body; at once where those of `until` are broken."""
    task = WithWorker()
    task.motions, task.place_of = (motion,), place
    rules = [
        b.constraint
        for b in load_suite("collaborative").bind(task).assessed
        if "body." in b.constraint.formula
    ]
    assert len(rules) == 20
    policy = SimpleNamespace(kind="callable", name="near", sha256="0" * 64, act=act)
    episodes = [Episode(i, 0, "none", 0, 3_000_000_000 + i) for i in range(3)]
    stop = once_broken(np.isin([each.id for each in rules], list(until))) if until else None
    rows = list(Loop(policy, task, rules, (), 3, live=True).play(episodes, stop=stop))
    return {each.id: min(row[f"margin.{each.id}"] for row in rows) for each in rules}


@pytest.mark.quick_for("stand")
@pytest.mark.parametrize("motion", list(CROWDS))
def test_episodes_with_a_worker_in_the_way_break_the_suite(motion: str) -> None:
    place, act, broken = CROWDS[motion]
    broken = broken | {"body-separation"}
    found = margins(motion, place, act, broken)
    assert {rule for rule in broken if not found[rule] < 0.0} == set(), found


@pytest.mark.wide
def test_a_worker_far_away_breaks_nothing() -> None:
    found = margins("stand", FAR, swing)
    assert all(margin >= 0.0 for margin in found.values()), found


@pytest.mark.parametrize("region", [r for r in REGIONS if r != "head"])
def test_each_contact_rule_can_fail(region: str) -> None:
    rules = {each.id: each for each in load_suite("collaborative").constraints}
    limit, name = region_limit(region), region.replace("_", "-")
    for pressed in (limit.force, limit.force + 1.0):
        found = robustness(
            parse(rules[f"lasting-{name}"].formula), {f"body.{region}.force": np.full(400, pressed)}, DT
        )
        assert found[0] == pytest.approx(limit.force - pressed)
    speeds = {
        f"body.{region}.transient": transient_force(limit, 10.0, np.array([1.01 * speed_limit(limit, 10.0)]))
    }
    assert robustness(parse(rules[f"transient-{name}"].formula), speeds, DT)[0] < 0.0
