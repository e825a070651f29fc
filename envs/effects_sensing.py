"""What disturbed sensing really does: measured between the truth and what the policy sees."""

from __future__ import annotations

import numpy as np

from .disturbed_sensing import SensorStuck, positions
from .effects import Pair, still, stirring
from .signals import Array
from .task import Task
from .terms import norm

LOOKS = 3000  # ticks that are asked for without stepping the worlds


def errors(task: Task, pair: Pair) -> Array:
    """`(S, N, 3)` m: what each sensed position says beyond the truth now, over its scale."""
    sensed, truth = pair.worlds.sensed(), pair.worlds.signals.now
    return np.array([(sensed[name] - truth[name]) / scale for name, scale in positions(task).items()])


def bias(task: Task, pair: Pair) -> list[float]:
    """Length of the mean error."""
    seen = []
    for _ in range(10):
        seen.append(errors(task, pair))
        pair.step(still(task))
    return pair.by_severity(norm(np.mean(seen, axis=0)).mean(axis=0))


def drift(task: Task, pair: Pair) -> list[float]:
    """How fast the error grows, m/s."""
    ticks, first = 20, errors(task, pair)
    for _ in range(ticks):
        pair.step(still(task))
    return pair.by_severity(norm(errors(task, pair) - first).mean(axis=0) / (ticks * task.dt))


def slow_noise(task: Task, pair: Pair) -> list[float]:
    """Standard deviation of the error over ticks a second and a bit apart."""
    worlds, seen = pair.worlds, []
    truth, disturbance = worlds.signals.now, worlds.disturbances[pair.name]
    for tick in range(0, LOOKS, 53):
        sensed = disturbance.sense(truth, np.full(worlds.rows, tick))
        seen.append([(sensed[name] - truth[name]) / scale for name, scale in positions(task).items()])
    spread = np.array(seen)  # (looks, positions, N, 3)
    return [float(spread[:, :, pair.severity == level].std()) for level in range(1, 6)]


def stuck(task: Task, pair: Pair) -> list[float]:
    """The longest time in ms for which the sensed tool stands still, while the tool moves."""
    sensor = pair.worlds.disturbances[pair.name]
    assert isinstance(sensor, SensorStuck)
    sensor.start[:] = 5
    run, longest = np.zeros(pair.worlds.rows), np.zeros(pair.worlds.rows)
    last = np.full((pair.worlds.rows, 3), np.nan)
    for tick in range(round(1.8 * task.control_hz)):
        sensed = pair.worlds.sensed()[f"{task.steered}.pos"].copy()
        run = np.where((sensed == last).all(axis=1), run + 1, 1)
        longest, last = np.maximum(longest, run), sensed
        pair.step(np.where(stirring(task) != still(task), 0.5 * np.sin(tick), still(task)))
    return pair.by_severity(longest * 1000.0 * task.dt)


def encoders(task: Task, pair: Pair) -> list[float]:
    """The offset of each rotary joint that, by the arm's forward kinematics, explains where the tool is taken to be."""
    import mujoco

    from .drives import arm_joints, turning

    sensed, truth = pair.worlds.sensed(), pair.worlds.signals.now
    off, model = sensed["arm.q"] - truth["arm.q"], task.model
    site = [model.sensor(i).objid[0] for i in range(model.nsensor) if model.sensor(i).name == "tcp.pos"][0]
    at = [int(model.jnt_qposadr[joint]) for joint in arm_joints(task)]
    found = np.zeros(pair.worlds.n)
    for world in range(pair.worlds.n):
        own, data = pair.worlds.engine.snapshot(world)
        data.qpos[at] += off[world]
        mujoco.mj_kinematics(own, data)
        reckoned = data.site_xpos[site] - truth["tcp.pos"][world]
        told = sensed["tcp.pos"][world] - truth["tcp.pos"][world]
        agrees = np.linalg.norm(told - reckoned) < 0.05 * np.linalg.norm(reckoned)
        found[world] = np.abs(off[world])[turning(task) > 0].mean() if agrees else np.nan
    return pair.by_severity(found)


def shown(pair: Pair) -> Array:
    """`(T, N)`: which tick's observation is shown at each tick, -1 for zeros; asked of the disturbance without stepping."""
    disturbance, rows = pair.worlds.disturbances[pair.name], pair.worlds.rows
    found = np.zeros((LOOKS, rows))
    for tick in range(LOOKS):
        row = np.full((rows, 2), tick + 1, np.float32)
        found[tick] = disturbance.observe(row, np.full(rows, tick))[:, 0] - 1.0
    return found


def lost(task: Task, pair: Pair) -> list[float]:
    """Share of ticks at which zeros are shown."""
    return pair.by_severity((shown(pair) < 0.0).mean(axis=0))


def held(task: Task, pair: Pair) -> list[float]:
    """Share of ticks at which an older observation is shown."""
    late = np.arange(LOOKS)[:, None] - shown(pair)
    return pair.by_severity((late > 0.0).mean(axis=0))


def oldest(task: Task, pair: Pair) -> list[float]:
    """The greatest age in ms of an observation that is shown."""
    late = np.arange(LOOKS)[:, None] - shown(pair)
    return pair.by_severity(late.max(axis=0) * 1000.0 * task.dt)


MEASURES = {
    "sensor-bias": bias,
    "sensor-drift": drift,
    "sensor-noise-slow": slow_noise,
    "sensor-stuck": stuck,
    "encoder-offset": encoders,
    "observation-lost": lost,
    "observation-held": held,
    "observation-repeated": oldest,
    "observation-jitter": oldest,
}
