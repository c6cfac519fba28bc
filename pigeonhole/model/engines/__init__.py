"""What a saved model is computed by, each behind the same few methods."""
