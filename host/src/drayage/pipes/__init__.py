"""Dagster Pipes: bytes from the workload in, validated messages out.

Reading order: ``session`` (context out, messages in) → ``reader``, ``lines`` (bytes to messages) → ``ledger`` (what the
verdict needs of them) → ``schema`` (what a message must look like) → ``custom_messages`` (those that drayage handles
itself) → ``adapter`` (programs that do not speak Pipes) → ``transcript`` (messages as people read them).
"""
