"""How enrichers, quality rules and envelopes are registered: the built-in ones by the same hooks as everybody's.

This is the only room that imports pluggy, and workers never see it: names become functions where a pipeline is built.
"""
