"""What `check` looks at: a file for each kind of thing.

A check returns what it found, or raises an error whose sentence says what to do.
"""
