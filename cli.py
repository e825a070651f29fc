"""The door: one Typer app. Each verb parses, calls the function that does the work, and prints.

Nothing heavy is imported before a verb is known, so `genba --help` answers at once. A verb's result has `as_json()`,
`table()` and perhaps `exit_code`; errors become one line and an exit code in `translate`, and nowhere else.
"""

from __future__ import annotations

import atexit
import ctypes
import errno
import io
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from genba.envs.errors import BadInput, GenbaError, UnknownName

EXIT_CODES = """Exit codes: 0 done or PASS; 1 FAIL, INSUFFICIENT or refused; 2 wrong input; 3 environment problem
(`genba doctor` says which); 130 interrupted."""


NAMES = (
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.EISDIR,
    errno.ELOOP,
)  # what is wrong is the name


class Result(Protocol):
    """What a verb prints: an object for other tools, and text for people."""

    def as_json(self) -> Mapping[str, Any]: ...
    def table(self) -> str: ...


class Door(TyperGroup):
    """Turns every error into one line on stderr and its exit code."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            raise UnknownName(
                "verb" if ctx.parent is None else f"{ctx.info_name} verb", args[0], self.commands
            )
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        if ctx.parent is not None or os.environ.get("GENBA_DEBUG"):
            return super().invoke(ctx)
        _speak()
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            hint = str(stop) or "what was finished is saved; genba train and genba check go on with --resume"
            raise fail(f"interrupted: {hint}", 130) from None
        except Exception as error:
            raise translate(error) from None


def _speak() -> None:
    """Let what is printed be printed in any process: a daemon has no stderr, and not every terminal has every sign."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def translate(error: Exception) -> Exception:
    """One line on stderr for any error, and the exit to raise in its place."""
    if isinstance(error, GenbaError):
        return fail(f"genba: {error}", error.exit_code)
    if isinstance(error, TyperException) and type(error).__name__ != "NoArgsIsHelpError":
        context = getattr(error, "ctx", None)
        verb = context.command_path if context is not None else "genba"
        return fail(f"{verb}: {error.format_message().rstrip('.')}. See: {verb} --help", 2)
    if isinstance(error, typer.Exit | typer.Abort | TyperException | BrokenPipeError):
        return error
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("genba"):
        return fail(f"genba: {error}. Install it with: make setup, or pip install 'genba[learn]'", 3)
    if isinstance(error, OSError) and error.errno in NAMES and error.filename is not None:
        return fail(f"genba: {error.filename}: {error.strerror}; give another name", 2)
    if isinstance(error, OSError):
        return fail(f"genba: {error}. genba doctor looks for the cause", 3)
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return fail(f"genba: internal error: {what} (GENBA_DEBUG=1 shows where)", 3)


def fail(line: str, exit_code: int) -> typer.Exit:
    """Say one line on stderr; the exit to raise."""
    say(line)
    return typer.Exit(exit_code)


@contextmanager
def quiet_stdout() -> Iterator[None]:
    """Whatever prints goes to stderr, also what C libraries and `os.write` print: stdout carries the result."""
    with redirect_stdout(sys.stderr), _descriptor_to_stderr():
        yield


@contextmanager
def _descriptor_to_stderr() -> Iterator[None]:
    """The process's stdout is its stderr meanwhile; also where it was closed, or the next file to be opened would take its place."""
    kept, moved = None, False
    with suppress(OSError):
        kept = os.dup(1)
    _flush_stdout()
    try:
        with suppress(OSError):  # without a stderr all stays as it was
            moved = os.dup2(2, 1) == 1
        yield
    finally:
        _flush_stdout()
        if kept is not None:
            os.dup2(kept, 1)
            os.close(kept)
        elif moved:
            os.close(1)


def _stdout_to_stderr() -> None:
    _flush_stdout()
    with suppress(OSError):
        os.dup2(2, 1)


def _flush_stdout() -> None:
    """Write out what Python and C hold back, before stdout goes elsewhere."""
    with suppress(Exception):  # closed, or nobody reads it: what is printed last says so
        sys.__stdout__.flush()  # type: ignore[union-attr]
    with suppress(Exception):  # a system whose C library is not found so
        ctypes.CDLL(None).fflush(None)


def deliver(result: Result | Mapping[str, Any], as_json: bool, text: str = "") -> None:
    """Print a result and leave with its exit code."""
    if as_json:
        from genba.envs.files import plain_json

        text = plain_json(result if isinstance(result, Mapping) else result.as_json())
        text = text if _can_be_printed(text) else json.dumps(json.loads(text))
    elif not isinstance(result, Mapping):
        text = result.table()
    print(text, flush=True)  # nothing where stdout is closed
    atexit.register(_stdout_to_stderr)  # what a policy's module prints as it leaves comes after the result
    if code := getattr(result, "exit_code", 0):
        raise typer.Exit(code)


def _can_be_printed(text: str) -> bool:
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def say(line: str) -> None:
    """A line for people: stderr, so that stdout stays the result; nothing where nobody can hear it."""
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def verbs(help_text: str, **settings: Any) -> typer.Typer:
    """A Typer app in the house's manner."""
    return typer.Typer(
        cls=Door,
        help=help_text,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        **settings,
    )


app = verbs(
    __doc__
    and "Genba: robot policies learn factory work in MuJoCo, are judged, and leave only with evidence.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
)
tasks_app = verbs("What there is: cell, robot, signals, takt.", invoke_without_command=True)
suites_app = verbs(
    "The safety suites: what is demanded, and where it comes from.", invoke_without_command=True
)
bench_app = verbs("How fast it is, and how well it learns, on this machine.", no_args_is_help=True)
app.add_typer(tasks_app, name="tasks")
app.add_typer(suites_app, name="suites")
app.add_typer(bench_app, name="bench")

Json = Annotated[
    bool, typer.Option("--json", help="One JSON object as the last line of stdout; all else on stderr.")
]
Seed = Annotated[int, typer.Option(help="The seed everything random is drawn from.")]
CheckSeed = Annotated[
    int | None, typer.Option("--seed", help="Fixes the judged episodes. Absent: new ones each time.")
]
Threads = Annotated[
    int, typer.Option(min=0, max=1024, help="Simulation threads; 0 uses every core. Never changes a result.")
]
Task = Annotated[
    str,
    typer.Argument(
        help="A task id, a variant (kit-pick:hard) or an edited cell file; `genba tasks` lists them."
    ),
]
TaskOption = Annotated[
    str,
    typer.Option(
        "--task", help="A task id, variant or cell file. Absent: the one the run or release is for."
    ),
]
EnvOption = Annotated[
    str,
    typer.Option(
        "--env", help="A Gymnasium MuJoCo environment in the place of a task: Ant-v5, module:Name-v1."
    ),
]
Limits = Annotated[
    list[str] | None,
    typer.Option(
        "--limit", metavar="SIGNAL=VALUE[:RATE]", help="A hard limit, in the signal's unit; repeatable."
    ),
]
Suite = Annotated[
    str, typer.Option(help="A suite id or a YAML file; `genba suites` lists them. Absent: the cell's own.")
]
Run = Annotated[
    str, typer.Argument(help="A run folder (its latest check), one of its checks, or a check's search.")
]
Policy = Annotated[
    str,
    typer.Argument(
        help="A run folder, .onnx file, module:callable, ws://127.0.0.1:PORT, scripted, random or zero."
    ),
]
ServerOption = Annotated[
    str, typer.Option("--server", help="Where a policy that was judged over a connection is served now.")
]
Video = Annotated[Path | None, typer.Option(help="Write a .webm film here.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a setting; repeatable.")
]


@app.command()
def go(task: Task, seed: Seed = 0, threads: Threads = 0, json: Json = False) -> None:
    """Learn, check and release in one go."""
    with quiet_stdout():
        from genba.policies.line import go as work

        result = work(task, seed=seed, threads=threads, say=say)
    deliver(result, json)


@tasks_app.callback()
def tasks(ctx: typer.Context, json: Json = False) -> None:
    """What there is: cell, robot, signals, takt."""
    if json and ctx.invoked_subcommand is not None:
        raise BadInput(f"--json belongs behind the verb: genba tasks {ctx.invoked_subcommand} ... --json")
    if ctx.invoked_subcommand is None:
        from genba.envs.task import describe, get_task, task_ids

        found = [describe(get_task(task)) for task in task_ids()]
        deliver({"tasks": found}, json, "\n".join(task_line(task) for task in found))


@tasks_app.command("show")
def tasks_show(task: Task, json: Json = False) -> None:
    """One task with its signals."""
    from genba.envs.task import describe, get_task

    found = describe(get_task(task))
    signals = (f"  {row['name']:<28}{row['unit']:<8}{row['shape']}" for row in found["signals"])
    heads = (f"signals: {len(found['signals'])}", f"parameters of the {found['variant']} variant:")
    settings = (parameter_line(row) for row in found["parameters"])
    deliver(found, json, "\n".join([task_line(found), heads[1], *settings, heads[0], *signals]))


@tasks_app.command("copy")
def tasks_copy(
    task: Annotated[str, typer.Argument(help="A task id.")],
    to: Annotated[Path, typer.Argument(help="The file to write, a .yaml.")],
    json: Json = False,
) -> None:
    """Copy a cell's parameters to a file of your own, to change them."""
    from genba.envs.parameters import copy

    copy(task, to)
    deliver({"file": str(to)}, json, f"{to}    next: edit it, then genba tasks show {to}")


@tasks_app.command("new")
def tasks_new(
    task: Annotated[str, typer.Argument(help="The id of the new cell, as box-fold.")],
    robot: Annotated[str, typer.Option(help="Your own arm: its MJCF, or the name of one taken in.")] = "",
    robot_files: Annotated[
        Path | None, typer.Option(help="The folder that holds all of its files, if not the MJCF's own.")
    ] = None,
    tool_site: Annotated[
        str, typer.Option(help="The site where its tool sits, if its name does not say.")
    ] = "",
    json: Json = False,
) -> None:
    """A new cell to change: task, expert, scene, parameters, suite and tests, which pass at once."""
    from genba.policies.scaffold import scaffold_with

    written, findings = scaffold_with(task, robot, files=robot_files, site=tool_site)
    files = [str(path) for path in written]
    lines = [f"{each.state:<9}{each.what:<21}{each.says}" for each in findings]
    rows = [{"what": each.what, "state": each.state, "says": each.says} for each in findings]
    following = f"next: genba demo {task}, then docs/add-a-cell.md"
    if findings:
        following = f"next: put what is assumed right in the robot's .yaml, then genba demo {task}; docs/add-a-cell.md"
    deliver({"files": files, "robot": rows}, json, "\n".join([*lines, *files, following]))


def parameter_line(row: Mapping[str, Any]) -> str:
    """One parameter in one line."""
    low, high = row["value"]
    value = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    allowed = f"({row['range'][0]:g} to {row['range'][1]:g})"
    return f"  {row['name']:<22}{value:>14} {row['unit']:<6}{allowed:<16}{row['en']}"


def task_line(task: Mapping[str, Any]) -> str:
    """One task in one line."""
    return (
        f"{task['id']:<15} {task['robot']:<13} takt {task['takt_s']:g} s, at most {task['horizon_s']:g} s, "
        f"{len(task['signals'])} signals, control {task['control_hz']} Hz, physics {task['physics_hz']} Hz"
    )


@suites_app.callback()
def suites(ctx: typer.Context, json: Json = False) -> None:
    """The safety suites: what is demanded, and where it comes from."""
    if json and ctx.invoked_subcommand is not None:
        raise BadInput(f"--json belongs behind the verb: genba suites {ctx.invoked_subcommand} ... --json")
    if ctx.invoked_subcommand is None:
        from genba.safety.suite import suite_ids

        deliver({"suites": suite_ids()}, json, "\n".join(suite_ids()))


@suites_app.command("show")
def suites_show(
    suite: Annotated[str, typer.Argument(help="A suite id or a YAML file.")], json: Json = False
) -> None:
    """Constraints, conditions and verdict rules of one suite."""
    from genba.safety.suite import show

    deliver(show(suite), json)


@suites_app.command("validate")
def suites_validate(suite: Annotated[str, typer.Argument(help="A YAML file.")], json: Json = False) -> None:
    """Check a suite file: fields, formulas, units and signal names."""
    from genba.safety.suite import validate

    deliver(validate(suite), json)


@suites_app.command("copy")
def suites_copy(
    suite: Annotated[str, typer.Argument(help="A suite id.")],
    to: Annotated[Path, typer.Argument(help="The file to write.")],
    json: Json = False,
) -> None:
    """Copy a suite to a file of your own, to change it."""
    from genba.safety.suite import copy

    copy(suite, to)
    deliver({"file": str(to)}, json, f"{to}    next: edit it, then genba suites validate {to}")


@app.command()
def demo(
    what: Annotated[str, typer.Argument(help="A task id (its expert plays), a run or a release.")],
    task: TaskOption = "",
    seed: Seed = 0,
    port: Annotated[int, typer.Option(help="TCP port on this machine; 0 takes a free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
    speed: Annotated[float, typer.Option(help="Simulated seconds per second.")] = 1.0,
) -> None:
    """Watch it live in the browser: policy, margins, a push."""
    from genba.policies.demo import demo as work

    work(what, task=task or None, seed=seed, port=port, browser=browser, speed=speed, say=say)


@app.command()
def train(
    task: Task,
    seed: Annotated[int | None, typer.Option(help="Of everything that is drawn. Absent: 0.")] = None,
    steps: Annotated[
        int | None, typer.Option(help="Budget in environment steps. Absent: the recipe's.")
    ] = None,
    threads: Threads = 0,
    settings: Settings = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the latest unfinished run.")] = False,
    json: Json = False,
) -> None:
    """Learn a policy: from the expert, then by reinforcement."""
    with quiet_stdout():
        from genba.policies.train import train as work

        result = work(
            task, seed=seed, steps=steps, threads=threads, settings=settings or [], resume=resume, say=say
        )
    deliver(result, json)


@app.command()
def check(
    policy: Policy,
    task: TaskOption = "",
    env: EnvOption = "",
    limits: Limits = None,
    suite: Suite = "",
    seed: CheckSeed = None,
    threads: Threads = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the latest unfinished check.")] = False,
    until_decided: Annotated[
        bool, typer.Option("--until-decided", help="Stop as soon as it is decided, by bounds that allow it.")
    ] = False,
    at_most: Annotated[
        int | None, typer.Option(help="Episodes, with --until-decided. Absent: 4 times the suite's.")
    ] = None,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="No verdict: at which severity of each disturbance it breaks.")
    ] = False,
    axis: Annotated[
        list[str] | None, typer.Option(help="With --sweep: a disturbance; repeatable. Absent: all.")
    ] = None,
    episodes: Annotated[
        int | None, typer.Option(help="With --sweep: episodes of each probe. Absent: 64.")
    ] = None,
    no_scan: Annotated[
        bool, typer.Option("--no-scan", help="Leave out what is looked for beside the episodes.")
    ] = False,
    search: Annotated[
        str,
        typer.Option(metavar="120s|5m|EPISODES", help="Then hunt for violations that long; no rate follows."),
    ] = "",
    json: Json = False,
) -> None:
    """Judge a policy: evidence and a verdict, or how bad a day may get."""
    if sweep:
        sweep_options(
            resume=resume,
            until_decided=until_decided,
            at_most=at_most is not None,
            search=bool(search),
            limit=bool(limits),
            no_scan=no_scan,
        )
        with quiet_stdout():
            from genba.policies.load import load_policy, task_or_env
            from genba.safety.sweep import sweep as probe

            swept = probe(
                load_policy(policy, task_or_env(task, env)),
                suite=suite,
                axes=axis or (),
                episodes=episodes,
                seed=seed or 0,
                threads=threads,
                say=say,
            )
        return deliver(swept, json)
    if axis or episodes is not None:
        raise BadInput("--axis and --episodes go with --sweep; what a check plays stands in its suite")
    with quiet_stdout():
        from genba.envs.task import FOREIGN
        from genba.policies.load import load_policy, task_or_env
        from genba.safety.campaign import check as work
        from genba.safety.campaign import stopping
        from genba.safety.limits import asked_suite
        from genba.safety.search import searched

        until, hunt = stopping(until_decided, at_most), searched(search, threads, say)
        loaded = load_policy(policy, task_or_env(task, env))
        if search and loaded.task.startswith(FOREIGN):
            raise BadInput(
                f"--search: {loaded.task} chooses its starts itself; only Genba's own cells can be searched"
            )
        asked = asked_suite(suite, limits or (), loaded.task)
        scan = not no_scan and not loaded.task.startswith(FOREIGN)
        result = work(
            loaded, suite=asked, seed=seed, threads=threads, resume=resume, say=say, until=until, scan=scan
        )
        whole = hunt(result, loaded)
    deliver(whole, json)


def sweep_options(**given: bool) -> None:
    """Raises BadInput for an option that a sweep does not know."""
    for name, there in given.items():
        if there:
            raise BadInput(f"--{name.replace('_', '-')} does not go with --sweep, which keeps no evidence")


@app.command()
def compare(
    a: Policy,
    b: Policy,
    task: TaskOption = "",
    suite: Suite = "",
    seed: Seed = 0,
    threads: Threads = 0,
    json: Json = False,
) -> None:
    """Two policies on the same seeds, regressions first."""
    with quiet_stdout():
        from genba.policies.load import load_policy
        from genba.safety.compare import compare as work

        pair = load_policy(a, task), load_policy(b, task)
        result = work(*pair, suite=suite, seed=seed, threads=threads, say=say)
    deliver(result, json)


@app.command()
def release(run: Run, json: Json = False) -> None:
    """Export what passed, with its evidence; refuses without PASS."""
    with quiet_stdout():
        from genba.policies.release import release as work

        result = work(run)
    deliver(result, json)


@app.command()
def run(
    release: Annotated[
        str, typer.Argument(help="A release folder, or a task id for the release that comes with Genba.")
    ],
    episodes: Annotated[int, typer.Option(help="How many episodes.", min=1)] = 20,
    seed: Seed = 0,
    video: Video = None,
    json: Json = False,
) -> None:
    """Run a released policy with its monitor."""
    with quiet_stdout():
        from genba.policies.run_release import run as work

        result = work(release, episodes=episodes, seed=seed, video=video, say=say)
    deliver(result, json)


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(help="A Stable-Baselines3 archive (.zip), or the policy.pth in it.")
    ],
    task: TaskOption = "",
    activation: Annotated[
        str, typer.Option(help="Between its layers, where the file does not say it: tanh, relu, elu, ...")
    ] = "",
    json: Json = False,
) -> None:
    """Take in a policy of Stable-Baselines3: read, never unpickled."""
    with quiet_stdout():
        from genba.policies.take_in import take_in

        result = take_in(file, task, activation)
    deliver(result, json)


@app.command()
def serve(
    policy: Policy,
    task: TaskOption = "",
    port: Annotated[int, typer.Option(help="TCP port on this machine; 0 takes a free one.")] = 0,
) -> None:
    """Serve a policy to a judge in another process, at ws://127.0.0.1:PORT."""
    from genba.policies.serve import serve as work

    work(policy, task=task, port=port, say=say)


@app.command()
def replay(
    run: Run,
    episode: Annotated[
        int, typer.Argument(help="The episode's number in the check, or the finding's in the search.")
    ],
    video: Video = None,
    server: ServerOption = "",
    json: Json = False,
) -> None:
    """One judged episode again, bit for bit."""
    with quiet_stdout():
        from genba.policies.load import load_for_check
        from genba.safety.replay import replay as work

        result = work(run, episode, load_for_check(run, server), video=video)
    deliver(result, json)


@app.command()
def report(run: Run, server: ServerOption = "", json: Json = False) -> None:
    """Write the report of a check: one HTML page."""
    with quiet_stdout():
        from genba.policies.load import load_for_report
        from genba.safety.report import report as work

        page = work(run, load_for_report(run, server))
    deliver({"report": str(page)}, json, str(page))


@bench_app.command("envs")
def bench_envs(
    tasks: Annotated[list[str] | None, typer.Argument(help="Task ids. Absent: all.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every task.")] = False,
    see: Annotated[
        bool, typer.Option("--seeing", help="Those that see by a camera, ray-cast and drawn with OpenGL.")
    ] = False,
    worlds: Annotated[int, typer.Option(help="Worlds that run together.", min=1)] = 128,
    threads: Threads = 0,
    json: Json = False,
) -> None:
    """The closed loop against bare stepping and AsyncVectorEnv."""
    with quiet_stdout():
        from genba.envs.bench import bench, seeing
        from genba.envs.task import task_ids

        chosen = [*(task_ids() if every else tasks or ()), *(seeing(task_ids()) if see else ())]
        result = bench(worlds=worlds, threads=threads, say=say, tasks=chosen)
    deliver(result, json)


@bench_app.command("cells")
def bench_cells(
    tasks: Annotated[
        list[str] | None, typer.Argument(help="Cells to measure; the others stay as they are. Absent: all.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where cells.md, cells.json and pictures go.")] = Path("docs"),
    episodes: Annotated[int, typer.Option(help="Episodes of each expert.", min=8)] = 1000,
    threads: Threads = 0,
    json: Json = False,
) -> None:
    """Cells measured, and the page that shows them."""
    with quiet_stdout():
        from genba.policies.bench_cells import bench_cells as work

        result = work(out, tasks or (), episodes, threads, say)
    deliver(result, json)


@bench_app.command("disturbances")
def bench_disturbances(
    names: Annotated[list[str] | None, typer.Argument(help="Disturbances. Absent: all.")] = None,
    out: Annotated[Path, typer.Option(help="Where disturbances.md goes.")] = Path("docs"),
    json: Json = False,
) -> None:
    """Every disturbance measured in every cell, and the page that lists them."""
    with quiet_stdout():
        from genba.envs.bench_disturbances import bench_disturbances as work

        result = work(out, names or (), say)
    deliver(result, json)


@bench_app.command("learn")
def bench_learn(
    task: Task,
    seeds: Annotated[int, typer.Option(help="Training seeds, from 0.", min=1)] = 5,
    episodes: Annotated[
        int, typer.Option(help="Plain test episodes of each; a quarter as many disturbed.", min=2)
    ] = 1000,
    threads: Threads = 0,
    json: Json = False,
) -> None:
    """A task's recipe on several training seeds, before and after PPO, on test seeds."""
    with quiet_stdout():
        from genba.policies.bench_learn import bench_learn as work

        result = work(task, seeds=seeds, episodes=episodes, threads=threads, say=say)
    deliver(result, json)


@bench_app.command("judge")
def bench_judge(json: Json = False) -> None:
    """How often the verdict's statistics err, and how many episodes they take: exact."""
    with quiet_stdout():
        from genba.safety.characteristics import measure

        result = measure()
    deliver(result, json)


@bench_app.command("gate")
def bench_gate(
    tasks: Annotated[
        list[str] | None, typer.Argument(help="Whose policies. Absent: both cells, with --quick one.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Middle severity, each clean policy once.")] = False,
    clean: Annotated[bool, typer.Option(help="Whether it errs on clean policies, too.")] = True,
    out: Annotated[Path, typer.Option(help="Where gate-benchmark.md goes.")] = Path("docs"),
    seed: Annotated[int, typer.Option(help="0 to 999 fixes all episodes.")] = 0,
    threads: Annotated[
        int,
        typer.Option(
            help="Verdicts at a time; 0: as many as cores. Never changes a result.", min=0, max=1024
        ),
    ] = 0,
    json: Json = False,
) -> None:
    """How well the gate catches planted defects, and how often it errs. Goes on where it stopped."""
    with quiet_stdout():
        from genba.policies.bench_gate import bench_gate as work

        result = work(out, tasks or [], quick=quick, clean=clean, seed=seed, threads=threads, say=say)
    deliver(result, json)


@bench_app.command("network")
def bench_network(
    policy: Policy,
    task: TaskOption = "",
    boxes: Annotated[int, typer.Option(help="Visited observations, each with a box around it.", min=1)] = 100,
    noise: Annotated[float, typer.Option(help="Half a box's width, in m, rad, m/s or rad/s.")] = 5e-4,
    change: Annotated[float, typer.Option(help="What an action may change by within a box.")] = 1.0,
    seed: Seed = 0,
    threads: Threads = 0,
    json: Json = False,
) -> None:
    """What can be shown of a policy's network by bounds, and what it does when a sensor breaks."""
    with quiet_stdout():
        from genba.policies.bench_network import bench_network as work

        result = work(
            policy, task, boxes=boxes, noise=noise, change=change, seed=seed, threads=threads, say=say
        )
    deliver(result, json)


@bench_app.command("rare")
def bench_rare(
    policy: Policy,
    constraint: Annotated[str, typer.Argument(help="A limit of the cell's suite.")],
    task: TaskOption = "",
    disturbance: Annotated[str, typer.Option(help="Whose noise tells copies apart.")] = "sensor-noise",
    severity: Annotated[int, typer.Option(help="1 to 5.")] = 3,
    copies: Annotated[int, typer.Option(help="Worlds that are copied from each other.")] = 64,
    replicas: Annotated[int, typer.Option(help="Independent estimates.")] = 6,
    seed: Seed = 0,
    threads: Threads = 0,
    json: Json = False,
) -> None:
    """How likely a limit is broken that hardly ever is: multilevel splitting."""
    with quiet_stdout():
        from genba.policies.load import load_policy
        from genba.safety.rare import rare

        result = rare(
            load_policy(policy, task), constraint, disturbance=disturbance, severity=severity, copies=copies,
            replicas=replicas, seed=seed, threads=threads,
        )  # fmt: skip
    deliver(result, json)


@bench_app.command("stops")
def bench_stops(
    policy: Policy,
    task: TaskOption = "",
    episodes: Annotated[int, typer.Option(help="Episodes, each with one stop.", min=1)] = 300,
    category: Annotated[
        int, typer.Option(help="1: drives stay on. 0: power off, brakes fall.", min=0, max=1)
    ] = 1,
    seed: Annotated[int, typer.Option(help="0 to 499 fixes episodes and moments.")] = 0,
    threads: Threads = 0,
    json: Json = False,
) -> None:
    """How far and how long a robot goes on when told to stop at a random moment."""
    with quiet_stdout():
        from genba.policies.load import load_policy
        from genba.safety.stopping import stops

        judged = load_policy(policy, task)
        result = stops(judged, episodes=episodes, seed=seed, threads=threads, category=category)
    deliver(result, json)


@app.command()
def doctor(json: Json = False) -> None:
    """What this machine has and lacks; each finding with its mend."""
    with quiet_stdout():
        from genba.envs.doctor import examine

        result = examine()
    deliver(result, json)


if __name__ == "__main__":
    app()
