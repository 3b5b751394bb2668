"""Launches a run through the Dagster webserver, as the UI's button does, and follows it in a terminal.

Reading order: ``__main__`` (the command), ``order`` (launch, follow, show the result), ``selection`` (which assets),
``webserver`` with ``queries`` (the requests to Dagster), ``follow`` (until the run is over), ``progress`` (the state of
the steps), ``screen`` (how they are shown), ``errors``.

No module here imports Dagster: the import takes seconds, and the command should start at once.
"""
