"""Enrichers: what one is, the ones that ship, quality rules, lookups in tables and objects.

How a worker opens, calls and ends an enricher is for `transforms.workers`; how a plugin brings one is for `plugins`.
"""
