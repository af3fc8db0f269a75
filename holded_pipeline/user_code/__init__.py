"""What calling code that is not ours takes: values it cannot change, and what the exceptions that it raises mean.

How often and for how long it is called is decided in the rooms that call it; no Beam and no driver comes in.
"""
