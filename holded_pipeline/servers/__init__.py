"""What the clients of all servers share: credentials, retries, URLs, TLS.

What only one kind of server knows belongs in the room of that server, and no client library comes in.
"""
