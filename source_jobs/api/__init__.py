"""The source job over HTTP: the API, the page, and metrics.

A server here is a client of a source job like any other (`source_jobs.client`), so that whatever
its readers do, the source job does not notice. `server.py` is the shell, `app.py` the table of what
there is; `tokens.py`, `limits.py`, `replay.py` and `access.py` are pure, and take the time as an
argument. It needs the extra `http`, and is imported only when asked for.
"""
