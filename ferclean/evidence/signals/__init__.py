"""(labels, pred_probs, embeddings, dynamics, neighbours) in, one number per sample out: (N,) each."""
