"""The app under uvicorn: listeners, connections and their limits."""
