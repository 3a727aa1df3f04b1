"""The recipes of docs/agent.md, as they stand there: their last requests are in the answer."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from source_jobs.job import SourceJob
from tests.greenlets.test_hosts import sender
from tests.lifecycle.hosts import LAST, LIMIT_S, ROOT, WARM, asked, end, free_port, running, serve
from tests.lifecycle.test_lifecycle import DIED, GRANIAN, GUNICORN, LONG
from tests.live.support import source_job, until

pytestmark = [
    pytest.mark.timeout(110),
    pytest.mark.alone,
    pytest.mark.skipif(not LONG, reason="make lifecycle runs it"),
]

BLOCK = re.compile(r"^```py (\w+)\n((?:.*\n)*?)```$", re.MULTILINE)
RECIPES = dict(BLOCK.findall((ROOT / "docs" / "agent.md").read_text(encoding="utf-8")))
SETTINGS = """
SECRET_KEY, ALLOWED_HOSTS, ROOT_URLCONF, MIDDLEWARE = "x", ["*"], "urls", ["app.Publish"]
"""
URLS = """
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("<name>", lambda request, name: HttpResponse(name))]
"""
WSGI = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
"""
SERVERS = {
    "fastapi uvicorn": (("uvicorn", "--port", "{port}", "app:app"), DIED),
    "fastapi granian": ((*GRANIAN, "asgi", "app:app"), 0),
    "flask gunicorn": ((*GUNICORN, "app:app"), 0),
    "django gunicorn": ((*GUNICORN, "wsgi"), 0),
}


@pytest.fixture
def job() -> Iterator[SourceJob]:
    with source_job() as made:
        yield made


def environment(job: SourceJob, folder: Path) -> dict[str, object]:
    """That of a program in a folder, whose agent has no settings but a service's name."""
    path = os.pathsep.join([str(folder), str(ROOT)])
    return {"PYTHONPATH": path, "HOME": folder, "MQL_SOURCE_JOBS": job.agents_address}


@pytest.mark.parametrize("server", SERVERS)
def test_a_recipe_for_the_web(job: SourceJob, server: str, tmp_path: Path) -> None:
    program, status = SERVERS[server]
    framework, _ = server.split()
    for needed in (framework, program[0]):
        if find_spec(needed) is None:
            pytest.skip(f"there is no {needed} here (make lifecycle installs it)")
    for name, text in {"settings": SETTINGS, "urls": URLS, "wsgi": WSGI}.items():
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "app.py").write_text(RECIPES[framework])
    port = free_port()
    command = ("-m", *(part.format(port=port) for part in program))
    ended = serve(job, command, port, 1, is_recipe=True, **environment(job, tmp_path))
    ended.check(status, is_warm=True)


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_recipe_for_celery(job: SourceJob, pool: str, tmp_path: Path) -> None:
    (tmp_path / "control").mkdir()
    folders = dict.fromkeys(("data_folder_in", "data_folder_out"), str(tmp_path))
    options = folders | {"control_folder": str(tmp_path / "control"), "polling_interval": 0.02}
    config = f'broker_url = "filesystem://"\nbroker_transport_options = {options}\n'
    (tmp_path / "celeryconfig.py").write_text(config)
    (tmp_path / "app.py").write_text(RECIPES["celery"])
    program = ("-m", "celery", "-A", "app", "--config", "celeryconfig", "worker", "-P", pool)
    quiet = ("-c", "1", "--without-gossip", "--without-mingle", "--without-heartbeat")
    with (
        asked(job) as (answer, is_asked),
        running(*program, *quiet, **environment(job, tmp_path)) as process,
    ):
        send = sender(tmp_path, "app", "show")
        own = process.pid if pool == "prefork" else 0
        until(lambda: (send(WARM), is_asked(1, own))[1], LIMIT_S)
        for number in range(LAST):
            send(f"/{number}")
        until(lambda: not list(tmp_path.glob("*.msg")), LIMIT_S)
        ended = end(job, process, answer)
    ended.check(0, is_warm=True)
