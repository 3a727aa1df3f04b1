"""The programs here are run, not imported."""

collect_ignore = ["script.py", "tasks.py", "web.py"]
