"""Calling user code: values that it cannot change, and what its exceptions mean.

How often and for how long it is called is decided in the rooms that call it. Neither Beam nor a driver is imported.
"""
