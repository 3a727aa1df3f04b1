"""A service that has its work done by a child, which publishes and is then terminated.

`children.py METHOD` is how the child is started. Prints the exit status of the child.
"""

import multiprocessing
import os
import sys
import time
from multiprocessing.synchronize import Event

from publish_agent import Agent

LAST = 20
requests = Agent("children", os.environ["AGENTS"], cpu_share=100.0).stream("requests")


def work(go: Event, done: Event) -> None:
    if sys.argv[1] == "fork":  # the first event begins the agent
        while requests.publish({"path": "/warm"}).name != "ACCEPTED":
            time.sleep(0.01)
    go.wait()
    for number in range(LAST):
        assert requests.publish({"path": f"/{number}"}).name == "ACCEPTED"
    done.set()
    time.sleep(60)


def main() -> None:
    context = multiprocessing.get_context(sys.argv[1])
    go, done = context.Event(), context.Event()
    child = context.Process(target=work, args=(go, done))
    child.start()
    sys.stdin.readline()
    go.set()
    done.wait()
    child.terminate()
    child.join()
    sys.stdout.write(f"{child.exitcode}\n")


if __name__ == "__main__":
    main()
