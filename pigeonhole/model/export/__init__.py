"""A saved model in another form, accepted only after it has replayed the golden examples."""
