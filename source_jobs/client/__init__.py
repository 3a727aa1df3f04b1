"""The client of a source job, for programs.

`state.py` is its core: what has been asked, over all connections. `link.py` is the thread that
has the socket. `client.py` and `subscription.py` are what a program holds. `http_client.py` is
the same over HTTP.
"""

from source_jobs.client.actions import AwayError, Gap, SourceJobError
from source_jobs.client.client import DEFAULT_ADDRESS, Client, connect
from source_jobs.client.http.client import HttpClient
from source_jobs.client.subscription import Subscription
from source_jobs.client.window import LiveWindow

__all__ = [
    "DEFAULT_ADDRESS",
    "AwayError",
    "Client",
    "Gap",
    "HttpClient",
    "LiveWindow",
    "SourceJobError",
    "Subscription",
    "connect",
]
