"""What runs on Beam's workers: the DoFns, and the calls of user code within their time.

Wiring is for the transforms above; what needs no element, bundle or counter of Beam's belongs in a room below.
"""
