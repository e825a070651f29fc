"""`genba demo`: a policy in one world of the judged closed loop, live in the browser beside what its monitor says."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import webbrowser
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from ..envs.errors import BadInput, UnknownName
from ..envs.files import asset
from ..envs.parameters import FILE, SPEC_SIGNS
from ..envs.task import get_task, task_ids
from ..safety.plan import chosen_seed
from ..safety.suite import load_suite, suite_for
from .load import BUILT_IN, load_policy
from .panel import panel
from .show import Show

if TYPE_CHECKING:
    from ..envs.viewer import LiveViewer

FRAMES_HZ = 60.0
LARGEST_DEBT_S = 0.25
LATELY = 64  # ticks over which the pace is measured
IDLE_S = 0.05
REST_S = 2.0  # a class reads the outcome before the next episode begins
FASTEST, SLOWEST = 100.0, 0.05
Say = Callable[[str], None]


@dataclass
class Pace:
    """Keeps simulated time at `speed` times the wall clock; what was lost to a slow machine is not caught up."""

    dt: float
    speed: float
    due: float = field(default_factory=time.perf_counter)
    _ticks: deque[float] = field(default_factory=lambda: deque(maxlen=LATELY + 1))

    def __post_init__(self) -> None:
        self._ticks.append(self.due)

    @property
    def measured(self) -> float | None:
        """Simulated seconds per second over the last ticks; None before the first one."""
        if len(self._ticks) < 2:
            return None
        return self.dt * (len(self._ticks) - 1) / (self._ticks[-1] - self._ticks[0])

    def wait(self) -> None:
        """Sleep until the next tick is due."""
        now = time.perf_counter()
        self.due = max(self.due + self.dt / self.speed, now - LARGEST_DEBT_S)
        if self.due > now:
            time.sleep(self.due - now)
        self._ticks.append(time.perf_counter())

    def restart(self) -> None:
        """After a pause: nothing is owed."""
        self.due = time.perf_counter()
        self._ticks.clear()
        self._ticks.append(self.due)


@dataclass
class Stage:
    """Runs the show for whoever watches: pace, pause, commands from the page."""

    show: Show
    viewer: LiveViewer
    pace: Pace
    paused: bool = False
    rest_until: float = 0.0
    frame_due: float = 0.0

    def turn(self) -> None:
        """One turn of the loop: obey the page, advance or wait, send what there is to see."""
        for command in self.viewer.commands():
            self.obey(command)
        waiting = self.paused or not self.viewer.watching
        if waiting or self.resting():
            self.send()
            time.sleep(IDLE_S)
            self.pace.restart()
            return
        self.show.tick()
        if self.show.over:
            self.rest_until = time.perf_counter() + REST_S / max(1.0, self.pace.speed)
        if self.show.over or time.perf_counter() >= self.frame_due:
            self.frame_due = time.perf_counter() + 0.8 / FRAMES_HZ
            self.send()
        self.pace.wait()

    def resting(self) -> bool:
        """The outcome of a finished episode is on screen; afterwards the next one begins."""
        if not self.show.over:
            return False
        if time.perf_counter() < self.rest_until:
            return True
        self.show.proceed()
        return False

    def send(self) -> None:
        self.viewer.show(self.show.model, self.show.state)
        speeds = {"speed": self.pace.measured, "wanted_speed": self.pace.speed}
        self.viewer.publish(
            {**panel(self.show), **speeds, "paused": self.paused, "watching": self.viewer.watching}
        )

    def obey(self, command: dict[str, Any]) -> None:
        """What was pressed on the page; anything else is ignored."""
        show, what = self.show, command.get("do")
        if what == "push":
            show.push()
        elif what == "knock":
            show.knock()
        elif what == "pause":
            self.paused = not self.paused
        elif what == "again":
            show.begin()
        elif what == "next":
            show.proceed()
        elif what == "condition" and command.get("disturbance") in ("none", *show.worlds.disturbances):
            severity = command.get("severity")
            show.choose(str(command["disturbance"]), severity if isinstance(severity, int) else 1)


def demo(
    what: str,
    task: str | None = None,
    seed: int = 0,
    port: int = 0,
    browser: bool = True,
    speed: float = 1.0,
    say: Say | None = None,
) -> None:
    """Play `what` (a task id, a run, a release or any policy of `genba check`) until Ctrl-C, which this process ignores from then on.

    Args:
        task: the task, where `what` does not say it.
        seed: seed base, 0 to 999,999; the episodes are those of `genba check --seed` in the order of their numbers.
        port: TCP port on 127.0.0.1; 0, or a busy one, takes another.
        browser: open the page where this machine has a screen.
        speed: simulated seconds per second.

    Raises:
        UnknownName, BadInput: `what`, `task` or a number makes no sense.
        EnvironmentProblem: the viewer did not start.
    """
    if not SLOWEST <= speed <= FASTEST:
        raise BadInput(f"--speed {speed:g}: expected {SLOWEST:g} to {FASTEST:g} (1 is real time)")
    if not 0 <= port <= 65535:
        raise BadInput(f"--port {port}: expected 0 to 65535 (0 takes a free one)")
    tell = say or _stderr
    show = _show(what, task, chosen_seed(seed))
    from ..envs.viewer import LiveViewer

    with _interrupted_once(), LiveViewer(show.model, asset("demo"), f"Genba: {show.task.id}", port) as viewer:
        if port and viewer.port != port:
            tell(f"port {port} is busy: took {viewer.port}")
        tell(f"{show.policy.name} plays {show.task.id} at {viewer.url}    Ctrl-C ends it")
        if browser:
            _open(viewer.url)
        stage = Stage(show, viewer, Pace(show.task.dt, speed))
        try:
            while viewer.running:
                stage.turn()
        except KeyboardInterrupt:
            tell("demo ended")


@contextmanager
def _interrupted_once() -> Iterator[None]:
    """The first Ctrl-C interrupts, later ones are ignored to the process's end: the viewer's thread must end before the interpreter does."""
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not usual or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is _interrupt:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupt(*_: object) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def names_a_task(what: str) -> bool:
    """Whether it is a task's id, a variant of it, or an edited cell file."""
    return bool(FILE.match(what)) or SPEC_SIGNS.split(what)[0] in task_ids()


def _show(what: str, task: str | None, seed: int) -> Show:
    if names_a_task(what):
        if task:
            raise BadInput(f"{what}: a task already; --task is for a policy that does not say its own")
        what, task = "scripted", what
    try:
        policy = load_policy(what, task or "", keep=False)
    except UnknownName as error:
        if error.kind != "policy":
            raise
        raise UnknownName("task, run or release", what, [*task_ids(), *BUILT_IN]) from None
    job, suite = get_task(policy.task), load_suite(suite_for(policy.task))
    binding = suite.bind(job)
    watched = [bound.constraint for bound in binding.assessed]
    conditions = [(condition.disturbance, condition.severity) for condition in suite.conditions]
    return Show(job, policy, watched, conditions, [each.id for each, _ in binding.not_assessed], seed)


def _open(url: str) -> None:
    """A browser tab, where there is a screen: a text browser would take over the terminal."""
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return
    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()


def _stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
