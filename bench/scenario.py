"""Puts a load that teams have on a gateway, and writes a report of it with charts.

Starts a simulator of both providers and a gateway with one worker before it, plays bench/scenarios/NAME.py by Locust,
and ends all three.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import platform
import shlex
import signal
import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from subprocess import Popen

import click
import scenarios
from harness.page import Run, page
from harness.processes import TARGET_CORE, Stage, Trouble, free_port
from harness.records import read
from harness.targets import simulator
from harness.watch import Sample, look

import edge

HERE = Path(__file__).parent
GRACE = 30                  # seconds that Locust may take to begin and to end


@click.command(help=__doc__, context_settings={"show_default": True})
@click.argument("name", metavar="NAME")
@click.option("--seconds", type=click.FloatRange(min=3), help="length of the run; default: the scenario's own")
@click.option("--workers", type=click.IntRange(min=0), default=0, help="processes of Locust; 0: one that does all")
@click.option("--web", is_flag=False, flag_value=8089, type=click.IntRange(1, 65535), metavar="[PORT]",
              help="Locust's own view on 127.0.0.1, at port 8089 unless it is told")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), show_default="build/scenario-NAME.html",
              help="the file to write")
def main(name: str, seconds: float | None, workers: int, web: int | None, report: Path | None) -> None:
    """Runs, shows progress, writes the report."""
    scenario = scenarios.load(name)
    seconds = seconds or scenario.seconds
    report = (report or HERE.parent / "build" / f"scenario-{name}.html").absolute()
    ready(report, web)
    with Stage() as stage:
        load = Load(stage, name, seconds)
        load.start(workers, web)
        if web:
            say(f"Locust's view: http://127.0.0.1:{web}")
        samples = load.watch()
        stage.stop(load.locust)         # its workers may outlive it
        run = Run(name, scenarios.about(name), taken(), seconds, read(load.folder), samples)
    report.write_text(page(run))
    say(f"report: {report}")


def ready(report: Path, web: int | None) -> None:
    """Trouble: something is missing or in the way."""
    if importlib.util.find_spec("locust") is None:
        raise Trouble(f"locust is missing: {Path(sys.executable).with_name('pip')} install --group dev")
    try:
        report.parent.mkdir(parents=True, exist_ok=True)
        report.touch()
    except OSError as error:
        raise Trouble(f"the report cannot be written: {error}; --report names another file") from error
    if web:
        try:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", web))
        except OSError as error:
            raise Trouble(f"port {web} of 127.0.0.1 is not to be had ({error.strerror}): end what listens there, or "
                          f"name another one, e.g. --web {web + 1 if web < 65535 else 8089}") from error


class Load:
    """A scenario's simulator, gateway and Locust."""

    def __init__(self, stage: Stage, name: str, seconds: float) -> None:
        self.stage, self.name, self.seconds = stage, name, seconds
        self.folder = stage.folder / "records"
        self.folder.mkdir()
        self.port, self.admin = free_port(), free_port()
        self.gateway: Popen[bytes]
        self.locust: Popen[bytes]

    def start(self, workers: int, web: int | None) -> None:
        """Starts all three."""
        scenario = scenarios.load(self.name)
        program = Path(sys.executable).with_name("edge")
        if not program.exists():
            raise Trouble(f"there is no gateway: {program} is missing. `make scenario` compiles and installs it "
                          "in .venv, whose Python is to run this")
        provider = simulator(self.stage, *scenario.simulate).port
        file = self.stage.folder / "edge.yaml"
        file.write_text(json.dumps(scenarios.configuration(scenario, self.port, self.admin, provider)))
        file.chmod(0o600)
        self.gateway = self.stage.start("gateway", [str(program), "serve", "--config", str(file), "--workers", "1"],
                                        TARGET_CORE, self.port)
        command = [sys.executable, "-m", "locust", "-f", str(HERE / "locustfile.py"), "--scenario", self.name,
                   "--seconds", str(self.seconds), "--host", f"http://127.0.0.1:{self.port}",
                   "--simulator", str(provider), "--records", str(self.folder), "--stop-timeout", "10",
                   "--exit-code-on-error", "0", "--only-summary"]
        if workers:
            meeting = str(free_port())
            command += ["--processes", str(workers), "--master-bind-host", "127.0.0.1", "--master-bind-port", meeting,
                        "--master-host", "127.0.0.1", "--master-port", meeting]
        command += ["--web-host", "127.0.0.1", "--web-port", str(web), "--autostart", "--autoquit", "0"] if web else \
                   ["--headless"]
        self.locust = self.stage.start("locust", command, self.stage.load_cores, web)

    def watch(self) -> list[Sample]:
        """Looks at the gateway once a second until Locust has ended, and says what it sees."""
        begun = time.monotonic()
        samples: list[Sample] = []
        while self.locust.poll() is None:
            if self.gateway.poll() is not None:
                raise Trouble(f"the gateway has ended in the middle of the run:\n{self.stage.log('gateway')}")
            if time.monotonic() - begun > self.seconds + GRACE:
                raise Trouble(f"Locust does not end:\n{self.stage.log('locust')}")
            if sample := look(self.admin):
                if samples:
                    say(progress(samples[0], samples[-1], sample))
                samples.append(sample)
            time.sleep(max(0.0, 1 - (time.monotonic() - begun) % 1))
        if self.locust.returncode != 0:
            raise Trouble(f"Locust failed:\n{self.stage.log('locust')}")
        return samples


def progress(start: Sample, before: Sample, after: Sample) -> str:
    """A line on the last second."""
    wide = after.at - before.at
    ended = {name: count - before.conditions[name] for name, count in after.conditions.items()}
    cpu = sum(value - before.cpu.get(name, value) for name, value in after.cpu.items())
    return (f"{after.at - start.at:5.0f} s  {sum(ended.values()) / wide:6.0f} requests/s  "
            f"gateway {cpu / wide:4.0%} of a core, {sum(after.memory.values()) / 1e6:.0f} MB  "
            + " ".join(f"{name} {count}" for name, count in sorted(ended.items()) if count and name != "ok"))


def say(text: str) -> None:
    """To who waits."""
    print(text, file=sys.stderr, flush=True)


def taken() -> str:
    """Under which conditions: when, on what, by what command."""
    model = platform.machine()
    with contextlib.suppress(OSError):
        names = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                 if line.startswith("model name")]
        model = names[0] if names else model
    return (f"Taken {datetime.now(UTC):%Y-%m-%d %H:%M} UTC with edge {edge.__version__}, Python "
            f"{platform.python_version()}, Linux {platform.release()}, {os.cpu_count()} cores ({model}), everything on "
            "127.0.0.1, the gateway with one worker on a core that it shares with no part of the load: "
            f"{shlex.join(['scenario.py', *sys.argv[1:]])}. "
            f"{os.getloadavg()[0]:.1f} processes wanted to run on average in the last minute.")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("scenario: ended by SIGTERM"))     # with all that was started
    try:
        main()
    except Trouble as trouble:
        sys.exit(f"scenario: {trouble}")
