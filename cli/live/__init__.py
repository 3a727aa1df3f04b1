"""The commands that ask running services: `commands.py` declares them, the others do the work.

As in all of `cli`, nothing heavy is imported before a command needs it.
"""
