"""A host that forks in C once it has loaded its application, and ends by C's `exit`: as uWSGI does.

Python knows of neither. Prints what became of the last events, when a line comes to its stdin.
"""

import ctypes
import os
import sys
import time
from types import ModuleType

from publish_agent import Agent

LAST = 20
STATUS = 7
libc = ctypes.PyDLL(None)
uwsgi = ModuleType("uwsgi")
worker = 0
uwsgi.worker_id = lambda: worker  # type: ignore[attr-defined]
sys.modules["uwsgi"] = uwsgi
requests = Agent("in_c", os.environ["AGENTS"], cpu_share=100.0).stream("requests")
child = libc.fork()
if child > 0:
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
worker = 1
while requests.publish({"path": "/warm"}).name != "ACCEPTED":
    time.sleep(0.01)
time.sleep(0.2)  # its first drain is over
sys.stdin.readline()
told = [requests.publish({"path": f"/{number}"}).name for number in range(LAST)]
sys.stdout.write(" ".join(told) + "\n")
sys.stdout.flush()
libc.exit(STATUS)
