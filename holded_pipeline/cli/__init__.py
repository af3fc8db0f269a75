"""The command `holded-pipeline`.

What a command does is in the other rooms; here are its options, its words and its exit codes.
"""
