"""Who acts: loading, learning, releasing and running policies."""
