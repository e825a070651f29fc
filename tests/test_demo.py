"""The live demo: its numbers are the check's, a touch voids the episode, it answers this machine only, it draws."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from typer.testing import CliRunner
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from genba import cli
from genba.envs import page
from genba.envs.disturbances import disturbances_for
from genba.envs.errors import BadInput, UnknownName
from genba.envs.files import asset
from genba.envs.task import get_task, task_ids
from genba.envs.viewer import LiveViewer
from genba.policies import demo as module
from genba.policies.demo import Pace, Stage, demo, names_a_task
from genba.policies.panel import panel
from genba.policies.show import Show
from genba.safety.episodes import Loop
from genba.safety.plan import Episode
from genba.safety.suite import load_suite
from genba.safety.words import load_words

FLAGS = """--no-sandbox --disable-quic --no-first-run --disable-background-networking --disable-component-update
--disable-sync --use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader""".split()
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
TICKS_BEFORE_TOUCH = 20


@dataclass(frozen=True)
class Playing:
    """A demo in a process of its own, its URL, and what it said on stderr before it was up."""

    process: subprocess.Popen[str]
    url: str
    said: list[str]

    @property
    def port(self) -> int:
        return int(self.url.rstrip("/").rpartition(":")[2])


class Scripted:
    """The expert as a policy."""

    kind, name, sha256 = "scripted", "expert", "0" * 64

    def __init__(self) -> None:
        self.task = get_task("kit-pick")

    def act(self, observation: np.ndarray, seeds: np.ndarray, steps: np.ndarray) -> np.ndarray:
        return self.task.expert(observation).astype(np.float32)


@pytest.fixture(scope="module")
def suite() -> SimpleNamespace:
    found = load_suite("kit-pick")
    watched = [bound.constraint for bound in found.bind(get_task("kit-pick")).assessed]
    return SimpleNamespace(
        watched=watched, conditions=[(c.disturbance, c.severity) for c in found.conditions]
    )


@pytest.fixture
def show(suite: SimpleNamespace) -> Show:
    policy = Scripted()
    return Show(policy.task, policy, suite.watched, suite.conditions, seed=7)


def finish(show: Show) -> dict[str, Any]:
    while not show.over:
        show.tick()
    return panel(show)


def judged(show: Show, suite: SimpleNamespace, seed: int, disturbance: str, severity: int) -> dict[str, Any]:
    """The row that a check writes for this seed, played among others in a larger batch."""
    loop = Loop(show.policy, show.task, suite.watched, {"push", "sensor-noise"}, 3, threads=2)
    episodes = [Episode(i, 0, disturbance, severity, seed + 100 * i) for i in range(3)]
    return next(row for row in loop.play(episodes) if row["seed"] == seed)


@pytest.mark.parametrize("condition", [("none", 0), ("sensor-noise", 3)])
def test_the_panel_says_what_a_check_says_of_that_seed(
    show: Show, suite: SimpleNamespace, condition: tuple[str, int]
) -> None:
    show.choose(*condition)
    show.begin()
    said = finish(show)
    index = suite.conditions.index(condition)
    assert said["seed"] == 3_000_000_000 + 7_000_000 + index
    row = judged(show, suite, said["seed"], *condition)
    for limit in said["limits"]:
        margin = row[f"margin.{limit['id']}"]
        assert limit["worst"] == (margin if np.isfinite(margin) else None), limit["id"]
    assert said["last"]["margins"] == {limit["id"]: limit["worst"] for limit in said["limits"]}
    assert (said["reason"], said["return"], said["time_s"]) == (row["reason"], row["return"], row["time_s"])


def test_margins_so_far_only_sink(show: Show) -> None:
    before = np.full(len(show.monitor.ids), np.inf)
    late = [name in show.monitor.undecided for name in show.monitor.ids]
    while not show.over:
        show.tick()
        if not show.over:
            assert (show.margins <= before)[~np.array(late)].all()
            before = show.margins
    sunk = show.margins <= before
    assert sunk[~np.array(late)].all(), "the end of an episode takes no margin back"
    states = {limit["id"]: limit["state"] for limit in panel(show)["limits"]}
    assert set(states.values()) == {"clean"}, (
        "the expert breaks no limit, and after its success each has applied"
    )


@pytest.mark.parametrize("touch", ["push", "knock"])
def test_a_touched_episode_is_no_evidence_until_the_next_one(show: Show, touch: str) -> None:
    for _ in range(TICKS_BEFORE_TOUCH):
        show.tick()
    assert not panel(show)["touched"]
    body = show.task.tool_body if touch == "push" else show.task.part_body
    at = show.worlds.engine.model.body(body).id
    getattr(show, touch)()
    show.tick()
    assert np.linalg.norm(show.worlds.engine.wrench[0, at, :3]) > 0.0
    said = finish(show)
    assert said["touched"] and said["history"][-1]["touched"]
    assert said["tally"] == {"finished": 0, "succeeded": 0, "broke": 0, "touched": 1}
    assert not show.worlds.engine.wrench[0].any()
    show.proceed()
    assert not panel(show)["touched"] and panel(show)["episode"] == 2


def test_a_push_is_felt(show: Show) -> None:
    def path() -> np.ndarray:
        tips = []
        for tick in range(60):
            if pushed and tick == TICKS_BEFORE_TOUCH:
                show.push()
            show.tick()
            tips.append(show.worlds.signals.now["tcp.pos"][0].copy())
        return np.array(tips)

    pushed = False
    alone = path()
    pushed = True
    show.begin()
    assert 0.003 < np.abs(path() - alone).max() < 0.3


def test_a_broken_limit_turns_the_verdict(show: Show, suite: SimpleNamespace) -> None:
    class Reckless(Scripted):
        def act(self, observation: np.ndarray, seeds: np.ndarray, steps: np.ndarray) -> np.ndarray:
            return np.tile(np.array([1, 0, -1, 0, 1], np.float32), (len(observation), 1))

    wild = Show(show.task, Reckless(), suite.watched)
    said = finish(wild)
    broken = [limit["id"] for limit in said["limits"] if limit["state"] == "breach"]
    assert said["verdict"] == "breach" and said["closest"] in broken
    assert said["history"][-1]["breaches"] == broken and said["tally"]["broke"] == 1


def test_the_next_episode_meets_the_chosen_disturbance(show: Show, suite: SimpleNamespace) -> None:
    show.choose("push", 3)
    assert panel(show)["playing"]["severity"] == 0
    show.proceed()
    assert panel(show)["playing"] == {"disturbance": "push", "severity": 3}
    place = suite.conditions.index(("push", 3))
    assert show.worlds.seeds[0] == 3_007_000_000 + len(suite.conditions) + place
    with pytest.raises(UnknownName, match="sensor-noise"):
        show.choose("sensor-nose", 1)


def test_the_pace_is_the_wall_clock() -> None:
    pace = Pace(dt=0.02, speed=4.0)
    start = pace.due
    assert pace.measured is None
    for _ in range(20):
        pace.wait()
    now = time.perf_counter()
    assert start + 0.0999 <= pace.due <= now  # never early, however busy the machine
    assert pace.measured is not None
    assert 0.4 / (now - start) <= pace.measured <= 1.001 * pace.speed


@pytest.mark.parametrize(
    "wrong",
    [{"speed": 0.0}, {"speed": float("nan")}, {"port": 70_000}, {"seed": -1}, {"seed": 99999999999999}],
)
def test_a_senseless_number_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="expected"):
        demo("kit-pick", browser=False, **wrong)


def test_a_variant_is_shown_as_a_task_is() -> None:
    assert (
        names_a_task("kit-pick:hard") and names_a_task("kit-pick,part.others=2") and names_a_task("my.yaml")
    )
    assert not names_a_task("runs/kit-pick/x") and not names_a_task("mine:act")
    with pytest.raises(BadInput, match="a task already"):
        demo("kit-pick", task="bento-pack", browser=False)


def test_an_unknown_name_lists_the_tasks() -> None:
    with pytest.raises(UnknownName, match="kit-pick"):
        demo("kitpick", browser=False)


@pytest.mark.parametrize(
    ("words", "unknown"),
    [(["scripted", "--task", "kit-pik"], "unknown task 'kit-pik'"), (["kit-pick:foo"], "'foo'")],
)
def test_the_name_that_is_unknown_is_the_one_that_is_named(words: list[str], unknown: str) -> None:
    result = CliRunner().invoke(cli.app, ["demo", "--no-browser", *words])
    assert result.exit_code == 2 and result.stderr.count("\n") == 1
    assert unknown in result.stderr and "unknown task, run or release" not in result.stderr


def test_watching_a_release_or_a_file_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released = asset("policies", "conveyor-sort")
    shutil.copy(released / "policy.onnx", tmp_path / "mine.onnx")
    monkeypatch.chdir(tmp_path)
    for what in (str(released), "mine.onnx"):
        module._show(what, "conveyor-sort", 0).tick()
        assert [each.name for each in tmp_path.iterdir()] == ["mine.onnx"]


def get(url: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read(), {}


def listening(process: int) -> list[str]:
    """Addresses on which a process listens for TCP, IPv4 and IPv6, in the kernel's hexadecimal."""
    inodes = set()
    for entry in Path(f"/proc/{process}/fd").iterdir():
        try:
            inodes.add(os.readlink(entry))
        except OSError:
            continue
    found = []
    for table in ("tcp", "tcp6"):
        path = Path(f"/proc/{process}/net/{table}")
        rows = [line.split() for line in path.read_text().splitlines()[1:]] if path.exists() else []
        found += [row[1].split(":")[0] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in inodes]
    return found


@contextmanager
def playing(*options: str) -> Iterator[Playing]:
    """`genba demo kit-pick` in a process of its own: Studio allows one viewer per process, and users have it so."""
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # a background job would ignore it
    program = f"{heed}; from genba.cli import app; app()"
    verb = [sys.executable, "-c", program, "demo", "kit-pick", "--no-browser"]
    process = subprocess.Popen([*verb, *options], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        said: list[str] = []
        while not said or " at http" not in said[-1]:
            said.append(process.stderr.readline())
            assert said[-1], "".join(said)
        yield Playing(process, re.findall(r"http://[^ ]+", said[-1])[0], said)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def live() -> Iterator[Playing]:
    """A demo that was asked for a busy port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with playing("--seed", "7", "--speed", "8", "--port", str(taken.getsockname()[1])) as found:
            yield found


def test_a_busy_port_gives_way_and_it_says_so(live: Playing) -> None:
    assert re.search(rf"port \d+ is busy: took {live.port}", live.said[0])
    assert live.url == f"http://127.0.0.1:{live.port}/"
    assert get(live.url)[0] == 200


def test_the_first_free_port_is_taken() -> None:
    with page.bind_loopback() as one, page.bind_loopback() as other:
        assert one.getsockname()[0] == other.getsockname()[0] == "127.0.0.1"
        one.listen()
        with page.bind_loopback(one.getsockname()[1]) as third:
            assert third.getsockname()[1] != one.getsockname()[1]


@pytest.mark.skipif(
    not Path("/proc/self/net/tcp").exists(), reason="reads /proc to see what listens (Linux only)"
)
def test_every_listening_socket_is_on_the_loopback_interface(live: Playing) -> None:
    addresses = listening(live.process.pid)
    assert len(addresses) >= 2, "Studio's page and its UI bridge"
    assert set(addresses) == {"0100007F"}


def test_other_addresses_are_refused(live: Playing) -> None:
    with socket.create_connection(("127.0.0.1", live.port), timeout=5):
        pass
    for family, address in ((socket.AF_INET, "127.0.0.2"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as other, pytest.raises(OSError):
            other.settimeout(5)
            other.connect((address, live.port))


def test_the_page_is_local_and_strangers_get_nothing(live: Playing) -> None:
    status, body, headers = get(live.url)
    assert status == 200 and b'src="/studio"' in body
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert not re.search(rb"(src|href)=\"(https?:)?//", body)
    for file in ("demo.css", "demo.js", "words.json", "studio", "web_client.js", "model"):
        assert get(live.url + file)[0] == 200, file
    assert get(live.url + "../pyproject.toml")[0] in (403, 404)
    for path in ("", "panel", "state", "model", "drop"):
        assert get(live.url + path, Origin="http://evil.example")[0] == 403
        assert get(live.url + path, Host="evil.example")[0] == 403
    assert get(live.url + "drop")[0] == 403
    assert get(live.url + 5000 * "a" + ".html")[0] == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("Host", "127.0.0.1:80")], 200),
        ([("Host", "127.0.0.1:80"), ("Origin", "http://localhost:80")], 200),
        ([], 403),
        ([("Host", "127.0.0.1:80"), ("Host", "127.0.0.1:80")], 403),
        (
            [("Host", "127.0.0.1:80"), ("Origin", "http://localhost:80"), ("Origin", "http://localhost:80")],
            403,
        ),
    ],
)
def test_a_header_that_comes_twice_is_refused(headers: list[tuple[str, str]], status: int) -> None:
    answer = page.Page(asset("demo"), 80).answer(
        nobody, cast(ServerConnection, None), Request("/", Headers(headers))
    )
    assert answer is not None and answer.status_code == status


def nobody(connection: ServerConnection, request: Request) -> Response:
    return Response(404, "Not Found", Headers())


def test_what_is_no_command_is_none_of_ours() -> None:
    assert page._parsed('{"do": "push"}') == {"do": "push"}
    for text in ("[" * 200_000, "[]", "{", "9" * 5000, b"\xff"):
        assert page._parsed(text) is None


def test_commands_from_the_page_arrive_and_nonsense_does_not(show: Show) -> None:
    stage = Stage(show, cast(LiveViewer, None), Pace(show.task.dt, 1.0))
    for command in ({"do": "dance"}, {}, {"do": "condition", "disturbance": 3}, {"do": ["push"]}):
        stage.obey(command)
    assert not show.touched and show.chosen == ("none", 0)
    stage.obey({"do": "condition", "disturbance": "push", "severity": "much"})
    assert show.chosen == ("push", 1)
    stage.obey({"do": "pause"})
    assert stage.paused
    stage.obey({"do": "push"})
    assert show.touched


def test_every_word_exists_in_both_languages() -> None:
    words = json.loads(asset("demo", "words.json").read_text(encoding="utf-8"))
    assert words["en"].keys() == words["ja"].keys()
    used = set(re.findall(r'data-word="(\w+)"', asset("demo", "index.html").read_text()))
    used |= set(re.findall(r'say\("(\w+)"', asset("demo", "demo.js").read_text()))
    assert used <= words["en"].keys()


def test_every_outcome_and_disturbance_has_a_word_in_both_languages(show: Show) -> None:
    for language in ("en", "ja"):
        words = load_words(language)
        for task in map(get_task, task_ids()):
            known = {f"outcome.{each}" for each in task.reasons[1:]}
            known |= {f"disturbance.{each}" for each in disturbances_for(task)}
            assert known <= words.sentences.keys(), task.id
    said = panel(show)["words"]["ja"]
    assert said["outcome"].keys() == set(show.task.reasons[1:])
    assert said["disturbance"].keys() == set(show.worlds.disturbances)
    assert (said["outcome"]["dropped"], said["disturbance"]["push"]) == ("部品落下", "押し")


@pytest.mark.wide
@pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium: apt-get install -y --no-install-recommends chromium"
)
def test_the_browser_shows_the_robot_and_the_numbers_of_a_check(
    live: Playing, suite: SimpleNamespace, show: Show
) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")
    problems: list[str] = []
    with sync_api.sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        tab = browser.new_page(viewport={"width": 640, "height": 400}, bypass_csp=True)
        tab.set_default_timeout(240_000)
        tab.on("pageerror", lambda error: problems.append(str(error)))
        tab.on("request", lambda sent: None if is_local(sent.url, live.port) else problems.append(sent.url))
        tab.goto(live.url)

        def until(state: str) -> None:
            tab.wait_for_function(f"() => window.ready === true && window.panel().{state}", polling=50)

        until("last !== null")
        first = tab.evaluate("() => window.panel().last")
        for press, then in (("pause", "paused"), ("next", "time_s === 0"), ("push", "touched")):
            tab.dispatch_event(
                f"#{press}", "click"
            )  # a click waits for frames, which take long without a GPU
            until(then)
        assert tab.is_visible("#stamp") and "Not evidence" in tab.inner_text("#untrusted")
        touched = tab.evaluate("() => window.panel().episode")
        scene = tab.locator("#studio").screenshot()
        tab.dispatch_event("#pause", "click")
        until(f"episode > {touched}")
        assert tab.is_hidden("#stamp") and tab.is_hidden("#untrusted")
        tab.dispatch_event("#language", "click")
        tab.wait_for_function(
            "() => document.querySelector('#disturbance option[value=push]').textContent === '押し'"
        )
        assert "成功" in tab.evaluate("() => [...at('dots').children].map((dot) => dot.title).join()")
        history = tab.evaluate("() => window.panel().history")
        assert [each["touched"] for each in history if each["episode"] == touched] == [True]
        browser.close()
    assert problems == []
    assert colours(scene) > 60, "a blank or black picture"
    row = judged(show, suite, first["seed"], "none", 0)
    for name, margin in first["margins"].items():
        expected = row[f"margin.{name}"]
        assert margin == (expected if np.isfinite(expected) else None), name


def test_ctrl_c_ends_it_without_a_traceback() -> None:
    with playing() as found:
        assert get(found.url)[0] == 200
        found.process.send_signal(signal.SIGINT)
        said, errors = found.process.communicate(timeout=30)
        assert found.process.returncode == 0
        assert errors.strip() == "demo ended" and said == ""


@pytest.mark.quick_for("0.002")
@pytest.mark.parametrize("gap_s", [0.0, 0.002, 0.05])
def test_a_second_ctrl_c_changes_nothing(gap_s: float) -> None:
    with playing() as found:
        time.sleep(0.5)
        found.process.send_signal(signal.SIGINT)
        time.sleep(gap_s)
        found.process.send_signal(signal.SIGINT)
        said, errors = found.process.communicate(timeout=30)
        assert (found.process.returncode, errors.strip(), said) == (0, "demo ended", "")


def test_only_the_first_ctrl_c_interrupts() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with module._interrupted_once():
            pass
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        with module._interrupted_once():
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def is_local(url: str, port: int) -> bool:
    return re.match(rf"(blob:)?(http|ws)://127\.0\.0\.1:{port}/|data:", url) is not None


def colours(png: bytes) -> int:
    """How many different colours a picture has, coarsely."""
    import cv2

    pixels = np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR))
    return len(np.unique(pixels.reshape(-1, 3) // 16, axis=0))
