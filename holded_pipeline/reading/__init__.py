"""From bytes to records to events: layouts, framing, envelopes.

It is pure: chunks of bytes come in, events or rejections go out, and where the bytes came from is for `store`.
"""
