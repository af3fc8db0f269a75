"""From bytes to records to events: layouts, framing, envelopes.

Pure functions: chunks of bytes in, events or rejections out; `store` reads the bytes.
"""
