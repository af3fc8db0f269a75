"""The checks of plugins, `check_enricher` and `check_plugin`: each rule is tried on what a plugin brings.

The rules judge as the pipeline does, with its own code; a rule of the pipeline is never written a second time here.
"""
