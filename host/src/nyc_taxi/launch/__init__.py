"""Launches a run through the Dagster webserver, as the UI's button does, and follows it in a terminal.

Reading order: ``__main__`` (the command), ``webserver`` (what is asked of Dagster, in ``queries``),
``follow`` (until the run is over), ``progress`` (what its events say of the steps), ``screen`` (how
that looks). No module here imports Dagster: the command is on its way before that would be loaded.
"""
