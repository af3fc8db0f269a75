"""Who may send and read: API keys, addresses, and the rates of both."""
