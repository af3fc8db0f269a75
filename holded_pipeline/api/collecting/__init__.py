"""`POST /collect`: from the body of a request to an object in the store."""
