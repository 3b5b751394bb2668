"""Keeps one directory per attempt on the host's disk, from the attempt's context to its verdict.

Reading order: ``directory`` (the files of one attempt) → ``record`` (``container.json`` and ``verdict.json``) →
``owner_lock`` (who may follow its container) → ``process_lock`` (which processes still live) → ``history`` (all
attempts, for people) → ``trial_folder`` (where ``drayage conform`` works).
"""
