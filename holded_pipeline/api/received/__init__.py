"""The events that the API received, read again: by id or by day."""
