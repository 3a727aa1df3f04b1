"""The programs here are run, not imported."""

import pytest

pytest.register_assert_rewrite("tests.lifecycle.hosts")

collect_ignore = ["web.py", "tasks.py", "script.py", "children.py", "in_c.py", "uwsgi_server.py"]
