"""Several processes or machines that train one network in step."""
