"""The contract checks `check_enricher` and `check_plugin`: each rule is checked for each component of a plugin.

The checks call the code of the pipeline itself. A rule of the pipeline is never written a second time here.
"""
