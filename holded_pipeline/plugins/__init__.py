"""The registration of enrichers, quality rules and envelopes: the built-in ones use the same hooks as plugins.

Only this package imports pluggy. Workers do not need it: names are resolved to functions where a pipeline is built.
"""
