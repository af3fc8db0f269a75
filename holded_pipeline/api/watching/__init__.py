"""What the API reports of its work: metrics, and errors under an id."""
