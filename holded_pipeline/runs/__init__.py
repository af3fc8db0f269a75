"""Runs: which objects are settled, whether every record is accounted for, and what each run did.

No transforms, and no Beam: `transforms` runs what is here.
"""
