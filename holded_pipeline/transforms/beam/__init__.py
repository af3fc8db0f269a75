"""What Beam needs of every transform: outcomes, coders, run ids, pickling, the runners that are accepted.

Nothing here knows a store, a schema or a table, except where a connection is opened inside a DoFn.
"""
