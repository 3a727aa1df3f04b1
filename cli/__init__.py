"""The command `mql`: arguments in, rows out. Whatever a query means is decided in `mql`.

Nothing heavy (pyarrow, numpy, rich, plotext) is imported before a command needs it, so that
`mql check` answers in the time of a key press.
"""
