"""The S3-compatible store: its client and errors, how objects are named, compressed, buffered, and read in parts.

This is the only room that imports s3fs; what the bytes of an object mean is for `reading` and `rejected`.
"""
