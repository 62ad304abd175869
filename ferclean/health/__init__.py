"""What `doctor` looks at: one module per kind of question about a set, each a generator of findings."""
