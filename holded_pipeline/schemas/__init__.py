"""JSON Schemas: found in a directory or a registry, compiled, checked, and explained where a document breaks one.

This is the only room that imports requests; what becomes of a rejected event is for `transforms` and `api`.
"""
