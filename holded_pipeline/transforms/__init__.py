"""The public Beam transforms, one file each; `expand` wires, and the work is done in the rooms below.

What runs on a worker lives in `workers`, what Beam itself needs in `beam`.
"""
