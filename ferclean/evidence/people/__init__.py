"""What people say: votes, decisions, how far they agree, audits."""
