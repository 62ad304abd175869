"""P(true label | everything known), and what follows from it: verdicts, suggestions, the queue, what it promises."""
