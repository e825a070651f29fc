"""`genba bench network`: what can be shown of a policy's network without a simulator's luck, and what it does when a sensor breaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..envs.errors import BadInput
from ..envs.symmetry import symmetries
from ..envs.task import Task, get_task
from ..envs.worlds import Worlds
from ..safety.plan import first_test_seed
from ..safety.progress import Say
from .bounds import SLACK, Array, Box, crown_bounds, interval_bounds, lipschitz
from .bounds_graph import Graph
from .bounds_reader import read_graph
from .bounds_split import WORDS, Decided, decide
from .contract import contract_of
from .load import load_policy
from .network_sweeps import Elsewhere, Sweep, act, dead_inputs, elsewhere, sweeps
from .onnx_policy import OnnxPolicy
from .runs import POLICY

WORLDS = 8
SWEPT = 32  # observations that are swept
FLOAT_POINTS = 16  # of each box, in which float32 is compared with float64
NOISE = 5e-4  # sensor noise of severity 1
CHANGE = 1.0  # in one tick: the limit of the constraint `action-rate`
NOISY = ("m", "rad", "m/s", "rad/s")  # units whose columns a noise box is wide in
LISTED = 6


@dataclass(frozen=True)
class Property:
    """A property over boxes: the share of them for which it is shown to hold, shown not to, and neither."""

    name: str
    boxes: int
    verified: float
    violated: float
    unknown: float

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "boxes": self.boxes, **{word: getattr(self, word) for word in WORDS}}


@dataclass(frozen=True)
class NetworkResult:
    """What `genba bench network` found. `rounding`: the largest difference that float32 makes; nothing is called verified where it exceeds
    `SLACK`. `lipschitz`: bounds over the boxes, actions per unit of the largest change of a column: median and largest."""

    policy: str
    sha256: str
    task: str
    noise: float
    change: float
    rounding: float
    properties: tuple[Property, ...]
    domain_interval: tuple[tuple[float, float], ...]
    domain_crown: tuple[tuple[float, float], ...]
    channels: tuple[str, ...]
    lipschitz: tuple[float, float]
    sweeps: tuple[Sweep, ...]
    elsewhere: tuple[Elsewhere, ...]
    dead: tuple[str, ...]

    def as_json(self) -> Mapping[str, Any]:
        return {
            "policy": self.policy,
            "sha256": self.sha256,
            "task": self.task,
            "noise": self.noise,
            "change": self.change,
            "rounding": self.rounding,
            "slack": SLACK,
            "properties": [each.as_json() for each in self.properties],
            "domain": [
                {"action": name, "interval": list(rough), "crown": list(tight)}
                for name, rough, tight in zip(
                    self.channels, self.domain_interval, self.domain_crown, strict=True
                )
            ],
            "lipschitz": {"median": self.lipschitz[0], "largest": self.lipschitz[1]},
            "sweeps": [each.as_json() for each in self.sweeps],
            "symmetries": [each.as_json() for each in self.elsewhere],
            "dead_inputs": list(self.dead),
        }

    def table(self) -> str:
        lines = [
            f"network  {self.policy} for {self.task}; float32 changes an action by {self.rounding:.1e} at most here",
            f"         {'property':<58}{'boxes':>7}{'verified':>10}{'violated':>10}{'unknown':>10}",
        ]
        lines += [
            f"         {each.name:<58}{each.boxes:>7}{each.verified:>10.1%}{each.violated:>10.1%}{each.unknown:>10.1%}"
            for each in self.properties
        ]
        lines.append(
            f"         Lipschitz bound in the noise boxes, action per unit: median {self.lipschitz[0]:.3g}, largest {self.lipschitz[1]:.3g}"
        )
        lines.append(
            f"         {'action before clipping, anywhere in the domain':<48}{'CROWN':>24}{'interval':>24}"
        )
        for name, tight, rough in zip(self.channels, self.domain_crown, self.domain_interval, strict=True):
            lines.append(f"           {name:<46}{_span(tight):>24}{_span(rough):>24}")
        lines.append(
            f"         {'in one column at a time':<24}{'cases':>8}{'no number':>11}{'outside':>9}  answered all the same"
        )
        for each in self.sweeps:
            lines.append(
                f"           {each.value:<22}{each.cases:>8,}{each.no_number:>11,}{each.outside:>9,}  {_some(each.unnoticed)}".rstrip()
            )
        lines.append(
            f"         {'the same work elsewhere, action off by':<46}{'cases':>8}{'median':>11}{'95 %':>9}{'largest':>10}"
        )
        for moved in self.elsewhere:
            lines.append(
                f"           {moved.symmetry:<44}{moved.cases:>8,}{moved.median:>11.4f}{moved.q95:>9.4f}{moved.largest:>10.4f}"
            )
        if not self.elsewhere:
            lines.append("           this cell declares no symmetry")
        lines.append(f"         inputs that moved no action: {', '.join(self.dead) or 'none'}")
        return "\n".join(lines)


def bench_network(
    spec: str,
    task: str = "",
    *,
    boxes: int = 100,
    noise: float = NOISE,
    change: float = CHANGE,
    seed: int = 0,
    threads: int = 0,
    say: Say | None = None,
) -> NetworkResult:
    """Bound a policy's network around observations that it meets, and over everything its contract declares.

    Args:
        spec, task: an ONNX policy: a run, a release or a file.
        boxes: observations that are visited, each with a box around it.
        noise: half the width of a box, in the unit of each column in m, rad, m/s or rad/s (the others are exact).
        change: an action may change by so much within a noise box.
        seed: of the episodes in which observations are met.

    Raises:
        UnknownName, BadInput: not an ONNX policy, or a network that bounds do not cover.
    """
    if boxes < 1 or not 0.0 < noise < np.inf or not 0.0 < change < np.inf:
        raise BadInput("expected at least 1 box, and a noise and a change above 0")
    policy, job = _onnx(spec, task)
    graph, contract = read_graph(policy.data, policy.path), contract_of(job)
    low = np.array([column.low for column in contract.observation])
    high = np.array([column.high for column in contract.observation])
    radius = np.array([noise if column.unit in NOISY else 0.0 for column in contract.observation])
    seen = visited(policy, job, boxes, seed, threads)
    if say is not None:
        say(f"network  bounds in {len(seen)} boxes around visited observations")
    centre = seen.astype(np.float64)
    around, domain = Box(centre - radius, centre + radius), Box(low[None], high[None])
    rounding = float(np.max([_rounding(policy, graph, each) for each in (around, domain)]))  # NaN stays
    names = tuple(column.name for column in contract.observation)
    slopes = lipschitz(graph, around)
    swept = seen[np.linspace(0, len(seen) - 1, min(SWEPT, len(seen))).astype(np.int64)]
    return NetworkResult(
        policy=spec,
        sha256=policy.sha256,
        task=job.id,
        noise=noise,
        change=change,
        rounding=rounding,
        properties=_properties(graph, around, domain, centre, change, noise, rounding),
        domain_interval=_spans(interval_bounds(graph, domain)[graph.raw]),
        domain_crown=_spans(crown_bounds(graph, domain, [graph.raw])[0]),
        channels=tuple(channel.name for channel in contract.action),
        lipschitz=(float(np.median(slopes)), float(slopes.max())),
        sweeps=tuple(sweeps(policy, swept, names, np.maximum(np.abs(low), np.abs(high)))),
        elsewhere=tuple(elsewhere(policy, seen, symmetries(job))),
        dead=dead_inputs(policy, swept, names, low, high),
    )


def _spans(bounds: tuple[Array, Array]) -> tuple[tuple[float, float], ...]:
    """Least and largest value of each channel in the first box."""
    return tuple(zip(bounds[0][0].tolist(), bounds[1][0].tolist(), strict=True))


def visited(policy: OnnxPolicy, task: Task, count: int, seed: int, threads: int) -> NDArray[np.float32]:
    """`(count, d)` observations that the policy meets in undisturbed episodes with test seeds, evenly through their ticks."""
    worlds = Worlds(task, WORLDS, threads)
    first = first_test_seed(seed)
    worlds.reset(np.arange(WORLDS), first + np.arange(WORLDS))
    met = []
    while not worlds.done[:WORLDS].all():
        seen = worlds.observation()
        met.append(seen[:WORLDS][~worlds.done[:WORLDS]].copy())
        worlds.step(act(policy, seen))
    rows = np.concatenate(met)
    return np.ascontiguousarray(rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(np.int64)])


def _onnx(spec: str, task: str) -> tuple[OnnxPolicy, Task]:
    """The file of an ONNX policy and its task; everything is refused that `load_policy` refuses."""
    loaded = load_policy(spec, task)
    acts = getattr(loaded.function, "__self__", None)
    if not isinstance(acts, OnnxPolicy):
        raise BadInput(f"{spec}: bounds are of a network: give a run, a release or a file with a {POLICY}")
    return acts, get_task(loaded.task)


def _properties(
    graph: Graph, around: Box, domain: Box, centre: Array, change: float, noise: float, rounding: float
) -> tuple[Property, ...]:
    action = graph(centre)
    ones = np.ones((len(around), graph.steps[graph.raw].width))
    rows = {
        f"action in [-1, 1] before clipping, noise {noise:g}": decide(graph, around, graph.raw, -ones, ones),
        f"action changes by at most {change:g}, noise {noise:g}": decide(
            graph, around, graph.action, action - change, action + change
        ),
        "action in [-1, 1] before clipping, declared domain": decide(
            graph, domain, graph.raw, -ones[:1], ones[:1]
        ),
    }
    return tuple(_shares(name, decided, rounding) for name, decided in rows.items())


def _shares(name: str, decided: Decided, rounding: float) -> Property:
    verified, violated, unknown = (decided.share(word) for word in ("verified", "violated", "unknown"))
    if not rounding <= SLACK:
        verified, unknown = 0.0, unknown + verified
    return Property(name, len(decided.outcome), verified, violated, unknown)


def _rounding(policy: OnnxPolicy, graph: Graph, box: Box) -> float:
    """The largest difference between the file and its network in float64, at points of the boxes."""
    share = np.random.default_rng(0).random((len(box), FLOAT_POINTS, box.low.shape[1]))
    points = (box.low[:, None] + share * (box.high - box.low)[:, None]).reshape(-1, box.low.shape[1])
    single = points.astype(np.float32)
    return float(np.abs(act(policy, single) - graph(single.astype(np.float64))).max())


def _span(bounds: tuple[float, float]) -> str:
    return f"{bounds[0]:+.3g} to {bounds[1]:+.3g}"


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
