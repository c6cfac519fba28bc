"""A saved model in another form. Every exporter follows the protocol in `exporting`."""
