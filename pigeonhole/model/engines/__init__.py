"""What computes the answers of a saved model. Every engine follows the protocol in `engine`."""
