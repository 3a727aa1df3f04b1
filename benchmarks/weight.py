"""The weight of an agent without a query, and with one, beside tools of its kind.

Each is a program that sets its tool up and hands it one event, in a process of its own; the figures
are over a bare Python of the same environment. The others report to a closed port.
`make bench-agent` installs them in an environment of their own; those that are not there are named.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.processes import ROOT, source_job, until
from benchmarks.report import machine, markdown
from source_jobs.client import connect

RUNS = 7
QUERY = "select path from requests where status >= 500"
CLOSED = "127.0.0.1:1"
ENVIRONMENT = Path("build", "weight", "bin", "python")
"""Where the others are installed."""

_FIGURES = """
import json, os, sys, time

def figures():
    time.sleep(0.7)
    with open("/proc/self/smaps_rollup") as lines:
        rss = next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Rss"))
    threads = len(os.listdir("/proc/self/task"))
    print(json.dumps([time.process_time() * 1000, rss, threads]), flush=True)

"""
_AGENT = """
from publish_agent import Agent
requests = Agent("checkout", sys.argv[1] if "://" in sys.argv[1] else f"tcp://{sys.argv[1]}").stream("requests")
requests.publish({"path": "/pay"})
"""
_ASKED = """
from publish_agent import Status
event = {"path": "/pay", "status": 500}
while requests.publish(event) is not Status.ACCEPTED:
    time.sleep(0.01)
for _ in range(1_000):
    requests.publish(event)
"""
_SENTRY = """
import sentry_sdk
sentry_sdk.init(dsn=f"http://key@{sys.argv[1]}/1", traces_sample_rate=1.0)
with sentry_sdk.start_transaction(name="pay"):
    pass
"""
_DDTRACE = """
os.environ["DD_TRACE_AGENT_URL"] = f"http://{sys.argv[1]}"
import logging
logging.disable()
from ddtrace import tracer
with tracer.trace("pay"):
    pass
"""
_OPENTELEMETRY = """
import logging
logging.disable()
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"http://{sys.argv[1]}/v1/traces")))
with provider.get_tracer("checkout").start_as_current_span("pay"):
    pass
"""
_ARROW = "import numpy, pyarrow"
OTHERS = {
    "sentry-sdk": ("sentry_sdk", _SENTRY),
    "ddtrace": ("ddtrace", _DDTRACE),
    "OpenTelemetry SDK, OTLP": ("opentelemetry.sdk", _OPENTELEMETRY),
}
"""By name the module and the program."""


@dataclass(frozen=True, slots=True)
class Weight:
    """Processor time, memory and threads."""

    cpu_ms: float
    rss_mb: float
    threads: float

    def over(self, bare: Weight) -> tuple[str, str, str]:
        """The cells of a table."""
        return (
            f"{self.cpu_ms - bare.cpu_ms:.0f}",
            f"{self.rss_mb - bare.rss_mb:.1f}",
            f"{self.threads - bare.threads:.0f}",
        )


def weigh(python: Path | str, program: str) -> Weight:
    """The medians of some runs; the first one, which may compile modules, does not count."""
    command = [python, "-c", f"{_FIGURES}{program}\nfigures()\nos._exit(0)", CLOSED]
    runs = []
    for _ in range(RUNS + 1):
        done = subprocess.run(
            command, cwd=ROOT, env=_environment(), stdout=subprocess.PIPE, check=True
        )
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    return Weight(*map(median, zip(*runs[1:], strict=True)))


def weigh_asked() -> Weight:
    """An agent with a query that has had events; the median of some runs."""
    program = f"{_FIGURES}{_AGENT}{_ASKED}\nfigures()\nos._exit(0)"
    runs = []
    with source_job() as job, connect(job.clients) as client:
        for _ in range(RUNS):
            command = [sys.executable, "-c", program, job.agents]
            with subprocess.Popen(
                command, cwd=ROOT, env=_environment(), stdout=subprocess.PIPE
            ) as service:
                assert service.stdout is not None
                until(lambda: bool(client.agents()), "the agent is known")
                with client.subscribe(QUERY):
                    runs.append(json.loads(service.stdout.readline()))
    return Weight(*map(median, zip(*runs, strict=True)))


def _environment() -> dict[str, str]:
    """As services run: their modules are compiled, and this tree is not on the others' path."""
    left_out = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH")
    return {name: value for name, value in os.environ.items() if name not in left_out}


def rows() -> list[tuple[str, str, str, str]]:
    """The rows of the table."""
    bare = weigh(sys.executable, "")
    found = [
        ("publish_agent, no query", *weigh(sys.executable, _AGENT).over(bare)),
        ("publish_agent, with a query", *weigh_asked().over(bare)),
        ("NumPy and pyarrow alone", *weigh(sys.executable, _ARROW).over(bare)),
    ]
    for name, (module, program) in OTHERS.items():
        if _has(module):
            bare = weigh(ENVIRONMENT, "")
            found.append((name, *weigh(ENVIRONMENT, program).over(bare)))
    return found


def _has(module: str) -> bool:
    """Whether the others' environment has a module."""
    if not ENVIRONMENT.exists():
        return False
    found = subprocess.run(
        [ENVIRONMENT, "-c", f"import {module}"], capture_output=True, check=False
    )
    return found.returncode == 0


def main() -> None:
    """Print the table."""
    missing = [name for name, (module, _) in OTHERS.items() if not _has(module)]
    print("\n".join(machine(None)), end="\n\n")
    print(markdown(("over a bare Python", "cpu ms", "rss MB", "threads"), rows()))
    if missing:
        print(f"\nnot here, and so left out: {', '.join(missing)}")


if __name__ == "__main__":
    main()
