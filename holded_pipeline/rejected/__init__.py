"""Dead letters: what a rejected record is, how it is written and found again, and how many a run may have.

It is pure but for the values it uses; reading and writing the store is for `transforms`.
"""
