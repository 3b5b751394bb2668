"""The landing zone: where the TLC's monthly files are in the object store, and the command that puts them there.

Reading order: ``names`` (which names are a month's file), ``zone`` (the objects), ``folder`` (the files on this
machine), ``land`` (from one to the other), ``screen`` (how it is shown), ``__main__`` (the command), ``errors``.

No module here imports Dagster, whose import takes seconds; ``zone`` alone imports the S3 client, which takes a third of
one.
"""
