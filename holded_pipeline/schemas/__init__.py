"""JSON Schemas: read from a directory or a registry, compiled, and checked against events, with every violation listed.

This is the only package that imports requests. `transforms` and `api` decide what happens to a rejected event.
"""
