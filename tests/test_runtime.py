"""The runtime: a release opens only as it was made, acts as it was judged, and its monitor stops it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genba.envs.errors import BadInput, Refused, UnknownName
from genba.envs.files import asset
from genba.envs.task import Task, get_task
from genba.envs.worlds import Worlds
from genba.policies.contract import contract_of
from genba.policies.load import load_for_check, load_policy
from genba.policies.manifest import verify_manifest, write_manifest
from genba.policies.onnx_policy import OnnxPolicy
from genba.policies.run_release import run
from genba.policies.runtime import Runtime
from genba.policies.watch import Guard, Watched, read_watched, watched
from genba.safety.campaign import check
from genba.safety.constraints import Constraint, Source, parse_both
from genba.safety.evidence import read_evidence, shard_path
from genba.safety.formula import names
from genba.safety.replay import replay
from genba.safety.suite import load_suite, suite_for
from genba.tests.release_kit import TASK, easy_suite, onnx_bytes

Row = dict[str, Any]


@pytest.fixture
def taken(made: Path, tmp_path: Path) -> Path:
    """The release, to be spoilt."""
    return Path(shutil.copytree(made, tmp_path / made.name))


def test_a_changed_release_does_not_open(taken: Path) -> None:
    card = taken / "card.md"
    text = card.read_text(encoding="utf-8")
    card.write_text(text + "certified", encoding="utf-8")
    with pytest.raises(Refused, match=r"card.md: was changed"):
        Runtime(taken)
    card.write_text(text, encoding="utf-8")
    (taken / "more.txt").write_text("")
    with pytest.raises(Refused, match=r"more.txt: was added"):
        Runtime(taken)
    (taken / "more.txt").unlink()
    (taken / "link").symlink_to(card)
    with pytest.raises(Refused, match=r"link: is a link"):
        Runtime(taken)
    (taken / "link").unlink()
    shard_path(taken / "evidence", 0).unlink()
    with pytest.raises(Refused, match=r"00000.parquet: is missing"):
        Runtime(taken)
    (taken / "MANIFEST.sha256").write_text("junk")
    with pytest.raises(Refused, match="is damaged"):
        Runtime(taken)
    (taken / "MANIFEST.sha256").unlink()
    with pytest.raises(BadInput, match="no release here"):
        Runtime(taken)


def test_the_runtime_acts_as_the_judged_file_did(made: Path, passed: Path) -> None:
    runtime, judged = Runtime(made), load_policy(str(passed))
    observation = (
        np.random.default_rng(1).standard_normal((5, len(runtime.contract.observation))).astype(np.float32)
    )
    rows = np.zeros(5, np.int64)
    assert (runtime.act(observation, rows, rows) == judged.act(observation, rows, rows)).all()
    scale = np.array([each.scale for each in runtime.contract.action], np.float32)
    one = runtime.command(np.zeros(observation.shape[1]))
    assert one.shape == (5,) and (one == scale * [0, 0, 0, 0, -1]).all()
    assert (runtime.hold([0.3, 0.1, 0.0, 2.0, 1.0]) == [0, 0, 0, 0, 1.0]).all(), "the vacuum stays on"


def test_the_runtime_refuses_what_its_contract_does_not_hold(made: Path) -> None:
    runtime = Runtime(made)
    columns = len(runtime.contract.observation)
    with pytest.raises(BadInput, match=rf"expected {columns} columns, found shape \(3,\)"):
        runtime.command([0.0, 0.0, 0.0])
    for bad in (np.nan, np.inf, 1e6):
        with pytest.raises(BadInput, match="observation tcp.y: expected -"):
            runtime.command([0.0, bad] + [0.0] * (columns - 2))


def test_the_guard_stops_and_says_what_it_cannot_watch(made: Path) -> None:
    runtime = Runtime(made)
    guard = runtime.guard(available=["tcp.speed", "workspace.margin"])
    monitored = set(guard.monitor.ids)
    assert monitored == {"tcp-speed", "workspace"}, "the cell's speed limit is a constant in monitor.json"
    assert {name for name, _ in guard.not_monitored} == {
        each.id for each in runtime.watched.constraints
    } - monitored
    limit = runtime.watched.constants["tcp.speed.limit"]
    fine = guard.tick({"tcp.speed": 0.5 * limit, "workspace.margin": 0.1})
    assert not fine.stop and fine.margins["tcp-speed"] == pytest.approx(0.5 * limit)
    fast = guard.tick({"tcp.speed": 1.1 * limit, "workspace.margin": 0.1})
    assert fast.stop and fast.broken == ("tcp-speed",)
    assert guard.tick({"tcp.speed": 0.0, "workspace.margin": 0.1}).stop, "a stop lasts"
    guard.restart()
    assert not guard.tick({"tcp.speed": 0.0, "workspace.margin": 0.1}).stop
    assert guard.tick({"tcp.speed": 0.0}).broken == ("workspace",), "a signal that is silent stops the robot"
    assert not runtime.guard(available=["tcp.speed"]).tick({"tcp.speed": [0.2]}).stop, (
        "a reading in a list is one"
    )
    guard = Runtime(asset("policies", "kit-pick")).guard()
    readings: dict[str, Any] = {name: np.zeros(each.shape) for name, each in guard.table.items()}
    with pytest.raises(BadInput, match=r"signal part\.pos: expected shape \(3,\), found \(\)"):
        guard.tick({**readings, "part.pos": 1.0})
    with pytest.raises(UnknownName, match="unknown signal 'tcp.sped'. Did you mean tcp.speed"):
        runtime.guard(available=["tcp.sped"])


def test_a_signal_that_is_missing_stops_whatever_the_guards_say(tasks: dict[str, Task]) -> None:
    """In kit-pick, of each signal that a hard limit reads; and nothing stops a robot that all of them are given of."""
    task = tasks["kit-pick"]
    assessed = [bound.constraint for bound in load_suite(suite_for("kit-pick")).bind(task).assessed]
    what = watched(assessed, task.table, task.physics_hz)
    worlds = Worlds(task, 2, 1)
    worlds.reset(np.arange(2), np.array([1, 2]))
    worlds.step(np.zeros((2, len(task.action_names))))
    now = {name: np.array(worlds.signals.now[name][0]) for name in what.signals}
    guard = Guard(what)
    assert not guard.tick(now).stop and not guard.tick(now).stop, "all is there"
    hard = {name for each in assessed if each.hard for name in names(parse_both(each)[0])}
    assert {"separation.margin", "worker.contact.force", "part.pos"} <= hard
    for name in sorted(hard - set(what.constants)):
        assert guard.tick({**now, name: np.nan * now[name]}).stop, name
        assert guard.tick({each: now[each] for each in now if each != name}).stop, name
        assert guard.tick(now).stop, "a stop lasts"
        guard.restart()
        assert not guard.tick(now).stop
    silent = guard.tick({each: now[each] for each in now if each != "separation.margin"})
    assert silent.broken == ("separation",) and silent.margins["separation"] == -np.inf
    guard.restart()
    assert not guard.tick({**now, "separation.margin": np.inf}).stop, "nobody is there"


def test_run_plays_a_release_with_its_monitor(made: Path, tmp_path: Path) -> None:
    result = run(made, episodes=3, seed=1, video=tmp_path / "out.webm")
    found = result.as_json()
    assert (found["episodes"], found["success"], found["stops"]) == (3, 0.0, 0)
    assert (tmp_path / "out.webm").stat().st_size > 1000
    seeds = {row["seed"] for row in result.rows}
    assert len(seeds) == 3 and max(seeds) < 3_000_000_000, "never a judged seed"
    assert seeds.isdisjoint(row["seed"] for row in run(made, episodes=3, seed=2).rows)
    with pytest.raises(BadInput, match="seed of 0 to 499"):
        run(made, seed=500)


def test_run_stops_nobody_for_what_is_not_yet_decided(made: Path) -> None:
    """The default number of episodes, all at once: whoever is stopped broke something."""
    result = run(made)
    assert len(result.rows) == 20 and len(result.stops) < 20
    assert all(result.as_json()["stopped_by"][i]["constraint"] for i in range(len(result.stops)))


def test_run_counts_what_the_monitor_stops(taken: Path) -> None:
    watched = read_watched(taken / "monitor.json")
    source = Source("a test", "time", "cell_spec")
    early = Constraint("early", {"en": "Ends within a second"}, "always (episode.time <= 1 s)", source, True)
    table = get_task(TASK).table
    signals = {**watched.signals, "episode.time": table["episode.time"]}
    tighter = Watched((early,), signals, watched.constants, watched.rate_hz)
    (taken / "monitor.json").write_bytes(tighter.to_bytes())
    write_manifest(taken)
    result = run(taken, episodes=2)
    assert result.as_json()["stops"] == 2 and result.success == 0
    assert [row["time_s"] for row in result.stops] == pytest.approx([1.02, 1.02])
    assert result.as_json()["stopped_by"][0]["constraint"] == ["early"]


def test_a_release_is_checked_and_replayed_without_being_touched(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made, tmp_path / "releases" / made.name)
    home = Path("releases") / made.name
    loaded = load_policy(str(home))
    assert loaded.folder == Path("runs") / TASK / made.name
    assert (
        check(loaded, suite=easy_suite(), seed=5).evidence.sha256 == read_evidence(home / "evidence").sha256
    )
    assert replay(home, 1, load_for_check(str(home))).equal
    assert replay(loaded.folder, 1, load_for_check(str(loaded.folder))).equal
    verify_manifest(home)


def test_run_refuses_a_release_for_another_cell(taken: Path) -> None:
    contract = contract_of(get_task(TASK)).model_copy(update={"physics_hz": 250})
    (taken / "contract.json").write_bytes(contract.to_bytes())
    write_manifest(taken)
    with pytest.raises(BadInput, match="physics_hz: 250, expected 500"):
        run(taken)


def test_an_onnx_of_another_shape_says_expected_and_found(tmp_path: Path) -> None:
    contract = contract_of(get_task(TASK))
    narrow = contract.model_copy(update={"observation": contract.observation[:4]})
    path = tmp_path / "policy.onnx"
    path.write_bytes(onnx_bytes(narrow))
    with pytest.raises(
        BadInput, match=r"input 'observation': expected float32 \(n, 38\), found float \(n, 4\)"
    ):
        OnnxPolicy(path, columns=38)
    with pytest.raises(BadInput, match=r"output 'action': expected float32 \(n, 7\), found float \(n, 5\)"):
        OnnxPolicy(path, columns=4, channels=7)
    path.write_bytes(b"not a model")
    with pytest.raises(BadInput, match="not an ONNX model"):
        OnnxPolicy(path)
    with pytest.raises(BadInput, match="no such file"):
        OnnxPolicy(tmp_path / "nowhere.onnx")


def test_a_release_that_names_somebody_elses_environment_does_not_run_it(made: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copied"
    shutil.copytree(made, copied)
    contract = json.loads((copied / "contract.json").read_text())
    (copied / "contract.json").write_text(json.dumps({**contract, "task": "gym:antigravity:Foo-v0"}))
    write_manifest(copied)
    with pytest.raises(BadInput, match="whose code would be run"):
        run(copied, episodes=1)
    assert "antigravity" not in sys.modules
