"""Removes what the steps of a deployment left behind, once it is past its retention.

Read ``sweep`` (the whole, and its order) → ``limits`` (what is kept, and what was removed) → ``runs`` (whose run is
over) → ``containers`` → ``directories`` → ``compute_logs`` → ``retention`` (what is past its age, or beyond the total
size) → ``tree`` (measures and removes a folder that a stranger may have prepared).
"""
