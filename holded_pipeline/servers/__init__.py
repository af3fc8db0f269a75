"""What the clients of all servers share: credentials, retries, URLs, TLS.

What concerns one kind of server belongs in the room of that server. No client library is imported here.
"""
