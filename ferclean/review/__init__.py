"""What the review screens need and no verb owns: the desk, what lies beside a face, offers, counts, serving."""
