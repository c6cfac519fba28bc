"""What is looked for beyond the usual figures, some of it by further trainings."""
