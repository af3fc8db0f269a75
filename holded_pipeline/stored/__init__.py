"""What is in the store, read without Beam: events and rejections to iterate, in a notebook or a script.

No transforms, and nothing that writes; `rejected` has the rules of the dead-letter store.
"""
