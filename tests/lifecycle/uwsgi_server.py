"""uWSGI as a program of Python, for `python -m`."""

import sys

import pyuwsgi

sys.exit(pyuwsgi.run())
