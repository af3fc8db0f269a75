"""Sample events: messages of every kind around made-up documents, faulty ones on request.

The same seed gives the same events everywhere; nothing here reads a clock, a file or a server.
"""
