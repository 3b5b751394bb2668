"""Turns the bytes that a workload sends through Dagster Pipes into validated messages.

Reading order: ``session`` (context out, messages in) → ``reader`` and ``lines`` (bytes to messages) → ``ledger`` (what
the verdict needs from them) → ``sessions`` (what was opened and closed) → ``schema`` and ``values`` (what a message may
hold) → ``custom_messages`` (those that drayage handles itself) → ``adapter`` (programs that do not speak Pipes) →
``transcript`` (messages as people read them).
"""
