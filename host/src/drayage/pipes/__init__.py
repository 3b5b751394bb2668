"""Turns the bytes that a workload sends through Dagster Pipes into validated messages.

Reading order: ``session`` (context out, messages in) → ``reader``, ``limits``, ``lines`` (bytes to messages) →
``ledger``, ``problems`` (what the verdict needs from them) → ``sessions`` (what was opened and closed) → ``schema``,
``values`` (what a message may hold) → ``log_lines`` (log messages, in batches) → ``custom_messages`` (those that
drayage handles itself) → ``adapter`` (programs that do not speak Pipes) → ``transcript`` (messages as people read
them).
"""
