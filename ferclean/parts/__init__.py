"""What several verbs are made of: none of them, and nothing that only one of them needs."""
