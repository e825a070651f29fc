"""A policy in another process: the same evidence, and one line for every way in which a server can break."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from typer.testing import CliRunner
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection
from websockets.sync.server import serve as listen
from websockets.typing import Origin

import genba
from genba import cli
from genba.envs.errors import BadInput
from genba.envs.files import asset
from genba.envs.task import Task
from genba.policies.contract import contract_of
from genba.policies.load import LoadedPolicy, load_for_check, load_for_report, load_policy
from genba.policies.serve import server_of
from genba.policies.served import ServedPolicy, address
from genba.policies.wire import LARGEST_MESSAGE, PROTOCOL, WireError, array, pack, rows, unpack
from genba.safety.campaign import check
from genba.safety.evidence import read_evidence
from genba.safety.replay import replay
from genba.tests.release_kit import TASK, easy_suite

HELLO = {"type": "hello", "protocol": PROTOCOL, "name": "mine", "sha256": "a" * 64, "timeout_s": 0.5}
Answer = Callable[[ServerConnection, dict[str, Any]], None]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def closed(policy: LoadedPolicy) -> None:
    """Leave the server of a policy."""
    served = policy.act.__self__.function.__self__  # type: ignore[attr-defined]
    assert isinstance(served, ServedPolicy)
    served.close()


def heeding() -> None:
    """In the child: Ctrl-C ends it, also where these tests run in the background and would hand on that it is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def process(*command: str) -> Iterator[str]:
    """A server as a process of its own; its URL as soon as it answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    begun = subprocess.Popen(
        [sys.executable, *command, str(port)], stderr=subprocess.PIPE, text=True, preexec_fn=heeding
    )
    with begun as child:
        give_up = time.monotonic() + 120.0
        while time.monotonic() < give_up and child.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1.0).close()
                break
            except OSError:
                time.sleep(0.05)
        assert child.poll() is None, child.communicate()[1]
        try:
            yield f"ws://127.0.0.1:{port}"
        finally:
            child.send_signal(signal.SIGINT)
            child.communicate(timeout=60)


@contextmanager
def breaking(answer: Answer, hello: dict[str, Any] | bytes | str = HELLO) -> Iterator[str]:
    """A server that says hello and ready, and then does as `answer` says."""

    def talk(connection: ServerConnection) -> None:
        connection.send(hello if isinstance(hello, bytes | str) else pack(hello))
        for frame in connection:
            message = msgpack.unpackb(frame)
            if message["type"] == "contract":
                connection.send(pack({"type": "ready"}))
            else:
                answer(connection, message)

    with listen(talk, "127.0.0.1", 0, compression=None, max_size=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()


def still(connection: ServerConnection, message: dict[str, Any]) -> None:
    """What the other side asks for: no motion."""
    action = np.zeros((message["observation"]["shape"][0], 5), np.float32)
    connection.send(pack({"type": "action", "id": message["id"], "action": rows(action, "f4")}))


def test_evidence_over_the_wire_is_the_evidence_in_this_process(here: Path) -> None:
    """A policy that draws, so that observation, seed and step of each row must come through."""
    own = check(load_policy("random", TASK), suite=easy_suite(6), seed=3, worlds=5).evidence
    with process("-m", "genba.cli", "serve", "random", "--task", TASK, "--port") as url:
        policy = load_policy(url)
        assert (policy.kind, policy.name, policy.task) == ("server", "random", TASK)
        result = check(policy, suite=easy_suite(6), seed=3, worlds=4)
        assert replay(result.folder, 2, load_for_check(str(result.folder), url)).equal
        closed(policy)
    over = result.evidence
    assert over.plan.policy.sha256 == own.plan.policy.sha256
    assert over.plan.model_copy(update={"policy": own.plan.policy}) == own.plan
    for name, values in own.columns.items():
        assert over.columns[name].tobytes() == values.tobytes(), name
    assert load_for_report(str(result.folder)) is None
    with pytest.raises(BadInput, match="serve it again and add --server"):
        load_for_check(str(result.folder))


def test_the_server_of_the_documentation_is_a_server(here: Path) -> None:
    page = (Path(genba.__file__).parent / "docs" / "bring-your-own.md").read_text(encoding="utf-8")
    (listing,) = [
        each for each in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "serve(answer" in each
    ]
    (here / "server.py").write_text(listing)
    own = check(load_policy("zero", TASK), suite=easy_suite(3), seed=3).evidence
    with process("server.py") as url:
        policy = load_policy(url, TASK)
        over = check(policy, suite=easy_suite(3), seed=3).evidence
        closed(policy)
    assert over.columns["trace_sha256"].tolist() == own.columns["trace_sha256"].tolist()


def late(connection: ServerConnection, message: dict[str, Any]) -> None:
    time.sleep(1.0)


def leaves(connection: ServerConnection, message: dict[str, Any]) -> None:
    connection.close()


def large(connection: ServerConnection, message: dict[str, Any]) -> None:
    connection.send(b"0" * (LARGEST_MESSAGE + 1))


def says(**changes: Any) -> Answer:
    def answer(connection: ServerConnection, message: dict[str, Any]) -> None:
        good = {"type": "action", "id": message["id"], "action": rows(np.zeros((2, 5), np.float32), "f4")}
        connection.send(pack({**good, **changes}))

    return answer


def sends(frame: bytes | str) -> Answer:
    return lambda connection, message: connection.send(frame)


def given(*shape: int, value: float = 0.0) -> dict[str, Any]:
    return rows(np.full(shape, value, np.float32), "f4")


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (late, "broke off: no answer within 0.5 s"),
        (leaves, "the policy server left"),
        (large, "sent more than 8 MB at once"),
        (says(action=given(2, 4)), r"action: expected shape \(n, 5\), found \(2, 4\)"),
        (says(action=given(10)), r"action: expected shape \(n, 5\), found \(10,\)"),
        (says(action=given(3, 5)), "expected 2 actions, found 3"),
        (says(action={"shape": [2, 5], "data": bytes(80)}), "expected 10 numbers of 4 bytes, found 80 bytes"),
        (says(action={"shape": [2, 5], "data": "0" * 40}), "expected 10 numbers of 4 bytes, found str"),
        (says(action={"shape": [-2, 5], "data": b""}), "expected a shape of 2 whole numbers"),
        (says(action={"shape": [2, True], "data": b""}), "expected a shape of 2 whole numbers"),
        (says(action=[[0.0] * 5] * 2), "action: expected {"),
        (says(action=given(2, 5, value=np.nan)), "action 0 of row 0 is nan, no number"),
        (says(action=given(2, 5, value=-np.inf)), "action 0 of row 0 is -inf, no number"),
        (says(id=7), "expected the action of question 0, found another message"),
        (says(type="hello"), "expected the action of question 0"),
        (says(type="error", message="out of\n\x1b[31mmemory"), r"the policy server said: out of \[31mmemory"),
        (sends("text"), "expected a binary frame, found a text frame"),
        (sends(b"\xc1"), "expected msgpack, found 1 other bytes"),
        (sends(b"\x91" * 5000 + b"\xc0"), "expected msgpack, found 5001 other bytes"),
        (sends(b""), "expected msgpack, found 0 other bytes"),
        (sends(b"\xdd\xff\xff\xff\xff"), "expected msgpack"),
        (sends(pack({"no": "type"})), "expected a map with a 'type'"),
    ],
)
def test_what_is_no_answer_is_one_line(answer: Answer, line: str) -> None:
    with breaking(answer) as url:
        policy = load_policy(url, TASK)
        asked = np.zeros((2, 36), np.float32), np.zeros(2, np.int64), np.zeros(2, np.int64)
        for expected in (line, "the policy server"):  # the next answer might be this one's
            with pytest.raises(BadInput, match=expected) as caught:
                policy.act(*asked)
            text = str(caught.value)
            assert text.isprintable() and "go on with --resume" in text and url in text


@pytest.mark.parametrize(
    ("hello", "line"),
    [
        ({**HELLO, "protocol": "genba-policy/2"}, "hello: field protocol"),
        ({**HELLO, "name": "../../etc"}, "hello: field name"),
        ({**HELLO, "name": "mine\n"}, "hello: field name"),
        ({**HELLO, "sha256": "a" * 63}, "hello: field sha256"),
        ({**HELLO, "timeout_s": 1e9}, "hello: field timeout_s"),
        ({**HELLO, "timeout_s": float("nan")}, "hello: field timeout_s"),
        ({**HELLO, "contract": {"task": TASK}}, "contract: field"),
        ({**HELLO, "type": "good day"}, "hello: field type"),
        ("hello", "found a text frame"),
        (pack({"type": "error", "message": "no weights"}), "said: no weights"),
    ],
)
def test_a_hello_that_is_none_is_one_line(hello: dict[str, Any] | bytes | str, line: str) -> None:
    with breaking(still, hello) as url, pytest.raises(BadInput, match=line) as caught:
        load_policy(url, TASK)
    assert str(caught.value).isprintable()


def test_a_contract_of_another_task_is_refused_on_either_side(tasks: dict[str, Task]) -> None:
    contract = contract_of(tasks[TASK]).model_dump(mode="json")
    with breaking(still, {**HELLO, "contract": contract}) as url:
        closed(load_policy(url))
        with pytest.raises(BadInput, match="serves a policy for other inputs or outputs than kit-pick"):
            load_policy(url, "kit-pick")
    with breaking(still, {**HELLO, "contract": {**contract, "control_hz": 20}}) as url:
        with pytest.raises(BadInput, match="control_hz: 20, expected 50"):
            load_policy(url)
    with breaking(still) as url, pytest.raises(BadInput, match="say which with --task"):
        load_policy(url)
    with serving(load_policy("zero", TASK)) as url:
        served = ServedPolicy(address(url))
        with pytest.raises(BadInput, match="the policy server said: made for other inputs or outputs"):
            served.agree(contract_of(tasks["kit-pick"]))


@contextmanager
def serving(policy: LoadedPolicy) -> Iterator[str]:
    """`genba serve` in a thread."""
    with server_of(policy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_serving_a_release_writes_nothing(here: Path) -> None:
    with process("-m", "genba.cli", "serve", str(asset("policies", TASK)), "--port") as url:
        closed(load_policy(url))
    assert not list(here.iterdir())


def test_a_server_says_what_went_wrong_and_lives_on() -> None:
    def fails(*_: object) -> Any:
        raise RuntimeError("no\nmemory")

    zero = load_policy("zero", TASK)
    broken = LoadedPolicy("callable", "a:b", zero.sha256, TASK, zero.folder, fails)
    with serving(broken) as url:
        for _ in range(2):
            policy = load_policy(url)
            assert policy.name == "a-b"
            with pytest.raises(BadInput, match="said: RuntimeError: no memory"):
                policy.act(np.zeros((2, 36), np.float32), np.zeros(2, np.int64), np.zeros(2, np.int64))


def test_a_web_page_cannot_talk_to_a_server() -> None:
    with serving(load_policy("zero", TASK)) as url, pytest.raises(InvalidStatus, match="403"):
        connect(url, origin=Origin("http://127.0.0.1"), proxy=None)


@dataclass
class Leaver:
    """Acts `left` times, then leaves."""

    left: int

    def __call__(self, connection: ServerConnection, message: dict[str, Any]) -> None:
        self.left -= 1
        if self.left:
            still(connection, message)
        else:
            connection.close()


def test_after_a_disconnect_the_check_goes_on_and_ends_in_the_same_bytes(here: Path) -> None:
    count = Leaver(1 << 40)
    with breaking(count) as url:
        policy = load_policy(url, TASK)
        whole = check(policy, suite=easy_suite(6), seed=3, worlds=2, threads=1)
        closed(policy)
    wanted = shards(whole.folder)
    with breaking(Leaver(((1 << 40) - count.left) // 2)) as url:
        with pytest.raises(BadInput, match="the policy server left"):
            check(load_policy(url, TASK), suite=easy_suite(6), seed=3, worlds=2, threads=1)
    kept = shards(here / "runs" / TASK / "mine-aaaaaa" / "checks" / "02")
    assert 0 < len(kept) < 6
    with breaking(still) as url:
        policy = load_policy(url, TASK)
        result = check(policy, suite=easy_suite(6), seed=3, worlds=4, resume=True)
        closed(policy)
    assert shards(result.folder) == wanted and read_evidence(result.folder).sha256 == whole.evidence.sha256
    with pytest.raises(BadInput, match="serves another policy"):
        with breaking(still, {**HELLO, "sha256": "b" * 64}) as url:
            load_for_check(str(result.folder), url)


def shards(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((folder / "shards").glob("*.parquet"))]


@pytest.mark.parametrize(
    "url",
    [
        "ws://192.0.2.1:80",
        "ws://example.org:80",
        "ws://127.0.0.1.example.org:80",
        "ws://0.0.0.0:80",
        "ws://[::]:80",
        "ws://127.0.0.1",
        "ws://127.0.0.1:99999",
        "ws://127.0.0.1:0",
        "ws://user@127.0.0.1:80",
        "ws://127.0.0.1:80@192.0.2.1:80",
        "ws://127.0.0.1:80/path",
        "wss://127.0.0.1:80",
        "WS://[bad:80",
        "ws://",
    ],
)
def test_only_this_machine_is_asked(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    def connected(*_: object) -> None:
        raise AssertionError("nothing may be connected to")

    monkeypatch.setattr(socket, "create_connection", connected)
    result = CliRunner().invoke(cli.app, ["check", url, "--task", TASK])
    assert result.exit_code == 2 and result.stderr.count("\n") == 1
    assert "expected ws://127.0.0.1:PORT" in result.stderr or "only a server on this machine" in result.stderr


def test_nobody_and_somebody_else_are_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    result = CliRunner().invoke(cli.app, ["check", f"ws://127.0.0.1:{port}", "--task", TASK])
    assert result.exit_code == 2 and result.stderr.count("\n") == 1
    assert "nobody answers" in result.stderr and f"genba serve POLICY --port {port}" in result.stderr
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def mail() -> None:
            channel, _ = listener.accept()
            channel.sendall(b"220 mail.example.org\r\n\r\n")
            channel.close()

        thread = threading.Thread(target=mail)
        thread.start()
        with pytest.raises(BadInput, match="not a policy server"):
            load_policy(f"ws://127.0.0.1:{listener.getsockname()[1]}", TASK)
        thread.join()


def test_a_taken_port_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        result = CliRunner().invoke(cli.app, ["serve", "zero", "--task", TASK, "--port", port])
    assert result.exit_code == 2 and result.stderr.count("\n") == 1 and "cannot be used" in result.stderr


def test_arrays_come_through_to_the_bit() -> None:
    values = np.random.default_rng(1).standard_normal((3, 4)).astype(np.float32)
    sent = unpack(pack({"type": "act", "rows": rows(values[:, ::2], "f4")}))
    assert array(sent["rows"], "f4", 2).tobytes() == np.ascontiguousarray(values[:, ::2]).tobytes()
    numbers = np.array([3_000_000_000_000_000, -1])
    assert array(rows(numbers, "i8"), "i8").tolist() == numbers.tolist()
    with pytest.raises(WireError):
        array(rows(numbers, "i8"), "i8", 1)
