"""Celery tasks that publish, over a broker that is a directory."""

import os
from pathlib import Path

from celery import Celery

from publish_agent import Agent

folder = Path(os.environ["BROKER"])
app = Celery("tasks", broker="filesystem://")
app.conf.broker_transport_options = {
    "data_folder_in": str(folder),
    "data_folder_out": str(folder),
    "control_folder": str(folder / "control"),
    "polling_interval": 0.02,
}
app.conf.task_ignore_result = True
app.conf.worker_hijack_root_logger = False
requests = Agent("tasks", os.environ["AGENTS"], cpu_share=100.0).stream("requests")


@app.task
def publish(path: str) -> None:
    status = requests.publish({"path": path})
    with (folder / "done").open("a") as done:
        done.write(f"{status.name} {path}\n")
